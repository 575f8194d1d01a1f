//! Whether a token is good: a JWT (RFC 7519) signed by its issuer, for this hub, at this time. Pure.
//!
//! The claims are looked at before the signature. Both have to be good; the order only means that nobody makes hephd ask
//! the issuer for new keys with a token that would be refused anyway.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Number, Value};

use super::keys::{Algorithm, Key, Keys};

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 16 * 1024;
/// How far the clocks of the issuer and of this machine may be apart, in seconds.
pub const LEEWAY: i64 = 60;
/// The longest subject, in bytes (OpenID Connect Core 1.0, section 2).
const LONGEST_SUBJECT: usize = 255;

/// What a token has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its `iss`.
    pub issuer: String,
    /// Its `aud`, or one of them.
    pub audience: String,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is no signed JWT; what is wrong.
    Malformed(&'static str),
    /// It is signed, or not, in a way that is not accepted.
    Algorithm,
    /// Its `typ` says that it is a token for something else.
    Kind,
    /// Another issuer's.
    Issuer,
    /// For somebody else.
    Audience,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYet,
    /// It has no subject that can be a user.
    Subject,
    /// The issuer has no key of this name; it may have a new one.
    UnknownKey,
    /// It names no key, and more than one is possible.
    NoKeyNamed,
    /// Its key is none for its algorithm.
    WrongKey,
    /// The signature is not the issuer's.
    Signature,
}

impl Why {
    /// Returns one word, for metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Why::Malformed(_) => "malformed",
            Why::Algorithm => "algorithm",
            Why::Kind => "kind",
            Why::Issuer => "issuer",
            Why::Audience => "audience",
            Why::Expired => "expired",
            Why::NotYet => "not-yet",
            Why::Subject => "subject",
            Why::UnknownKey => "unknown-key",
            Why::NoKeyNamed => "no-key-named",
            Why::WrongKey => "wrong-key",
            Why::Signature => "signature",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Malformed(what) => what,
            Why::Algorithm => "the token is not signed with RS256, ES256 or EdDSA",
            Why::Kind => "the token is of a kind that gives no access",
            Why::Issuer => "the token is from another issuer",
            Why::Audience => "the token is for another audience",
            Why::Expired => "the token has expired",
            Why::NotYet => "the token is not valid yet",
            Why::Subject => "the token names no subject",
            Why::UnknownKey => "the token is signed with a key that its issuer does not publish",
            Why::NoKeyNamed => "the token names no key, and its issuer has several",
            Why::WrongKey => "the token's key is not one for its algorithm",
            Why::Signature => "the token's signature is wrong",
        })
    }
}

/// The members of a header that matter here. A member that is there twice is an error of serde's.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<Number>,
    nbf: Option<Number>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Returns the subject of `token`, whose issuer has `keys`, at `now` (seconds since 1970).
///
/// # Errors
///
/// See [`Why`].
pub fn judge(token: &str, keys: &Keys, expected: &Expected, now: i64) -> Result<String, Why> {
    if token.len() > LONGEST {
        return Err(Why::Malformed("the token is too long"));
    }
    let (message, signature) = token
        .rsplit_once('.')
        .ok_or(Why::Malformed("the token is no JWT"))?;
    let (header, claims) = message
        .split_once('.')
        .ok_or(Why::Malformed("the token is no JWT"))?;

    let header: Header = part(header).ok_or(Why::Malformed("the token's header is no JSON"))?;
    let algorithm = Algorithm::named(&header.alg).ok_or(Why::Algorithm)?;
    if header.crit.is_some() {
        return Err(Why::Malformed("the token asks for an unknown extension"));
    }
    // Without explicit typing a logout token or a proof of possession would pass for access (RFC 8725, section 3.11).
    if !header.typ.as_deref().is_none_or(gives_access) {
        return Err(Why::Kind);
    }
    let claims: Claims =
        part(claims).ok_or(Why::Malformed("the token's claims are of wrong types"))?;
    let subject = judge_claims(claims, expected, now)?;

    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| Why::Malformed("the token's signature is no base64url"))?;
    let candidates = choose(keys, header.kid.as_deref(), algorithm)?;
    // Two keys of one name should not be, but while keys are rotated they are.
    let signed = candidates
        .iter()
        .any(|key| key.verifies(message.as_bytes(), &signature));
    signed.then_some(subject).ok_or(Why::Signature)
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    // serde would take an array for the members in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(&bytes).ok()
}

/// Returns whether a token with this `typ` may be sent as a bearer.
fn gives_access(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    let typ = typ.strip_prefix("application/").unwrap_or(&typ);
    matches!(typ, "jwt" | "at+jwt")
}

fn judge_claims(claims: Claims, expected: &Expected, now: i64) -> Result<String, Why> {
    if claims.iss.as_deref() != Some(&expected.issuer) {
        return Err(Why::Issuer);
    }
    let ours = match &claims.aud {
        None => false,
        Some(Audience::One(audience)) => *audience == expected.audience,
        Some(Audience::Many(audiences)) => audiences.contains(&expected.audience),
    };
    if !ours {
        return Err(Why::Audience);
    }
    let expires = claims
        .exp
        .as_ref()
        .and_then(seconds)
        .ok_or(Why::Malformed("the token does not say when it expires"))?;
    if expires.saturating_add(LEEWAY) <= now {
        return Err(Why::Expired);
    }
    if let Some(begins) = &claims.nbf {
        let begins =
            seconds(begins).ok_or(Why::Malformed("the token does not say when it begins"))?;
        if now < begins.saturating_sub(LEEWAY) {
            return Err(Why::NotYet);
        }
    }
    let subject = claims.sub.filter(|subject| {
        !subject.trim().is_empty()
            && subject.len() <= LONGEST_SUBJECT
            && !subject.contains(char::is_control)
    });
    subject.ok_or(Why::Subject)
}

/// Returns a NumericDate (RFC 7519, section 2), which may have a fraction, in whole seconds.
fn seconds(date: &Number) -> Option<i64> {
    match date.as_i64() {
        Some(whole) => Some(whole),
        // What is beyond either end stays there: `as` saturates.
        None => date.as_f64().map(|seconds| seconds as i64),
    }
}

/// Returns the keys that may have signed; never none.
fn choose<'a>(
    keys: &'a Keys,
    kid: Option<&str>,
    algorithm: Algorithm,
) -> Result<Vec<&'a Key>, Why> {
    let Some(kid) = kid else {
        let fit: Vec<_> = keys.iter().filter(|key| key.is_for(algorithm)).collect();
        return match fit.len() {
            0 => Err(Why::UnknownKey),
            1 => Ok(fit),
            // OpenID Connect Core 1.0, section 10.1: with several keys the token has to name its own.
            _ => Err(Why::NoKeyNamed),
        };
    };
    let named: Vec<_> = keys
        .iter()
        .filter(|key| key.kid.as_deref() == Some(kid))
        .collect();
    if named.is_empty() {
        return Err(Why::UnknownKey);
    }
    let fit: Vec<_> = named
        .into_iter()
        .filter(|key| key.is_for(algorithm))
        .collect();
    if fit.is_empty() {
        return Err(Why::WrongKey);
    }
    Ok(fit)
}
