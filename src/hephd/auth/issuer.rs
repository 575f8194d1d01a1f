//! What an issuer publishes: its discovery document (OpenID Connect Discovery 1.0) and its keys. Blocks; call it on a
//! thread that may.

use std::time::Duration;

use serde::Deserialize;

use super::keys::Keys;
use crate::os::http::{self, Get, Limits};

/// Per document.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    total: Duration::from_secs(10),
    idle: Duration::from_secs(10),
    body: 1 << 20,
    redirects: 3,
};

/// The members of a discovery document that matter here.
#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// Checks that `issuer` can be one (section 3 of OpenID Connect Discovery 1.0), https or on loopback.
///
/// # Errors
///
/// A sentence that says what is wrong.
pub fn check(issuer: &str) -> Result<(), String> {
    http::check(issuer).map_err(|error| error.one_line())?;
    if issuer.contains(['?', '#', ' ']) {
        return Err("it has a query or a fragment".to_owned());
    }
    Ok(())
}

/// Fetches the keys of `issuer`.
///
/// # Errors
///
/// A sentence that says what could not be had, and why.
pub fn fetch(issuer: &str) -> Result<Keys, String> {
    let url = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    let document = get(&url)?;
    let discovery: Discovery = serde_json::from_slice(&document)
        .map_err(|error| format!("'{url}' is no discovery document: {error}"))?;
    // Section 4.3: otherwise one tenant of a provider could speak for another.
    if discovery.issuer != issuer {
        let said = discovery.issuer.escape_debug();
        return Err(format!("'{url}' is the document of another issuer: {said}"));
    }
    let keys = get(&discovery.jwks_uri)?;
    Keys::read(&keys).map_err(|why| {
        let uri = discovery.jwks_uri.escape_debug();
        format!("the keys at '{uri}' cannot be read: {why}")
    })
}

fn get(url: &str) -> Result<Vec<u8>, String> {
    let request = Get {
        url,
        accept: "application/json",
        ..Get::default()
    };
    let answer = http::get(&request, &LIMITS).map_err(|error| error.one_line())?;
    match answer.status {
        200 => Ok(answer.body),
        status => Err(format!("'{}' answers {status}", url.escape_debug())),
    }
}
