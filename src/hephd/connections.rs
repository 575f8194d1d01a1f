//! Accepts, limits, evicts and drains connections: those of the socket and those of the hub's port.
//!
//! hephd shuts down in three steps. A listener of its own is taken out of reach where that is possible, and the clients in
//! its queue are accepted; the queue of a listener that the service manager holds is left to the next hephd. Then every
//! request that had reached hephd is answered. After five seconds the rest is dropped: none of it was acknowledged.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::eviction::{Entry, Registry};
use super::log;

/// How often, above the limit, to look for a connection to evict.
const RECHECK: Duration = Duration::from_millis(100);
/// The pause after a failed accept: most likely no descriptor is left, until a connection ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long draining may take.
const DRAIN: Duration = Duration::from_secs(5);
/// How long after it was accepted a connection may take to begin its first request while hephd shuts down. Its client has
/// just connected, and was not refused.
pub(super) const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// How long a client may take to read its answer.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A listener, and what differs between the socket and the hub's port.
pub(super) trait Listener {
    type Stream;

    /// How long to wait, while shutting down, before concluding that nothing more arrives.
    const QUIET: Duration;
    /// For how long to empty the queue while shutting down.
    const QUEUE: Duration;

    /// Accepts a connection. Cancel safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>>;

    fn log_failure(&self, error: &io::Error);

    /// Stops new clients from reaching the queue, where that is possible. Returns whether the queue is this hephd's to
    /// empty.
    fn close(&mut self) -> bool;
}

/// Returns once hephd shuts down.
pub(super) async fn until(stopped: &mut watch::Receiver<bool>) {
    // Fails only if the sender is gone, and then hephd shuts down as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Serves each connection of `listener` with `converse` until `stopped`, then drains.
pub(super) async fn serve<L: Listener, F>(
    mut listener: L,
    registry: &Registry,
    mut stopped: watch::Receiver<bool>,
    converse: impl Fn(L::Stream, Arc<Entry>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let evictable = |stream| {
        let entry = Arc::new(registry.register());
        let conversation = converse(stream, Arc::clone(&entry));
        async move {
            tokio::select! {
                biased;
                () = conversation => {}
                () = entry.evicted() => {}
            }
        }
    };
    let stop = until(&mut stopped);
    tokio::pin!(stop);
    loop {
        let full = registry.evict_above_limit();
        tokio::select! {
            () = &mut stop => break,
            Some(_) = tasks.join_next() => {}
            () = registry.changed(), if full => {}
            () = sleep(RECHECK), if full => {}
            accepted = listener.accept(), if !full => match accepted {
                Ok(stream) => drop(tasks.spawn(evictable(stream))),
                Err(error) => {
                    listener.log_failure(&error);
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    if listener.close() {
        let until = Instant::now() + L::QUEUE;
        while Instant::now() < until
            && let Ok(Ok(stream)) = timeout(L::QUIET, listener.accept()).await
        {
            tasks.spawn(evictable(stream));
        }
    }
    drop(listener);
    let drained = timeout(DRAIN, async { while tasks.join_next().await.is_some() {} });
    if drained.await.is_err() {
        let left = tasks.len();
        log::line(format!("gave up on {left} connections after {DRAIN:?}"));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

    const LIMIT: usize = 3;

    /// Echoes bytes.
    async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin, entry: Arc<Entry>) {
        let mut byte = [0];
        loop {
            entry.idle(false);
            if stream.read_exact(&mut byte).await.is_err() {
                return;
            }
            entry.busy();
            if stream.write_all(&byte).await.is_err() {
                return;
            }
        }
    }

    async fn is_served(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> bool {
        let mut byte = [0];
        stream.write_all(&[7]).await.is_ok() && stream.read_exact(&mut byte).await.is_ok()
    }

    /// Checks, with as many idle connections as there may be, that each newcomer costs the longest idle one its
    /// connection, and no other.
    pub(in crate::hephd) async fn each_newcomer_evicts_one<L, C>(
        listener: L,
        connect: impl AsyncFn() -> C,
    ) where
        L: Listener<Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static>,
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let registry = Registry::new(LIMIT);
        let (stopping, stopped) = watch::channel(false);
        let clients = async {
            let mut open = Vec::new();
            for _ in 0..LIMIT {
                let mut client = connect().await;
                assert!(is_served(&mut client).await);
                open.push(client);
            }
            for round in 0..64 {
                let mut newcomer = connect().await;
                assert!(is_served(&mut newcomer).await, "newcomer {round}");
                open.push(newcomer);
                let mut evicted = open.remove(0);
                assert!(!is_served(&mut evicted).await, "round {round}");
                for client in &mut open {
                    assert!(is_served(client).await, "evicted in vain, round {round}");
                }
            }
            assert_eq!(registry.len(), LIMIT);
            open.clear();
            stopping.send_replace(true);
        };
        tokio::join!(serve(listener, &registry, stopped, echo), clients);
        assert_eq!(registry.len(), 0);
    }
}
