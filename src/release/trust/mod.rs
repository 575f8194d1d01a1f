//! Trust: whether a release is its owner's, decided before anything of it is built.
//!
//! An intruder on the forge can move a tag. So three things are compared: the commit that the git remote advertises for
//! the tag, the commit that was recorded when the tag was first seen, and, if signers are configured, the commit in the
//! signed tag object. The result is the [`Origin`], whose commit a delivery must have built from; cargo says which commit it
//! built, and any difference discards the slot.
//!
//! The parts: [`tag`] parses a tag object; [`mod@examine`] fetches it by git; [`verify`] runs ssh-keygen or gpgv on its
//! signature; [`seen_tags`] records what was seen; and [`judge`], here, decides. ssh-keygen is run directly, as git itself
//! runs it, and not by `git verify-tag`. That one picks the verifier by what the signature looks like, whatever `gpg.format`
//! says, so an OpenPGP signature by any key in the user's own keyring would pass; it judges an expired key at the time that
//! the tag claims for itself; and it does not compare the name and the commit inside.

pub mod archive;
pub(crate) mod seen_tags;

mod examine;
mod tag;
mod verify;

use crate::config::Require;
use crate::error::Error;
use crate::release::source::git::Advertised;
pub(crate) use examine::examine;
use seen_tags::SeenTag;
use tag::{Signature, TagObject};
use verify::SignatureCheck;

/// Where a release comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The commit that its tag leads to. Whatever is installed must be made from it.
    pub commit: String,
    /// Whether its owner signed it.
    pub proof: Proof,
}

impl Origin {
    pub(crate) fn signed_by(&self) -> Option<&str> {
        match &self.proof {
            Proof::Proven(by) => Some(by),
            Proof::Unproven(_) | Proof::Refused(_) => None,
        }
    }

    /// Returns why it must not be built from source; `None` if it may.
    pub fn objection_to_build(&self, require: Require) -> Option<&str> {
        match &self.proof {
            Proof::Refused(reason) => Some(reason),
            Proof::Unproven(reason) if require == Require::Signature => Some(reason),
            Proof::Proven(_) | Proof::Unproven(_) => None,
        }
    }
}

/// Whether a tag is its owner's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A listed key signed it: the name of the signer in the list, and the key.
    Proven(String),
    /// Nothing proves it, and nothing contradicts it. The sentence says why.
    Unproven(String),
    /// Something contradicts it, or what the settings require is missing. The sentence says why.
    Refused(String),
}

#[derive(Clone, Debug)]
struct Evidence<'a> {
    advertised: &'a Advertised,
    require: Require,
    keys: bool,
    /// The tag object, or what is wrong with it; `None` if it was not needed.
    object: Option<Result<&'a TagObject<'a>, &'a Error>>,
    /// The result of verifying its signature; `None` if it has no signature.
    signature: Option<SignatureCheck>,
}

/// Returns whether the tag object is needed to judge the tag.
pub(crate) fn needs_object(advertised: &Advertised, keys: bool, require: Require) -> bool {
    keys && require != Require::None && advertised.is_annotated()
}

/// Decides whether a tag is its owner's.
fn judge(evidence: Evidence) -> Proof {
    let (advertised, require) = (evidence.advertised, evidence.require);
    let tag = advertised.tag.as_str();
    let unsigned = match require {
        Require::Signature => Proof::Refused,
        Require::Checksum | Require::None => Proof::Unproven,
    };
    if !evidence.keys || require == Require::None {
        let reason = "no key for tags is configured, so nothing proves whose tag it is";
        return Proof::Unproven(reason.to_owned());
    }
    if !advertised.is_annotated() {
        return unsigned(format!(
            "the tag {tag} is lightweight, so it cannot be signed"
        ));
    }
    let object = match evidence.object {
        Some(Ok(object)) => object,
        Some(Err(error)) => {
            return Proof::Refused(format!("the tag {tag} is not valid: {error:#}"));
        }
        None => return Proof::Refused(format!("the tag object of {tag} was not fetched")),
    };
    if object.name != tag {
        return Proof::Refused(format!(
            "the tag {tag} is really the tag {:?} under another name",
            object.name
        ));
    }
    if object.kind != "commit" {
        return Proof::Refused(format!(
            "the tag {tag} is one of a {}, not of a commit",
            object.kind
        ));
    }
    if object.target != advertised.commit {
        return Proof::Refused(format!(
            "the tag {tag} is of the commit {}, but the repository advertises {}",
            object.target, advertised.commit
        ));
    }
    match (&object.signature, evidence.signature) {
        (Signature::None, _) => unsigned(format!("the tag {tag} is not signed")),
        (_, Some(SignatureCheck::Valid(by))) => Proof::Proven(by),
        (_, Some(SignatureCheck::Invalid(why))) => Proof::Refused(format!(
            "the signature of the tag {tag} is not valid: {why}"
        )),
        // Treated as unsigned: an attacker could remove it as well.
        (_, Some(SignatureCheck::Unsupported(why))) => unsigned(format!(
            "the signature of the tag {tag} cannot be verified: {why}"
        )),
        (_, None) => Proof::Refused(format!("the signature of the tag {tag} was not verified")),
    }
}

/// Returns the sentence about a tag that was moved since it was first seen; `None` if it was not.
pub(crate) fn moved(advertised: &Advertised, seen: Option<&SeenTag>) -> Option<String> {
    let seen = seen.filter(|seen| seen.commit != advertised.commit)?;
    Some(format!(
        "the tag {} was moved: it was at the commit {} on {}, and is at {} now",
        advertised.tag.as_str(),
        seen.commit,
        seen.at.strftime("%Y-%m-%d"),
        advertised.commit
    ))
}

#[cfg(test)]
mod tests;
