//! Whether a token is valid: a JWT signed by its issuer, for this hub, at this time. Pure.
//!
//! The claims are judged before the signature. Both have to be valid; the order only means that a token that would
//! be rejected anyway does not make hephd refresh the issuer's keys.

use std::fmt;

use super::keys::{Algorithm, Key, Keys};
use crate::login::jwt::{Audience, Claims, Jwt, Malformed};

/// How far the clocks of the issuer and of this machine may differ, in seconds.
pub(super) const LEEWAY: i64 = 60;
/// The longest subject, in bytes (OpenID Connect Core 1.0, section 2).
const LONGEST_SUBJECT: usize = 255;
/// How many keys are tried for a token that names none of them.
const MOST_TRIED: usize = 8;

/// What a token must claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its `iss`.
    pub issuer: String,
    /// Its `aud`, or one of them.
    pub audience: String,
}

/// Why a token is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It is not a signed JWT; what is wrong, in a sentence.
    Malformed(&'static str),
    Algorithm,
    /// Its `typ` says that it is not an access token.
    Kind,
    Issuer,
    Audience,
    Expired,
    NotYet,
    /// It has no subject that can be a user.
    Subject,
    /// The issuer has no key of this name; it may have a new one.
    UnknownKey,
    NoKeyNamed,
    WrongKey,
    Signature,
}

impl From<Malformed> for TokenError {
    fn from(Malformed(what): Malformed) -> TokenError {
        TokenError::Malformed(what)
    }
}

impl TokenError {
    /// Returns one word, for metrics and logs.
    pub(super) fn word(self) -> &'static str {
        match self {
            TokenError::Malformed(_) => "malformed",
            TokenError::Algorithm => "algorithm",
            TokenError::Kind => "kind",
            TokenError::Issuer => "issuer",
            TokenError::Audience => "audience",
            TokenError::Expired => "expired",
            TokenError::NotYet => "not-yet",
            TokenError::Subject => "subject",
            TokenError::UnknownKey => "unknown-key",
            TokenError::NoKeyNamed => "no-key-named",
            TokenError::WrongKey => "wrong-key",
            TokenError::Signature => "signature",
        }
    }
}

impl TokenError {
    /// Returns what helps, and only where it helps to log in, that.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            TokenError::Expired | TokenError::NotYet => {
                "compare the clocks of the provider, the hub and this machine; if they agree, log in again: heph auth login"
            }
            TokenError::UnknownKey | TokenError::Signature => {
                "log in again: heph auth login; if that does not help, the provider signs with other keys than it publishes"
            }
            TokenError::Audience => {
                "let the provider add the hub's audience (--oidc-audience) to the tokens, or start the hub with an audience that they have"
            }
            TokenError::Issuer => {
                "hub and spoke need the same --oidc-issuer, and the tokens its exact name: compare it with the provider's discovery document"
            }
            TokenError::Algorithm => {
                "set the signature algorithm of this client at the provider to RS256, ES256 or EdDSA"
            }
            TokenError::Subject => {
                "let the provider put a `sub` of at most 255 bytes into the tokens"
            }
            TokenError::Kind | TokenError::Malformed(_) => {
                "let the provider issue access tokens that are signed JWTs, or start the hub with the client id as --oidc-audience, for which id tokens are"
            }
            TokenError::NoKeyNamed | TokenError::WrongKey => {
                "correct the keys that the provider publishes: each with its own `kid` and `alg`"
            }
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenError::Malformed(what) => what,
            TokenError::Algorithm => "the token is not signed with RS256, ES256 or EdDSA",
            TokenError::Kind => "the token is of a kind that gives no access",
            TokenError::Issuer => "the token is from another issuer",
            TokenError::Audience => "the token is for another audience",
            TokenError::Expired => "the token has expired",
            TokenError::NotYet => "the token is not valid yet",
            TokenError::Subject => "the token names no subject",
            TokenError::UnknownKey => {
                "the token is signed with a key that its issuer does not publish"
            }
            TokenError::NoKeyNamed => "the token names no key, and its issuer has many",
            TokenError::WrongKey => "the token's key is not for its algorithm",
            TokenError::Signature => "the token's signature is wrong",
        })
    }
}

