//! What a token endpoint grants (RFC 6749, section 5.1).

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::endpoint::{self, EndpointError};
use super::{Tokens, jwt};
use crate::error::{Error, Result, bail, ensure};
use crate::os::http::Answer;

/// How long a token is assumed to last where nothing says so.
const UNKNOWN_LIFETIME: SignedDuration = SignedDuration::from_mins(5);
/// The longest a token is assumed to last, so that times stay ones that a calendar has.
const LONGEST_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365);

/// Tokens, fresh from the endpoint.
#[derive(Clone, PartialEq, Deserialize)]
pub(super) struct Granted {
    access_token: String,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    id_token: Option<String>,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    expires_in: Option<f64>,
}

/// Asks the token endpoint at `url` for tokens.
pub(super) fn request(url: &str, form: &[(&str, &str)]) -> Result<Granted, EndpointError> {
    Ok(read(&endpoint::post(url, form)?)?)
}

/// Reads the answer of a token endpoint. Pure.
fn read(answer: &Answer) -> Result<Granted> {
    let host = &answer.host;
    // Without the words of the parser, which would quote a token.
    let granted: Granted = serde_json::from_slice(&answer.body)
        .map_err(|_| Error::new(format!("the answer of {host} holds no tokens")))?;
    let type_ = granted.token_type.as_deref().unwrap_or("Bearer");
    ensure!(
        type_.eq_ignore_ascii_case("Bearer"),
        "{host} sent a token that is not a bearer token"
    );
    let optional = [&granted.id_token, &granted.refresh_token];
    for token in optional
        .into_iter()
        .flatten()
        .chain([&granted.access_token])
    {
        ensure!(
            token.len() <= jwt::LONGEST,
            "{host} sent a token that is too long"
        );
        // VSCHAR of RFC 6749, appendix A, without the space, which would end a bearer.
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("{host} sent a token with characters that no token has");
        }
    }
    Ok(granted)
}

impl Granted {
    /// Returns the tokens to store, issued `now`. What was not issued anew is kept from `former`: a refresh token stays
    /// valid until another replaces it (section 6).
    pub(super) fn tokens(
        self,
        issuer: &str,
        client_id: &str,
        former: Option<Tokens>,
        now: Timestamp,
    ) -> Tokens {
        let expires_at = now
            .saturating_add(self.lifetime())
            .unwrap_or(Timestamp::MAX);
        let (id_token, refresh_token) = former.map_or((None, None), |former| {
            (former.id_token, former.refresh_token)
        });
        Tokens {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            access_token: self.access_token,
            id_token: self.id_token.or(id_token),
            refresh_token: self.refresh_token.or(refresh_token),
            expires_at,
        }
    }

