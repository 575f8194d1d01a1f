//! One POST of a form to an endpoint of an issuer, which follows nothing.

use std::time::Duration;

use crate::error::{Result, ResultExt, bail};
use crate::os::http::{self, Limits};

/// The largest answer of an endpoint; tokens are a few thousand bytes.
pub(super) const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    total: Duration::from_secs(30),
    idle: Duration::from_secs(30),
    body: 1 << 20,
    redirects: 3,
};

/// What an endpoint answered.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// Which host it was.
    pub host: String,
    /// The status code.
    pub status: u16,
    /// The body, decompressed.
    pub body: Vec<u8>,
}

/// Sends `form` to `url`, which [`super::discovery`] has checked, and returns the answer, whatever its status.
///
/// # Errors
///
/// An answer that redirects is one: the form carries a secret.
pub(super) fn post(url: &str, form: &[(&str, &str)]) -> Result<Said> {
    let uri = http::check(url).with_context(|| http::refusing(url))?;
    let host = http::authority(&uri).to_owned();
    let failed = |error| http::failure(error, &host, &LIMITS);
    let response = http::agent(&uri, &LIMITS)
        .map_err(failed)?
        .post(&uri)
        .header("accept", "application/json")
        .send_form(form.iter().copied())
        .map_err(failed)?;
    if response.status().is_redirection() {
        bail!("{host} redirects, and heph sends what is secret nowhere else");
    }
    let answer = http::read(response, host, &LIMITS)?;
    Ok(Said {
        host: answer.host,
        status: answer.status,
        body: answer.body,
    })
}
