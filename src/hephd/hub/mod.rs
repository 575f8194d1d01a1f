//! The hub: one store for many machines, over HTTP/1.1.
//!
//! | endpoint | what |
//! |---|---|
//! | `POST /v1/sync` | takes a spoke's operations and gives it those that it lacks |
//! | `GET /healthz` | `ok`, while the process serves |
//! | `GET /readyz` | `ok`, unless the store is gone or hephd ends |
//! | `GET /metrics` | what was counted, for Prometheus |
//!
//! TLS is a proxy's business. Everything that a stranger can make the hub hold or wait for has a bound: connections, the
//! time for headers, bodies and answers, the size of bodies before and after decompression, and all bodies together.

mod body;
mod connection;
mod limited_log;
mod metrics;
mod rate;
mod rejection;
mod settings;
mod sync;
mod write_timeout;

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware::{self, Next};
use axum::routing::{get, post};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::auth::{Auth, Verifier};
use super::eviction::Registry;
use super::keeper::Keeper;
use super::methods::About;
use super::print;
use crate::error::{Error, Kind, Result, ResultExt};
use limited_log::LimitedLog;
use metrics::{Gauges, Metrics};
use rate::Rate;
use rejection::{Rejection, unavailable};
pub(super) use settings::Settings;

/// How many bytes all bodies together may have that are being read.
const ROOM: usize = 64 << 20;
/// How many large bodies are decoded or encoded at a time.
const HEAVY: usize = 2;
/// How many newcomers the kernel keeps waiting.
const BACKLOG: i32 = 1024;
/// How long the store may take to say that it is there.
const READY: Duration = Duration::from_secs(5);

/// What all requests share.
#[derive(Debug)]
pub struct Hub {
    auth: Auth,
    keeper: Keeper,
    store: PathBuf,
    started: f64,
    metrics: Mutex<Metrics>,
    rate: Mutex<Option<Rate>>,
    log: LimitedLog,
    connections: Registry,
    /// What bodies that are being read may have, in [`sync::UNIT`]s.
    room: Semaphore,
    heavy: Semaphore,
    stopped: watch::Receiver<bool>,
}

/// A hub that is bound and not served yet.
#[derive(Debug)]
pub struct Bound {
    /// Where it listens.
    pub address: SocketAddr,
    listener: tokio::net::TcpListener,
    inherited: bool,
    hub: Arc<Hub>,
}

/// Binds the address of `settings`, unless a listener is `passed` that is bound to it. Call it within the runtime.
///
/// # Errors
///
/// The address is taken, is not this machine's, is only for root, or would serve strangers without asking for tokens.
pub fn start(
    settings: &Settings,
    passed: Option<TcpListener>,
    about: &About,
    keeper: &Keeper,
    stopped: watch::Receiver<bool>,
) -> Result<Bound> {
    let inherited = passed.is_some();
    let listener = match passed {
        Some(listener) => listener,
        None => bind(settings.address)?,
    };
    let cannot = || format!("cannot listen on {} (--http-addr)", settings.address);
    let address = listener.local_addr().with_context(cannot)?;
    // What was passed on may be wider than what was asked for.
    settings::check_exposure(address, settings.expected.is_some() || settings.open)?;
    let listener = listener
        .set_nonblocking(true)
        .and_then(|()| tokio::net::TcpListener::from_std(listener))
        .with_context(cannot)?;
    let hub = Arc::new(Hub::new(settings, about, keeper.clone(), stopped));
    if settings.open {
        print::event("insecure", &[("tokens", &"none"), ("address", &address)]);
    }
    Ok(Bound {
        address,
        listener,
        inherited,
        hub,
    })
}

fn bind(address: SocketAddr) -> Result<TcpListener> {
    let cannot = || Error::new(format!("cannot listen on {address} (--http-addr)"));
    let listener = TcpListener::bind(address).map_err(|error| {
        let fault =
            match error.kind() {
                io::ErrorKind::AddrInUse => cannot()
                    .with_hint("another process listens there: end it, or choose another port"),
                io::ErrorKind::PermissionDenied => cannot()
                    .with_hint("ports below 1024 are root's: choose another, behind a proxy"),
                io::ErrorKind::AddrNotAvailable => cannot().with_hint(
                    "no network of this machine has this address; 127.0.0.1 and [::1] always exist",
                ),
                _ => cannot(),
            };
        Error::from(error).context(fault)
    })?;
    // Who comes while all connections are taken waits in the kernel, whose queue would be short otherwise.
    rustix::net::listen(&listener, BACKLOG).with_context(|| cannot().to_string())?;
    Ok(listener)
}

