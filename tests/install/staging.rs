//! Staging with the real cargo, from a real repository.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use heph::error::{Error, Exit, Kind};
use heph::install::slots::{Delivery, Slot};
use heph::install::{Progress, trim_build_cache};
use heph::release::{Release, Tag};
use semver::Version;

use crate::support::disk::Disk;
use crate::support::files::{entries, picture, script};
use crate::support::installation::{Installation, Repository, SAYS_VERSION, listener, says};

/// A home whose settings name the repository and packages.
fn home(repository: &Repository, packages: &[&str]) -> Installation {
    let mut home = Installation::new();
    home.settings.repository = heph::config::Repository::on_disk(&repository.url());
    home.settings.packages = packages.iter().map(|name| (*name).to_owned()).collect();
    home
}

fn stage(home: &Installation, release: &Release, afresh: bool) -> heph::error::Result<Slot> {
    let progress = home.build_log();
    home.stage(release, home.variables(), &listener(&progress), afresh)
}

/// Asserts that staging fails, leaves an installation as it was, and says `words`; returns the error.
fn assert_refused(home: &Installation, release: &Release, words: &[&str]) -> Error {
    let old = home.slot("0.9.0", &["tool"]);
    home.slots().switch(&old).unwrap();
    let before = picture(&home.paths.hephd.data);
    let error = stage(home, release, false).unwrap_err();
    assert_eq!(
        picture(&home.paths.hephd.data),
        before,
        "nothing was touched"
    );
    let text = error.one_line();
    for word in words {
        assert!(text.contains(word), "'{word}' is not in: {text}");
    }
    error
}

#[test]
fn a_release_of_two_packages_becomes_a_slot() {
    let repository = Repository::new();
    let (release, commit) = repository.publish("1.0.0", &["tool", "toold", "other"], SAYS_VERSION);
    let home = home(&repository, &["tool", "toold"]);
    let slot = stage(&home, &release, false).unwrap();
    assert_eq!(slot.name, "1.0.0");
    assert_eq!(slot.manifest.tag.as_deref(), Some("v1.0.0"));
    assert_eq!(slot.manifest.commit, Some(commit));
    assert_eq!(slot.manifest.delivery, Delivery::Cargo);
    assert_eq!(entries(&slot.path), ["bin", "release.json"]);
    assert_eq!(entries(&slot.path.join("bin")), ["tool", "toold"]);
    assert_eq!(says(&slot.binary("toold")), "toold 1.0.0");
    slot.verify().unwrap();
    assert_eq!(home.slots().open("1.0.0").unwrap().as_ref(), Some(&slot));
    assert_eq!(
        home.slots().current().unwrap(),
        None,
        "it is not in use yet"
    );
    for name in ["tool", "toold"] {
        let links = fs::metadata(slot.binary(name)).unwrap().nlink();
        assert_eq!(links, 1, "{name} is not shared with the build folder");
    }
    assert!(
        home.paths.build().join("release").is_dir(),
        "the build folder is kept"
    );
}

#[test]
fn a_complete_slot_is_reused_and_a_fresh_one_stands_beside_it() {
    let repository = Repository::new();
    let (release, _) = repository.publish("1.0.0", &["tool"], SAYS_VERSION);
    let home = home(&repository, &["tool"]);
    let first = stage(&home, &release, false).unwrap();
    home.slots().switch(&first).unwrap();
    // The reused one needs neither cargo nor the repository.
    let again = home.stage(&release, Vec::new(), &listener(&home.build_log()), false);
    assert_eq!(again.unwrap(), first);

    let fresh = stage(&home, &release, true).unwrap();
    assert_eq!(fresh.name, "1.0.0~2");
    assert_eq!(says(&fresh.binary("tool")), "tool 1.0.0");
    assert_eq!(
        stage(&home, &release, false).unwrap(),
        fresh,
        "the newest one is reused"
    );

    // A damaged one is not: in use, it stays for now, else it goes.
    home.slots().switch(&fresh).unwrap();
    script(&fresh.path.join("bin").join("tool"), "exit 1");
    let size = fresh.manifest.binaries[0].size;
    fs::File::options()
        .write(true)
        .open(fresh.binary("tool"))
        .unwrap()
        .set_len(size)
        .unwrap();
    let third = stage(&home, &release, false).unwrap();
    assert_eq!(third.name, "1.0.0~3");
    home.slots().switch(&third).unwrap();
    assert_eq!(home.versions(), ["1.0.0", "1.0.0~2", "1.0.0~3"]);
}

