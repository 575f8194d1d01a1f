//! What a hub answers when it does not do what it was asked: a status, and `{"error": …, "hint": …}`.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::hephd::auth::Denied;

/// How long a spoke is asked to wait where the hub cannot tell how long it takes.
pub const A_WHILE: Duration = Duration::from_secs(5);

/// Why a request is not done.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// For people.
    pub error: String,
    hint: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// Returns a problem without a hint.
    pub fn new(status: StatusCode, error: impl Into<String>) -> Problem {
        Problem {
            status,
            error: error.into(),
            hint: None,
            headers: Vec::new(),
        }
    }

    /// Returns one of the request itself.
    pub fn bad(error: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, error)
    }

    /// Returns one of a body of more than `most` bytes.
    pub fn too_large(most: usize) -> Problem {
        let error = format!("the body has more than {most} bytes, decompressed or as it came");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error)
            .with_hint("send fewer operations at once")
    }

    /// Returns one that passes by itself.
    pub fn unavailable(error: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, error).retry_after(A_WHILE)
    }

    /// Returns the one of a request without a user (RFC 6750, section 3).
    pub fn denied(denied: &Denied) -> Problem {
        let challenge = match denied {
            Denied::Unavailable(_) => return Problem::unavailable(denied.to_string()),
            Denied::Missing => "Bearer realm=\"heph\"".to_owned(),
            // The words are hephd's own: none of the token gets into a header.
            Denied::Refused(why) => format!(
                "Bearer realm=\"heph\", error=\"invalid_token\", error_description=\"{why}\""
            ),
        };
        let problem = Problem::new(StatusCode::UNAUTHORIZED, denied.to_string());
        let problem = problem.with_hint("log in again: heph auth login");
        match HeaderValue::try_from(challenge) {
            Ok(challenge) => problem.header(header::WWW_AUTHENTICATE, challenge),
            Err(_) => problem,
        }
    }

    /// Adds the step that helps.
    pub fn with_hint(mut self, hint: &'static str) -> Problem {
        self.hint = Some(hint);
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.headers.push((name, value));
        self
    }

    /// Asks to be left alone for `wait`, in whole seconds and at least one.
    pub fn retry_after(self, wait: Duration) -> Problem {
        let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Returns the answer.
    pub fn answer(self) -> Response<Body> {
        let body = json!({ "error": self.error, "hint": self.hint });
        let mut response = Response::new(Body::from(format!("{body}\n")));
        *response.status_mut() = self.status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response.headers_mut().extend(self.headers);
        response
    }
}
