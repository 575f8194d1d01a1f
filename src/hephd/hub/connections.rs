//! The hub's connections: accepted, bounded, and drained at the end.
//!
//! hephd ends as it does on its unix socket: what had reached it is answered, each answer says `Connection: close`, and
//! after five seconds it gives up on what is left.

use std::future::poll_fn;
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
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::patience::Patient;
use super::{Hub, routes};
use crate::hephd::places::{Place, Places};
use crate::hephd::print;

/// How many connections are served at once. When there are more, the one that has said nothing for the longest makes room.
const CONNECTIONS: usize = 512;
/// How long a request's head may take to arrive, and how long a connection may say nothing between two requests.
const HEAD: Duration = Duration::from_secs(30);
/// How much a request's head may have, in bytes.
const LARGEST_HEAD: usize = 64 * 1024;
/// How often it is looked who makes room, when there are too many.
const LOOK: Duration = Duration::from_millis(100);
/// How long a client may take to read an answer.
const SLOW: Duration = Duration::from_secs(30);
/// How long the end may take.
const DRAIN: Duration = Duration::from_secs(5);
/// While ending: how long it takes to tell that nothing more has come.
const QUIET: Duration = Duration::from_millis(50);
/// While ending: how long after it was accepted the first request of a connection may come. Who has just connected is about
/// to ask, and was not refused.
const FIRST: Duration = Duration::from_secs(1);
/// How long a client that was refused may go on sending before the connection is closed, and how much.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 << 20;

/// Serves `listener` until hephd stops, then drains. Who waits in the queue of one that is `inherited` is left there.
pub async fn serve(listener: TcpListener, inherited: bool, hub: &Arc<Hub>) {
    let service = TowerToHyperService::new(routes(Arc::clone(hub)));
    let mut connections = JoinSet::new();
    let places = Places::default();
    let heard = hub.stopped.clone();
    let mut stopped = hub.stopped.clone();
    let stop = async {
        // Fails only if the sender is gone, and then hephd ends as well.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    tokio::pin!(stop);
    loop {
        hub.connections.store(connections.len(), Ordering::Relaxed);
        let full = connections.len() > CONNECTIONS;
        if full {
            places.make_room();
        }
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            () = places.rested(), if full => {}
            () = sleep(LOOK), if full => {}
            accepted = listener.accept(), if !full => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, service.clone(), places.take(), heard.clone()));
                }
                Err(error) => {
                    hub.complain("accept-failed", &[("reason", &error)]);
                    // Out of descriptors, most likely; it passes when a connection ends.
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
    if !inherited {
        // Who had connected before is served; who goes on connecting does not keep hephd from ending.
        let until = Instant::now() + FIRST;
        while Instant::now() < until
            && let Ok(Ok((stream, _))) = timeout(QUIET, listener.accept()).await
        {
            connections.spawn(converse(
                stream,
                service.clone(),
                places.take(),
                heard.clone(),
            ));
        }
    }
    drop(listener);
    let drained = timeout(DRAIN, async {
        while connections.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        let left = connections.len();
        print::event("gave-up", &[("connections", &left)]);
    }
}

/// Answers the requests of one client until either side ends it.
async fn converse(
    stream: TcpStream,
    service: TowerToHyperService<axum::Router>,
    place: Place,
    mut stopped: watch::Receiver<bool>,
) {
    // Answers are written at once; waiting for more to send would only delay them.
    drop(stream.set_nodelay(true));
    let accepted = Instant::now();
    let has_asked = Arc::new(AtomicBool::new(false));
    let was_refused = Arc::new(AtomicBool::new(false));
    let place = Arc::new(place);
    place.rests(false);
    let answer = service_fn({
        let (has_asked, was_refused) = (Arc::clone(&has_asked), Arc::clone(&was_refused));
        let place = Arc::clone(&place);
        move |request: hyper::Request<hyper::body::Incoming>| {
            has_asked.store(true, Ordering::Relaxed);
            place.works();
            let (was_refused, place) = (Arc::clone(&was_refused), Arc::clone(&place));
            let answered = service.call(request);
            Box::pin(async move {
                let response = answered.await;
                if let Ok(response) = &response {
                    let refused = response.status().as_u16() >= 400;
                    was_refused.store(refused, Ordering::Relaxed);
                }
                place.rests(false);
                response
            })
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(Patient::new(stream, SLOW)), answer);

    let leave = place.leave();
    let makes_room = async {
        loop {
            leave.notified().await;
            if place.is_wanted() {
                return;
            }
        }
    };
    let ended = tokio::select! {
        ended = poll_fn(|context| connection.poll_without_shutdown(context)) => Some(ended),
        _ = stopped.wait_for(|stopped| *stopped) => None,
        () = makes_room => return,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            let quiet = Instant::now() + QUIET;
            let until = if has_asked.load(Ordering::Relaxed) {
                quiet
            } else {
                quiet.max(accepted + FIRST)
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
    // What went wrong is the client's: gone, too slow, or no HTTP. It was told, if that was possible.
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
