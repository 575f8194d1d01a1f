//! `release.json`: what a slot says of itself, believed only where it is valid throughout.

use std::path::Path;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::os::files;

/// What `release.json` says. Written last, it is what makes a slot valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotManifest {
    /// Always 1.
    pub schema: u32,
    /// The version.
    pub version: Version,
    /// The tag; `None` for an adopted installation.
    pub tag: Option<String>,
    /// The commit that was built, where known.
    pub commit: Option<String>,
    /// How it came.
    pub delivery: Delivery,
    /// Who signed it, where that is known: the name in the list of keys, and the key.
    #[serde(default)]
    pub signed_by: Option<String>,
    /// Its binaries, sorted by name.
    pub binaries: Vec<Binary>,
    /// When it was complete.
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
    /// FolderState in bin-dir, from a plain `cargo install`.
    Adopted,
}

/// One binary of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binary {
    /// Its file name below `bin/`.
    pub name: String,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

impl SlotManifest {
    /// Reads a manifest from `text`, the content of `release.json`.
    ///
    /// Returns `None` where it is of a later schema: a newer heph wrote it, and this one has no say about it. The error
    /// is a sentence that says what is wrong.
    pub fn read(text: &[u8]) -> Result<Option<SlotManifest>, String> {
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        let wrong = |error: serde_json::Error| format!("its release.json is not valid: {error}");
        let Schema { schema } = serde_json::from_slice(text).map_err(wrong)?;
        if schema > 1 {
            return Ok(None);
        }
        let manifest: SlotManifest = serde_json::from_slice(text).map_err(wrong)?;
        manifest.check()?;
        Ok(Some(manifest))
    }

    /// Says whether the manifest can be one; the error is a sentence that says why not.
    pub fn check(&self) -> Result<(), String> {
        if self.schema != 1 {
            return Err(format!("its schema is {}", self.schema));
        }
        if self.binaries.is_empty() {
            return Err("it has no binaries".to_owned());
        }
        if !self.binaries.is_sorted_by(|one, next| one.name < next.name) {
            return Err("its binaries are not in order".to_owned());
        }
        for Binary { name, sha256, .. } in &self.binaries {
            if !is_command_name(name) {
                return Err(format!("{name:?} is no name for a command"));
            }
            let lower_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            if sha256.len() != 64 || !sha256.bytes().all(lower_hex) {
                return Err(format!("the digest of '{name}' is no SHA-256"));
            }
        }
        Ok(())
    }
}

impl Binary {
    /// Returns the entry for `name`, whose content the file `path` has.
    pub fn of(name: &str, path: &Path) -> Result<Binary> {
        let (sha256, size) = files::sha256(path)?;
        Ok(Binary {
            name: name.to_owned(),
            sha256,
            size,
        })
    }
}

/// Returns whether `name` is a plain file name that can stand in bin-dir: one path component, no hidden file, nothing a
/// command line could take for an option.
pub fn is_command_name(name: &str) -> bool {
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
    fn a_valid_manifest_is_read_even_with_fields_of_a_later_heph() {
        let extended = VALID.replacen('{', r#"{"origin":"elsewhere","#, 1);
        let expected = SlotManifest::read(VALID.as_bytes()).unwrap().unwrap();
        assert_eq!(expected.binaries[0].name, "heph");
        assert_eq!(
            SlotManifest::read(extended.as_bytes()).unwrap(),
            Some(expected)
        );
    }

    #[test]
    fn a_later_schema_is_not_judged() {
        for text in [
            VALID.replace(r#""schema":1"#, r#""schema":2"#),
            r#"{"schema":7}"#.to_owned(),
        ] {
            assert_eq!(SlotManifest::read(text.as_bytes()), Ok(None));
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
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
            assert!(SlotManifest::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
