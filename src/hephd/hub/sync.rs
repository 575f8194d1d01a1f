//! `POST /v1/sync`: from a request to an answer, one bound after another.
//!
//! Who asks comes first: nothing of a body is read before there is a user whose request it is.

use std::time::Instant;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use serde::Deserialize;
use tokio::sync::SemaphorePermit;
use tokio::task;
use tokio::time::timeout;

use super::Hub;
use super::body::{self, Encoding};
use super::metrics::Exchange;
use super::problem::{A_WHILE, Problem};
use crate::error::Error;
use crate::hephd::auth::Denied;
use crate::hephd::print;
use crate::hephd::protocol::{self, LARGEST_BODY, PAGE_OPERATIONS};
use crate::os::clock;

/// From how many bytes on a body is read or written where nobody waits meanwhile.
const LARGE: usize = 16 * 1024;
/// The longest id or version of a spoke, in bytes.
const LONGEST_NAME: usize = 64;
/// What a body takes of the room for all of them is counted in this unit, in bytes.
pub const UNIT: usize = 1024;

/// Answers one request.
///
/// # Errors
///
/// The problem that is answered instead.
pub async fn sync(hub: &Hub, request: Request<Body>) -> Result<Response<Body>, Problem> {
    let (parts, body) = request.into_parts();
    let user = admit(hub, &parts).await?;
    let (encoding, length) = body::announced(&parts.headers)?;
    let units = u32::try_from(length.div_ceil(UNIT)).unwrap_or(u32::MAX);
    let room = timeout(A_WHILE, hub.room.acquire_many(units.max(1))).await;
    let Ok(Ok(room)) = room else {
        return Err(Problem::unavailable("too much is being sent at once"));
    };
    let bytes = body::read(body).await?;
    // What a body becomes when it is read may be many times as large, and a small one of gzip may become a large one: few of
    // those are held at a time, until the store has them.
    let (request, permit) = match body::decoded(&bytes, encoding, LARGE)? {
        Some(small) => (decode(&small)?, None),
        None => {
            let read = heavy(hub, move || {
                match body::decoded(&bytes, encoding, LARGEST_BODY)? {
                    Some(large) => decode(&large),
                    None => Err(Problem::too_large(LARGEST_BODY)),
                }
            });
            let (request, permit) = read.await?;
            (request?, Some(permit))
        }
    };
    drop(room);

    let (request, answer, accepted) = exchange(hub, &user, request).await?;
    drop(permit);
    note(hub, &user, &request, &answer, accepted);
    let takes_gzip = body::takes_gzip(&parts.headers);
    let size = answer.operations.len() * 256;
    let encode = move || serde_json::to_vec(&answer).map(|bytes| body::encoded(bytes, takes_gzip));
    let encoded = if size < LARGE {
        encode()
    } else {
        heavy(hub, encode).await?.0
    };
    let (bytes, encoding) = encoded.map_err(|error| {
        let error = format!("the answer cannot be written: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error)
    })?;
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(
        header::VARY,
        HeaderValue::from_static("Accept-Encoding, Authorization"),
    );
    if encoding == Encoding::Gzip {
        let gzip = HeaderValue::from_static("gzip");
        headers.insert(header::CONTENT_ENCODING, gzip);
    }
    Ok(response)
}

/// Returns the user of a request that may ask now.
async fn admit(hub: &Hub, parts: &Parts) -> Result<String, Problem> {
    // Browsers send it with every POST. A page must not reach a hub that asks for no token because it is on the same
    // machine, by whatever name it found it (DNS rebinding).
    if parts.headers.contains_key(header::ORIGIN) {
        let error = "pages in browsers are not served";
        return Err(Problem::new(StatusCode::FORBIDDEN, error));
    }
    let authorization = parts.headers.get(header::AUTHORIZATION);
    let authorization = authorization.map(HeaderValue::as_bytes);
    let now = clock::now().as_second();
    let user = hub.auth.user(authorization, now).await.map_err(|denied| {
        hub.metrics().denied(denied.word());
        let level = match denied {
            Denied::Unavailable(_) => "unavailable",
            _ => "denied",
        };
        hub.log.event(level, &[("reason", &denied.word())]);
        Problem::denied(&denied)
    })?;
    let taken = match &mut *hub.rate() {
        Some(rate) => rate.take(&user, Instant::now()),
        None => Ok(()),
    };
    taken.map_err(|wait| {
        hub.log.event("too-many", &[("user", &user)]);
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests in a minute",
        )
        .retry_after(wait)
    })?;
    Ok(user)
}

