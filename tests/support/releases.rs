//! This repository as releases: a bare git repository with a tag for each version, good or broken in one known way.

use std::fs;
use std::path::Path;

use super::call::Call;
use super::forge::{Forge, WorkTree, git};

/// What is wrong with a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// rustc refuses it.
    DoesNotCompile,
    /// hephd exits at once.
    CrashesAtStart,
    /// hephd starts and never says READY nor answers.
    HangsBeforeReady,
    /// hephd works for three seconds.
    DiesAfterThreeSeconds,
    /// `--version` of the binaries says another version than the tag.
    SaysAnotherVersion,
    /// hephd answers on its socket with another version than the tag.
    AnswersAnotherVersion,
    /// The migration of the store fails.
    MigrationFails,
    /// The store is migrated to a schema that the former release cannot read, and then hephd dies.
    MigratesBeyondReturn,
}

/// This repository as releases, pushed to a forge.
#[derive(Debug)]
pub struct Releases {
    tree: WorkTree,
}

impl Releases {
    /// Starts with no release, in the empty folder `work`.
    pub fn new(work: &Path) -> Releases {
        Releases {
            tree: WorkTree::new(work),
        }
    }

    /// Pushes a release to `forge` as a tag: this tree with `version` in its manifest and `flaw` in its sources. The feed
    /// does not name it yet. Returns its commit.
    pub fn tag(&self, forge: &Forge, version: &str, flaw: Flaw) -> String {
        self.copy_tree();
        self.set_version(if flaw == Flaw::SaysAnotherVersion {
            "0.0.1"
        } else {
            version
        });
        self.spoil(flaw);
        let commit = self.tree.commit(&format!("Release {version}"));
        self.tree.tag(&format!("v{version}"));
        forge.push(&self.tree);
        commit
    }

    /// Pushes the tree that `commit` of this repository had as a release.
    pub fn tag_commit(&self, forge: &Forge, version: &str, commit: &str) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let there = Call::of("git").args(&["cat-file", "-e", &format!("{commit}^{{tree}}")]);
        let there = there.current_dir(source).ends();
        assert!(
            there.code == 0,
            "this clone lacks the commit {commit}, which is release {version}: `git fetch --unshallow` fetches it ({})",
            there.err.trim()
        );
        self.clear();
        let archive = self.tree.folder.with_extension("tar");
        let output = format!("--output={}", archive.display());
        let pack = Call::of("git").args(&["archive", "--format=tar", &output, commit]);
        pack.current_dir(source).exits(0);
        let unpack = Call::of("tar").args("-xf").args(&[&archive]);
        unpack.current_dir(&self.tree.folder).exits(0);
        self.tree.commit(&format!("Release {version}"));
        self.tree.tag(&format!("v{version}"));
        forge.push(&self.tree);
    }

    /// Lays out the tree under test as git knows it, new files included, build output left out.
    fn copy_tree(&self) {
        self.clear();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let listed = git(
            source,
            &[
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ],
        );
        for name in listed.split('\0').filter(|name| !name.is_empty()) {
            let from = source.join(name);
            // A file deleted and not committed yet is still listed.
            if !from.exists() {
                continue;
            }
            let to = self.tree.folder.join(name);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&from, &to).unwrap();
        }
    }

    /// Removes what the last release left in the work tree.
    fn clear(&self) {
        for entry in fs::read_dir(&self.tree.folder)
            .unwrap()
            .flatten()
            .filter(|entry| entry.file_name() != ".git")
        {
            let path = entry.path();
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap()
            } else {
                fs::remove_file(path).unwrap()
            }
        }
    }

    fn set_version(&self, version: &str) {
        let old = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
        let new = format!("version = \"{version}\"");
        self.edit("Cargo.toml", &old, &new);
        self.edit(
            "Cargo.lock",
            &format!("name = \"heph\"\n{old}"),
            &format!("name = \"heph\"\n{new}"),
        );
    }

    fn spoil(&self, flaw: Flaw) {
        match flaw {
            Flaw::None | Flaw::SaysAnotherVersion => {}
            Flaw::DoesNotCompile => self.append(
                "src/lib.rs",
                "compile_error!(\"this release is broken\");\n",
            ),
            Flaw::CrashesAtStart => self.at_start("std::process::abort();"),
            Flaw::HangsBeforeReady => {
                self.at_start("loop { std::thread::sleep(std::time::Duration::from_secs(1)); }")
            }
            Flaw::DiesAfterThreeSeconds => self.at_start(DIES),
            Flaw::AnswersAnotherVersion => self.edit(
                "src/hephd/methods.rs",
                "env!(\"CARGO_PKG_VERSION\").to_owned()",
                "\"9.9.9\".to_owned()",
            ),
            Flaw::MigrationFails => self.add_migration("ALTER TABLE no_such_table ADD COLUMN x", 1),
            Flaw::MigratesBeyondReturn => {
                self.add_migration("ALTER TABLE tasks ADD COLUMN colour TEXT", 3);
                self.at_start(DIES);
            }
        }
    }

    /// Puts `code` at the start of the daemon; `--version` and the maintenance commands stay as they are.
    fn at_start(&self, code: &str) {
        let guarded = format!(
            "fn main() -> ExitCode {{\n    if std::env::args().all(|word| word != \"--version\" && word != \"store\") {{\n        \
             #[allow(clippy::all, unreachable_code)]\n        {{ {code} }}\n    }}\n"
        );
        self.edit("src/bin/hephd.rs", "fn main() -> ExitCode {\n", &guarded);
    }

    /// Adds a step to schema 3, which only releases that know `oldest_reader` may read.
    fn add_migration(&self, sql: &str, oldest_reader: u32) {
        let step = format!("Step {{ schema: 3, oldest_reader: {oldest_reader}, sql: \"{sql}\" }}");
        self.edit(
            "src/hephd/store/schema.rs",
            "sql: include_str!(\"schema-2.sql\"),\n    },\n];",
            &format!("sql: include_str!(\"schema-2.sql\"),\n    }},\n    {step},\n];"),
        );
    }

    fn edit(&self, file: &str, old: &str, new: &str) {
        let path = self.tree.folder.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{file} no longer contains {old:?}");
        fs::write(&path, text.replacen(old, new, 1)).unwrap();
    }

    fn append(&self, file: &str, code: &str) {
        let path = self.tree.folder.join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text + code).unwrap();
    }
}

const DIES: &str = "std::thread::spawn(|| { std::thread::sleep(std::time::Duration::from_secs(3)); \
                    std::process::abort(); });";
