//! The keys that an issuer publishes. Blocks; call it on a thread that may.

use std::time::Duration;

use super::keys::Keys;
use crate::error::{Result, ResultExt};
use crate::login::discovery::{discover, fetch};
use crate::os::http::Limits;

/// Per document. Requests with an unknown key wait meanwhile.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    total: Duration::from_secs(10),
    idle: Duration::from_secs(10),
    body: 1 << 20,
    redirects: 3,
};

/// Fetches the keys of `issuer`.
pub(super) fn keys(issuer: &str) -> Result<Keys> {
    let metadata = discover(issuer, &LIMITS)?;
    let url = metadata.jwks_uri.as_deref();
    let url = url.with_context(|| format!("the issuer '{issuer}' publishes no keys"))?;
    let keys = fetch(url, &LIMITS).and_then(|document| Keys::read(&document));
    keys.with_context(|| format!("cannot fetch the keys at '{url}'"))
}
