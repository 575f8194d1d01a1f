//! The secret with which a machine identifies itself at a hub that has invited it. The hub keeps only its hash.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, ensure};
use crate::os::files;

/// How a secret begins: a hub tells it from the token of a provider, and scanners find it where it was published.
pub(crate) const PREFIX: &str = "hephs_";
/// How many random bytes a secret has.
const BYTES: usize = 32;
/// The schema of the file.
const SCHEMA: u32 = 1;
/// The largest file that is read.
const LARGEST_FILE: u64 = 1 << 16;

/// 256 random bits, as text that may stand in a URL and in a header.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Secret(String);

/// A secret appears in no log.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Returns a new one.
    pub(crate) fn generate() -> Result<Secret> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::new(format!("cannot get random bytes: {error}")))?;
        let text = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        Ok(Secret(format!("{PREFIX}{text}")))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Secret {
    type Error = Error;

    /// The message never quotes `text`.
    fn try_from(text: String) -> Result<Secret> {
        let bytes = text.strip_prefix(PREFIX).unwrap_or_default();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(bytes).unwrap_or_default();
        ensure!(bytes.len() == BYTES, "it is not the secret of a machine");
        Ok(Secret(text))
    }
}

/// Returns the hash by which a hub knows the secret `text`. One of 256 random bits needs no salt and no slow hash.
pub(crate) fn hash(text: &str) -> String {
    files::hex(&Sha256::digest(text.as_bytes()))
}

/// The secret of this machine and the one hub that it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HubSecret {
    schema: u32,
    /// The URL of the hub, without slashes at its end.
    pub(crate) hub: String,
    pub(crate) secret: Secret,
}

impl HubSecret {
    pub(crate) fn new(hub: &str, secret: Secret) -> HubSecret {
        HubSecret {
            schema: SCHEMA,
            hub: hub.trim_end_matches('/').to_owned(),
            secret,
        }
    }

    /// Reads the secret at `path`; `None` where this machine has joined no hub.
    pub(crate) fn load(path: &Path) -> Result<Option<HubSecret>> {
        let unusable = |why: String| {
            let message = format!("cannot use the secret in '{}'", path.display());
            let hint = "join the hub again: `heph sync join LINE`";
            Error::new(why).context(Error::new(message).with_hint(hint))
        };
        let Some(bytes) = files::read_if_there(path, LARGEST_FILE)? else {
            return Ok(None);
        };
        // Without the words of the parser, which could quote it.
        let stored: HubSecret = serde_json::from_slice(&bytes)
            .map_err(|error| unusable(format!("it is damaged at line {}", error.line())))?;
        if stored.schema != SCHEMA {
            let schema = stored.schema;
            return Err(unusable(format!(
                "it has schema {schema}, and this heph knows {SCHEMA}"
            )));
        }
        Ok(Some(stored))
    }

    /// Writes the secret to `path`, readable by its owner alone.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        files::write_json(path, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn secrets_are_random_and_are_known_by_their_hash_alone() {
        let (one, two) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.text().len(), PREFIX.len() + 43);
        assert_eq!(Secret::try_from(one.text().to_owned()).unwrap(), one);
        assert_eq!(hash(one.text()).len(), 64);
        assert_ne!(hash(one.text()), hash(two.text()));
        assert_eq!(format!("{one:?}"), "Secret");
    }

    #[test]
    fn what_is_no_secret_is_rejected_without_being_quoted() {
        for text in [
            "",
            "hephs_",
            "hush",
            "hephs_hush",
            &format!("hephs_{}", "A".repeat(42)),
            &format!("hephs_{}=", "A".repeat(43)),
            &format!("other_{}", "A".repeat(43)),
            &format!("hephs_{} ", "A".repeat(43)),
        ] {
            let error = Secret::try_from(text.to_owned()).unwrap_err();
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }

    #[test]
    fn the_file_is_private_and_damage_is_told_without_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub-secret.json");
        assert_eq!(HubSecret::load(&path).unwrap(), None);
        let stored = HubSecret::new("https://hub.example/", Secret::generate().unwrap());
        stored.save(&path).unwrap();
        assert_eq!(HubSecret::load(&path).unwrap(), Some(stored.clone()));
        assert_eq!(stored.hub, "https://hub.example");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for text in [
            "{\"secret\":\"hush\"}",
            "{\"schema\":1,\"hub\":\"h\",\"secret\":\"hush\"}",
            "",
        ] {
            std::fs::write(&path, text).unwrap();
            let error = format!("{:#}", HubSecret::load(&path).unwrap_err());
            assert!(error.contains("cannot use the secret"), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
