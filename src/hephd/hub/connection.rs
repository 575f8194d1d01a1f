//! The hub's connections: HTTP/1.1 within bounds.
//!
//! hephd shuts down as it does on its unix socket: what had reached it is answered, and each answer says
//! `Connection: close`.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::limited_log::LimitedLog;
use super::write_timeout::WithWriteTimeout;
use super::{Hub, routes};
use crate::hephd::connections::{self, FIRST_REQUEST, Listener, WRITE_TIMEOUT};
use crate::hephd::eviction::Entry;

/// How many connections are served at once. For one more, the longest idle one is evicted.
pub(super) const CONNECTIONS: usize = 512;
/// How long a request's head may take to arrive, and how long a connection may be silent between two requests.
const HEAD: Duration = Duration::from_secs(30);
/// The largest head of a request, in bytes.
const LARGEST_HEAD: usize = 64 * 1024;
/// How long a client whose request was rejected may go on sending before the connection is closed, and how much.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 << 20;

/// The hub's port. One that is `inherited` is the service manager's.
struct Port<'a> {
    listener: TcpListener,
    inherited: bool,
    log: &'a LimitedLog,
}

impl Listener for Port<'_> {
    type Stream = TcpStream;

    const QUIET: Duration = Duration::from_millis(50);
    /// Clients that keep connecting do not keep hephd from shutting down.
    const QUEUE: Duration = Duration::from_secs(1);

    async fn accept(&mut self) -> io::Result<TcpStream> {
        Ok(self.listener.accept().await?.0)
    }

    fn log_failure(&self, error: &io::Error) {
        self.log.event("accept-failed", &[("reason", error)]);
    }

    fn close(&mut self) -> bool {
        !self.inherited
    }
}

/// Serves `listener` until hephd stops, then drains.
pub(super) async fn serve(listener: TcpListener, inherited: bool, hub: &Arc<Hub>) {
    let service = TowerToHyperService::new(routes(Arc::clone(hub)));
    let stopped = hub.stopped.clone();
    let port = Port {
        listener,
        inherited,
        log: &hub.log,
    };
    let converse = |stream, entry| converse(stream, service.clone(), entry, stopped.clone());
    connections::serve(port, &hub.connections, stopped.clone(), converse).await;
}

/// Answers the requests of one client until either side ends it.
async fn converse(
    stream: TcpStream,
    service: TowerToHyperService<axum::Router>,
    entry: Arc<Entry>,
    mut stopped: watch::Receiver<bool>,
) {
    // Answers are written at once; waiting for more to send would only delay them.
    drop(stream.set_nodelay(true));
    let accepted = Instant::now();
    let has_asked = Arc::new(AtomicBool::new(false));
    let was_refused = Arc::new(AtomicBool::new(false));
    entry.idle(false);
    let answer = service_fn({
        let (has_asked, was_refused) = (Arc::clone(&has_asked), Arc::clone(&was_refused));
        move |mut request: hyper::Request<hyper::body::Incoming>| {
            has_asked.store(true, Ordering::Relaxed);
            entry.busy();
            request.extensions_mut().insert(Arc::clone(&entry));
            let (was_refused, entry) = (Arc::clone(&was_refused), Arc::clone(&entry));
            let answered = service.call(request);
            Box::pin(async move {
                let response = answered.await;
                if let Ok(response) = &response {
                    let refused = response.status().as_u16() >= 400;
                    was_refused.store(refused, Ordering::Relaxed);
                }
                entry.idle(false);
                response
            })
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(
            TokioIo::new(WithWriteTimeout::new(stream, WRITE_TIMEOUT)),
            answer,
        );

    let ended = tokio::select! {
        ended = poll_fn(|context| connection.poll_without_shutdown(context)) => Some(ended),
        () = connections::until(&mut stopped) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            let quiet = Instant::now() + Port::QUIET;
            let until = if has_asked.load(Ordering::Relaxed) {
                quiet
            } else {
                quiet.max(accepted + FIRST_REQUEST)
            };
            // From now on an answer ends its connection by itself.
            let last = poll_fn(|context| connection.poll_without_shutdown(context));
            match timeout_at(until, last).await {
                Ok(ended) => ended,
                Err(_) => {
                    Pin::new(&mut connection).graceful_shutdown();
                    poll_fn(|context| connection.poll_without_shutdown(context)).await
                }
            }
        }
    };
    // The client's fault: gone, too slow, or not HTTP. It got an answer if that was possible.
    if ended.is_ok() {
        let stream = connection.into_parts().io.into_inner().into_inner();
        close(stream, was_refused.load(Ordering::Relaxed)).await;
    }
}

/// Closes a connection. Closing with bytes unread would take the answer away from a client that is still sending what was
/// refused (RFC 9112, section 9.6).
async fn close(mut stream: TcpStream, lingers: bool) {
    drop(stream.shutdown().await);
    if !lingers {
        return;
    }
    let mut buffer = vec![0; 64 * 1024];
    let read = async {
        let mut left = LINGER_BYTES;
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            left = left.saturating_sub(count);
            if left == 0 {
                return;
            }
        }
    };
    drop(timeout(LINGER, read).await);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hephd::connections::tests::each_newcomer_evicts_one;

    #[test]
    fn each_newcomer_on_the_port_evicts_one_connection() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let port = Port {
                listener,
                inherited: true,
                log: &LimitedLog::new(),
            };
            let connect = async || TcpStream::connect(address).await.unwrap();
            each_newcomer_evicts_one(port, connect).await;
        });
    }
}