/// Returns the subject of `token`, whose issuer has `keys`, at `now` (seconds since 1970).
pub(super) fn verify(
    token: &str,
    keys: &Keys,
    expected: &Expected,
    now: i64,
) -> Result<String, TokenError> {
    let jwt = Jwt::parse(token)?;
    let algorithm = Algorithm::named(&jwt.header.alg).ok_or(TokenError::Algorithm)?;
    if jwt.header.crit.is_some() {
        return Err(TokenError::Malformed(
            "the token asks for an unknown extension",
        ));
    }
    // Without explicit typing a logout token or a proof of possession would pass for access (RFC 8725, section 3.11).
    if !jwt.header.typ.as_deref().is_none_or(gives_access) {
        return Err(TokenError::Kind);
    }
    let subject = judge_claims(jwt.claims()?, expected, now)?;

    let signature = jwt.signature()?;
    let kid = jwt.header.kid.as_deref().filter(|kid| !kid.is_empty());
    let candidates = choose(keys, kid, algorithm)?;
    // Two keys of one name should not be, but while keys are rotated they are.
    let signed = candidates
        .iter()
        .any(|key| key.verifies(jwt.signed.as_bytes(), &signature));
    if signed {
        return Ok(subject);
    }
    // Without a name in common, its key may be one that the issuer has made meanwhile.
    let is_named = kid.is_some() && candidates.iter().any(|key| key.kid.as_deref() == kid);
    Err(match is_named {
        true => TokenError::Signature,
        false => TokenError::UnknownKey,
    })
}

/// Returns whether a token with this `typ` may be sent as a bearer.
fn gives_access(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    let typ = typ.strip_prefix("application/").unwrap_or(&typ);
    matches!(typ, "jwt" | "at+jwt")
}

fn judge_claims(claims: Claims, expected: &Expected, now: i64) -> Result<String, TokenError> {
    if claims.iss.as_deref() != Some(&expected.issuer) {
        return Err(TokenError::Issuer);
    }
    let ours = match &claims.aud {
        None => false,
        Some(Audience::One(audience)) => *audience == expected.audience,
        Some(Audience::Many(audiences)) => audiences.contains(&expected.audience),
    };
    if !ours {
        return Err(TokenError::Audience);
    }
    let Some(expires) = claims.exp else {
        let what = "the token does not say when it expires";
        return Err(TokenError::Malformed(what));
    };
    if expires.saturating_add(LEEWAY) <= now {
        return Err(TokenError::Expired);
    }
    let begins = claims.nbf.unwrap_or(i64::MIN);
    if now < begins.saturating_sub(LEEWAY) {
        return Err(TokenError::NotYet);
    }
    let subject = claims.sub.filter(|subject| {
        !subject.trim().is_empty()
            && subject.len() <= LONGEST_SUBJECT
            && !subject.contains(char::is_control)
    });
    subject.ok_or(TokenError::Subject)
}

/// Returns the keys that may have signed: at least one.
fn choose<'a>(
    keys: &'a Keys,
    kid: Option<&str>,
    algorithm: Algorithm,
) -> Result<Vec<&'a Key>, TokenError> {
    let of = |is_wanted: &dyn Fn(&Key) -> bool| -> Vec<&'a Key> {
        keys.iter().filter(|key| is_wanted(key)).collect()
    };
    if let Some(kid) = kid {
        let named = of(&|key| key.kid.as_deref() == Some(kid));
        let fit: Vec<_> = named
            .iter()
            .copied()
            .filter(|key| key.is_for(algorithm))
            .collect();
        match (named.is_empty(), fit.is_empty()) {
            (false, true) => return Err(TokenError::WrongKey),
            (false, false) => return Ok(fit),
            (true, _) => {}
        }
    }
    // A name on one side only says nothing.
    let fit = of(&|key| (kid.is_none() || key.kid.is_none()) && key.is_for(algorithm));
    match fit.len() {
        0 => Err(TokenError::UnknownKey),
        1..=MOST_TRIED => Ok(fit),
        _ => Err(TokenError::NoKeyNamed),
    }
}
