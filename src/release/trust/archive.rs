//! The proofs of an archive, and whether they are enough.
//!
//! There are three levels: nothing, a checksum, a signature. A checksum detects damage; only a signature tells the owner's
//! archive from somebody else's. minisign signs either the list of checksums, which then must list the archive, or the
//! archive itself. Whatever is published and can be verified must be good, whatever level is required: a bad signature is
//! an alarm, never a reason to fall back.
//!
//! What can be read and is wrong is an alarm, an error of [`Kind::Unfit`]: a digest or a signature that
//! does not fit, a key that is not listed, a signature of another file, a list that contradicts itself. What is not there,
//! or not in a form that heph reads, is a lack, any other error: it proves nothing, and may be complete by the next run.
//!
//! The signature of an archive must be of the prehashed form, minisign's default since 0.10: the legacy form would need the
//! whole archive in memory. minisign notes the name of the signed file in the trusted comment. If it does, its last part must
//! be the name of the file at hand, so that an older archive cannot pass under a newer name.
//!
//! Nothing here reads a file or uses the network.

use std::borrow::Cow;

use minisign_verify::{PublicKey, Signature, StreamVerifier};

use crate::config::trust::minisign::Key;
use crate::config::{Require, Trust};
use crate::error::{Error, Kind, Result, ResultExt, bail};
use crate::os::text::quoted;
use crate::release::asset::{Asset, Offer, base_name};
use crate::release::checksums;

/// The files that vouch for an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFiles<T> {
    /// A file with the archive's checksum.
    pub checksums: Option<T>,
    /// That file's signature.
    pub checksums_signature: Option<T>,
    /// The archive's own signature.
    pub signature: Option<T>,
}

/// A file that vouches for an archive, as fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFile {
    /// The file name.
    pub name: String,
    /// The content, of which a signature covers every byte.
    pub content: Vec<u8>,
}

impl ProofFile {
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.content)
    }
}

impl<T> ProofFiles<T> {
    /// Returns whether nothing vouches for the archive.
    pub(crate) fn is_empty(&self) -> bool {
        self.checksums.is_none() && self.checksums_signature.is_none() && self.signature.is_none()
    }

    pub(crate) fn try_map<U>(self, change: impl Fn(T) -> Result<U>) -> Result<ProofFiles<U>> {
        Ok(ProofFiles {
            checksums: self.checksums.map(&change).transpose()?,
            checksums_signature: self.checksums_signature.map(&change).transpose()?,
            signature: self.signature.map(&change).transpose()?,
        })
    }
}

/// Fails if no archive can be proven as `trust` requires, whatever is published.
pub(crate) fn check_keys(trust: &Trust) -> Result<()> {
    if trust.require() == Require::Signature && trust.minisign_keys.is_empty() {
        bail!(
            "`require` in [self-update.trust] asks for signed archives, but `minisign-keys` lists no key"
        );
    }
    Ok(())
}

/// Selects the files to fetch, so that `offer` is proven as `trust` requires, or further if possible.
///
/// # Errors
///
/// Too little is published.
pub(crate) fn select(offer: &Offer, trust: &Trust) -> Result<ProofFiles<Asset>> {
    let checksums = offer.sums.as_ref().or(offer.sum.as_ref()).cloned();
    let (mut checksums_signature, mut signature) = (None, None);
    if !trust.minisign_keys.is_empty() {
        checksums_signature = offer.sums.as_ref().and(offer.sums_signature.clone());
        if checksums_signature.is_none() {
            signature = offer.signature.clone();
        }
    }
    if checksums_signature.is_none() && signature.is_none() {
        check_keys(trust)?;
        let name = &offer.archive.name;
        match trust.require() {
            Require::Signature => bail!("'{name}' is not signed"),
            Require::Checksum if checksums.is_none() => bail!("there is no checksum of '{name}'"),
            Require::Checksum | Require::None => {}
        }
    }
    Ok(ProofFiles {
        checksums,
        checksums_signature,
        signature,
    })
}

/// Returns whether `text` is a signature of minisign at all, of whatever and by any key: for a file that may be anything.
pub(crate) fn is_signature(text: &str) -> bool {
    Signature::decode(text).is_ok()
}

/// What an archive has to be.
#[derive(Default)]
pub struct Expected {
    sha256: Option<String>,
    /// The key that signed the list of checksums.
    listed_by: Option<String>,
    signature: Option<Signed>,
}

