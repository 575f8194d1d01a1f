//! The file of tokens: private, and complete or not there.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{LOG_IN, jwt};
use crate::error::{Error, Kind, Result, ResultExt};
use crate::os::files;
use crate::os::lock::{self, Lock};

/// The schema of the file that this heph writes and reads.
const SCHEMA: u32 = 1;
/// The largest file that is read.
const LARGEST_FILE: u64 = 1 << 20;
/// How long before its expiry a bearer is renewed: it has to outlive the request that carries it.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);
/// How long one process waits for another that holds the lock: longer than renewing may take, which is two requests.
const LOCK_TIMEOUT: Duration = Duration::from_secs(90);

/// What a person is logged in with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// The issuer's URL.
    pub issuer: String,
    /// The client they were issued to.
    pub client_id: String,
    /// The access token.
    pub access_token: String,
    /// The id token, if one was issued.
    pub id_token: Option<String>,
    /// The refresh token; `None` if the issuer sent no refresh token, or rejected it.
    pub refresh_token: Option<String>,
    /// When the bearer expires.
    pub expires_at: Timestamp,
}

/// Tokens appear in no log.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Tokens {
    /// Returns what to send to the hub: the access token if it is a JSON Web Token, which a hub can verify by itself, else
    /// the id token, else the access token after all.
    pub fn bearer(&self) -> &str {
        match &self.id_token {
            Some(id_token) if jwt::claims(&self.access_token).is_none() => id_token,
            _ => &self.access_token,
        }
    }

    /// Returns the bearer if it outlives a request that is sent `now`.
    pub(super) fn lasting(&self, now: Timestamp) -> Option<&str> {
        let soon = now.saturating_add(MARGIN).unwrap_or(Timestamp::MAX);
        (self.expires_at > soon).then(|| self.bearer())
    }

    /// Returns the bearer unless it has expired `now`.
    pub(crate) fn valid(&self, now: Timestamp) -> Option<&str> {
        (self.expires_at > now).then(|| self.bearer())
    }

    /// Returns the subject, unverified: for display only.
    pub(crate) fn subject(&self) -> Option<String> {
        let tokens = self.id_token.iter().chain([&self.access_token]);
        tokens
            .filter_map(|token| jwt::claims(token))
            .find_map(|claims| claims.sub)
    }
}

#[derive(Serialize, Deserialize)]
struct File<T> {
    schema: u32,
    #[serde(flatten)]
    tokens: T,
}

/// Reads the tokens at `path`; `None` without a login.
pub fn load(path: &Path) -> Result<Option<Tokens>> {
    let Some(bytes) = files::read_if_there(path, LARGEST_FILE)? else {
        return Ok(None);
    };
    let unusable = || {
        Error::new(format!("cannot use the tokens in '{}'", path.display()))
            .with_hint("`heph auth logout`, then `heph auth login`")
    };
    #[derive(Deserialize)]
    struct Schema {
        schema: u32,
    }
    // Without the words of the parser, which could quote a token.
    let damaged = |error: serde_json::Error| {
        Error::new(format!("it is damaged at line {}", error.line())).context(unusable())
    };
    let Schema { schema } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if schema != SCHEMA {
        let newer = Error::new(format!(
            "it has schema {schema}, and this heph knows {SCHEMA}"
        ));
        return Err(newer.context(unusable()));
    }
    let file: File<Tokens> = serde_json::from_slice(&bytes).map_err(damaged)?;
    Ok(Some(file.tokens))
}

/// Writes the tokens to `path`, readable by their owner alone; they survive a power loss.
pub fn save(path: &Path, tokens: &Tokens) -> Result<()> {
    let file = File {
        schema: SCHEMA,
        tokens,
    };
    files::write_json(path, &file)
}

/// Removes the tokens; returns whether there were any.
pub(crate) fn remove(path: &Path) -> Result<bool> {
    files::remove_file_if_there(path).with_context(|| format!("cannot remove '{}'", path.display()))
}

/// Waits for other processes that change the tokens at `path`, and locks them out until the lock is dropped.
pub(crate) fn lock(path: &Path) -> Result<Lock> {
    let lock = lock::exclusive(&path.with_extension("lock"), LOCK_TIMEOUT)?;
    lock.with_context(|| {
        Error::unreachable(format!("another process is changing '{}'", path.display()))
    })
}

