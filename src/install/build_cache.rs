//! The build folder, cached from one release to the next, and the part of it that must not be cached.
//!
//! cargo assumes that files below `CARGO_HOME` never change and does not check them again (`find_stale_file` in its
//! `fingerprint` module). The sources of a `cargo install --git` are there, and the names under which cargo caches their
//! artifacts contain the version of the package, but neither the commit nor the repository. So with a cached build folder, a
//! part of a release whose version did not change, or a fork with the version of the original, would silently be linked as
//! it was compiled for another release.
//!
//! cargo reports for each artifact which package it belongs to and whether it was *fresh*, that is, taken from the cache
//! (The Cargo Book, External tools, JSON messages). heph reads these messages, makes cargo forget what is not from a registry
//! after each build, and rejects a build in which such a part was fresh nevertheless.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Result;
use crate::os::files;

/// The depth of fingerprints below the build folder: `<profile>/.fingerprint`, or `<target>/<profile>/…`.
const DEPTH: usize = 2;
/// The largest size of the messages of one build, in bytes.
const LIMIT: u64 = 64 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Artifact {
    package_id: String,
    fresh: bool,
}

/// What a build was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    /// The packages that are not from registries.
    pub packages: BTreeSet<String>,
    /// Those of them that this build took from the cache.
    pub fresh: BTreeSet<String>,
    /// Whether it took any package from the cache.
    pub used_cache: bool,
}

pub(crate) fn messages(build: &Path) -> PathBuf {
    build.join("heph-messages.json")
}

pub(crate) fn sources(messages: &Path) -> Result<Sources> {
    let text = files::read_if_there(messages, LIMIT)?.unwrap_or_default();
    Ok(parse(&text))
}

fn parse(messages: &[u8]) -> Sources {
    let mut sources = Sources::default();
    for line in messages.split(|byte| *byte == b'\n') {
        let Ok(artifact) = serde_json::from_slice::<Artifact>(line) else {
            continue;
        };
        sources.used_cache |= artifact.fresh;
        let Some(name) = name(&artifact.package_id) else {
            continue;
        };
        if artifact.fresh {
            sources.fresh.insert(name.to_owned());
        }
        sources.packages.insert(name.to_owned());
    }
    sources
}

/// Returns the name in a package id (The Cargo Book, Package ID Specifications); `None` for a package from a registry,
/// whose versions do not change.
fn name(package_id: &str) -> Option<&str> {
    let (url, fragment) = package_id.split_once('#')?;
    let kind = url.split_once('+').map_or("", |(kind, _)| kind);
    if matches!(kind, "registry" | "sparse") {
        return None;
    }
    match fragment.split_once('@') {
        Some((name, _)) => Some(name),
        // The name is left out where it is the last part of the URL.
        None => url
            .split('?')
            .next()?
            .trim_end_matches('/')
            .rsplit('/')
            .next(),
    }
}

/// Makes cargo forget its artifacts of `packages`, so that it compiles them again.
pub(crate) fn forget(build: &Path, packages: &BTreeSet<String>) -> Result<()> {
    for folder in fingerprints(build, DEPTH) {
        let Ok(units) = fs::read_dir(&folder) else {
            continue;
        };
        for unit in units.flatten() {
            let unit_name = unit.file_name();
            let package = unit_name.to_str().and_then(|name| name.rsplit_once('-'));
            if package.is_some_and(|(package, _)| packages.contains(package)) {
                files::remove_tree_if_there(&unit.path())?;
            }
        }
    }
    Ok(())
}

fn fingerprints(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let own = folder.join(".fingerprint");
    if own.is_dir() {
        found.push(own);
    }
    if depth > 0 {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            found.extend(fingerprints(&entry.path(), depth - 1));
        }
    }
    found
}

/// Removes the build folder if it has more than `limit` bytes, and returns how many were freed.
///
/// It is removed as a whole, because it is unknown which of its files the next release needs.
pub fn trim(build: &Path, limit: u64) -> Result<u64> {
    let size = files::tree_size(build);
    if size <= limit {
        return Ok(0);
    }
    files::remove_tree_if_there(build)?;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn packages_from_registries_are_distinguished_from_all_others() {
        for (id, expected) in [
            ("registry+https://registry.example/index#anyhow@1.0.0", None),
            ("sparse+https://index.example/#anyhow@1.0.0", None),
            (
                "git+https://f.example/a/tool?tag=v1.0.0#1.0.0",
                Some("tool"),
            ),
            ("git+https://f.example/a/b?rev=abc#tool@1.0.0", Some("tool")),
            ("path+file:///home/a%20b/part#0.1.0", Some("part")),
            ("path+file:///home/x/part#renamed@0.1.0", Some("renamed")),
            ("nonsense", None),
        ] {
            assert_eq!(name(id), expected, "{id}");
        }
    }

    #[test]
    fn messages_tell_what_was_compiled_and_what_was_cached() {
        let messages = br#"{"reason":"compiler-artifact","package_id":"registry+https://x#a@1.0.0","fresh":true}
{"reason":"compiler-artifact","package_id":"path+file:///x/part#0.1.0","fresh":true,"filenames":[]}
{"reason":"compiler-artifact","package_id":"path+file:///x/tool#1.0.0","fresh":false}
{"reason":"build-finished","success":true}
not json"#;
        let expected = Sources {
            packages: names(&["part", "tool"]),
            fresh: names(&["part"]),
            used_cache: true,
        };
        assert_eq!(parse(messages), expected);
        assert!(!parse(messages.split(|byte| *byte == b'\n').nth(2).unwrap()).used_cache);
    }

    #[test]
    fn only_the_named_packages_are_forgotten() {
        let build = tempfile::tempdir().unwrap();
        let hash = "0123456789abcdef";
        for unit in [
            "release/.fingerprint/tool",
            "x/release/.fingerprint/tool",
            "release/.fingerprint/tool-extra",
        ] {
            fs::create_dir_all(build.path().join(format!("{unit}-{hash}"))).unwrap();
        }
        forget(build.path(), &names(&["tool"])).unwrap();
        let there = |unit: &str| build.path().join(format!("{unit}-{hash}")).exists();
        assert!(!there("release/.fingerprint/tool") && !there("x/release/.fingerprint/tool"));
        assert!(there("release/.fingerprint/tool-extra"));
    }
}
