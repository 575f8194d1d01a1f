//! The proofs of an archive, and whether they are enough.
//!
//! There are three levels: nothing, a checksum, a signature. A checksum detects damage; only a signature tells the owner's
//! archive from somebody else's. minisign signs either the list of checksums, which then must list the archive, or the
//! archive itself. Whatever is published and can be verified must be good, whatever level is required: a bad signature is
//! an alarm, never a reason to fall back.
//!
//! Signatures must be of the prehashed form, minisign's default since 0.10: the legacy form would need the whole archive in
//! memory. minisign notes the name of the signed file in the trusted comment. If it does, the name must be that of the file
//! at hand, so that an older archive cannot pass under a newer name.
//!
//! Nothing here reads a file or uses the network.

use minisign_verify::{PublicKey, Signature, StreamVerifier};

use crate::config::trust::minisign::Key;
use crate::config::{Require, Trust};
use crate::error::{Error, Result, ResultExt, bail};
use crate::os::text::quoted;
use crate::release::asset::{self, Asset, Offer};

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
pub struct ProofText {
    /// The file name.
    pub name: String,
    /// The content.
    pub text: String,
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
}

/// Returns what the file `archive` has to be according to `proofs`, of which signatures count by `keys` only.
///
/// # Errors
///
/// A proof is bad.
pub fn expect(archive: &str, proofs: &ProofFiles<ProofText>, keys: &[Key]) -> Result<Expected> {
    let mut expected = Expected::default();
    if let Some(list) = &proofs.checksums {
        if let Some(signature) = &proofs.checksums_signature {
            let signed = claim(&signature.text, &list.name, keys)?;
            signed
                .key
                .verify(list.text.as_bytes(), &signed.signature, false)
                .map_err(|_| bad_signature(&list.name))?;
            expected.listed_by = Some(signed.line);
        }
        let alone = list.name == format!("{archive}.sha256");
        let digest = asset::checksum(&list.text, archive, alone)
            .with_context(|| format!("cannot use '{}'", list.name))?;
        expected.sha256 = Some(digest);
    }
    if let Some(signature) = &proofs.signature {
        expected.signature = Some(claim(&signature.text, archive, keys)?);
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
            bail!("the checksum of '{archive}' is {sha256}, not {expected}");
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
    Error::new(format!("the signature of '{name}' is not valid"))
}

/// Parses a signature of the file `name`, and finds the key that it claims to be made by.
fn claim(text: &str, name: &str, keys: &[Key]) -> Result<Signed> {
    let signature = Signature::decode(text)
        .with_context(|| format!("the signature of '{name}' is not one of minisign"))?;
    let comment = signature.trusted_comment();
    if let Some(other) = signed_name(comment).filter(|other| *other != name) {
        bail!("the signature of '{name}' was made for {}", quoted(other));
    }
    for line in keys {
        let key = PublicKey::from_base64(line.as_str())
            .with_context(|| format!("{} is not a minisign key", quoted(line.as_str())))?;
        match key.verify_stream(&signature).map(drop) {
            Ok(()) => {
                return Ok(Signed {
                    key,
                    line: line.to_string(),
                    signature,
                });
            }
            Err(minisign_verify::Error::UnexpectedKeyId) => {}
            Err(_) => bail!(
                "the signature of '{name}' is of the legacy form; sign with minisign 0.10 or later, or with its option -H"
            ),
        }
    }
    bail!("the signature of '{name}' was not made by a key in `minisign-keys`")
}

/// Returns the file name in the comment that minisign writes, fields between tabs, if there is one.
fn signed_name(comment: &str) -> Option<&str> {
    comment
        .split('\t')
        .find_map(|field| field.strip_prefix("file:"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::asset::Format;

    fn asset(name: &str) -> Asset {
        Asset::new(name.to_owned(), format!("https://f.example/{name}"), None).unwrap()
    }

    fn trust(keys: &[&str], require: Require) -> Trust {
        Trust {
            minisign_keys: keys.iter().map(|key| key.parse().unwrap()).collect(),
            require: Some(require),
            ..Trust::default()
        }
    }

    /// The selected proofs, in short: `s` for the signed list, `a` for the archive's own signature, `c` for a checksum.
    fn plan(published: &str, keys: &[&str], require: Require) -> Result<String> {
        let files = [
            "a.zip",
            "SHA256SUMS",
            "SHA256SUMS.minisig",
            "a.zip.sha256",
            "a.zip.minisig",
        ];
        let assets = files.map(asset);
        let there =
            |letter: char, at: usize| published.contains(letter).then(|| assets[at].clone());
        let offer = Offer {
            archive: assets[0].clone(),
            format: Format::Zip,
            sums: there('l', 1),
            sums_signature: there('s', 2),
            sum: there('c', 3),
            signature: there('a', 4),
        };
        select(&offer, &trust(keys, require)).map(|proofs| {
            [
                proofs.checksums_signature.map(|_| "s"),
                proofs.signature.map(|_| "a"),
                proofs.checksums.map(|_| "c"),
            ]
            .into_iter()
            .flatten()
            .collect()
        })
    }

    #[test]
    fn as_much_is_fetched_as_can_be_verified_and_too_little_is_an_error() {
        use Require::{Checksum, None, Signature};
        const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        for (published, keys, require, expected) in [
            ("", &[][..], None, Ok("")),
            ("c", &[], None, Ok("c")),
            ("", &[], Checksum, Err("no checksum")),
            ("c", &[], Checksum, Ok("c")),
            ("ls", &[], Checksum, Ok("c")),
            ("a", &[], Checksum, Err("no checksum")),
            ("a", &[KEY], Checksum, Ok("a")),
            ("ls", &[KEY], Checksum, Ok("sc")),
            ("l", &[KEY], Checksum, Ok("c")),
            ("l", &[KEY], Signature, Err("is not signed")),
            ("cs", &[KEY], Signature, Err("is not signed")),
            ("ls", &[KEY], Signature, Ok("sc")),
            ("lsa", &[KEY], Signature, Ok("sc")),
            ("la", &[KEY], Signature, Ok("ac")),
            ("lsa", &[], Signature, Err("lists no key")),
        ] {
            match (plan(published, keys, require), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{published}"),
                (Err(found), Err(expected)) => {
                    assert!(found.to_string().contains(expected), "{found}");
                }
                (found, _) => panic!("{published:?} {require:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn the_name_that_was_signed_is_found_in_the_comment() {
        assert_eq!(signed_name("timestamp:1\tfile:a b\thashed"), Some("a b"));
        assert_eq!(signed_name("release 1.0.0 of file:x"), None);
        assert_eq!(signed_name(""), None);
    }

    #[test]
    fn without_a_signature_the_checksum_decides() {
        let expected = Expected {
            sha256: Some("aa".to_owned()),
            listed_by: Some("K".to_owned()),
            signature: None,
        };
        assert!(expected.judge("a", "ab", None).is_err());
        assert_eq!(expected.judge("a", "aa", None), Ok(Some("K".to_owned())));
    }
}
