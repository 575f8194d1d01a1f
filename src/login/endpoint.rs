//! One POST of a form to an endpoint of an issuer, without following redirects.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::{lenient, quoted};
use crate::error::{Error, Kind, Result, ResultExt};
use crate::os::http::{self, Answer, Limits};

/// Tokens are a few thousand bytes.
pub(super) const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    total: Duration::from_secs(30),
    idle: Duration::from_secs(30),
    body: 1 << 20,
    redirects: 3,
};

/// Why a request to an endpoint failed.
#[derive(Debug)]
pub(super) enum EndpointError {
    /// It refused, in the words of the standard.
    Refused(OAuthError),
    /// There is no usable answer; with [`Kind::Unreachable`] there may be one later.
    Failed(Error),
}

/// An error response (RFC 6749, section 5.2; RFC 8628, section 3.5).
#[derive(Debug, Deserialize)]
pub(super) struct OAuthError {
    error: String,
    #[serde(default, deserialize_with = "lenient::text")]
    error_description: Option<String>,
}

impl EndpointError {
    /// Returns the code of the standard that the endpoint refused with.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            EndpointError::Refused(refusal) => Some(&refusal.error),
            EndpointError::Failed(_) => None,
        }
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.error))?;
        match &self.error_description {
            Some(more) => write!(f, " ({})", quoted(more)),
            None => Ok(()),
        }
    }
}

impl From<Error> for EndpointError {
    fn from(error: Error) -> EndpointError {
        EndpointError::Failed(error)
    }
}

impl From<EndpointError> for Error {
    fn from(error: EndpointError) -> Error {
        match error {
            EndpointError::Refused(refusal) => Error::new(refusal.to_string()),
            EndpointError::Failed(error) => error,
        }
    }
}

/// Sends `form` to `url`, which [`super::discovery`] has checked, and returns the answer if it is one of success. A redirect is an
/// error: the form carries a secret.
pub(super) fn post(url: &str, form: &[(&str, &str)]) -> Result<Answer, EndpointError> {
    let uri = http::check(url).with_context(|| http::refusing(url))?;
    let host = http::authority(&uri).to_owned();
    let failed = |error| http::failure(error, &http::peer(&uri), &LIMITS);
    let response = http::agent(&uri, &LIMITS)
        .map_err(failed)?
        .post(&uri)
        .header("accept", "application/json")
        .send_form(form.iter().copied())
        .map_err(failed)?;
    if response.status().is_redirection() {
        let message = format!("{host} redirects, and heph sends secrets nowhere else");
        return Err(Error::new(message).into());
    }
    sort(http::read(response, host, &LIMITS)?)
}

/// Returns `answer` if it is one of success. Some issuers refuse with the status of success. Pure.
pub(super) fn sort(answer: Answer) -> Result<Answer, EndpointError> {
    if matches!(answer.status, 200 | 204) {
        return match serde_json::from_slice::<OAuthError>(&answer.body) {
            Ok(refusal) if !refusal.error.is_empty() => Err(EndpointError::Refused(refusal)),
            _ => Ok(answer),
        };
    }
    let failure = answer.failure();
    if failure.kind() == Kind::Unreachable {
        return Err(failure.into());
    }
    match serde_json::from_slice(&answer.body) {
        Ok(refusal) => Err(EndpointError::Refused(refusal)),
        Err(_) => Err(failure.into()),
    }
}
