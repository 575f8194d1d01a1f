//! Remotes with half a million refs, with git's protocol version 2 and without.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Instant;

use heph::config;

use super::machine::{Machine, asked};
use crate::support::forge::{Forge, PROJECT, Speaks, WorkTree, git};

const MANY: usize = 500_000;

/// Returns a remote with the tags v1.0.0 and v1.1.0, and very many other refs with this prefix.
fn remote(folder: &Path, prefix: &str) -> Forge {
    let forge = Forge::speaking(Speaks::Git);
    let work = WorkTree::new(folder.join("work"));
    let commit = work.commit("one");
    forge.push(&work);
    let bare = forge.bare(PROJECT);
    git(&bare, &["tag", "v1.0.0", &commit]);
    let mut names: Vec<String> = (0..MANY)
        .map(|number| format!("{prefix}{number}"))
        .collect();
    names.extend(["refs/heads/main", "refs/tags/v1.0.0", "refs/tags/v1.1.0"].map(str::to_owned));
    names.sort();
    let mut packed = "# pack-refs with: peeled fully-peeled sorted \n".to_owned();
    for name in names {
        writeln!(packed, "{commit} {name}").unwrap();
    }
    fs::write(bare.join("packed-refs"), packed).unwrap();
    forge
}

#[test]
fn a_remote_lists_only_the_tags_with_the_prefix() {
    for prefix in ["refs/pull/", "refs/tags/build-"] {
        let folder = tempfile::tempdir().unwrap();
        let forge = remote(folder.path(), prefix);
        let machine = Machine::of(&forge, config::Forge::Git);
        let start = Instant::now();
        assert_eq!(machine.asks(), "1.1.0", "{prefix}");
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
        let seen = forge.seen();
        assert_eq!(seen.len(), 2);
        let command = String::from_utf8(seen[1].body.clone()).unwrap();
        assert!(command.contains("ref-prefix refs/tags/v"), "{command}");
        let named = machine.feed().named(&"1.0.0".parse().unwrap(), machine.now);
        assert_eq!(named.unwrap().tag.as_str(), "v1.0.0");
    }
}

#[test]
fn a_remote_whose_tags_all_have_the_prefix_is_read_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let forge = remote(folder.path(), "refs/tags/v0.1.");
    let machine = Machine::of(&forge, config::Forge::Git);
    assert_eq!(machine.asks(), "1.1.0");
    let lowest = machine.feed().named(&"0.1.0".parse().unwrap(), machine.now);
    assert_eq!(lowest.unwrap().tag.as_str(), "v0.1.0");
}

#[test]
fn a_server_without_version_2_is_read_as_it_lists_all_its_refs() {
    let folder = tempfile::tempdir().unwrap();
    let forge = remote(folder.path(), "refs/pull/");
    forge.speak_the_first_protocol();
    let machine = Machine::of(&forge, config::Forge::Git);
    assert_eq!(machine.asks(), "1.1.0");
    assert_eq!(asked(&forge).len(), 1);
}

#[test]
fn a_server_that_accepts_no_commands_is_asked_for_all_its_refs() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::speaking(Speaks::Git);
    let work = WorkTree::new(folder.path().join("work"));
    work.commit("one");
    work.tag("v1.0.0");
    forge.push(&work);
    let refused = crate::support::http::Reply::with(403, &[], "");
    forge.script(&format!("/{PROJECT}/git-upload-pack"), refused);
    let machine = Machine::of(&forge, config::Forge::Git);
    assert_eq!(machine.asks(), "1.0.0");
    assert_eq!(asked(&forge).len(), 3);
}

#[test]
fn half_a_million_tags_of_another_form_are_named_without_reading_them_all() {
    let folder = tempfile::tempdir().unwrap();
    let forge = remote(folder.path(), "refs/tags/build-");
    let mut machine = Machine::of(&forge, config::Forge::Git);
    machine.settings.tag_prefix = "heph@".parse().unwrap();
    let said = machine.asks();
    assert!(said.contains("\"build-0\", \"build-1\""), "{said}");
    assert!(said.contains("more are not \"heph@\""), "{said}");
}
