//! Delivery `cargo`: `cargo install` from the tag, into a slot, with a cached build folder.
//!
//! Cargo installs into a fresh root, so nothing is ever replaced, and builds in one folder, cached from one update to the
//! next. Its own record in the root says which commit was built and which binaries there are. A binary that cargo installs is
//! a hard link to a file in the build folder, which a later build may rewrite; so each is copied before it is verified.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Progress;
use super::build_cache::{self, Sources};
use super::build_failure::{self, BuildFailure};
use super::cargo_git;
use super::cargo_record::{self, GitRef};
use super::percent_free_path::PercentFreePath;
use super::slots::is_command_name;
use super::staging::copy_executable;
use super::toolchain::{self, Variables};
use crate::error::{Error, Result, ResultExt, ensure};
use crate::os::files;
use crate::os::process::{Run, describe};
use crate::os::text::last_lines;
use crate::paths::Paths;
use crate::release::Tag;

const LIMIT: Duration = Duration::from_secs(2 * 60 * 60);
/// How much of the end of a build log is searched for the failure, in bytes.
const LOG_TAIL: u64 = 64 * 1024;
/// How many lines of it an error quotes.
const LOG_LINES: usize = 12;

/// The cargo that builds releases, and the environment it runs in.
#[derive(Debug)]
pub(crate) struct Cargo {
    program: PathBuf,
    variables: Variables,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct BuildOrder<'a> {
    pub url: &'a str,
    pub tag: &'a Tag,
    /// The commit of the tag, from which all must be built.
    pub commit: &'a str,
    /// What cargo is asked for, as its record will have it.
    pub at: GitRef<'a>,
    pub packages: &'a [String],
    /// The fresh folder that receives `bin/`.
    pub root: &'a Path,
    pub build: &'a Path,
}