    /// Returns how long the bearer lasts. Lengths of time, not instants: the issuer's clock may differ.
    fn lifetime(&self) -> SignedDuration {
        let announced = self
            .expires_in
            .filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        let announced = announced.map(|seconds| SignedDuration::from_secs(seconds as i64));
        let written = |token: &str| {
            let claims = jwt::claims(token)?;
            let seconds = claims.exp?.checked_sub(claims.iat?)?;
            (seconds >= 0).then(|| SignedDuration::from_secs(seconds))
        };
        let id_token = self.id_token.as_deref();
        let lifetime = match jwt::claims(&self.access_token) {
            Some(_) => announced.or_else(|| written(&self.access_token)),
            // Then the id token is the bearer.
            None => id_token.and_then(written).or(announced),
        };
        lifetime.unwrap_or(UNKNOWN_LIFETIME).min(LONGEST_LIFETIME)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::jwt::tests::token;
    use super::*;
    use serde_json::{Value, json};
    use ureq::http::HeaderMap;

    pub(crate) fn answered(status: u16, body: &Value) -> Result<Granted, EndpointError> {
        let answer = endpoint::sort(Answer {
            host: "id.example".to_owned(),
            status,
            headers: HeaderMap::new(),
            body: body.to_string().into_bytes(),
        })?;
        Ok(read(&answer)?)
    }

    fn granted(body: &Value) -> Granted {
        answered(200, body)
            .map_err(Error::from)
            .unwrap_or_else(|error| panic!("{error:?}"))
    }

    fn outcome(answered: Result<Granted, EndpointError>) -> String {
        match answered {
            Ok(_) => "granted".to_owned(),
            Err(EndpointError::Refused(refusal)) => format!("refused: {refusal}"),
            Err(EndpointError::Failed(error)) => format!("{:?}: {error:#}", error.kind()),
        }
    }

    #[test]
    fn an_answer_is_tokens_a_refusal_or_a_failure_that_may_pass_or_not() {
        let grave = json!({ "access_token": "a b" });
        let long = json!({ "access_token": "x".repeat(jwt::LONGEST + 1) });
        let hostile = json!({ "error": "\u{1b}[2J", "error_description": "x".repeat(1000) });
        for (status, body, expected) in [
            (200, json!({ "access_token": "a" }), "granted"),
            (
                200,
                json!({ "access_token": "a", "token_type": "bearer", "expires_in": 5.5 }),
                "granted",
            ),
            (
                200,
                json!({ "access_token": "a", "token_type": "DPoP" }),
                "Failed: id.example sent a token that is not a bearer",
            ),
            (
                200,
                grave,
                "Failed: id.example sent a token with characters",
            ),
            (
                200,
                long,
                "Failed: id.example sent a token that is too long",
            ),
            (
                200,
                json!({ "access_token": "a", "refresh_token": "" }),
                "Failed",
            ),
            (
                200,
                json!({ "secret": "hush" }),
                "Failed: the answer of id.example holds no tokens",
            ),
            (200, json!("<html>"), "Failed"),
            (302, json!({}), "Failed: id.example answers with status 302"),
            (
                400,
                json!({ "error": "invalid_grant" }),
                "refused: invalid_grant",
            ),
            (
                401,
                json!({ "error": "invalid_client", "error_description": "who?" }),
                "refused: invalid_client (who?)",
            ),
            (400, hostile, "refused: \\u{1b}[2J (xxx"),
            (
                404,
                json!("not here"),
                "Failed: id.example answers with status 404",
            ),
            (
                429,
                json!({ "error": "slow_down" }),
                "Unreachable: id.example answers with status 429",
            ),
            (
                503,
                json!(null),
                "Unreachable: id.example answers with status 503",
            ),
        ] {
            let outcome = outcome(answered(status, &body));
            assert!(
                outcome.starts_with(expected),
                "{status} {expected}: {outcome}"
            );
            assert!(
                outcome.len() < 500 && !outcome.contains("hush"),
                "{outcome}"
            );
        }
    }

    #[test]
    fn the_token_that_is_sent_as_a_bearer_says_how_long_it_lasts() {
        let jwt = token(&json!({ "iat": 1_000, "exp": 1_090 }));
        let endless = token(&json!({}));
        let backwards = token(&json!({ "iat": 9, "exp": 5 }));
        for (body, seconds) in [
            (json!({ "access_token": "opaque" }), 300),
            (json!({ "access_token": "opaque", "expires_in": 30 }), 30),
            (
                json!({ "access_token": "opaque", "expires_in": 30, "id_token": jwt }),
                90,
            ),
            (
                json!({ "access_token": jwt, "expires_in": 30, "id_token": endless }),
                30,
            ),
            (json!({ "access_token": jwt }), 90),
            (json!({ "access_token": endless }), 300),
            (json!({ "access_token": backwards }), 300),
            (json!({ "access_token": jwt, "expires_in": -1 }), 90),
            (
                json!({ "access_token": jwt, "expires_in": 1e300 }),
                365 * 24 * 3600,
            ),
        ] {
            let kept = granted(&body).tokens("i", "c", None, Timestamp::UNIX_EPOCH);
            assert_eq!(kept.expires_at.as_second(), seconds, "{body}");
        }
    }

    #[test]
    fn a_refresh_token_stays_until_another_takes_its_place() {
        let first =
            granted(&json!({ "access_token": "a", "refresh_token": "one", "id_token": "i" }));
        let first = first.tokens("i", "c", None, Timestamp::UNIX_EPOCH);
        let kept = granted(&json!({ "access_token": "b" }));
        let kept = kept.tokens("i", "c", Some(first), Timestamp::UNIX_EPOCH);
        assert_eq!(kept.refresh_token.as_deref(), Some("one"));
        assert_eq!(kept.id_token.as_deref(), Some("i"));
        let rotated = granted(&json!({ "access_token": "c", "refresh_token": "two" }));
        let rotated = rotated.tokens("i", "c", Some(kept), Timestamp::UNIX_EPOCH);
        assert_eq!(rotated.refresh_token.as_deref(), Some("two"));
        assert_eq!(rotated.access_token, "c");
    }
}
