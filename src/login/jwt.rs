//! JSON Web Tokens (RFC 7519) in compact form (RFC 7515, section 3.1): taken apart and read, never verified. The hub
//! verifies signatures and judges claims; the client displays claims.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

use super::quoted;

/// The longest token that is read, in bytes: hubs and proxies bound the header that carries it.
pub(crate) const LONGEST: usize = 16 * 1024;

/// How many audiences of a token are shown.
const MOST_SHOWN: usize = 3;

/// What is wrong with a token that is not a JWT, in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// A token, taken apart.
pub(crate) struct Jwt<'a> {
    pub(crate) header: Header,
    /// The part that is signed.
    pub(crate) signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// The members of a header that matter here. A member that is present twice is an error of serde's.
#[derive(Deserialize)]
pub(crate) struct Header {
    pub(crate) alg: String,
    pub(crate) kid: Option<String>,
    pub(crate) typ: Option<String>,
    pub(crate) crit: Option<Value>,
}

/// The registered claims (RFC 7519, section 4.1) that matter here; times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Claims {
    pub(crate) iss: Option<String>,
    /// The subject: the user whom the token is about.
    pub sub: Option<String>,
    pub(crate) aud: Option<Audience>,
    #[serde(default, deserialize_with = "seconds")]
    pub(crate) exp: Option<i64>,
    #[serde(default, deserialize_with = "seconds")]
    pub(crate) nbf: Option<i64>,
    #[serde(default, deserialize_with = "seconds")]
    pub(crate) iat: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Displays the names in quotes, within bounds.
impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = match self {
            Audience::One(name) => std::slice::from_ref(name),
            Audience::Many(names) => &names[..names.len().min(MOST_SHOWN)],
        };
        let names: Vec<_> = names
            .iter()
            .map(|name| format!("'{}'", quoted(name)))
            .collect();
        f.write_str(&names.join(" and "))
    }
}

impl<'a> Jwt<'a> {
    /// Takes `token` apart and reads its header.
    pub(crate) fn parse(token: &'a str) -> Result<Jwt<'a>, Malformed> {
        if token.len() > LONGEST {
            return Err(Malformed("the token is too long"));
        }
        let not_a_jwt = Malformed("the token is not a JWT");
        let (signed, signature) = token.rsplit_once('.').ok_or(not_a_jwt)?;
        let (header, payload) = signed.split_once('.').ok_or(not_a_jwt)?;
        let header = object(header).ok_or(Malformed("the token's header is not JSON"))?;
        Ok(Jwt {
            header,
            signed,
            payload,
            signature,
        })
    }

    pub(crate) fn claims(&self) -> Result<Claims, Malformed> {
        object(self.payload).ok_or(Malformed("the token's claims are of wrong types"))
    }

    pub(crate) fn signature(&self) -> Result<Vec<u8>, Malformed> {
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(self.signature);
        decoded.map_err(|_| Malformed("the token's signature is not base64url"))
    }
}

/// Returns the claims of `token`, unverified; `None` where it is not a signed JWT.
pub fn claims(token: &str) -> Option<Claims> {
    let jwt = Jwt::parse(token).ok()?;
    let claims = jwt.claims().ok()?;
    (!jwt.signature().ok()?.is_empty()).then_some(claims)
}

fn object<T: DeserializeOwned>(text: &str) -> Option<T> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    // serde would take an array for the members in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(&bytes).ok()
}

/// Reads a NumericDate (section 2), which may have a fraction, in whole seconds.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let date = Option::<Number>::deserialize(deserializer)?;
    Ok(date.and_then(|date| match date.as_i64() {
        Some(whole) => Some(whole),
        // `as` saturates.
        None => date.as_f64().map(|seconds| seconds as i64),
    }))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// Returns a token with these claims and a meaningless signature.
    pub(crate) fn token(claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(&json!({ "alg": "RS256" })), part(claims))
    }

    #[test]
    fn claims_are_read_from_tokens_and_from_nothing_else() {
        let read = claims(&token(&json!({ "sub": "alice", "iat": 10, "exp": 20.5 }))).unwrap();
        assert_eq!(read.sub.as_deref(), Some("alice"));
        assert_eq!((read.iat, read.exp), (Some(10), Some(20)));
        assert!(claims(&token(&json!({}))).is_some());
        for other in [
            "",
            "opaque",
            "a.b.c",
            "e30.e30.c2ln",
            "eyJhbGciOiJSUzI1NiJ9.e30",
            "eyJhbGciOiJSUzI1NiJ9.e30.",
            "eyJhbGciOiJSUzI1NiJ9.e30.c2ln.x",
            "eyJhbGciOiJSUzI1NiJ9.W10.c2ln",
            // A hub would reject it, and the id token may be better.
            &token(&json!({ "sub": 7 })),
            &token(&json!({ "exp": "soon" })),
        ] {
            assert_eq!(claims(other), None, "{other}");
        }
    }
}