#[test]
fn a_slot_of_another_tag_is_not_reused() {
    let repository = Repository::new();
    let (release, _) = repository.publish("1.0.0", &["tool"], SAYS_VERSION);
    let home = home(&repository, &["tool"]);
    stage(&home, &release, false).unwrap();
    repository.git("tag fork-1.0.0");
    let forked = Release {
        tag: Tag::of("fork-", &release.version),
        ..release
    };
    let slot = stage(&home, &forked, false).unwrap();
    assert_eq!(slot.name, "1.0.0~2");
    assert_eq!(slot.manifest.tag.as_deref(), Some("fork-1.0.0"));
}

#[test]
fn a_release_that_does_not_compile_leaves_nothing_and_is_not_blamed() {
    let repository = Repository::new();
    let (release, _) = repository.publish("1.0.0", &["tool"], "this does not compile");
    let home = home(&repository, &["tool"]);
    let log = home.paths.logs().join("build.log");
    let error = assert_refused(
        &home,
        &release,
        &[
            "cannot build v1.0.0: compiling `tool` failed",
            "exited with 101",
            log.to_str().unwrap(),
        ],
    );
    assert!(error.kind() == Kind::Build, "{error:?}");
    assert!(!error.one_line().contains("error: "), "{error:?}");
    assert!(fs::read_to_string(log).unwrap().contains("error: expected"));
}

#[test]
fn on_a_terminal_the_error_points_at_the_output_above() {
    let repository = Repository::new();
    let (release, _) = repository.publish("1.0.0", &["tool"], "this does not compile");
    let home = home(&repository, &["tool"]);
    let error = home.stage(
        &release,
        home.variables(),
        &listener(&Progress::Terminal),
        false,
    );
    let text = error.unwrap_err().one_line();
    assert!(
        text.ends_with("`cargo install` exited with 101; its output is above"),
        "{text}"
    );
    assert_eq!(home.versions(), [""; 0]);
}