/// A signature, and the key that it claims to be made by.
struct Signed {
    key: PublicKey,
    line: String,
    signature: Signature,
    prehashed: bool,
}

/// Returns what the file `archive` has to be according to `proofs`, of which signatures count by `keys` only.
///
/// # Errors
///
/// [`Kind::Unfit`]: a proof is bad. Otherwise one is lacking.
pub fn expect(archive: &str, proofs: &ProofFiles<ProofFile>, keys: &[Key]) -> Result<Expected> {
    let mut expected = Expected::default();
    if let Some(list) = &proofs.checksums {
        if let Some(signature) = &proofs.checksums_signature {
            let signed = claim(&signature.text(), &list.name, keys)?;
            signed
                .key
                .verify(&list.content, &signed.signature, true)
                .map_err(|_| bad_signature(&list.name))?;
            expected.listed_by = Some(signed.line);
        }
        let alone = list.name == format!("{archive}.sha256");
        expected.sha256 = match checksums::sha256(&list.text(), archive, alone) {
            Ok(digest) => Some(digest),
            // A list of other files takes nothing from the archive's own signature.
            Err(error) if error.kind() != Kind::Unfit && proofs.signature.is_some() => None,
            Err(error) => return Err(error.context(format!("cannot use '{}'", list.name))),
        };
    }
    if let Some(signature) = &proofs.signature {
        let signed = claim(&signature.text(), archive, keys)?;
        if !signed.prehashed {
            bail!(
                "the signature of '{archive}' is of the legacy form; sign with minisign 0.10 or later, or with its option -H"
            );
        }
        expected.signature = Some(signed);
    }
    Ok(expected)
}

impl Expected {
    /// Returns what hashes the archive for its own signature, if it has one.
    pub(crate) fn verifier(&self) -> Option<StreamVerifier<'_>> {
        let signed = self.signature.as_ref()?;
        signed.key.verify_stream(&signed.signature).ok()
    }

    /// Judges an archive by its SHA-256, and by the [`Expected::verifier`] that has hashed all of it. Returns the minisign
    /// key that signed it, as the settings have it; `None` if it is not signed.
    ///
    /// # Errors
    ///
    /// It is not what it has to be.
    pub(crate) fn judge(
        &self,
        archive: &str,
        sha256: &str,
        verifier: Option<StreamVerifier<'_>>,
    ) -> Result<Option<String>> {
        if let Some(expected) = &self.sha256
            && expected != sha256
        {
            return Err(Error::unfit(format!(
                "the checksum of '{archive}' is {sha256}, not {expected}"
            )));
        }
        if let Some(signed) = &self.signature {
            if verifier.is_none_or(|mut verifier| verifier.finalize().is_err()) {
                return Err(bad_signature(archive));
            }
            return Ok(Some(signed.line.clone()));
        }
        Ok(self.listed_by.clone())
    }
}

fn bad_signature(name: &str) -> Error {
    Error::unfit(format!("the signature of '{name}' is not valid"))
}

/// Parses a signature of the file `name`, and finds the key that it claims to be made by.
fn claim(text: &str, name: &str, keys: &[Key]) -> Result<Signed> {
    let signature = Signature::decode(text)
        .with_context(|| format!("the signature of '{name}' is not one of minisign"))?;
    for line in keys {
        let key = PublicKey::from_base64(line.as_str())
            .with_context(|| format!("{} is not a minisign key", quoted(line.as_str())))?;
        let prehashed = match key.verify_stream(&signature).map(drop) {
            Ok(()) => true,
            Err(minisign_verify::Error::UnsupportedLegacyMode) => false,
            Err(_) => continue,
        };
        let other = signed_name(signature.trusted_comment());
        if let Some(other) = other.filter(|other| base_name(other) != name) {
            return Err(Error::unfit(format!(
                "the signature of '{name}' was made for {}",
                quoted(other)
            )));
        }
        return Ok(Signed {
            key,
            line: line.to_string(),
            signature,
            prehashed,
        });
    }
    Err(Error::unfit(format!(
        "the signature of '{name}' was not made by a key in `minisign-keys`"
    )))
}

/// Returns the file name in the comment that minisign writes, fields between tabs, if there is one.
fn signed_name(comment: &str) -> Option<&str> {
    comment
        .split('\t')
        .find_map(|field| field.strip_prefix("file:"))
}

#[cfg(test)]
mod tests;