impl Cargo {
    /// Finds cargo: the variable `CARGO`, PATH, `$CARGO_HOME/bin`, `~/.cargo/bin`. It gives no password of the user to a
    /// forge.
    pub(crate) fn find(variables: &Variables, paths: &Paths) -> Result<Cargo> {
        let program = toolchain::find_cargo(variables, &paths.home)?;
        let variables = cargo_git::without_passwords(variables, &paths.home, &paths.git())?;
        Ok(Cargo { program, variables })
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Returns a run of cargo in `folder`, still without arguments, with the environment of a build whose files go to
    /// `build` and whose commands go to `bin`.
    ///
    /// A build does not run in heph's own working folder, which may have a rust-toolchain.toml.
    pub(crate) fn run(&self, folder: &Path, bin: &Path, build: &Path, progress: &Progress) -> Run {
        let variables =
            toolchain::environment(&self.variables, &self.program, bin, build, progress);
        Run::new(&self.program).only_env(variables).dir(folder)
    }

    /// Builds and installs `order` into its root. Returns the names of the binaries, sorted.
    ///
    /// # Errors
    ///
    /// The build failed, timed out after two hours or was interrupted, or its result is not what was ordered.
    pub(crate) fn install(&self, order: &BuildOrder, progress: &Progress) -> Result<Vec<String>> {
        let sources = self.build(order, progress)?;
        if !sources.fresh.is_empty() {
            // A killed build left them; see `build_cache`.
            build_cache::forget(order.build, &sources.packages)?;
            if !self.build_again(order, progress)?.fresh.is_empty() {
                // This cargo caches them where heph does not find them.
                files::remove_tree_if_there(order.build)?;
                self.build_again(order, progress)?;
            }
        }
        build_cache::forget(order.build, &sources.packages)?;
        inspect(order)
    }

    fn build_again(&self, order: &BuildOrder, progress: &Progress) -> Result<Sources> {
        files::remove_tree_if_there(order.root)?;
        files::create_private_dir(order.root)?;
        self.build(order, progress)
    }

    /// Builds and installs. Returns the sources of the build.
    fn build(&self, order: &BuildOrder, progress: &Progress) -> Result<Sources> {
        files::create_private_dir(order.build)?;
        let arguments = arguments(order)?;
        let build = PercentFreePath::of(order.build)?;
        let messages = build_cache::messages(order.build);
        let run = self
            .run(order.build, &order.root.join("bin"), build.path(), progress)
            .args(arguments)
            .stdout(&messages)
            .limit(LIMIT)
            .interruptible();
        let run = match progress {
            Progress::Terminal => run.show(),
            Progress::Log(log) => {
                if let Some(folder) = log.parent() {
                    files::create_private_dir(folder)?;
                }
                run.log(log)
            }
        };
        let output = run
            .output()
            .with_context(|| format!("cannot build {}", order.tag.as_str()))?;
        if !output.status.success() {
            return Err(failure(order, progress, &describe(output.status)));
        }
        build_cache::sources(&messages)
    }
}

/// Returns the arguments of cargo. Untrusted text is never where an option could be.
fn arguments(order: &BuildOrder) -> Result<Vec<OsString>> {
    ensure!(
        !order.packages.is_empty(),
        "there are no packages to install"
    );
    for package in order.packages {
        if !is_package_name(package) {
            return Err(
                Error::usage(format!("'{package}' is not the name of a Cargo package"))
                    .with_hint("set `packages` in [self-update] to names such as \"heph\""),
            );
        }
    }
    let at = match order.at {
        GitRef::Commit(commit) => format!("--rev={commit}"),
        GitRef::Tag(tag) => format!("--tag={tag}"),
    };
    let mut root = OsString::from("--root=");
    root.push(order.root);
    let mut arguments: Vec<OsString> = vec![
        "install".into(),
        "--locked".into(),
        // Tells what was compiled and what was cached; the output for people stays the same.
        "--message-format=json-render-diagnostics".into(),
        format!("--git={}", order.url).into(),
        at.into(),
        root,
        "--".into(),
    ];
    arguments.extend(order.packages.iter().map(OsString::from));
    Ok(arguments)
}

fn is_package_name(name: &str) -> bool {
    !name.starts_with('-')
        && !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}

fn failure(order: &BuildOrder, progress: &Progress, how: &str) -> Error {
    let (failure, output) = match progress {
        Progress::Terminal => (
            BuildFailure::Unknown,
            format!("`cargo install` {how}; its output is above"),
        ),
        Progress::Log(log) => {
            let text = tail(log).unwrap_or_default();
            let last = last_lines(&text, LOG_LINES);
            (
                build_failure::recognize(&text),
                format!(
                    "`cargo install` {how}; its whole output is in '{}' and ends:\n{last}",
                    log.display()
                ),
            )
        }
    };
    let error = match failure {
        BuildFailure::Release => Error::unfit(output),
        _ => Error::new(output),
    };
    error.context(failure.error(order.tag.as_str(), order.url))
}

fn tail(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Checks what cargo installed into the root, and replaces its hard links by copies. Returns the names of the binaries.
fn inspect(order: &BuildOrder) -> Result<Vec<String>> {
    let (root, tag) = (order.root, order.tag.as_str());
    let installed = cargo_record::read(root)?;
    let mut commits = BTreeSet::new();
    let mut binaries = BTreeSet::new();
    for package in order.packages {
        let found = installed
            .iter()
            .find(|installed| installed.package == *package)
            .with_context(|| format!("cargo did not install the package '{package}' of {tag}"))?;
        ensure!(
            found.is_from(order.url, order.at),
            "cargo installed '{package}' from '{}', not from {tag} of '{}'",
            found.source,
            order.url
        );
        let commit = found
            .commit()
            .with_context(|| format!("cargo does not record the commit of {tag}"))?;
        commits.insert(commit.to_owned());
        binaries.extend(found.binaries.iter().cloned());
    }
    ensure!(
        commits.len() == 1,
        "cargo built the packages of {tag} from different commits: {commits:?}"
    );
    if !commits.contains(order.commit) {
        return Err(Error::unfit(format!(
            "cargo built {tag} from the commit {}, but the tag is of {}",
            commits.first().map_or("?", String::as_str),
            order.commit
        )));
    }
    ensure!(!binaries.is_empty(), "{tag} has no binaries");
    for name in &binaries {
        if !is_command_name(name) {
            return Err(Error::unfit(format!(
                "{tag} has a binary called {name:?}, which is not the name of a command"
            )));
        }
        let path = root.join("bin").join(name);
        let executable = fs::symlink_metadata(&path)
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
        ensure!(
            executable,
            "cargo recorded that it installed '{}', but that is not an executable file",
            path.display()
        );
        let copy = path.with_file_name(format!(".{name}.heph-new"));
        copy_executable(&path, &copy)?;
        fs::rename(&copy, &path).with_context(|| format!("cannot replace '{}'", path.display()))?;
    }
    // The slot has a manifest of its own; cargo's record would only invite `cargo uninstall --root`.
    for file in cargo_record::FILES {
        files::remove_file_if_there(&root.join(file))
            .with_context(|| format!("cannot remove '{}'", root.join(file).display()))?;
    }
    Ok(binaries.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use semver::Version;

    fn order<'a>(url: &'a str, tag: &'a Tag, packages: &'a [String]) -> BuildOrder<'a> {
        BuildOrder {
            url,
            tag,
            commit: "6aadeef590353fb7f1a81cc72bc59fe6c0e7627d",
            at: GitRef::Tag(tag.as_str()),
            packages,
            root: Path::new("/home/ü %&'\"/versions/1.0.0"),
            build: Path::new("/cache/build"),
        }
    }

    #[test]
    fn untrusted_text_cannot_become_an_option() {
        let tag = Tag::of("--config=", &Version::new(1, 0, 0));
        let packages = ["heph".to_owned(), "größe_2".to_owned()];
        let words = arguments(&order("--offline", &tag, &packages)).unwrap();
        assert_eq!(
            words,
            [
                "install",
                "--locked",
                "--message-format=json-render-diagnostics",
                "--git=--offline",
                "--tag=--config=1.0.0",
                "--root=/home/ü %&'\"/versions/1.0.0",
                "--",
                "heph",
                "größe_2"
            ]
        );
        let by_commit = BuildOrder {
            at: GitRef::Commit("6aadeef590353fb7f1a81cc72bc59fe6c0e7627d"),
            ..order("https://x", &tag, &packages)
        };
        let words = arguments(&by_commit).unwrap();
        assert_eq!(words[4], "--rev=6aadeef590353fb7f1a81cc72bc59fe6c0e7627d");
        for bad in ["", "-f", "--path=/x", "a b", "a/b", "heph@1.0.0", "a\n"] {
            let error = arguments(&order("https://x", &tag, &[bad.to_owned()])).unwrap_err();
            assert_eq!(error.exit().code(), 2, "{bad:?}");
        }
        assert!(arguments(&order("https://x", &tag, &[])).is_err());
    }
}
