//! Settings `[self-update.trust]`: the keys whose signatures are accepted, and what a release is required to show.
//!
//! Keys are in the settings file, or in files of their own in the folder `trust` beside it, which `heph self-update trust add`
//! writes. A setting overrides the file of the same kind.

pub mod minisign;
pub mod signers;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::values::{self, Text};
use crate::error::{Error, Result, ResultExt};
use crate::os::files;

/// The most bytes a file of keys may have.
pub(crate) const LARGEST_FILE: u64 = 1 << 20;

/// The settings of `[self-update.trust]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Trust {
    /// The keys whose SSH signatures are accepted on a tag.
    pub tag_signers: Option<Signers>,
    /// The keyring, as `gpg --export` writes it, of those whose OpenPGP signatures are accepted on a tag.
    #[serde(deserialize_with = "values::text")]
    pub tag_openpgp_keyring: Option<PathBuf>,
    /// The keys whose signatures are accepted on a prebuilt archive. Any one is enough.
    #[serde(deserialize_with = "values::set")]
    pub minisign_keys: Vec<minisign::Key>,
    /// What the settings require of a release, where they say; see [`Trust::require`].
    #[serde(deserialize_with = "require")]
    pub require: Option<Require>,
}

/// SSH keys whose signatures are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signers {
    /// An allowed-signers file (ssh-keygen(1), "ALLOWED SIGNERS").
    File(PathBuf),
    /// Lines of such a file, or bare public keys. Never empty.
    Inline(Vec<signers::Entry>),
}

/// What a release must show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Require {
    /// Nothing.
    None,
    /// Integrity: the tag still names the same commit, the archive has its checksum.
    #[default]
    Checksum,
    /// A good signature by a listed key. The default as soon as any key is configured.
    Signature,
}

impl Require {
    /// Returns its name in the settings file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Require::None => "none",
            Require::Checksum => "checksum",
            Require::Signature => "signature",
        }
    }
}

impl Trust {
    /// Returns whether any key is configured, for tags or for archives.
    pub(crate) fn has_keys(&self) -> bool {
        self.signs_tags() || !self.minisign_keys.is_empty()
    }

    /// Returns whether any key for tags is configured.
    pub(crate) fn signs_tags(&self) -> bool {
        self.tag_signers.is_some() || self.tag_openpgp_keyring.is_some()
    }

    /// Returns what a release must show before anything of it is installed.
    pub fn require(&self) -> Require {
        let default = if self.has_keys() {
            Require::Signature
        } else {
            Require::Checksum
        };
        self.require.unwrap_or(default)
    }

    /// Fills in from `standing` what the settings leave out.
    pub(super) fn fall_back_to(&mut self, standing: Trust) {
        self.tag_signers = self.tag_signers.take().or(standing.tag_signers);
        if self.minisign_keys.is_empty() {
            self.minisign_keys = standing.minisign_keys;
        }
    }

    /// Returns the keys of the files in `folder`.
    ///
    /// # Errors
    ///
    /// A file cannot be read or parsed (exit 2). It is never taken for a missing one: a mistake must not lower what is
    /// required.
    pub(crate) fn of_folder(folder: &Path) -> Result<Trust> {
        let signers = signers_file(folder);
        let keys = minisign_file(folder);
        let mut trust = Trust::default();
        if read(&signers)?.is_some() {
            trust.tag_signers = Some(Signers::File(signers));
        }
        if let Some(text) = read(&keys)? {
            trust.minisign_keys = minisign::file(&text)
                .with_context(|| Error::usage(format!("cannot use '{}'", keys.display())))?;
        }
        Ok(trust)
    }
}

/// Returns the folder of keys that belongs to the settings file `config`.
pub(crate) fn folder(config: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new("/")).join("trust")
}

/// Returns the allowed-signers file in `folder`.
pub(crate) fn signers_file(folder: &Path) -> PathBuf {
    folder.join("allowed_signers")
}

/// Returns the file of minisign keys in `folder`.
pub(crate) fn minisign_file(folder: &Path) -> PathBuf {
    folder.join("minisign.pub")
}

/// Reads a file of keys; `None` if it does not exist.
pub(crate) fn read(file: &Path) -> Result<Option<String>> {
    let Some(bytes) = files::read_if_there(file, LARGEST_FILE)
        .with_context(|| Error::usage("cannot read a file of trusted keys"))?
    else {
        return Ok(None);
    };
    let not_text = |_| Error::usage(format!("'{}' is not UTF-8 text", file.display()));
    Ok(Some(String::from_utf8(bytes).map_err(not_text)?))
}

impl<'de> Deserialize<'de> for Signers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Signers, D::Error> {
        struct PathOrKeys;
        impl<'de> Visitor<'de> for PathOrKeys {
            type Value = Signers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "the absolute path of an allowed-signers file, or a list of SSH public keys",
                )
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Signers, E> {
                let text = text.trim();
                if let Ok(entry) = text.parse() {
                    return Ok(Signers::Inline(vec![entry]));
                }
                if let Ok(file) = PathBuf::read(text) {
                    return Ok(Signers::File(file));
                }
                let lines = text.lines().filter(|line| !signers::is_blank(line));
                match lines.map(str::parse).collect::<Result<Vec<_>>>() {
                    Ok(entries) if !entries.is_empty() => Ok(Signers::Inline(entries)),
                    Err(reason) if text.contains('\n') => Err(E::custom(reason)),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Signers, A::Error> {
                values::list(SeqAccessDeserializer::new(list)).map(Signers::Inline)
            }
        }
        deserializer.deserialize_any(PathOrKeys)
    }
}

impl Text for signers::Entry {
    const EXPECTED: &'static str = "SSH public keys";

    fn read(line: &str) -> Result<Self, Option<Error>> {
        line.trim().parse().map_err(Some)
    }
}

impl Text for minisign::Key {
    const EXPECTED: &'static str = "minisign public keys such as [\"RW…\"]";

    fn read(key: &str) -> Result<Self, Option<Error>> {
        key.parse().map_err(Some)
    }
}

fn require<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Require>, D::Error> {
    values::word(deserializer).map(Some)
}
