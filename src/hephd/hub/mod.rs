//! The hub: one store for many machines, over HTTP/1.1.
//!
//! | endpoint | what |
//! |---|---|
//! | `POST /v1/sync` | takes a spoke's operations and returns those that it lacks |
//! | `GET /healthz` | `ok`, while the process serves |
//! | `GET /readyz` | `ok`, unless the store is gone, its disk is full, or hephd is shutting down |
//! | `GET /metrics` | counters and gauges for Prometheus |
//!
//! TLS is a proxy's business. Everything that a stranger can make the hub hold or wait for has a bound: connections, the
//! time for headers, bodies and answers, the size of bodies before and after decompression, and all of them together.
//!
//! What is bounded is shared by user, so that no user takes another's part: connections (`eviction`), the memory for bodies
//! and answers (`room`), the processor and the store (`turns`), and the number of requests (`rate`).

mod body;
mod connection;
mod handle;
mod limited_log;
mod metrics;
mod rate;
mod rejection;
mod settings;
mod sync;
mod turns;
mod write_timeout;

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::about::About;
use super::auth::machines::Machines;
use super::auth::{Auth, Verifier};
use super::eviction::Registry;
use super::log;
use super::room::Room;
use super::store_thread::StoreHandle;
use crate::error::{Error, Kind, Result, ResultExt};
pub(super) use handle::Handle;
use limited_log::LimitedLog;
use metrics::{Gauges, Metrics};
use rate::Rate;
use rejection::{Rejection, unavailable};
pub(super) use settings::{Settings, parse_address};
use turns::Turns;

/// How many bytes all bodies that are being read may have together.
const BODIES: usize = 64 << 20;
/// How many bytes all answers that clients have not read yet may have together.
const ANSWERS: usize = 32 << 20;
/// How long a user's own further answers wait before they end one that is not read.
const SPARED: Duration = Duration::from_millis(500);
/// How many large bodies are decoded or encoded at a time.
const HEAVY: usize = 2;
/// How many clients may wait in the kernel's queue.
const BACKLOG: i32 = 1024;
/// How long the store may take to answer.
const READY: Duration = Duration::from_secs(5);

/// What all requests share.
#[derive(Debug)]
struct Hub {
    auth: Auth,
    address: SocketAddr,
    store: StoreHandle,
    store_path: PathBuf,
    started: f64,
    metrics: Mutex<Metrics>,
    rate: Mutex<Option<Rate>>,
    log: LimitedLog,
    connections: Registry,
    /// The room for bodies that are being read.
    bodies: Room,
    /// The room for answers that clients have not read yet.
    answers: Room,
    turns: Turns,
    heavy: Semaphore,
    stopped: watch::Receiver<bool>,
}

/// A hub that listens and does not serve yet.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) address: SocketAddr,
    listener: tokio::net::TcpListener,
    inherited: bool,
    hub: Arc<Hub>,
}

/// Listens on the address of `settings`, with the listener for it that the service manager `passed`, if any. Call it within
/// the runtime.
///
/// # Errors
///
/// The address cannot be bound, or strangers could connect without tokens.
pub(super) fn start(
    settings: &Settings,
    passed: Option<TcpListener>,
    about: &About,
    store: &StoreHandle,
    stopped: watch::Receiver<bool>,
) -> Result<Bound> {
    let inherited = passed.is_some();
    let listener = match passed {
        Some(listener) => listener,
        None => bind(settings.address)?,
    };
    let cannot = || format!("cannot listen on {} (--http-addr)", settings.address);
    let address = listener.local_addr().with_context(cannot)?;
    // The listener that was passed may be wider than the flag.
    settings::check_exposure(address, settings.authenticates())?;
    let listener = listener
        .set_nonblocking(true)
        .and_then(|()| tokio::net::TcpListener::from_std(listener))
        .with_context(cannot)?;
    let machines = Machines::load(&settings.machines)?;
    let hub = Hub::new(settings, address, machines, about, store.clone(), stopped);
    let hub = Arc::new(hub);
    if settings.open {
        log::event("insecure", &[("tokens", &"none"), ("address", &address)]);
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
        let outer =
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
        Error::from(error).context(outer)
    })?;
    // At the limit of connections clients wait in the kernel, whose queue is short by default.
    rustix::net::listen(&listener, BACKLOG).with_context(|| cannot().to_string())?;
    Ok(listener)
}

