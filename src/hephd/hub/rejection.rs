//! What a hub answers instead of a result: an error with its HTTP status.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::error::{Error, Kind};
use crate::hephd::auth::AuthError;

/// When to retry, where the hub cannot tell.
pub(super) const A_WHILE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(super) struct Rejection {
    pub(super) status: StatusCode,
    error: Error,
    /// Why a token was rejected, in one word.
    reason: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// With the status of the error's kind.
impl From<Error> for Rejection {
    fn from(error: Error) -> Rejection {
        let status = match error.kind() {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::Unauthorized => StatusCode::UNAUTHORIZED,
            Kind::Denied => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            // Not 413: a spoke would send smaller pages.
            Kind::Full => StatusCode::INSUFFICIENT_STORAGE,
            Kind::Busy => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Rejection {
            status,
            error,
            reason: None,
            headers: Vec::new(),
        }
    }
}

/// As RFC 6750, section 3, has it.
impl From<AuthError> for Rejection {
    fn from(denied: AuthError) -> Rejection {
        let challenge = match &denied {
            AuthError::NoKeys(_) => return unavailable(denied.to_string()).into(),
            AuthError::MissingToken => "Bearer realm=\"heph\"".to_owned(),
            AuthError::UnknownMachine => {
                format!(
                    "Bearer realm=\"heph\", error=\"invalid_token\", error_description=\"{denied}\""
                )
            }
            // The words are hephd's own: nothing of the token gets into a header.
            AuthError::BadToken(why) => format!(
                "Bearer realm=\"heph\", error=\"invalid_token\", error_description=\"{why}\""
            ),
        };
        let error = Error::new(denied.to_string())
            .with_kind(Kind::Unauthorized)
            .with_hint(denied.hint());
        let mut rejection = Rejection::from(error);
        rejection.reason = Some(denied.word());
        match HeaderValue::try_from(challenge) {
            Ok(challenge) => rejection.with_header(header::WWW_AUTHENTICATE, challenge),
            Err(_) => rejection,
        }
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(message).with_kind(Kind::Invalid)
}

pub(super) fn too_large(message: impl Into<String>) -> Error {
    let error = Error::new(message).with_kind(Kind::TooLarge);
    error.with_hint("send fewer operations at once")
}

/// Returns an error that passes by itself.
pub(super) fn unavailable(message: impl Into<String>) -> Error {
    Error::unreachable(message).with_retry_after(A_WHILE)
}

impl Rejection {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Rejection {
        Rejection {
            status,
            ..Rejection::from(invalid(message))
        }
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Rejection {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let error = self.error;
        let mut body =
            json!({ "error": error.one_line(), "hint": error.hint(), "kind": error.kind() });
        if let Some(reason) = self.reason {
            body["reason"] = reason.into();
        }
        let mut response = Response::new(Body::from(format!("{body}\n")));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        if let Some(wait) = error.retry_after() {
            let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers.extend(self.headers);
        response
    }
}