/// Returns the tokens at `path`, which must have been issued by this issuer to this client.
pub(super) fn of(path: &Path, issuer: &str, client_id: &str) -> Result<Tokens> {
    let log_in = |message| {
        Error::new(message)
            .with_kind(Kind::Unauthorized)
            .with_hint(LOG_IN)
    };
    let tokens = load(path)?;
    let tokens = tokens.with_context(|| log_in(format!("not logged in at '{issuer}'")))?;
    if (tokens.issuer.as_str(), tokens.client_id.as_str()) != (issuer, client_id) {
        return Err(log_in(format!(
            "the login here is at '{}' as the client '{}', not at '{issuer}' as '{client_id}': log in again",
            tokens.issuer, tokens.client_id
        )));
    }
    Ok(tokens)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::jwt::tests::token;
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    pub(crate) fn some(access: &str, refresh: Option<&str>, expires_at: i64) -> Tokens {
        Tokens {
            issuer: "https://id.example".to_owned(),
            client_id: "heph".to_owned(),
            access_token: access.to_owned(),
            id_token: Some(token(&json!({ "sub": "alice" }))),
            refresh_token: refresh.map(str::to_owned),
            expires_at: Timestamp::from_second(expires_at).unwrap(),
        }
    }

    #[test]
    fn what_is_saved_is_loaded_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/tokens.json");
        assert_eq!(load(&path).unwrap(), None);
        let tokens = some("opaque", Some("r"), 100);
        save(&path, &tokens).unwrap();
        assert_eq!(load(&path).unwrap().as_ref(), Some(&tokens));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(remove(&path).unwrap());
        assert!(!remove(&path).unwrap(), "removing what is gone succeeds");
    }

    #[test]
    fn a_bearer_is_a_token_that_a_hub_can_verify() {
        let jwt = token(&json!({ "sub": "bob" }));
        let opaque = some("opaque", None, 100);
        assert_eq!(Some(opaque.bearer()), opaque.id_token.as_deref());
        assert_eq!(some(&jwt, None, 100).bearer(), jwt);
        let alone = Tokens {
            id_token: None,
            ..opaque
        };
        assert_eq!(alone.bearer(), "opaque");
    }

    #[test]
    fn a_bearer_lasts_if_it_outlives_a_request() {
        let tokens = some("opaque", None, 100);
        let at = |second| Timestamp::from_second(second).unwrap();
        for (now, lasting, valid) in [
            (0, true, true),
            (39, true, true),
            (40, false, true),
            (99, false, true),
            (100, false, false),
        ] {
            assert_eq!(tokens.lasting(at(now)).is_some(), lasting, "{now}");
            assert_eq!(tokens.valid(at(now)).is_some(), valid, "{now}");
        }
    }

    #[test]
    fn neither_errors_nor_debug_output_hold_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        for text in [
            "\"hush\"",
            "{\"schema\":2,\"access_token\":\"hush\"}",
            "{\"schema\":1,\"access_token\":\"hush\"}",
            "{\"schema\":1,\"issuer\":\"hush\",\"expires_at\":\"hush\"}",
            "{\"schema\":\"hush\"}",
            "",
        ] {
            std::fs::write(&path, text).unwrap();
            let error = format!("{:#}", load(&path).unwrap_err());
            assert!(error.contains("cannot use the tokens in '"), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
        let debug = format!("{:?}", some("hush", Some("hush"), 1));
        assert!(!debug.contains("hush"), "{debug}");
    }

    #[test]
    fn tokens_of_another_issuer_or_client_are_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let error = of(&path, "https://id.example", "heph").unwrap_err();
        assert_eq!(error.to_string(), "not logged in at 'https://id.example'");
        save(&path, &some("a", None, 1)).unwrap();
        assert!(of(&path, "https://id.example", "heph").is_ok());
        for (issuer, client) in [
            ("https://other.example", "heph"),
            ("https://id.example", "other"),
        ] {
            let error = of(&path, issuer, client).unwrap_err();
            assert!(error.to_string().contains("log in again"), "{error}");
            assert_eq!(error.hint(), Some("heph auth login"));
        }
    }
}
