//! The file of tokens: private, and complete or not there.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{LOG_IN, jwt, quoted};
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
    /// Which token the hub accepted after it had rejected the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Bearer>,
    /// When the token expires that is not the bearer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_expires_at: Option<Timestamp>,
    /// Whether the last renewal brought no id token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub id_token_is_not_renewed: bool,
}

/// Which of the tokens is sent to the hub as the bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bearer {
    /// The access token.
    AccessToken,
    /// The id token.
    IdToken,
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
    /// Returns what to send to the hub: the token that it is known to accept; else the access token if it is a JSON Web
    /// Token, which a hub can verify by itself; else the id token, if there is one.
    pub fn bearer(&self) -> &str {
        match (self.kind(), &self.id_token) {
            (Bearer::IdToken, Some(id_token)) => id_token,
            _ => &self.access_token,
        }
    }

    /// Returns which token the bearer is.
    fn kind(&self) -> Bearer {
        match (self.accepted, &self.id_token) {
            (_, None) => Bearer::AccessToken,
            (Some(accepted), _) => accepted,
            (None, Some(_)) if jwt::claims(&self.access_token).is_none() => Bearer::IdToken,
            _ => Bearer::AccessToken,
        }
    }

    /// Returns the token that is not the bearer, with its end; one of release 0.1.0, which stored no end, has its `exp`.
    fn other(&self) -> Option<(&str, Timestamp)> {
        let other: &str = match self.kind() {
            Bearer::AccessToken => self.id_token.as_deref()?,
            Bearer::IdToken => &self.access_token,
        };
        let written = || Timestamp::from_second(jwt::claims(other)?.exp?).ok();
        let ends = self.other_expires_at.or_else(written);
        Some((other, ends.unwrap_or(Timestamp::MIN)))
    }

    /// Returns the id token with its end.
    pub(super) fn id_token_with_end(&self) -> Option<(String, Timestamp)> {
        let id_token = self.id_token.clone()?;
        let ends = match self.kind() {
            Bearer::IdToken => self.expires_at,
            Bearer::AccessToken => self.other()?.1,
        };
        Some((id_token, ends))
    }

    /// Returns these tokens, of which the access token and the id token end then.
    pub(super) fn ending(mut self, access: Timestamp, id: Option<Timestamp>) -> Tokens {
        (self.expires_at, self.other_expires_at) = match (self.kind(), id) {
            (Bearer::IdToken, Some(id)) => (id, Some(access)),
            (_, id) => (access, id),
        };
        self
    }

    /// Returns these tokens with `token`, which the hub has accepted, as the bearer from now on.
    pub(super) fn accepting(mut self, token: &str) -> Tokens {
        if token != self.bearer()
            && let Some((other, ends)) = self.other()
            && other == token
        {
            let accepted = match self.kind() {
                Bearer::AccessToken => Bearer::IdToken,
                Bearer::IdToken => Bearer::AccessToken,
            };
            (self.expires_at, self.other_expires_at) = (ends, Some(self.expires_at));
            self.accepted = Some(accepted);
        }
        self
    }

    /// Returns whether renewing prolongs the bearer, as far as that is known: a renewal need not bring an id token.
    pub(crate) fn renews_bearer(&self) -> bool {
        let stays = self.id_token_is_not_renewed && self.kind() == Bearer::IdToken;
        self.refresh_token.is_some() && !stays
    }

    /// Returns whether renewing brings an id token, as far as that is known.
    pub(crate) fn renews_id_token(&self) -> bool {
        self.refresh_token.is_some() && self.id_token.is_some() && !self.id_token_is_not_renewed
    }

    /// Returns whether the bearer has expired `now` and cannot be renewed.
    pub(crate) fn has_lost_its_bearer(&self, now: Timestamp) -> bool {
        self.valid(now).is_none() && !self.renews_bearer()
    }

    /// Returns a token to send that outlives a request that is sent `now`. An id token that the issuer does not renew is used
    /// to its end; after that the hub may accept the other token.
    pub(super) fn lasting(&self, now: Timestamp) -> Option<&str> {
        let soon = now.saturating_add(MARGIN).unwrap_or(Timestamp::MAX);
        if self.expires_at > soon {
            return Some(self.bearer());
        }
        if self.renews_bearer() {
            return None;
        }
        let other = self.other().filter(|(_, ends)| *ends > soon);
        let to_its_end = self.refresh_token.as_ref().and(self.valid(now));
        to_its_end.or(other.map(|(token, _)| token))
    }

    /// Returns the bearer unless it has expired `now`.
    pub(crate) fn valid(&self, now: Timestamp) -> Option<&str> {
        (self.expires_at > now).then(|| self.bearer())
    }

    /// Returns the token beside `rejected`, which the hub did not accept, unless it has expired `now`.
    pub(super) fn beside(&self, rejected: &str, now: Timestamp) -> Option<&str> {
        let other = self.other().filter(|(_, ends)| *ends > now);
        let candidates = [self.valid(now), other.map(|(token, _)| token)];
        candidates
            .into_iter()
            .flatten()
            .find(|token| *token != rejected)
    }

    /// Returns for whom the tokens are, unverified: for display only.
    pub(crate) fn audiences(&self) -> String {
        let of = |name: &str, token: &str| {
            let words = match jwt::claims(token) {
                None => "is not a JWT".to_owned(),
                Some(claims) => match claims.aud {
                    None => "names no audience".to_owned(),
                    Some(audience) => format!("is for {audience}"),
                },
            };
            format!("the {name} {words}")
        };
        let access = of("access token", &self.access_token);
        match &self.id_token {
            Some(id_token) => format!("{access}, {}", of("id token", id_token)),
            None => access,
        }
    }

    /// Returns the subject, unverified: for display only.
    pub(crate) fn subject(&self) -> Option<String> {
        let tokens = self.id_token.iter().chain([&self.access_token]);
        tokens
            .filter_map(|token| jwt::claims(token))
            .find_map(|claims| claims.sub)
            .map(|subject| quoted(&subject))
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
            accepted: None,
            other_expires_at: None,
            id_token_is_not_renewed: false,
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
        // What the issuer does not renew is used to its end.
        let last = Tokens {
            id_token_is_not_renewed: true,
            ..some("opaque", Some("r"), 100)
        };
        assert_eq!(last.lasting(at(99)), Some(last.bearer()));
        assert_eq!(last.lasting(at(100)), None);
    }

    #[test]
    fn the_token_that_the_hub_accepts_is_the_bearer_with_its_own_end() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let access = token(&json!({ "sub": "alice", "aud": "account" }));
        // Keycloak without a mapper: the access token is for another audience.
        let tokens = Tokens {
            other_expires_at: Some(at(300)),
            ..some(&access, Some("r"), 100)
        };
        let id_token = tokens.id_token.clone().unwrap();
        assert_eq!(tokens.bearer(), access);
        assert_eq!(tokens.beside(&access, at(0)), Some(id_token.as_str()));
        assert_eq!(tokens.beside(&access, at(300)), None, "it has expired");
        assert_eq!(tokens.clone().accepting("unknown"), tokens);
        assert_eq!(tokens.clone().accepting(&access), tokens);

        let accepted = tokens.clone().accepting(&id_token);
        assert_eq!(accepted.bearer(), id_token);
        assert_eq!(accepted.expires_at, at(300));
        assert_eq!(accepted.other_expires_at, Some(at(100)));
        assert_eq!(accepted.beside(&id_token, at(0)), Some(access.as_str()));
        assert_eq!(accepted.accepting(&access).expires_at, at(100));
    }

    #[test]
    fn the_audiences_of_a_login_are_shown_without_its_tokens() {
        let of = |access: &str, id_token: Option<String>| {
            let tokens = Tokens {
                id_token,
                ..some(access, None, 0)
            };
            tokens.audiences()
        };
        let id_token = token(&json!({ "aud": ["cli", "\u{1b}[2J"] }));
        assert_eq!(
            of(&token(&json!({ "aud": "account" })), Some(id_token)),
            "the access token is for 'account', the id token is for 'cli' and '\\u{1b}[2J'"
        );
        assert_eq!(of("hush", None), "the access token is not a JWT");
        let silent = token(&json!({}));
        assert_eq!(of(&silent, None), "the access token names no audience");
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
