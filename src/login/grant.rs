//! What a token endpoint grants (RFC 6749, section 5.1).

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::endpoint::{self, EndpointError};
use super::{Tokens, jwt, lenient};
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
    #[serde(default, deserialize_with = "lenient::text")]
    token_type: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    id_token: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    refresh_token: Option<String>,
    #[serde(default, deserialize_with = "lenient::seconds")]
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
    /// valid until another replaces it (section 6), and renewing need not bring an id token (OpenID Connect Core 1.0,
    /// section 12.2), so that the former one goes on to its own end.
    pub(super) fn tokens(
        self,
        issuer: &str,
        client_id: &str,
        former: Option<Tokens>,
        now: Timestamp,
    ) -> Tokens {
        let after = |length| now.saturating_add(length).unwrap_or(Timestamp::MAX);
        let announced = self.announced();
        let access_ends = after(lifetime(&self.access_token, announced));
        let issued = self.id_token.map(|token| {
            let ends = after(lifetime(&token, announced));
            (token, ends)
        });
        let is_renewal = former.is_some();
        let is_without_id_token = issued.is_none();
        let (accepted, refresh_token, former_id_token) = match former {
            Some(former) => {
                let id_token = former.id_token_with_end();
                (former.accepted, former.refresh_token, id_token)
            }
            None => (None, None, None),
        };
        let id_token = issued.or(former_id_token);
        let id_ends = id_token.as_ref().map(|(_, ends)| *ends);
        let tokens = Tokens {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            access_token: self.access_token,
            id_token_is_not_renewed: is_renewal && is_without_id_token && id_token.is_some(),
            id_token: id_token.map(|(token, _)| token),
            refresh_token: self.refresh_token.or(refresh_token),
            expires_at: access_ends,
            accepted,
            other_expires_at: None,
        };
        tokens.ending(access_ends, id_ends)
    }

    /// Returns how long the issuer says that the access token lasts.
    fn announced(&self) -> Option<SignedDuration> {
        let announced = self.expires_in.filter(|seconds| *seconds >= 0.0);
        announced.map(|seconds| SignedDuration::from_secs(seconds as i64))
    }
}

/// Returns how long `token` lasts: until its own `exp`, which the hub goes by, else as long as the issuer has `announced`.
/// Lengths of time, not instants: the issuer's clock may differ.
fn lifetime(token: &str, announced: Option<SignedDuration>) -> SignedDuration {
    let written = jwt::claims(token).and_then(|claims| {
        let seconds = claims.exp?.checked_sub(claims.iat.or(claims.nbf)?)?;
        (seconds >= 0).then(|| SignedDuration::from_secs(seconds))
    });
    let lifetime = written.or(announced).unwrap_or(UNKNOWN_LIFETIME);
    lifetime.min(LONGEST_LIFETIME)
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
                json!({ "access_token": "a", "refresh_token": "a b" }),
                "Failed",
            ),
            (200, json!({ "access_token": "" }), "Failed"),
            (
                200,
                json!({ "access_token": "a", "refresh_token": "", "id_token": "", "token_type": null }),
                "granted",
            ),
            (
                200,
                json!({ "access_token": "a", "expires_in": "3600" }),
                "granted",
            ),
            (
                200,
                json!({ "access_token": "a", "expires_in": "soon" }),
                "Failed: the answer of id.example holds no tokens",
            ),
            (
                200,
                json!({ "error": "authorization_pending" }),
                "refused: authorization_pending",
            ),
            (
                403,
                json!({ "error": "authorization_pending", "error_description": null }),
                "refused: authorization_pending",
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
                "NotFound: id.example answers with status 404",
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
                90,
            ),
            (json!({ "access_token": jwt }), 90),
            (json!({ "access_token": endless }), 300),
            (json!({ "access_token": backwards }), 300),
            (json!({ "access_token": jwt, "expires_in": -1 }), 90),
            // The hub goes by `exp`, whatever the issuer announces.
            (json!({ "access_token": jwt, "expires_in": 1e300 }), 90),
            (json!({ "access_token": jwt, "expires_in": 30 }), 90),
            (
                json!({ "access_token": "opaque", "expires_in": 1e300 }),
                365 * 24 * 3600,
            ),
            (json!({ "access_token": "opaque", "expires_in": "30" }), 30),
            (json!({ "access_token": "opaque", "expires_in": "" }), 300),
        ] {
            let kept = granted(&body).tokens("i", "c", None, Timestamp::UNIX_EPOCH);
            assert_eq!(kept.expires_at.as_second(), seconds, "{body}");
        }
    }

    #[test]
    fn each_token_has_an_end_of_its_own_and_renewing_prolongs_what_it_brings() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let id_token = token(&json!({ "iat": 1_000, "exp": 1_060 }));
        let granted_at = |second, body: &Value, former| {
            let tokens = granted(body).tokens("i", "c", former, at(second));
            let (bearer, ends) = (tokens.bearer().to_owned(), tokens.expires_at.as_second());
            (tokens, bearer, ends)
        };
        let both = json!({ "access_token": "one", "expires_in": 3_600, "id_token": id_token, "refresh_token": "r" });
        let (first, bearer, ends) = granted_at(0, &both, None);
        assert_eq!((bearer.as_str(), ends), (id_token.as_str(), 60));
        assert_eq!(first.other_expires_at, Some(at(3_600)));
        assert!(first.renews_bearer());

        // Without a new id token the former one keeps its end.
        let access = json!({ "access_token": "two", "expires_in": 3_600 });
        let (second, bearer, ends) = granted_at(10, &access, Some(first.clone()));
        assert_eq!((bearer.as_str(), ends), (id_token.as_str(), 60));
        assert_eq!(second.other_expires_at, Some(at(3_610)));
        assert!(!second.renews_bearer(), "nothing renews the id token");
        assert_eq!(second.lasting(at(30)), Some(id_token.as_str()));
        assert_eq!(second.lasting(at(60)), Some("two"), "the hub may take it");
        assert_eq!(second.lasting(at(3_600)), None);

        // With one, all is as after the login.
        let (third, bearer, ends) = granted_at(20, &both, Some(second));
        assert_eq!((bearer.as_str(), ends), (id_token.as_str(), 80));
        assert!(third.renews_bearer());
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
