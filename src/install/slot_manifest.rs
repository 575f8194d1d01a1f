//! `release.json`: the manifest of a slot, which must be valid throughout.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::config::Features;
use crate::error::{Result, ResultExt, ensure};
use crate::os::files;

/// The content of `release.json`, which is written last and makes a folder a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotManifest {
    /// Always 1.
    pub schema: u32,
    /// The version of the release.
    pub version: Version,
    /// The tag; `None` for an adopted installation.
    pub tag: Option<String>,
    /// The commit that was built, if it is known.
    pub commit: Option<String>,
    /// How it became binaries.
    pub delivery: Delivery,
    /// The signer, if it is proven: the name in the list of keys, and the key.
    #[serde(default)]
    pub signed_by: Option<String>,
    /// The features that it was built with, by package; of an archive they are unknown. Release 0.1.0 ignores them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<String, Features>,
    /// Its binaries, sorted by name.
    pub binaries: Vec<Binary>,
    /// When it was completed.
    pub installed_at: Timestamp,
}

/// How a release became binaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Built from the tag by cargo.
    Cargo,
    /// From a verified archive.
    Prebuilt,
    /// Found in bin-dir, from a plain `cargo install`.
    Adopted,
}

/// One binary of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binary {
    /// Its file name below `bin/`.
    pub name: String,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

impl SlotManifest {
    /// Parses the content of `release.json`; `None` if it is of a later schema, which this heph must not judge.
    pub(super) fn parse(text: &[u8]) -> Result<Option<SlotManifest>> {
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        const INVALID: &str = "its release.json is not valid";
        let Schema { schema } = serde_json::from_slice(text).context(INVALID)?;
        if schema > 1 {
            return Ok(None);
        }
        let manifest: SlotManifest = serde_json::from_slice(text).context(INVALID)?;
        manifest.validate()?;
        Ok(Some(manifest))
    }

    pub(super) fn validate(&self) -> Result<()> {
        ensure!(self.schema == 1, "its schema is {}", self.schema);
        ensure!(!self.binaries.is_empty(), "it has no binaries");
        ensure!(
            self.binaries.is_sorted_by(|one, next| one.name < next.name),
            "its binaries are not in order"
        );
        for Binary { name, sha256, .. } in &self.binaries {
            ensure!(
                is_command_name(name),
                "{name:?} is not the name of a command"
            );
            let lower_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            ensure!(
                sha256.len() == 64 && sha256.bytes().all(lower_hex),
                "the digest of '{name}' is not a SHA-256"
            );
        }
        Ok(())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.binaries.iter().map(|binary| binary.name.as_str())
    }
}

impl Binary {
    /// Returns the entry for `name` with the content of the file `path`.
    pub fn of(name: &str, path: &Path) -> Result<Binary> {
        let (sha256, size) = files::sha256(path)?;
        Ok(Binary {
            name: name.to_owned(),
            sha256,
            size,
        })
    }
}

/// Returns whether `name` may be a command in bin-dir: one path component, not hidden, and not like an option.
pub(super) fn is_command_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && !name.starts_with(['.', '-'])
        && !name.contains(|c: char| c == '/' || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manifest that is valid, as text.
    const VALID: &str = r#"{"schema":1,"version":"1.2.0","tag":"v1.2.0","commit":null,"delivery":"cargo","binaries":[
        {"name":"heph","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":3}],
        "installed_at":"2026-11-21T00:00:00Z"}"#;

    #[test]
    fn a_valid_manifest_is_parsed_even_with_fields_of_a_later_heph() {
        let extended = VALID.replacen('{', r#"{"origin":"elsewhere","#, 1);
        let expected = SlotManifest::parse(VALID.as_bytes()).unwrap().unwrap();
        assert_eq!(expected.binaries[0].name, "heph");
        assert_eq!(
            SlotManifest::parse(extended.as_bytes()).unwrap(),
            Some(expected)
        );
    }

    #[test]
    fn features_are_remembered_and_none_are_written_where_none_are_known() {
        let mut manifest = SlotManifest::parse(VALID.as_bytes()).unwrap().unwrap();
        assert!(
            !serde_json::to_string(&manifest)
                .unwrap()
                .contains("features")
        );
        let features = Features {
            features: vec!["tls".to_owned()],
            ..Features::default()
        };
        manifest.features.insert("heph".to_owned(), features);
        manifest
            .features
            .insert("plain".to_owned(), Features::default());
        let text = serde_json::to_string(&manifest).unwrap();
        assert!(text.contains(r#""features":{"heph":{"features":["tls"]},"plain":{}}"#));
        assert_eq!(
            SlotManifest::parse(text.as_bytes()).unwrap(),
            Some(manifest)
        );
    }

    #[test]
    fn a_later_schema_is_not_judged() {
        for text in [
            VALID.replace(r#""schema":1"#, r#""schema":2"#),
            r#"{"schema":7}"#.to_owned(),
        ] {
            assert_eq!(SlotManifest::parse(text.as_bytes()), Ok(None));
        }
    }

    #[test]
    fn anything_else_is_rejected() {
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let one = VALID.split('[').nth(1).unwrap().split(']').next().unwrap();
        for (from, to) in [
            ("{", ""),
            (r#""schema":1"#, r#""schema":0"#),
            (r#""schema":1,"#, ""),
            (r#""version":"1.2.0""#, r#""version":"1.2""#),
            (r#""delivery":"cargo""#, r#""delivery":"pigeon""#),
            (r#""name":"heph""#, r#""name":"../heph""#),
            (r#""name":"heph""#, r#""name":"..""#),
            (r#""name":"heph""#, r#""name":"""#),
            (r#""name":"heph""#, r#""name":"--config=x""#),
            (r#""name":"heph""#, r#""name":"a\nb""#),
            (digest, "BA78"),
            (digest, &digest.to_uppercase()),
            (one, ""),
            (one, &format!("{one},{one}")),
            ("2026-11-21T00:00:00Z", "yesterday"),
            (r#""size":3"#, r#""size":-3"#),
        ] {
            let text = VALID.replacen(from, to, 1);
            assert_ne!(text, VALID);
            assert!(SlotManifest::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
