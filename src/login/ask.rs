//! One POST of a form to an endpoint of an issuer, which follows nothing.

use std::time::Duration;

use crate::os::http::{self, Failure, Limits};

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
/// See [`Failure`]. An answer that redirects is one: the form carries a secret.
pub(super) fn post(url: &str, form: &[(&str, &str)]) -> Result<Said, Failure> {
    let uri = http::check(url).map_err(|wrong| {
        Failure::Refused(format!("'{}' is not asked: {wrong}", super::quoted(url)))
    })?;
    let host = uri.authority().map_or("", |all| all.as_str()).to_owned();
    let failed = |error| http::failure(error, &host, &uri, &LIMITS);
    let response = http::agent(&uri, &LIMITS)
        .map_err(failed)?
        .post(&uri)
        .header("accept", "application/json")
        .send_form(form.iter().copied())
        .map_err(failed)?;
    let (parts, body) = response.into_parts();
    if parts.status.is_redirection() {
        return Err(Failure::Refused(format!(
            "{host} redirects, and heph sends what is secret nowhere else"
        )));
    }
    let body = http::read(body, &parts.headers, &host, &LIMITS)?;
    Ok(Said {
        status: parts.status.as_u16(),
        host,
        body,
    })
}