#[test]
fn a_binary_that_says_another_version_is_refused() {
    let repository = Repository::new();
    let (release, _) = repository.publish("1.0.0", &["tool"], r#"println!("tool 0.9.9");"#);
    let home = home(&repository, &["tool"]);
    let error = assert_refused(
        &home,
        &release,
        &[
            "cannot verify v1.0.0",
            "tool' reports version 0.9.9, not 1.0.0",
        ],
    );
    assert!(error.kind() == Kind::Unfit);
}

#[test]
fn a_binary_that_crashes_or_hangs_is_refused() {
    let repository = Repository::new();
    let home = home(&repository, &["tool"]);
    for (version, body, words) in [
        ("1.0.0", "std::process::abort()", "was killed by signal 6"),
        (
            "1.1.0",
            r#"eprintln!("no luck"); std::process::exit(3)"#,
            "exited with 3 and printed: no luck",
        ),
        (
            "1.2.0",
            "loop { std::thread::park() }",
            "timed out after 10s",
        ),
    ] {
        let (release, _) = repository.publish(version, &["tool"], body);
        let error = assert_refused(
            &home,
            &release,
            &[&format!("cannot verify v{version}"), words],
        );
        assert!(error.kind() == Kind::Unfit);
        fs::remove_dir_all(home.paths.versions()).unwrap();
    }
}

#[test]
fn a_tag_or_a_package_that_is_not_there_is_named() {
    let repository = Repository::new();
    let (release, _) = repository.publish("1.0.0", &["tool"], SAYS_VERSION);
    let mut home = home(&repository, &["tool"]);
    let version = Version::new(2, 0, 0);
    let missing = Release {
        tag: Tag::of("v", &version),
        version,
        ..release.clone()
    };
    let error = assert_refused(&home, &missing, &["cannot build v2.0.0", "has no such tag"]);
    assert!(error.kind() != Kind::Unfit);

    home.settings.packages = vec!["nothing".to_owned()];
    let error = assert_refused(&home, &release, &["has no such package"]);
    assert!(error.hint().unwrap().contains("packages"));
    assert!(error.kind() != Kind::Unfit);
}

#[test]
fn a_package_without_binaries_is_refused() {
    let repository = Repository::new();
    repository.publish("0.1.0", &["tool"], SAYS_VERSION);
    repository.git("mv tool/src/main.rs tool/src/lib.rs");
    let (release, _) = repository.release("1.0.0");
    let home = home(&repository, &["tool"]);
    assert_refused(
        &home,
        &release,
        &["cannot build v1.0.0", "or one without binaries"],
    );
}

#[test]
fn a_host_that_cannot_be_reached_is_worth_another_try() {
    let repository = Repository::new();
    let (release, _) = repository.publish("1.0.0", &["tool"], SAYS_VERSION);
    let mut home = home(&repository, &["tool"]);
    // Port 9 is `discard`, which nobody runs.
    home.settings.repository = "http://127.0.0.1:9/tool".parse().unwrap();
    let error = assert_refused(&home, &release, &["a host cannot be reached"]);
    assert_eq!(error.exit(), Exit::TryLater);
}

#[test]
fn a_missing_cargo_and_a_missing_linker_have_their_hints() {
    let repository = Repository::new();
    let (release, _) = repository.publish("1.0.0", &["tool"], SAYS_VERSION);
    let home = home(&repository, &["tool"]);
    let folder = tempfile::tempdir().unwrap();
    let stage_with_path = || {
        let mut variables = home.variables();
        variables.retain(|(name, _)| name != "PATH");
        variables.push(("PATH".into(), folder.path().into()));
        let progress = home.build_log();
        let error = home.stage(&release, variables, &listener(&progress), false);
        assert_eq!(home.versions(), [""; 0]);
        error.unwrap_err()
    };
    let error = stage_with_path();
    assert!(error.to_string().contains("cannot find cargo"), "{error:?}");
    assert!(error.hint().unwrap().contains("https://rustup.rs"));

    for program in ["cargo", "rustc"] {
        let found: PathBuf = which::which(program).unwrap();
        symlink(found, folder.path().join(program)).unwrap();
    }
    let error = stage_with_path();
    assert!(
        error.one_line().contains("no C compiler or linker"),
        "{error:?}"
    );
    assert!(error.hint().unwrap().contains("build-essential"));
    assert!(error.kind() != Kind::Unfit);
}

#[test]
fn too_little_room_is_said_before_anything_is_built() {
    let repository = Repository::new();
    let (release, _) = repository.publish("1.0.0", &["tool"], SAYS_VERSION);
    let home = home(&repository, &["tool"]);
    for folder in [home.paths.cache.clone(), home.paths.hephd.data.clone()] {
        let _small = Disk::small(&folder, "size=8m");
        let error = stage(&home, &release, false).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(folder.to_str().unwrap()) && text.contains("MiB are free"),
            "{text}"
        );
        assert!(error.hint().unwrap().contains("self-update clean"));
        assert_eq!(home.versions(), [""; 0]);
        assert!(!home.paths.build().exists());
    }
}

#[test]
fn a_data_folder_that_forbids_execution_is_found_out_before_the_switch() {
    let repository = Repository::new();
    let (release, _) = repository.publish("1.0.0", &["tool"], SAYS_VERSION);
    let home = home(&repository, &["tool"]);
    let _noexec = Disk::small(&home.paths.hephd.data, "size=200m,noexec");
    let error = stage(&home, &release, false).unwrap_err();
    assert!(error.one_line().contains("cannot run"), "{error:?}");
    assert!(error.hint().unwrap().contains("noexec"));
    assert!(
        error.kind() != Kind::Unfit,
        "the machine is to blame, not the release"
    );
    assert_eq!(home.versions(), [""; 0]);
}

