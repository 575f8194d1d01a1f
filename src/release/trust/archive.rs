//! What vouches for an archive, and whether that is enough.
//!
//! Three levels: nothing, a checksum, a signature. A checksum tells a damaged archive from a whole one; only a signature
//! tells its owner's from somebody else's. minisign signs either the list of checksums, which then must name the archive,
//! or the archive itself. Anything that is there and can be checked must be good, whatever level is required: a bad
//! signature is an alarm, never a reason to try something else.
//!
//! Signatures must be of the form that hashes first, minisign's own since 0.10: the older form would take the whole
//! archive into memory. minisign notes the name of the signed file in the comment that it signs along; where it does,
//! the name must be that of the file at hand, so that an older archive cannot pass under a newer name.
//!
//! Nothing here reads a file or asks the network.

use minisign_verify::{PublicKey, Signature, StreamVerifier};

use crate::config::trust::minisign::Key;
use crate::config::{Require, Trust};
use crate::os::text::quoted;
use crate::release::asset::{self, Asset, Offer};

/// How far an archive is vouched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveProof {
    /// Not at all.
    Nothing,
    /// It is what the release lists.
    Checksum,
    /// It is what the owner of this minisign key signed.
    Signature {
        /// The key as the settings have it.
        key: String,
    },
}

/// What has to be fetched to vouch for an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProofAssets<'a> {
    /// A file with the archive's checksum.
    pub checksums: Option<&'a Asset>,
    /// That file's signature.
    pub checksums_signature: Option<&'a Asset>,
    /// The archive's own signature.
    pub signature: Option<&'a Asset>,
}

impl ProofAssets<'_> {
    /// Returns whether nothing vouches for the archive.
    pub fn is_nothing(&self) -> bool {
        *self == ProofAssets::default()
    }
}

/// Returns why no archive can be vouched for as far as `trust` requires, whatever is published; a sentence.
pub fn hopeless(trust: &Trust) -> Option<String> {
    (trust.require() == Require::Signature && trust.minisign_keys.is_empty()).then(|| {
        "`require` in [self-update.trust] asks for a signature of archives, but `minisign-keys` lists no key".to_owned()
    })
}

/// Returns what has to be fetched to vouch for `offer` as far as `trust` requires, and further where that is possible.
///
/// # Errors
///
/// Not enough is published; a sentence says what is missing.
pub fn wanted<'a>(offer: &Offer<'a>, trust: &Trust) -> Result<ProofAssets<'a>, String> {
    let checksums = offer.sums.or(offer.sum);
    let signed = !trust.minisign_keys.is_empty();
    if signed && offer.sums.is_some() && offer.sums_signature.is_some() {
        return Ok(ProofAssets {
            checksums: offer.sums,
            checksums_signature: offer.sums_signature,
            signature: None,
        });
    }
    if signed && offer.signature.is_some() {
        return Ok(ProofAssets {
            checksums,
            checksums_signature: None,
            signature: offer.signature,
        });
    }
    let name = &offer.archive.name;
    match trust.require() {
        Require::Signature if signed => Err(format!("'{name}' is not signed")),
        Require::Signature => Err(format!(
            "`require` in [self-update.trust] asks for a signature of '{name}', but `minisign-keys` lists no key"
        )),
        Require::Checksum if checksums.is_none() => {
            Err(format!("there is no checksum of '{name}'"))
        }
        Require::Checksum | Require::None => Ok(ProofAssets {
            checksums,
            ..ProofAssets::default()
        }),
    }
}

/// Returns whether `text` is a signature of minisign at all, whosever and of whatever: for a file that nobody said is one.
pub fn is_signature(text: &str) -> bool {
    Signature::decode(text).is_ok()
}

/// The files of [`ProofAssets`], as they arrived.
#[derive(Clone, Debug, Default)]
pub struct ProofTexts {
    /// See [`ProofAssets::checksums`].
    pub checksums: Option<String>,
    /// See [`ProofAssets::checksums_signature`].
    pub checksums_signature: Option<String>,
    /// See [`ProofAssets::signature`].
    pub signature: Option<String>,
}

/// What an archive has to be.
#[derive(Debug)]
pub struct Expected {
    sha256: Option<String>,
    /// The key that signed the list of checksums.
    listed_by: Option<String>,
    signature: Option<Signed>,
}

/// A signature, and the key that it claims to be of.
struct Signed {
    key: PublicKey,
    line: String,
    signature: Signature,
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signed")
            .field("key", &self.line)
            .finish_non_exhaustive()
    }
}

