//! A bearer at hand: the one on disk while it lasts, else a new one for the refresh token (RFC 6749, section 6).

use std::path::Path;

use jiff::Timestamp;

use super::answer::{Granted, Heard, Refusal, hear};
use super::{Tokens, ask, away, discover, quoted, tokens};
use crate::error::{Error, Exit, Result};

/// Returns the bearer to send: that of the tokens at `path`, renewed if it ends within a minute of `now`.
///
/// # Errors
///
/// Nobody is logged in, or the issuer does not renew the login (the hint is `heph auth login`); or the issuer is away and
/// the bearer has ended ([`Exit::TryLater`]).
pub fn bearer(path: &Path, issuer: &str, client_id: &str, now: Timestamp) -> Result<String> {
    let stored = tokens::of(path, issuer, client_id)?;
    if let Some(bearer) = stored.lasting(now) {
        return Ok(bearer.to_owned());
    }
    match renew(path, issuer, client_id, now, |tokens| {
        tokens.lasting(now).is_some()
    }) {
        // An issuer that is away for a moment costs nothing while the bearer is good.
        Err(error) if error.exit() == Exit::TryLater => match stored.valid(now) {
            Some(bearer) => Ok(bearer.to_owned()),
            None => Err(error),
        },
        renewed => renewed,
    }
}

/// Returns another bearer than `refused`, which the hub has not taken: one that another process has stored meanwhile, else
/// a new one.
///
/// # Errors
///
/// As [`bearer`].
pub fn renewed(
    path: &Path,
    issuer: &str,
    client_id: &str,
    refused: &str,
    now: Timestamp,
) -> Result<String> {
    renew(path, issuer, client_id, now, |tokens| {
        tokens.bearer() != refused
    })
}

/// Renews the tokens at `path`, unless another process has made them `good` before the lock was free.
fn renew(
    path: &Path,
    issuer: &str,
    client_id: &str,
    now: Timestamp,
    good: impl Fn(&Tokens) -> bool,
) -> Result<String> {
    let _lock = tokens::lock(path)?;
    let stored = tokens::of(path, issuer, client_id)?;
    if good(&stored) {
        return Ok(stored.bearer().to_owned());
    }
    let Some(refresh) = stored.refresh_token.as_deref() else {
        return Err(ended(issuer, "it cannot be renewed"));
    };
    let metadata = discover(issuer)?;
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh),
        ("client_id", client_id),
    ];
    let heard = hear(ask::post(metadata.tokens()?, &form));
    match judge(issuer, heard) {
        Judgement::Keep(granted) => {
            let renewed = granted.tokens(issuer, client_id, Some(stored), now);
            // Before anybody uses it: the issuer has taken the old refresh token back already.
            tokens::save(path, &renewed)?;
            Ok(renewed.bearer().to_owned())
        }
        Judgement::Ended(fault) => {
            let ended = Tokens {
                refresh_token: None,
                ..stored
            };
            // Asking again with the same token would be no use, and looks like theft.
            tokens::save(path, &ended)?;
            Err(fault)
        }
        Judgement::Failed(fault) => Err(fault),
    }
}

/// What to do with the tokens.
enum Judgement {
    /// Keep the new ones.
    Keep(Granted),
    /// Forget the refresh token.
    Ended(Error),
    /// Leave all as it is.
    Failed(Error),
}

/// Judges what was heard of a refresh token. Pure.
fn judge(issuer: &str, heard: Heard) -> Judgement {
    let failed = |why: &str| format!("cannot renew the login at '{issuer}': {why}");
    match heard {
        Heard::Granted(granted) => Judgement::Keep(granted),
        Heard::Refused(refusal) if is_end(&refusal) => {
            Judgement::Ended(ended(issuer, &refusal.words()))
        }
        Heard::Refused(refusal) => Judgement::Failed(
            Error::new(failed(&refusal.words()))
                .with_hint("if it stays so, log in again: heph auth login"),
        ),
        Heard::Away(why) => Judgement::Failed(away(failed(&why))),
        Heard::Nonsense(why) => Judgement::Failed(Error::new(failed(&why))),
    }
}

/// Returns whether the refresh token is expired, revoked, used or another client's (RFC 6749, section 5.2).
fn is_end(refusal: &Refusal) -> bool {
    refusal.error == "invalid_grant"
}

fn ended(issuer: &str, why: &str) -> Error {
    Error::new(format!(
        "the login at '{}' has ended: {why}; log in again",
        quoted(issuer)
    ))
    .with_hint("heph auth login")
}

#[cfg(test)]
mod tests {
    use super::super::answer::tests::hears;
    use super::super::tokens::tests::some;
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_refusal_of_the_grant_ends_a_login() {
        let judged = |heard| match judge("https://id.example", heard) {
            Judgement::Keep(_) => "keep".to_owned(),
            Judgement::Ended(fault) => format!("ended: {fault}"),
            Judgement::Failed(fault) => format!("failed: {fault}"),
        };
        for (status, body, expected) in [
            (200, json!({ "access_token": "a" }), "keep"),
            (
                400,
                json!({ "error": "invalid_grant" }),
                "ended: the login at 'https://id.example' has ended: invalid_grant; log in again",
            ),
            (
                400,
                json!({ "error": "invalid_request" }),
                "failed: cannot renew the login at 'https://id.example': invalid_request",
            ),
            (401, json!({ "error": "invalid_client" }), "failed"),
            (500, json!({ "error": "invalid_grant" }), "failed"),
            (200, json!("<html>"), "failed"),
        ] {
            let judged = judged(hears(status, &body));
            assert!(judged.starts_with(expected), "{judged}");
        }
    }

    #[test]
    fn a_bearer_that_lasts_needs_no_issuer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let stored = some("opaque", None, 1_000);
        tokens::save(&path, &stored).unwrap();
        let now = Timestamp::from_second(0).unwrap();
        let bearer = bearer(&path, &stored.issuer, &stored.client_id, now).unwrap();
        assert_eq!(bearer, stored.bearer());
        // Another process was faster: what was refused is not what is stored.
        let other = renewed(&path, &stored.issuer, &stored.client_id, "refused", now).unwrap();
        assert_eq!(other, stored.bearer());
    }

    #[test]
    fn a_login_that_cannot_be_renewed_asks_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let stored = some("opaque", None, 1_000);
        tokens::save(&path, &stored).unwrap();
        let now = Timestamp::from_second(2_000).unwrap();
        let error = bearer(&path, &stored.issuer, &stored.client_id, now).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("it cannot be renewed; log in again"),
            "{error}"
        );
        assert_eq!(error.hint(), Some("heph auth login"));
    }
}
