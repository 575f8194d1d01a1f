//! Cargo's own record of what it installed below a root: `.crates2.json`.
//!
//! Its format is that of `src/cargo/ops/common_for_install_and_uninstall.rs` in cargo: an object `installs` whose keys
//! are package ids such as `heph 1.0.0 (git+https://host/repo?tag=v1.0.0#<commit>)`.

use std::collections::BTreeMap;
use std::path::Path;

use semver::Version;
use serde::Deserialize;

use crate::config::Features;
use crate::error::{Result, ResultExt};
use crate::os::files;

/// The names of the record and its predecessor, which cargo writes side by side.
pub(crate) const FILES: [&str; 2] = [".crates2.json", ".crates.toml"];
const LIMIT: u64 = 8 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstalledPackage {
    pub package: String,
    pub version: Version,
    /// Where it came from, such as `git+https://host/repo?tag=v1.0.0#<commit>`.
    pub source: String,
    pub binaries: Vec<String>,
    pub features: Features,
}

/// The git reference that cargo was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GitRef<'a> {
    Tag(&'a str),
    Commit(&'a str),
}

impl InstalledPackage {
    pub(crate) fn commit(&self) -> Option<&str> {
        let (_, commit) = self.git()?.rsplit_once('#')?;
        let hex = commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        // SHA-1 or SHA-256.
        (hex && matches!(commit.len(), 40 | 64)).then_some(commit)
    }

    /// Returns whether it was built from `at` in the repository at `url`.
    pub(crate) fn is_from(&self, url: &str, at: GitRef) -> bool {
        let Some(source) = self.git() else {
            return false;
        };
        let source = source.split('#').next().unwrap_or(source);
        let Some((place, query)) = source.split_once('?') else {
            return false;
        };
        let (key, value) = match at {
            GitRef::Tag(tag) => ("tag=", tag),
            GitRef::Commit(commit) => ("rev=", commit),
        };
        same_place(place, url)
            && query
                .strip_prefix(key)
                .is_some_and(|from| percent_decoded(from) == value.as_bytes())
    }

    fn git(&self) -> Option<&str> {
        self.source.strip_prefix("git+")
    }
}

/// Returns whether two URLs are of the same repository, however they are spelled.
fn same_place(one: &str, other: &str) -> bool {
    let plain = |url: &str| {
        let mut url = percent_decoded(url).to_ascii_lowercase();
        for (scheme, port) in [("https://", ":443"), ("http://", ":80")] {
            let Some(rest) = url.strip_prefix(scheme.as_bytes()) else {
                continue;
            };
            let host = rest.split(|byte| *byte == b'/').next().unwrap_or(rest);
            if host.ends_with(port.as_bytes()) {
                let end = scheme.len() + host.len();
                url.drain(end - port.len()..end);
            }
        }
        while url.ends_with(b"/") {
            url.pop();
        }
        if url.ends_with(b".git") {
            url.truncate(url.len() - b".git".len());
        }
        url
    };
    plain(one) == plain(other)
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    decoded
}

pub(crate) fn read(root: &Path) -> Result<Vec<InstalledPackage>> {
    let path = root.join(FILES[0]);
    let Some(text) = files::read_if_there(&path, LIMIT)? else {
        return Ok(Vec::new());
    };
    parse(&text).with_context(|| format!("cannot parse cargo's record '{}'", path.display()))
}

fn parse(text: &[u8]) -> Result<Vec<InstalledPackage>> {
    #[derive(Deserialize)]
    struct Record {
        installs: BTreeMap<String, Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        #[serde(default)]
        bins: Vec<String>,
        #[serde(flatten)]
        features: Features,
    }
    // Cargo creates the file empty before it writes it for the first time.
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let record: Record = serde_json::from_slice(text)?;
    record
        .installs
        .into_iter()
        .map(|(id, Package { bins, features })| {
            installed(&id, bins, features).with_context(|| format!("'{id}' is not a package id"))
        })
        .collect()
}

fn installed(id: &str, binaries: Vec<String>, features: Features) -> Option<InstalledPackage> {
    let mut parts = id.splitn(3, ' ');
    Some(InstalledPackage {
        package: parts.next()?.to_owned(),
        version: Version::parse(parts.next()?).ok()?,
        source: parts
            .next()?
            .strip_prefix('(')?
            .strip_suffix(')')?
            .to_owned(),
        binaries,
        features,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "6aadeef590353fb7f1a81cc72bc59fe6c0e7627d";

    fn from(source: &str) -> InstalledPackage {
        let text = format!(
            r#"{{"installs":{{"heph 1.0.0 ({source})":{{"version_req":null,"bins":["heph","hephd"]}}}},"v":9}}"#
        );
        parse(text.as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn package_version_binaries_and_commit_are_found() {
        let found = from(&format!(
            "git+https://forge.example/a/b?tag=v1.0.0#{COMMIT}"
        ));
        assert_eq!(found.package, "heph");
        assert_eq!(found.version, Version::new(1, 0, 0));
        assert_eq!(found.binaries, ["heph", "hephd"]);
        assert_eq!(found.commit(), Some(COMMIT));
    }

    #[test]
    fn the_features_of_an_installation_are_found() {
        let read = |fields: &str| {
            let text = format!(
                r#"{{"installs":{{"tool 1.0.0 (path+file:///tool)":{{"bins":["tool"]{fields}}}}}}}"#
            );
            parse(text.as_bytes()).unwrap().remove(0).features
        };
        assert_eq!(read(""), Features::default(), "a record without them");
        let as_cargo_writes_it = r#","features":["extra","tls"],"all_features":false,"no_default_features":true,"profile":"release""#;
        assert_eq!(
            read(as_cargo_writes_it).arguments(),
            ["--no-default-features", "--features=extra,tls"]
        );
        assert!(read(r#","features":[],"all_features":true"#).all_features);
    }

    #[test]
    fn a_source_is_recognised_however_its_url_is_spelled() {
        let url = "https://forge.example/a/b";
        for (source, expected) in [
            ("git+https://forge.example/a/b?tag=v1.0.0", true),
            ("git+https://FORGE.example:443/a/b.git/?tag=v1.0.0", true),
            ("git+https://forge.example/a/%62?tag=v1%2E0.0", true),
            ("git+https://forge.example:8443/a/b?tag=v1.0.0", false),
            ("git+http://forge.example/a/b?tag=v1.0.0", false),
            ("git+https://forge.example/a/c?tag=v1.0.0", false),
            ("git+https://forge.example/a/b?tag=v1.0.1", false),
            ("git+https://forge.example/a/b?branch=v1.0.0", false),
            ("git+https://forge.example/a/b", false),
            ("registry+https://forge.example/a/b?tag=v1.0.0", false),
        ] {
            let found = from(&format!("{source}#{COMMIT}"));
            assert_eq!(
                found.is_from(url, GitRef::Tag("v1.0.0")),
                expected,
                "{source}"
            );
        }
        let pinned = from(&format!("git+{url}?rev={COMMIT}#{COMMIT}"));
        assert!(pinned.is_from(url, GitRef::Commit(COMMIT)));
        assert!(!pinned.is_from(url, GitRef::Tag(COMMIT)));
        assert!(!pinned.is_from(url, GitRef::Commit("6aadeef")));
        let build = from(&format!(
            "git+https://f.example/a?tag=v1.0.0+b%2B1#{COMMIT}"
        ));
        assert!(build.is_from("https://f.example/a", GitRef::Tag("v1.0.0+b+1")));
    }

    #[test]
    fn a_package_from_elsewhere_has_no_commit() {
        for source in [
            "registry+https://github.com/rust-lang/crates.io-index",
            "path+file:///home/me/heph",
            "git+https://forge.example/a/b#main",
            "git+https://forge.example/a/b",
        ] {
            assert_eq!(from(source).commit(), None, "{source}");
        }
    }

    #[test]
    fn anything_else_is_rejected_without_panic() {
        assert_eq!(parse(b"").unwrap(), []);
        assert_eq!(parse(br#"{"installs":{}}"#).unwrap(), []);
        for text in [
            "[]",
            "{",
            "{}",
            r#"{"installs":[]}"#,
            r#"{"installs":{"":{}}}"#,
            r#"{"installs":{"heph":{}}}"#,
            r#"{"installs":{"heph 1 (x)":{}}}"#,
            r#"{"installs":{"heph 1.0.0 x":{}}}"#,
            r#"{"installs":{"heph 1.0.0 (x)":{"bins":"heph"}}}"#,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".*", url in ".*") {
            let _ = parse(text.as_bytes());
            let _ = from("git+x").is_from(&url, GitRef::Tag(&text));
            let _ = percent_decoded(&text);
        }
    }
}
