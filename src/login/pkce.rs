//! Proof Key for Code Exchange (RFC 7636): binds a code to the client that requested it.

use crate::error::{Error, Result};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// The one method that heph uses (RFC 7636, section 4.2).
pub(super) const METHOD: &str = "S256";

/// Returns a new verifier: 32 random bytes, as section 4.1 recommends.
pub(super) fn verifier() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(format!("cannot get random bytes: {error}")))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns the challenge of `verifier` by the method S256.
pub fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn verifiers_differ_and_are_long_enough() {
        let (one, two) = (verifier().unwrap(), verifier().unwrap());
        assert_ne!(one, two);
        // Section 4.1: 43 to 128 characters.
        assert_eq!(one.len(), 43);
    }
}
