//! Trust: whether a release is its owner's, decided before anything of it is built.
//!
//! A tag is a name that whoever controls the forge can move. So three things are held against each other: the commit that
//! the git remote advertises for the tag, the commit that was remembered when the tag was first seen, and, where signers
//! are configured, the commit in the signed tag object. The commit that comes out of it, the [`Origin`], is what a delivery
//! must have built from; cargo says which commit it was, and any difference discards the slot.
//!
//! The parts: [`tag`] reads a tag object; [`fetch`] gets it, by git; [`verify`] has its signature judged, by ssh-keygen or
//! gpgv; [`seen_tags`] keeps what was seen; and [`judge`], here, decides. ssh-keygen is run directly, as git itself runs it,
//! and not by `git verify-tag`: that picks the verifier by what the signature looks like, whatever `gpg.format` says, so an
//! OpenPGP signature that the user's own keyring knows would do; it judges an expired key at the time that the tag claims
//! for itself; and it says nothing of the name and the commit inside.

pub mod archive;
pub mod fetch;
pub mod seen_tags;
pub mod tag;
pub mod verify;

use crate::config::Require;
use crate::release::source::git::Advertised;
use seen_tags::SeenTag;
use tag::{Signature, TagObject};
use verify::SignatureCheck;

/// What is known of where a release comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The commit that its tag leads to. Whatever is installed must be made from it.
    pub commit: String,
    /// Whether its owner signed that.
    pub proof: Proof,
}

impl Origin {
    /// Returns who signed it.
    pub fn signed_by(&self) -> Option<&str> {
        match &self.proof {
            Proof::Proven { by } => Some(by),
            Proof::Unproven { .. } | Proof::Refused { .. } => None,
        }
    }

    /// Says whether it may be built from source; the error is the sentence that says why not.
    pub fn admits_build(&self, require: Require) -> Result<(), &str> {
        match &self.proof {
            Proof::Refused { reason } => Err(reason),
            Proof::Unproven { reason } if require == Require::Signature => Err(reason),
            Proof::Proven { .. } | Proof::Unproven { .. } => Ok(()),
        }
    }
}

/// Whether a tag is its owner's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A listed key signed it.
    Proven {
        /// Whose key.
        by: String,
    },
    /// Nothing says so, and nothing speaks against it.
    Unproven {
        /// One sentence.
        reason: String,
    },
    /// Something speaks against it, or it lacks what the settings require.
    Refused {
        /// One sentence.
        reason: String,
    },
}

/// All that [`judge`] depends on.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// What the git remote advertises.
    pub advertised: &'a Advertised,
    /// What the settings require.
    pub require: Require,
    /// Whether keys for tags are configured.
    pub keys: bool,
    /// The tag object, or what is wrong with it; `None` where it was not needed.
    pub object: Option<Result<&'a TagObject<'a>, String>>,
    /// What came of its signature; `None` where it has none.
    pub check: Option<SignatureCheck>,
}

/// Returns whether the tag object is worth fetching: only then is there something in it to judge.
pub fn needs_object(advertised: &Advertised, keys: bool, require: Require) -> bool {
    keys && require != Require::None && advertised.is_annotated()
}

/// Decides.
pub fn judge(evidence: Evidence) -> Proof {
    let Evidence {
        advertised,
        require,
        ..
    } = evidence;
    let tag = advertised.tag.as_str();
    let refused = |reason: String| Proof::Refused { reason };
    let unsigned = |reason: String| match require {
        Require::Signature => Proof::Refused { reason },
        Require::Checksum | Require::None => Proof::Unproven { reason },
    };
    if !evidence.keys || require == Require::None {
        let reason = "no key for tags is configured, so nothing proves whose tag it is".to_owned();
        return Proof::Unproven { reason };
    }
    if !advertised.is_annotated() {
        return unsigned(format!(
            "the tag {tag} is a lightweight one, which nobody can sign"
        ));
    }
    let object = match evidence.object {
        Some(Ok(object)) => object,
        Some(Err(wrong)) => return refused(format!("the tag {tag} will not do: {wrong}")),
        None => return refused(format!("the tag object of {tag} was not looked at")),
    };
    if object.name != tag {
        return refused(format!(
            "the tag {tag} is really the tag {:?} under another name",
            object.name
        ));
    }
    if object.kind != "commit" {
        return refused(format!(
            "the tag {tag} is one of a {}, not of a commit",
            object.kind
        ));
    }
    if object.target != advertised.commit {
        return refused(format!(
            "the tag {tag} is of the commit {}, but the repository advertises {}",
            object.target, advertised.commit
        ));
    }
    match (&object.signature, evidence.check) {
        (Signature::None, _) => unsigned(format!("the tag {tag} is not signed")),
        (_, Some(SignatureCheck::Good { by })) => Proof::Proven { by },
        (_, Some(SignatureCheck::Bad { why })) => {
            refused(format!("the signature of the tag {tag} will not do: {why}"))
        }
        (_, None) => refused(format!("the signature of the tag {tag} was not looked at")),
    }
}

/// Returns the sentence about a tag that points elsewhere than when it was first seen; `None` where it stayed.
pub fn moved(advertised: &Advertised, seen: Option<&SeenTag>) -> Option<String> {
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
