//! The forge itself: real git and real cargo work against it.

use std::path::Path;

use heph::config::{Forge as Kind, SelfUpdate};
use heph::error::Exit;
use jiff::Timestamp;

use super::feed;
use crate::support::forge::{Forge, PROJECT, WorkTree, git};
use crate::support::home::Home;
use crate::support::installation::says;

/// Makes a forge with a crate that depends on nothing, released as these versions.
fn forge_with(versions: &[&str], folder: &Path) -> Forge {
    let forge = Forge::start();
    let work = WorkTree::new(folder.join("work tree of 100 % & \"é\""));
    for version in versions {
        work.write(
            "Cargo.toml",
            &format!("[package]\nname = \"tiny\"\nversion = \"{version}\"\nedition = \"2024\"\n"),
        )
        .write(
            "Cargo.lock",
            &format!("version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"{version}\"\n"),
        )
        .write(
            "src/main.rs",
            "fn main() { println!(\"tiny {}\", env!(\"CARGO_PKG_VERSION\")); }\n",
        )
        .commit(version);
        work.tag(&format!("v{version}"));
    }
    forge.push(&work);
    forge
}

#[test]
fn git_lists_and_clones() {
    let folder = tempfile::tempdir().unwrap();
    let forge = forge_with(&["1.0.0", "1.1.0"], folder.path());
    for protocol in ["0", "1", "2"] {
        let version = format!("protocol.version={protocol}");
        for url in [forge.repository(), format!("{}.git", forge.repository())] {
            let refs = git(
                folder.path(),
                &["-c", &version, "ls-remote", "--tags", &url],
            );
            assert!(refs.contains("refs/tags/v1.1.0^{}"), "{refs}");
        }
        let clone = folder.path().join(protocol);
        let to = clone.to_str().unwrap();
        git(
            folder.path(),
            &["-c", &version, "clone", "--quiet", &forge.repository(), to],
        );
        assert!(clone.join("src/main.rs").exists());
    }
    let seen = forge.seen();
    assert!(
        seen.iter()
            .any(|seen| seen.path == format!("/{PROJECT}/git-upload-pack"))
    );
}

#[test]
fn cargo_installs_a_tag() {
    let folder = tempfile::tempdir().unwrap();
    let forge = forge_with(&["1.0.0", "1.1.0"], folder.path());
    let root = folder.path().join("root");
    let home = Home::new().with_toolchain();
    let repository = forge.repository();
    let from = ["--git", &repository, "--tag", "v1.0.0", "--root"];
    let cargo = home.command("cargo").args("install --locked").args(&from);
    cargo
        .args(&[&root])
        .env("CARGO_HOME", home.path.join("cargo home"))
        .exits(0);
    assert_eq!(says(&root.join("bin/tiny")), "tiny 1.0.0");
}

#[test]
fn a_plain_git_remote_is_a_feed() {
    let folder = tempfile::tempdir().unwrap();
    let forge = forge_with(&["1.9.0", "1.10.0", "2.0.0-rc.1"], folder.path());
    let settings = SelfUpdate {
        repository: forge.repository().parse().unwrap(),
        forge: Kind::Git,
        ..SelfUpdate::default()
    };
    let state = folder.path().join("feed.json");
    let feed = feed(&settings, &state);
    let Some(release) = feed.fetch(Timestamp::now()).unwrap() else {
        panic!("no release");
    };
    assert_eq!(release.tag.as_str(), "v1.10.0");
    assert_eq!(
        forge
            .seen()
            .iter()
            .filter(|seen| seen.method == "GET")
            .count(),
        1
    );

    let named = |version: &str| feed.named(&version.parse().unwrap(), Timestamp::now());
    assert_eq!(named("2.0.0-rc.1").unwrap().tag.as_str(), "v2.0.0-rc.1");
    let error = named("1.9.1").unwrap_err();
    assert!(error.to_string().contains("has no tag 'v1.9.1'"), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("v1.9.0 and v1.10.0"), "{hint}");
    drop(forge);
    let error = named("1.9.0").unwrap_err();
    assert_eq!(error.exit(), Exit::TryLater, "{error}");
}

#[test]
fn a_git_remote_without_tags_or_without_commits_has_no_release() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::start();
    let settings = SelfUpdate {
        repository: forge.repository().parse().unwrap(),
        forge: Kind::Git,
        ..SelfUpdate::default()
    };
    let state = folder.path().join("feed.json");
    let feed = feed(&settings, &state);
    forge.bare(PROJECT);
    assert_eq!(feed.fetch(Timestamp::now()).unwrap(), None);
    let work = WorkTree::new(folder.path().join("work"));
    work.write("README", "empty\n").commit("nothing yet");
    forge.push(&work);
    assert_eq!(feed.fetch(Timestamp::now()).unwrap(), None);
}