#[test]
fn a_stage_that_was_killed_is_swept_and_does_not_stop_the_next() {
    let repository = Repository::new();
    let (release, _) = repository.publish("1.0.0", &["tool"], SAYS_VERSION);
    let home = home(&repository, &["tool"]);
    let left = home.slots().staging().unwrap();
    script(&left.join("bin").join("tool"), "echo tool 1.0.0");
    fs::write(left.join(".release.json.heph-new"), "{").unwrap();
    // Release 0.1.0 staged in the folder of the slot.
    let older = home.slots().unused(&release.version).unwrap();
    script(&older.join("bin").join("tool"), "echo tool 1.0.0");
    assert_eq!(stage(&home, &release, false).unwrap().name, "1.0.0~2");
    let swept = home.slots().sweep().unwrap();
    assert_eq!(
        swept,
        [left.file_name().unwrap().to_str().unwrap(), "1.0.0"]
    );
    assert_eq!(home.versions(), ["1.0.0~2"]);
}

#[test]
fn the_build_folder_is_emptied_only_above_its_bound() {
    let home = Installation::new();
    assert_eq!(
        trim_build_cache(&home.paths.build(), 0).unwrap(),
        0,
        "it is not there yet"
    );
    let release = home.paths.build().join("release/deps");
    fs::create_dir_all(&release).unwrap();
    fs::write(release.join("a"), vec![0; 1000]).unwrap();
    assert_eq!(trim_build_cache(&home.paths.build(), 1000).unwrap(), 0);
    assert!(release.join("a").exists());
    assert_eq!(trim_build_cache(&home.paths.build(), 999).unwrap(), 1000);
    assert!(!home.paths.build().exists());
}

/// Publishes a `tool` that says its version and a word, which comes from a package beside it whose version never changes.
fn publish_with_a_part(repository: &Repository, version: &str, word: &str) -> Release {
    repository.write(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"tool\", \"part\"]\n",
    );
    repository.write(
        "part/Cargo.toml",
        "[package]\nname = \"part\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    );
    repository.write(
        "part/src/lib.rs",
        &format!("pub const WORD: &str = {word:?};\n"),
    );
    repository.write(
        "tool/Cargo.toml",
        &format!(
            "[package]\nname = \"tool\"\nversion = \"{version}\"\nedition = \"2024\"\n\
             [dependencies]\npart = {{ path = \"../part\" }}\n"
        ),
    );
    repository.write(
        "tool/src/main.rs",
        "fn main() { println!(\"tool {} {}\", env!(\"CARGO_PKG_VERSION\"), part::WORD); }\n",
    );
    repository.write(
        "Cargo.lock",
        &format!(
            "version = 4\n\n[[package]]\nname = \"part\"\nversion = \"0.1.0\"\n\n\
             [[package]]\nname = \"tool\"\nversion = \"{version}\"\ndependencies = [\n \"part\",\n]\n"
        ),
    );
    repository.release(version).0
}

#[test]
fn a_part_that_changed_without_a_new_version_is_compiled_anew() {
    let repository = Repository::new();
    let home = home(&repository, &["tool"]);
    let old = publish_with_a_part(&repository, "1.0.0", "old");
    let slot = stage(&home, &old, false).unwrap();
    assert_eq!(says(&slot.binary("tool")), "tool 1.0.0 old");
    let new = publish_with_a_part(&repository, "1.0.1", "new");
    let slot = stage(&home, &new, false).unwrap();
    assert_eq!(says(&slot.binary("tool")), "tool 1.0.1 new");
}

#[test]
fn a_fork_with_the_same_version_is_not_the_code_of_the_original() {
    let original = Repository::new();
    let mut home = home(&original, &["tool"]);
    let release = publish_with_a_part(&original, "1.0.0", "original");
    stage(&home, &release, false).unwrap();
    let fork = Repository::new();
    publish_with_a_part(&fork, "1.0.0", "fork");
    home.settings.repository = heph::config::Repository::on_disk(&fork.url());
    let slot = stage(&home, &release, true).unwrap();
    assert_eq!(says(&slot.binary("tool")), "tool 1.0.0 fork");
}