/// Runs `work`, which is much, on a thread of its own, a few at a time, so that neither other requests nor the memory
/// suffer. Returns what it returns, and the permit: the next one may begin when that is dropped.
async fn heavy<T: Send + 'static>(
    hub: &Hub,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<(T, SemaphorePermit<'_>), Problem> {
    let ends = || Problem::unavailable("hephd ends");
    let permit = hub.heavy.acquire().await.map_err(|_| ends())?;
    let done = task::spawn_blocking(work).await.map_err(|_| ends())?;
    Ok((done, permit))
}

/// Returns the request that `bytes` are.
fn decode(bytes: &[u8]) -> Result<protocol::Request, Problem> {
    #[derive(Deserialize)]
    struct Schema {
        schema: u32,
    }
    let other = match serde_json::from_slice::<Schema>(bytes) {
        Ok(Schema { schema }) => (schema != protocol::SCHEMA).then_some(schema),
        Err(_) => None,
    };
    if let Some(schema) = other {
        let error = format!(
            "the request has schema {schema}; this hub knows {}",
            protocol::SCHEMA
        );
        return Err(Problem::bad(error).with_hint("bring hub and spokes to the same release"));
    }
    let request: protocol::Request = serde_json::from_slice(bytes)
        .map_err(|error| Problem::bad(format!("the body is no request: {error}")))?;
    if request.operations.len() > PAGE_OPERATIONS {
        let error = format!(
            "the request has {} operations; {PAGE_OPERATIONS} is the most",
            request.operations.len()
        );
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error));
    }
    let named = |name: &str| !name.is_empty() && name.len() <= LONGEST_NAME;
    if !named(&request.spoke) || !named(&request.version) {
        return Err(Problem::bad(
            "the request does not name its spoke and version",
        ));
    }
    Ok(request)
}

/// Has the store take the request; returns it with the answer and how many of its operations were new.
async fn exchange(
    hub: &Hub,
    user: &str,
    request: protocol::Request,
) -> Result<(protocol::Request, protocol::Response, u64), Problem> {
    let for_store = user.to_owned();
    let done = hub.keeper.call(move |store| {
        let before = store.operations()?;
        let answer = store.exchange(&for_store, &request)?;
        let after = store.operations()?;
        Ok::<_, Error>((request, answer, after.saturating_sub(before)))
    });
    match done.await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            hub.log
                .event("failed", &[("user", &user), ("reason", &error.one_line())]);
            // The spoke has no use for the paths and codes of this machine's disk.
            Err(Problem::unavailable("the hub's store failed"))
        }
        Err(_) => Err(Problem::unavailable("hephd has lost its store and ends")),
    }
}

/// Counts an exchange, and logs it where something happened.
fn note(
    hub: &Hub,
    user: &str,
    request: &protocol::Request,
    answer: &protocol::Response,
    accepted: u64,
) {
    let oldest = request.operations.iter().map(|one| one.created_at).min();
    let now = clock::now().as_millisecond();
    let exchange = Exchange {
        user,
        spoke: &request.spoke,
        version: &request.version,
        received: request.operations.len(),
        accepted,
        refused: answer.refused.len(),
        sent: answer.operations.len(),
        reset: answer.reset,
        more: answer.more,
        lag: oldest.map(|oldest| now.saturating_sub(oldest)),
    };
    let is_new = hub.metrics().exchanged(&exchange, Instant::now());
    let moved = exchange.received + exchange.sent > 0 || answer.reset;
    if !is_new && !moved {
        return;
    }
    let mut fields: Vec<(&str, &dyn std::fmt::Display)> = vec![
        ("spoke", &request.spoke),
        ("version", &request.version),
        ("received", &exchange.received),
        ("accepted", &accepted),
        ("refused", &exchange.refused),
        ("sent", &exchange.sent),
        ("reset", &answer.reset),
    ];
    if !user.is_empty() {
        fields.insert(0, ("user", &user));
    }
    print::event("sync", &fields);
}