/// Works out what the archive `wanted` vouches for has to be.
///
/// # Errors
///
/// What was fetched is bad: a sentence says in what way.
pub fn expect(
    archive: &str,
    wanted: &ProofAssets,
    fetched: &ProofTexts,
    trust: &Trust,
) -> Result<Expected, String> {
    let mut expected = Expected {
        sha256: None,
        listed_by: None,
        signature: None,
    };
    if let (Some(list), Some(text)) = (wanted.checksums, &fetched.checksums) {
        if let Some(signature) = &fetched.checksums_signature {
            let signed = claim(signature, &list.name, &trust.minisign_keys)?;
            signed
                .key
                .verify(text.as_bytes(), &signed.signature, false)
                .map_err(|_| format!("the signature of '{}' is not good", list.name))?;
            expected.listed_by = Some(signed.line);
        }
        let alone = list.name == format!("{archive}.sha256");
        let digest = asset::checksum(text, archive, alone)
            .map_err(|why| format!("'{}' will not do: {why}", list.name))?;
        expected.sha256 = Some(digest);
    }
    if let Some(signature) = &fetched.signature {
        expected.signature = Some(claim(signature, archive, &trust.minisign_keys)?);
    }
    Ok(expected)
}

impl Expected {
    /// Returns what hashes the archive for its signature, where it has one of its own.
    pub fn verifier(&self) -> Option<StreamVerifier<'_>> {
        let signed = self.signature.as_ref()?;
        signed.key.verify_stream(&signed.signature).ok()
    }

    /// Judges an archive by its SHA-256 and by what [`Expected::verifier`] gave, after all of it went through.
    ///
    /// # Errors
    ///
    /// It is not what it has to be: a sentence says in what way.
    pub fn judge(
        &self,
        archive: &str,
        sha256: &str,
        verifier: Option<StreamVerifier<'_>>,
    ) -> Result<ArchiveProof, String> {
        if let Some(expected) = &self.sha256
            && expected != sha256
        {
            return Err(format!(
                "the checksum of '{archive}' is {sha256}, not {expected}"
            ));
        }
        if let Some(signed) = &self.signature {
            let good = verifier.is_some_and(|mut verifier| verifier.finalize().is_ok());
            if !good {
                return Err(format!("the signature of '{archive}' is not good"));
            }
            return Ok(ArchiveProof::Signature {
                key: signed.line.clone(),
            });
        }
        Ok(match (&self.listed_by, &self.sha256) {
            (Some(key), _) => ArchiveProof::Signature { key: key.clone() },
            (None, Some(_)) => ArchiveProof::Checksum,
            (None, None) => ArchiveProof::Nothing,
        })
    }
}

/// Reads a signature of the file `name`, and finds the key that it says it is of.
fn claim(text: &str, name: &str, keys: &[Key]) -> Result<Signed, String> {
    let signature = Signature::decode(text)
        .map_err(|why| format!("the signature of '{name}' is none of minisign: {why}"))?;
    let comment = signature.trusted_comment();
    if let Some(other) = signed_name(comment).filter(|other| *other != name) {
        return Err(format!(
            "the signature of '{name}' was made for {}",
            quoted(other)
        ));
    }
    for line in keys {
        let key = PublicKey::from_base64(line.as_str())
            .map_err(|why| format!("{} is no minisign key: {why}", quoted(line.as_str())))?;
        match key.verify_stream(&signature).map(drop) {
            Ok(()) => {
                return Ok(Signed {
                    key,
                    line: line.to_string(),
                    signature,
                });
            }
            Err(minisign_verify::Error::UnexpectedKeyId) => {}
            Err(_) => {
                return Err(format!(
                    "the signature of '{name}' is of the old form; sign with minisign 0.10 or later, or with its option -H"
                ));
            }
        }
    }
    Err(format!(
        "the signature of '{name}' is of none of the keys in `minisign-keys`"
    ))
}

/// Returns the file name in the comment that minisign writes, fields between tabs, where there is one.
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

    /// What is wanted, in short: `s` for the signed list, `a` for the archive's own signature, `c` for a checksum.
    fn plan(published: &str, keys: &[&str], require: Require) -> Result<String, String> {
        let files = [
            "a.zip",
            "SHA256SUMS",
            "SHA256SUMS.minisig",
            "a.zip.sha256",
            "a.zip.minisig",
        ];
        let assets = files.map(asset);
        let there = |letter: char, at: usize| published.contains(letter).then_some(&assets[at]);
        let offer = Offer {
            archive: &assets[0],
            format: Format::Zip,
            sums: there('l', 1),
            sums_signature: there('s', 2),
            sum: there('c', 3),
            signature: there('a', 4),
        };
        wanted(&offer, &trust(keys, require)).map(|wanted| {
            [
                wanted.checksums_signature.map(|_| "s"),
                wanted.signature.map(|_| "a"),
                wanted.checksums.map(|_| "c"),
            ]
            .into_iter()
            .flatten()
            .collect()
        })
    }

    #[test]
    fn as_much_is_fetched_as_can_be_checked_and_too_little_is_said() {
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
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
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
        let signed = ArchiveProof::Signature {
            key: "K".to_owned(),
        };
        assert_eq!(expected.judge("a", "aa", None), Ok(signed));
    }
}
