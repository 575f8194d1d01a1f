//! What a token endpoint answers (RFC 6749, sections 5.1 and 5.2). Pure.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::ask::Said;
use super::{Tokens, claims, quoted};
use crate::error::{Error, Kind};

/// The longest token that is taken, in bytes: hubs and proxies bound the header that it travels in.
const LONGEST_TOKEN: usize = 16 * 1024;
/// How long a token is taken to last where nothing says so.
const UNKNOWN_LIFETIME: SignedDuration = SignedDuration::from_mins(5);
/// The longest a token is taken to last: times stay ones that a calendar has.
const LONGEST_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365);

/// What came of asking.
#[derive(Clone, PartialEq)]
pub enum Heard {
    /// Tokens.
    Granted(Granted),
    /// A refusal in the words of the standard.
    Refused(Refusal),
    /// No answer, or one that says that it will do better later; why, in words.
    Away(String),
    /// Something that no token endpoint says; what, in words.
    Nonsense(String),
}

/// Tokens, fresh from the endpoint.
#[derive(Clone, PartialEq, Deserialize)]
pub struct Granted {
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

/// Why there are none (section 5.2; RFC 8628, section 3.5).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    /// One of the codes of the standards, mostly.
    pub error: String,
    /// More, in the issuer's words.
    #[serde(default)]
    pub error_description: Option<String>,
}

impl Refusal {
    /// Returns it in words that can be shown.
    pub fn words(&self) -> String {
        match &self.error_description {
            Some(more) => format!("{} ({})", quoted(&self.error), quoted(more)),
            None => quoted(&self.error),
        }
    }
}

/// Makes sense of what a token endpoint answered.
pub(super) fn hear(answer: Result<Said, Error>) -> Heard {
    let Said { host, status, body } = match answer {
        Ok(said) => said,
        Err(error) if error.kind() == Kind::Unreachable => return Heard::Away(error.one_line()),
        Err(error) => return Heard::Nonsense(error.one_line()),
    };
    match status {
        200 => match serde_json::from_slice::<Granted>(&body) {
            Ok(granted) => match granted.trouble() {
                None => Heard::Granted(granted),
                Some(trouble) => Heard::Nonsense(format!("{host} gives {trouble}")),
            },
            // No words of the parser: they would quote a token.
            Err(_) => Heard::Nonsense(format!(
                "{host} answers with something that holds no tokens"
            )),
        },
        429 | 500.. => Heard::Away(format!("{host} answers {status}")),
        _ => match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => Heard::Refused(refusal),
            Err(_) => Heard::Nonsense(format!("{host} answers {status} without saying why")),
        },
    }
}

impl Granted {
    /// Returns what is wrong with it, if anything is.
    fn trouble(&self) -> Option<&'static str> {
        let type_ = self.token_type.as_deref().unwrap_or("Bearer");
        if !type_.eq_ignore_ascii_case("Bearer") {
            return Some("a token that is no bearer token");
        }
        let optional = [&self.id_token, &self.refresh_token];
        let tokens = optional.into_iter().flatten().chain([&self.access_token]);
        for token in tokens {
            if token.len() > LONGEST_TOKEN {
                return Some("a token that is too long");
            }
            // VSCHAR of RFC 6749, appendix A, without the space, which would end a bearer.
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Some("a token with characters that no token has");
            }
        }
        None
    }

    /// Returns the tokens to keep, `now` that they have come from `issuer`. What did not come anew is kept from `former`:
    /// a refresh token stays good where no other takes its place (section 6).
    pub fn tokens(
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

    /// Returns how long what is sent as a bearer lasts. Lengths of time, not instants: the issuer's clock may be another.
    fn lifetime(&self) -> SignedDuration {
        let said = self
            .expires_in
            .filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        let said = said.map(|seconds| SignedDuration::from_secs(seconds as i64));
        let written = |token: &str| {
            let claims = claims::read(token)?;
            let seconds = claims.expires_at?.checked_sub(claims.issued_at?)?;
            (seconds >= 0).then(|| SignedDuration::from_secs(seconds))
        };
        let id_token = self.id_token.as_deref();
        let lifetime = match claims::read(&self.access_token) {
            Some(_) => said.or_else(|| written(&self.access_token)),
            // Then the id token is the bearer.
            None => id_token.and_then(written).or(said),
        };
        lifetime.unwrap_or(UNKNOWN_LIFETIME).min(LONGEST_LIFETIME)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::claims::tests::token;
    use super::*;
    use serde_json::{Value, json};

    pub(crate) fn hears(status: u16, body: &Value) -> Heard {
        hear(Ok(Said {
            host: "id.example".to_owned(),
            status,
            body: body.to_string().into_bytes(),
        }))
    }

    pub(crate) fn granted(body: &Value) -> Granted {
        match hears(200, body) {
            Heard::Granted(granted) => granted,
            heard => panic!("{}", told(&heard)),
        }
    }

    fn told(heard: &Heard) -> String {
        match heard {
            Heard::Granted(_) => "granted".to_owned(),
            Heard::Refused(refusal) => format!("refused: {}", refusal.words()),
            Heard::Away(why) => format!("away: {why}"),
            Heard::Nonsense(why) => format!("nonsense: {why}"),
        }
    }

    #[test]
    fn every_answer_is_tokens_a_refusal_a_lack_or_nonsense() {
        let grave = json!({ "access_token": "a b" });
        let long = json!({ "access_token": "x".repeat(LONGEST_TOKEN + 1) });
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
                "nonsense: id.example gives a token that is no bearer",
            ),
            (
                200,
                grave,
                "nonsense: id.example gives a token with characters",
            ),
            (
                200,
                long,
                "nonsense: id.example gives a token that is too long",
            ),
            (
                200,
                json!({ "access_token": "a", "refresh_token": "" }),
                "nonsense",
            ),
            (
                200,
                json!({ "secret": "hush" }),
                "nonsense: id.example answers with something that holds no tokens",
            ),
            (200, json!("<html>"), "nonsense"),
            (302, json!({}), "nonsense: id.example answers 302"),
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
            (404, json!("not here"), "nonsense: id.example answers 404"),
            (
                429,
                json!({ "error": "slow_down" }),
                "away: id.example answers 429",
            ),
            (503, json!(null), "away: id.example answers 503"),
        ] {
            let heard = told(&hears(status, &body));
            assert!(heard.starts_with(expected), "{status} {expected}: {heard}");
            assert!(heard.len() < 500 && !heard.contains("hush"), "{heard}");
        }
        let down = hear(Err(Error::unreachable("no")));
        assert_eq!(told(&down), "away: no");
        let large = hear(Err(Error::new("too large")));
        assert_eq!(told(&large), "nonsense: too large");
    }

    #[test]
    fn what_is_sent_as_a_bearer_says_how_long_it_lasts() {
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
