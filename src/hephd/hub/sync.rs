//! `POST /v1/sync`: from a request to an answer, one bound after another.
//!
//! Authentication comes first: no body is read before the user of the request is known.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, Response, header};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, SemaphorePermit};
use tokio::task;
use tokio::time::timeout;

use super::Hub;
use super::body::{self, Encoding};
use super::metrics::Exchange;
use super::rejection::{A_WHILE, Rejection, invalid, too_large, unavailable};
use crate::error::{Error, Kind, Result};
use crate::hephd::auth::{AuthError, Caller};
use crate::hephd::eviction::Entry;
use crate::hephd::log;
use crate::hephd::protocol::{self, PAGE_OPERATIONS};
use crate::hephd::room::Reservation;
use crate::os::clock;

/// From this size on, in bytes, a body is decoded or encoded on the blocking pool.
const LARGE: usize = 16 * 1024;
/// The longest id or version of a spoke, in bytes.
const LONGEST_NAME: usize = 64;

/// Answers one request.
pub(super) async fn sync(
    State(hub): State<Arc<Hub>>,
    request: Request<Body>,
) -> Result<Response<Body>, Rejection> {
    let hub = &*hub;
    let (mut parts, body) = request.into_parts();
    let connection = parts.extensions.remove::<Arc<Entry>>();
    let caller = authenticate(hub, &parts).await?;
    let user = &caller.user;
    let (encoding, length) = body::announced(&parts.headers)?;
    let received = receive(hub, user, connection.as_deref(), body, length).await?;
    let (bytes, reservation, _turn) = received;
    // Decoding may multiply the size of a body, also that of a small one: few of the large ones are held at a time, until
    // the store has them.
    let (request, permit) = match body::decoded(&bytes, encoding, LARGE)? {
        Some(small) => (decode(&small)?, None),
        None => {
            let read = heavy(hub, move || {
                let body = body::decoded(&bytes, encoding, protocol::LARGEST_BODY)?;
                decode(&body.ok_or_else(body::above_limit)?)
            });
            let (request, permit) = read.await?;
            (request?, Some(permit))
        }
    };
    drop(reservation);

    let (request, answer, accepted) = exchange(hub, user, request).await?;
    drop(permit);
    record(hub, &caller, &request, &answer, accepted);
    let accepts_gzip = body::accepts_gzip(&parts.headers);
    let size = answer.operations.len() * 256;
    let encode =
        move || serde_json::to_vec(&answer).map(|bytes| body::encoded(bytes, accepts_gzip));
    let encoded = if size < LARGE {
        encode()
    } else {
        heavy(hub, encode).await?.0
    };
    let (bytes, encoding) =
        encoded.map_err(|error| Error::from(error).context("cannot encode the answer"))?;
    let mut response = Response::new(unread(hub, user, connection, bytes).await);
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

/// Reads the body of `user`, `length` bytes at most, and waits for the user's turn. Until then another user who needs less
/// room may have it evicted. Returns the body, its room, and the turn.
async fn receive(
    hub: &Hub,
    user: &str,
    connection: Option<&Entry>,
    body: Body,
    length: usize,
) -> Result<(Vec<u8>, Reservation, Option<OwnedSemaphorePermit>), Rejection> {
    if let Some(connection) = connection {
        connection.receiving(user);
    }
    let reservation = timeout(A_WHILE, hub.bodies.reserve(user, length.max(1))).await;
    let reservation = reservation.map_err(|_| crowded())?;
    let received = async {
        let bytes = body::read(body).await?;
        if let Some(connection) = connection {
            connection.busy();
        }
        let turn = hub.turns.take(user).await;
        Ok::<_, Rejection>((bytes, turn))
    };
    let (bytes, turn) = tokio::select! {
        biased;
        received = received => received?,
        () = reservation.evicted() => return Err(crowded()),
    };
    Ok((bytes, reservation, turn))
}

fn crowded() -> Rejection {
    let error = unavailable("too many bodies are arriving at once, and this user has most of them");
    // The rest of the body is not waited for.
    Rejection::from(error).with_header(header::CONNECTION, HeaderValue::from_static("close"))
}

/// Returns the body of an answer to `user`. While the client has not read it, it takes room; if that is used up, connections
/// of the user with the most unread answers end.
async fn unread(hub: &Hub, user: &str, connection: Option<Arc<Entry>>, bytes: Vec<u8>) -> Body {
    struct Unread {
        bytes: Vec<u8>,
        _reservation: Reservation,
    }
    impl AsRef<[u8]> for Unread {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    let Some(connection) = connection.filter(|_| bytes.len() >= LARGE) else {
        return Body::from(bytes);
    };
    let reservation = hub
        .answers
        .claim(user, bytes.len(), move || connection.end())
        .await;
    // Dropped once the last of it is in the kernel's hands.
    Body::from(Bytes::from_owner(Unread {
        bytes,
        _reservation: reservation,
    }))
}

/// Returns whose a request is, if its user may send one now.
async fn authenticate(hub: &Hub, parts: &Parts) -> Result<Caller, Rejection> {
    // Browsers send it with every POST. A page must not reach a hub without tokens because it is on the same machine, by
    // whatever name the page found it (DNS rebinding).
    if parts.headers.contains_key(header::ORIGIN) {
        let error = Error::new("requests of web pages are not served");
        return Err(error.with_kind(Kind::Denied).into());
    }
    let authorization = parts.headers.get(header::AUTHORIZATION);
    let authorization = authorization.map(HeaderValue::as_bytes);
    let now = clock::now().as_second();
    let caller = hub.auth.caller(authorization, now).await;
    let caller = caller.inspect_err(|denied| {
        hub.metrics().denied(denied.word());
        let event = match denied {
            AuthError::NoKeys(_) => "unavailable",
            _ => "denied",
        };
        hub.log.event(event, &[("reason", &denied.word())]);
    })?;
    let wait = match &mut *hub.rate() {
        Some(rate) => rate.take(&caller.user, Instant::now()).err(),
        None => None,
    };
    if let Some(wait) = wait {
        hub.log.event("too-many", &[("user", &caller.user)]);
        let error = Error::new("too many requests in a minute").with_kind(Kind::Busy);
        return Err(error.with_retry_after(wait).into());
    }
    Ok(caller)
}

/// Runs expensive `work` on the blocking pool, with bounded concurrency: neither other requests nor the memory suffer.
/// Returns the result and the permit; the next work may begin once the permit is dropped.
async fn heavy<T: Send + 'static>(
    hub: &Hub,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<(T, SemaphorePermit<'_>)> {
    let shutdown = || unavailable("hephd is shutting down");
    let permit = hub.heavy.acquire().await.map_err(|_| shutdown())?;
    let done = task::spawn_blocking(work).await.map_err(|_| shutdown())?;
    Ok((done, permit))
}

fn decode(bytes: &[u8]) -> Result<protocol::Request> {
    #[derive(Deserialize)]
    struct Schema {
        schema: u32,
    }
    if let Ok(Schema { schema }) = serde_json::from_slice(bytes)
        && schema != protocol::SCHEMA
    {
        let known = protocol::SCHEMA;
        let message = format!("the request has schema {schema}; this hub knows {known}");
        return Err(invalid(message).with_hint("update hub and spokes to the same release"));
    }
    let request: protocol::Request = serde_json::from_slice(bytes)
        .map_err(|error| invalid(format!("the body is not a request: {error}")))?;
    let operations = request.operations.len();
    if operations > PAGE_OPERATIONS {
        let message =
            format!("the request has {operations} operations; {PAGE_OPERATIONS} is the limit");
        return Err(too_large(message));
    }
    let is_named = |name: &str| !name.is_empty() && name.len() <= LONGEST_NAME;
    if !is_named(&request.spoke) || !is_named(&request.version) {
        return Err(invalid("the request does not name its spoke and version"));
    }
    Ok(request)
}

/// Performs the exchange with the store. Returns the request, the answer, and how many operations were new.
async fn exchange(
    hub: &Hub,
    user: &str,
    request: protocol::Request,
) -> Result<(protocol::Request, protocol::Response, u64)> {
    let for_store = user.to_owned();
    let done = hub.store.call(move |store| {
        let before = store.operations()?;
        let answer = store.exchange(&for_store, &request, clock::now())?;
        let after = store.operations()?;
        Ok::<_, Error>((request, answer, after.saturating_sub(before)))
    });
    match done.await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            let reason = error.one_line();
            hub.log
                .event("failed", &[("user", &user), ("reason", &reason)]);
            if error.kind() == Kind::Full {
                return Err(error);
            }
            // A spoke has no use for the paths and codes of this machine's disk.
            Err(unavailable("the hub's store failed"))
        }
        Err(gone) => Err(unavailable(gone.to_string())),
    }
}

/// Returns when an operation was made, by its machine. One that brings a task back has the times of the task as it was.
fn made_at(operation: &protocol::Operation) -> i64 {
    let clock = operation.body.get("clock").and_then(|clock| clock.get(0));
    let clock = clock.and_then(serde_json::Value::as_i64);
    operation.created_at.max(clock.unwrap_or_default())
}

/// Counts an exchange, and logs it unless nothing was exchanged.
fn record(
    hub: &Hub,
    caller: &Caller,
    request: &protocol::Request,
    answer: &protocol::Response,
    accepted: u64,
) {
    let user = &caller.user;
    let oldest = request.operations.iter().map(made_at).min();
    let seen = clock::now();
    let now = seen.as_millisecond();
    let exchange = Exchange {
        user,
        machine: caller.machine.as_deref(),
        seen,
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
        fields.insert(0, ("user", user));
    }
    if let Some(machine) = &caller.machine {
        fields.insert(0, ("machine", machine));
    }
    log::event("sync", &fields);
}