impl Bound {
    /// Serves until hephd stops, then drains. Who waits in the queue of a listener that was passed on is left to the next
    /// hephd.
    pub async fn serve(self) {
        let fresh = tokio::spawn({
            let hub = Arc::clone(&self.hub);
            async move { hub.auth.keep_fresh().await }
        });
        connection::serve(self.listener, self.inherited, &self.hub).await;
        fresh.abort();
    }
}

impl Hub {
    fn new(
        settings: &Settings,
        about: &About,
        keeper: Keeper,
        stopped: watch::Receiver<bool>,
    ) -> Hub {
        Hub {
            auth: match settings.expected.clone() {
                None => Auth::None,
                Some(expected) => Auth::Tokens(Verifier::new(expected)),
            },
            keeper,
            store: about.store.clone(),
            started: about.started_at.as_millisecond() as f64 / 1000.0,
            metrics: Mutex::default(),
            rate: Mutex::new(settings.rate.map(|rate| Rate::new(rate.get()))),
            log: LimitedLog::new(),
            connections: Registry::new(connection::CONNECTIONS),
            room: Semaphore::new(ROOM / sync::UNIT),
            heavy: Semaphore::new(HEAVY),
            stopped,
        }
    }

    fn metrics(&self) -> MutexGuard<'_, Metrics> {
        held(&self.metrics)
    }

    fn rate(&self) -> MutexGuard<'_, Option<Rate>> {
        held(&self.rate)
    }

    fn is_stopping(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Checks that requests can be answered.
    async fn readiness(&self) -> Result<()> {
        if self.is_stopping() {
            return Err(unavailable("hephd is shutting down"));
        }
        match timeout(READY, self.keeper.call(|_| ())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(unavailable("hephd has lost its store and is shutting down")),
            Err(_) => Err(unavailable("the store does not answer")),
        }
    }

    async fn gauges(&self) -> Gauges {
        let operations = timeout(READY, self.keeper.call(|store| store.operations())).await;
        let beside = |ending: &str| {
            let mut name = self.store.clone().into_os_string();
            name.push(ending);
            fs::metadata(name).map_or(0, |metadata| metadata.len())
        };
        Gauges {
            operations: operations.ok().and_then(Result::ok).and_then(Result::ok),
            bytes: beside("") + beside("-wal"),
            connections: self.connections.len(),
            started: self.started,
        }
    }
}

/// Returns what `mutex` holds, also after a panic elsewhere: it only holds counts.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns what answers requests.
fn routes(hub: Arc<Hub>) -> Router {
    Router::new()
        .route("/v1/sync", post(answer_sync))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_page))
        .fallback(|| async {
            let error = Error::new("there is nothing at this path").with_kind(Kind::NotFound);
            let hint = "the address of a hub, as --hub-url takes it, has no path of its own";
            Rejection::from(error.with_hint(hint)).into_response()
        })
        .method_not_allowed_fallback(|| async {
            let message = "this path takes another method";
            Rejection::new(StatusCode::METHOD_NOT_ALLOWED, message).into_response()
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&hub), around))
        .with_state(hub)
}

/// Does what concerns every answer: counts it, and ends the connection after it where hephd ends.
async fn around(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response<Body> {
    let path = match request.uri().path() {
        "/v1/sync" => "/v1/sync",
        "/healthz" => "/healthz",
        "/readyz" => "/readyz",
        "/metrics" => "/metrics",
        _ => "other",
    };
    let mut response = next.run(request).await;
    hub.metrics().answered(path, response.status().as_u16());
    let headers = response.headers_mut();
    // What is said is of this moment, and of this user.
    let never = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, never);
    if hub.is_stopping() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn answer_sync(State(hub): State<Arc<Hub>>, request: Request) -> Response<Body> {
    let answer = sync::sync(&hub, request).await;
    answer.unwrap_or_else(Rejection::into_response)
}

async fn readyz(State(hub): State<Arc<Hub>>) -> Response<Body> {
    match hub.readiness().await {
        Ok(()) => Response::new(Body::from("ok\n")),
        Err(error) => Rejection::from(error).into_response(),
    }
}

async fn metrics_page(State(hub): State<Arc<Hub>>) -> Response<Body> {
    let gauges = hub.gauges().await;
    let text = hub.metrics().text(&gauges, Instant::now());
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
