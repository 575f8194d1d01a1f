//! What a JSON Web Token says (RFC 7519), unverified: to show it, and to know how long it lasts.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What heph reads of a token. Each is `None` where the token does not say it as RFC 7519 wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Whom it is about.
    pub subject: Option<String>,
    /// When it was made, in seconds since 1970.
    pub issued_at: Option<i64>,
    /// From when on it does not count, in seconds since 1970.
    pub expires_at: Option<i64>,
}

/// Returns the claims of `token`, or `None` where it is no signed JSON Web Token in its compact form (RFC 7515, section 3.1).
/// The signature is not looked at.
pub fn read(token: &str) -> Option<Claims> {
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "alg")]
        _algorithm: String,
    }
    let mut parts = token.split('.');
    let (header, payload) = (parts.next()?, parts.next()?);
    let signature = parts.next()?;
    if parts.next().is_some() || signature.is_empty() {
        return None;
    }
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
    serde_json::from_slice::<Header>(&decode(header)?).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&decode(payload)?).ok()?;
    // NumericDate may have a fraction (RFC 7519, section 2).
    let seconds = |name| {
        let value: &Value = claims.get(name)?;
        value
            .as_i64()
            .or_else(|| value.as_f64().map(|value| value as i64))
    };
    Some(Claims {
        subject: claims.get("sub").and_then(Value::as_str).map(str::to_owned),
        issued_at: seconds("iat"),
        expires_at: seconds("exp"),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// Returns a token with these claims and a signature of nobody.
    pub(crate) fn token(claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(&json!({ "alg": "RS256" })), part(claims))
    }

    #[test]
    fn claims_are_read_from_tokens_and_from_nothing_else() {
        let claims = read(&token(&json!({ "sub": "alice", "iat": 10, "exp": 20.5 }))).unwrap();
        assert_eq!(claims.subject.as_deref(), Some("alice"));
        assert_eq!((claims.issued_at, claims.expires_at), (Some(10), Some(20)));
        assert_eq!(
            read(&token(&json!({ "sub": 7, "exp": "soon" }))),
            Some(Claims::default())
        );
        for none in [
            "",
            "opaque",
            "a.b.c",
            "e30.e30.c2ln",
            "eyJhbGciOiJSUzI1NiJ9.e30",
            "eyJhbGciOiJSUzI1NiJ9.e30.",
            "eyJhbGciOiJSUzI1NiJ9.e30.c2ln.x",
            "eyJhbGciOiJSUzI1NiJ9.W10.c2ln",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