impl Bound {
    /// Returns what the socket's connections see of the hub.
    pub(super) fn handle(&self) -> Handle {
        Handle(Some(Arc::clone(&self.hub)))
    }

    /// Serves until hephd shuts down, then drains.
    pub(super) async fn serve(self) {
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
        address: SocketAddr,
        machines: Machines,
        about: &About,
        store: StoreHandle,
        stopped: watch::Receiver<bool>,
    ) -> Hub {
        Hub {
            auth: Auth {
                machines,
                tokens: settings.expected.clone().map(Verifier::new),
                anonymous: settings.anonymous(),
            },
            address,
            store,
            store_path: about.store.clone(),
            started: about.started_at.as_millisecond() as f64 / 1000.0,
            metrics: Mutex::default(),
            rate: Mutex::new(settings.rate.map(|rate| Rate::new(rate.get()))),
            log: LimitedLog::new(),
            connections: Registry::new(connection::CONNECTIONS),
            bodies: Room::new(BODIES, Duration::ZERO),
            answers: Room::new(ANSWERS, SPARED),
            turns: Turns::new(HEAVY),
            heavy: Semaphore::new(HEAVY),
            stopped,
        }
    }

    fn metrics(&self) -> MutexGuard<'_, Metrics> {
        lock(&self.metrics)
    }

    fn rate(&self) -> MutexGuard<'_, Option<Rate>> {
        lock(&self.rate)
    }

    fn is_stopping(&self) -> bool {
        *self.stopped.borrow()
    }

    async fn gauges(&self) -> Gauges {
        let asked = self
            .store
            .call(|store| Ok((store.operations().ok(), store.free_space())));
        let asked = timeout(READY, asked).await.ok().and_then(Result::ok);
        let (operations, free) = asked.and_then(Result::ok).unwrap_or_default();
        let beside = |ending: &str| {
            let mut name = self.store_path.clone().into_os_string();
            name.push(ending);
            fs::metadata(name).map_or(0, |metadata| metadata.len())
        };
        Gauges {
            operations,
            free,
            bytes: beside("") + beside("-wal"),
            connections: self.connections.len(),
            started: self.started,
        }
    }
}

/// Locks `mutex`, also after a panic elsewhere: it only holds counters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn routes(hub: Arc<Hub>) -> Router {
    Router::new()
        .route("/v1/sync", post(sync::sync))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_page))
        .fallback(|| async {
            let error = Error::new("there is nothing at this path").with_kind(Kind::NotFound);
            let hint = "the address of a hub, as --hub-url takes it, has no path of its own";
            Rejection::from(error.with_hint(hint))
        })
        .method_not_allowed_fallback(|| async {
            Rejection::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path takes another method",
            )
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&hub), around))
        .with_state(hub)
}

/// Counts every answer, and closes its connection when hephd is shutting down.
async fn around(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
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
    // An answer is valid for this moment and this user only.
    let no_store = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, no_store);
    if hub.is_stopping() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Checks that requests can be answered.
async fn readyz(State(hub): State<Arc<Hub>>) -> Result<&'static str, Rejection> {
    if hub.is_stopping() {
        return Err(unavailable("hephd is shutting down").into());
    }
    match timeout(READY, hub.store.call(|store| store.check_disk())).await {
        Ok(Ok(Ok(()))) => Ok("ok\n"),
        Ok(Ok(Err(full))) => Err(unavailable(full.to_string()).into()),
        Ok(Err(gone)) => Err(unavailable(gone.to_string()).into()),
        Err(_) => Err(unavailable("the store does not answer").into()),
    }
}

async fn metrics_page(State(hub): State<Arc<Hub>>) -> impl IntoResponse {
    let gauges = hub.gauges().await;
    let text = hub.metrics().text(&gauges, Instant::now());
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text)
}
