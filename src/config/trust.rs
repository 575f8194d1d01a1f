//! Settings `[self-update.trust]`: whose signatures count, and what is asked of a release.
//!
//! Keys stand in the settings file, or in files of their own in the folder `trust` beside it, which `heph self-update
//! trust add` writes. A setting wins over the file that would stand in for it, so that one place says what holds.

pub mod minisign;
pub mod signers;

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeValue;

use super::values::{self, Wrong};
use crate::error::{Error, Result, ResultExt};
use crate::os::files;

/// The most bytes a file of keys may have.
pub const LARGEST_FILE: u64 = 1 << 20;

/// The settings of `[self-update.trust]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Whose SSH signatures count on a tag.
    pub tag_signers: Option<Signers>,
    /// Whose OpenPGP signatures count on a tag: a keyring as `gpg --export` writes it.
    pub tag_openpgp_keyring: Option<PathBuf>,
    /// The minisign public keys (base64, "RW…") whose signatures count on a prebuilt archive. Any one is enough.
    pub minisign_keys: Vec<String>,
    /// What a release must show before anything of it is installed.
    pub require: Require,
}

/// SSH keys whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signers {
    /// An allowed-signers file (ssh-keygen(1), "ALLOWED SIGNERS").
    File(PathBuf),
    /// Lines of such a file, or bare public keys. Never empty; each is valid.
    Inline(Vec<String>),
}

/// What a release must show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Require {
    /// Nothing.
    None,
    /// That it is unbroken: the commit that the tag was seen at, the checksum of an archive.
    #[default]
    Checksum,
    /// The good signature of a listed key. The default as soon as any key is configured.
    Signature,
}

impl Require {
    /// Returns its name in the settings file.
    pub fn name(self) -> &'static str {
        match self {
            Require::None => "none",
            Require::Checksum => "checksum",
            Require::Signature => "signature",
        }
    }
}

impl Trust {
    /// Returns whether any key is configured, for tags or for archives.
    pub fn has_keys(&self) -> bool {
        self.signs_tags() || !self.minisign_keys.is_empty()
    }

    /// Returns whether any key for tags is configured.
    pub fn signs_tags(&self) -> bool {
        self.tag_signers.is_some() || self.tag_openpgp_keyring.is_some()
    }

    /// Returns what is required where the settings do not say.
    pub fn default_require(&self) -> Require {
        if self.has_keys() {
            Require::Signature
        } else {
            Require::Checksum
        }
    }

    /// Returns what the files in `folder` say; an absent one says nothing.
    ///
    /// # Errors
    ///
    /// One that is there cannot be read or understood (exit 2). It never counts as absent: that would turn a mistake
    /// into less trust asked for.
    pub fn of_folder(folder: &Path) -> Result<Trust> {
        let signers = signers_file(folder);
        let keys = minisign_file(folder);
        let mut trust = Trust::default();
        if read(&signers)?.is_some() {
            trust.tag_signers = Some(Signers::File(signers));
        }
        if let Some(text) = read(&keys)? {
            trust.minisign_keys = minisign::file(&text)
                .map_err(|wrong| Error::usage(format!("'{}' {wrong}", keys.display())))?;
        }
        trust.require = trust.default_require();
        Ok(trust)
    }
}

/// Returns the folder of keys that belongs to the settings file `config`.
pub fn folder(config: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new("/")).join("trust")
}

/// Returns the allowed-signers file in `folder`.
pub fn signers_file(folder: &Path) -> PathBuf {
    folder.join("allowed_signers")
}

/// Returns the file of minisign keys in `folder`.
pub fn minisign_file(folder: &Path) -> PathBuf {
    folder.join("minisign.pub")
}

/// Reads a file of keys; `None` where there is none.
///
/// # Errors
///
/// It cannot be read, is larger than [`LARGEST_FILE`] or is no text (exit 2).
pub fn read(file: &Path) -> Result<Option<String>> {
    let Some(bytes) = files::read_if_there(file, LARGEST_FILE)
        .with_context(|| Error::usage("cannot use a file of trusted keys"))?
    else {
        return Ok(None);
    };
    let not_text = |_| Error::usage(format!("'{}' is not UTF-8 text", file.display()));
    Ok(Some(String::from_utf8(bytes).map_err(not_text)?))
}

/// Reads `tag-signers`: a path, or one or more keys.
pub(super) fn tag_signers(
    value: &Spanned<DeValue<'_>>,
    home: Option<&Path>,
) -> Result<Signers, Wrong> {
    let expected = "the absolute path of an allowed-signers file, or a list of SSH public keys";
    let lines: Vec<(&Spanned<DeValue<'_>>, &str)> = match value.get_ref() {
        DeValue::String(text) if text.contains(' ') && signers::line(text.trim()).is_ok() => {
            vec![(value, text.trim())]
        }
        DeValue::String(text) if text.trim().contains('\n') => text
            .lines()
            .filter(|line| !signers::is_blank(line))
            .map(|line| (value, line.trim()))
            .collect(),
        DeValue::String(_) => return values::path(value, home, expected).map(Signers::File),
        DeValue::Array(_) => values::elements(value, expected)?
            .iter()
            .map(|element| Ok((element, values::text(element, "an SSH public key")?.trim())))
            .collect::<Result<_, Wrong>>()?,
        _ => return Err(values::not(value, expected)),
    };
    for (place, line) in &lines {
        signers::line(line)
            .map_err(|why| values::wrong(place, &format!("holds a line that {why}")))?;
    }
    if lines.is_empty() {
        return Err(values::not(value, expected));
    }
    let lines = lines.into_iter().map(|(_, line)| line.to_owned());
    Ok(Signers::Inline(lines.collect()))
}

/// Reads `tag-openpgp-keyring`.
pub(super) fn keyring(value: &Spanned<DeValue<'_>>, home: Option<&Path>) -> Result<PathBuf, Wrong> {
    values::path(value, home, "the absolute path of an OpenPGP keyring")
}

/// Reads `minisign-keys`.
pub(super) fn minisign_keys(value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, Wrong> {
    let expected = "a list of minisign public keys such as [\"RW…\"]";
    let mut keys: Vec<String> = Vec::new();
    for element in values::elements(value, expected)? {
        let key = values::text(element, "a minisign public key")?;
        minisign::check(key)
            .map_err(|why| values::wrong(element, &format!("must be {expected}: {why}")))?;
        if keys.iter().any(|other| other == key) {
            return Err(values::wrong(element, "names a key twice"));
        }
        keys.push(key.to_owned());
    }
    Ok(keys)
}

/// Reads `require`.
pub(super) fn require(value: &Spanned<DeValue<'_>>) -> Result<Require, Wrong> {
    let all = [Require::Signature, Require::Checksum, Require::None];
    values::choice(value, &all.map(|require| (require.name(), require)))
}
