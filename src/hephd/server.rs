//! The socket's connections: requests are answered in order, one connection at a time.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, watch};
use tokio::task;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connections::{self, FIRST_REQUEST, Listener, WRITE_TIMEOUT};
use super::eviction::{Entry, Registry};
use super::keeper::Keeper;
use super::rpc::{self, Call, Failure, Outcome};
use super::store::{self, Store};
use super::{print, socket, sync};
use crate::client::wire::{LARGEST_REQUEST, Status, SyncRound, code};
use crate::os::clock;

/// How many connections are served at once. For one more, the longest idle one is evicted; if none is idle, newcomers wait
/// in the kernel's queue.
const CONNECTIONS: usize = 256;
/// How long a connection may be silent, and how long a request may take to arrive.
const IDLE: Duration = Duration::from_secs(5 * 60);

/// What is said of this hephd, whatever its store holds.
#[derive(Debug)]
pub struct About {
    /// `local` or `server`.
    pub mode: &'static str,
    /// Where the store is.
    pub store: PathBuf,
    /// The schema of the store.
    pub schema: u32,
    /// When this hephd started.
    pub started_at: Timestamp,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    about: About,
    keeper: Keeper,
    sync: sync::Handle,
    // One at a time: a backup reads the whole store.
    backup: Mutex<()>,
}

/// The unix socket. It has a name where hephd bound it, and none where the service manager holds it for the next hephd.
#[derive(Debug)]
pub struct Socket {
    pub listener: UnixListener,
    pub name: Option<socket::Name>,
}

impl Listener for Socket {
    type Stream = UnixStream;

    const QUIET: Duration = Duration::from_millis(10);
    /// Without a name no one joins the queue.
    const QUEUE: Duration = Duration::from_secs(5);

    async fn accept(&mut self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            if is_ours(&stream) {
                return Ok(stream);
            }
            print::log("refused a connection of another user");
        }
    }

    fn log_failure(&self, error: &io::Error) {
        print::log(format!("cannot accept a connection: {error}"));
    }

    fn close(&mut self) -> bool {
        self.name.take().is_some()
    }
}

/// Serves `socket` until `stopped`, then drains.
pub async fn serve(
    socket: Socket,
    about: About,
    keeper: Keeper,
    sync: sync::Handle,
    stopped: watch::Receiver<bool>,
) {
    let shared = Arc::new(Shared {
        about,
        keeper,
        sync,
        backup: Mutex::new(()),
    });
    let registry = Registry::new(CONNECTIONS);
    let converse = |stream, entry| converse(stream, entry, Arc::clone(&shared), stopped.clone());
    connections::serve(socket, &registry, stopped.clone(), converse).await;
}

/// Returns whether the process at the other end has this process's user.
fn is_ours(stream: &UnixStream) -> bool {
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw())
}

/// Answers the requests of one client, in order, until either side ends it.
async fn converse(
    stream: UnixStream,
    entry: Arc<Entry>,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut lines = Lines::new(stream, entry);
    let accepted = Instant::now();
    let mut has_asked = false;
    let mut last_ones = false;
    loop {
        if last_ones && !lines.has_one() {
            return;
        }
        let line = tokio::select! {
            biased;
            line = lines.next() => line,
            () = connections::until(&mut stopped), if !last_ones => {
                if !has_asked {
                    lines.read_first(accepted + FIRST_REQUEST).await;
                }
                lines.read_what_has_come().await;
                last_ones = true;
                continue;
            }
            () = sleep(IDLE) => return,
        };
        has_asked = true;
        lines.entry.busy();
        let answer = match line {
            Ok(Line::Request(line)) => answer(&shared, line).await,
            Ok(Line::TooLong) => {
                let failure = Failure::new(
                    code::INVALID_REQUEST,
                    format!("a request has at most {LARGEST_REQUEST} bytes"),
                );
                lines.write(&rpc::answer(&Value::Null, Err(failure))).await;
                lines.discard().await;
                return;
            }
            Ok(Line::Unfinished) => {
                let failure = Failure::new(code::PARSE, "a request ends with a newline");
                lines.write(&rpc::answer(&Value::Null, Err(failure))).await;
                return;
            }
            Ok(Line::End) | Err(_) => return,
        };
        if let Some(answer) = answer
            && !lines.write(&answer).await
        {
            return;
        }
    }
}

/// Does what `line` asks for; returns the line that answers it, unless it is a notification.
async fn answer(shared: &Arc<Shared>, line: Vec<u8>) -> Option<Vec<u8>> {
    let request = rpc::read(&line);
    let id = request.id;
    let call = match request.call {
        Ok(call) => call,
        Err(failure) => return id.map(|id| rpc::answer(&id, Err(failure))),
    };
    if let Call::Backup(backup) = call {
        let outcome = write_backup(shared, backup.path).await;
        return id.map(|id| rpc::answer(&id, outcome));
    }
    if call == Call::SyncNow {
        let outcome = sync_now(shared).await;
        return id.map(|id| rpc::answer(&id, outcome));
    }
    let writes = call.writes();
    let for_store = Arc::clone(shared);
    let unanswered = id.clone();
    let is_short = call.is_short();
    let work = move |store: &mut Store| {
        let outcome = perform(&for_store, store, call, clock::now());
        // A long list becomes text here, where nobody else waits for it.
        id.map(|id| rpc::answer(&id, outcome))
    };
    let done = if is_short {
        shared.keeper.call_at_once(work).await
    } else {
        shared.keeper.call(work).await
    };
    if writes {
        shared.sync.wrote();
    }
    done.unwrap_or_else(|_| {
        let failure = Failure::new(code::INTERNAL, "hephd has lost its store and ends");
        unanswered.map(|id| rpc::answer(&id, Err(failure)))
    })
}

/// Does `call` with the store.
fn perform(
    shared: &Shared,
    store: &mut Store,
    call: Call,
    now: Timestamp,
) -> Result<Outcome, Failure> {
    let about = &shared.about;
    let outcome = match call {
        Call::Status => Outcome::Status(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            mode: about.mode.to_owned(),
            store: about.store.display().to_string(),
            schema: about.schema,
            open_tasks: store.open_tasks()?,
            started_at: about.started_at.to_string(),
        }),
        Call::Add(add) => Outcome::Task {
            task: store.add(&add.title, add.op_id.map(|id| id.0), now)?,
        },
        Call::List(list) => Outcome::Tasks {
            tasks: store.list(list.state)?,
        },
        Call::Next => Outcome::Perhaps {
            task: store.next()?,
        },
        Call::Edit(edit) => Outcome::Task {
            task: store.edit(&edit.id, &edit.title, edit.op_id.map(|id| id.0), now)?,
        },
        Call::Done(done) => Outcome::Task {
            task: store.done(&done.id, done.op_id.map(|id| id.0), now)?,
        },
        Call::Reopen(reopen) => Outcome::Task {
            task: store.reopen(&reopen.id, reopen.op_id.map(|id| id.0), now)?,
        },
        Call::Delete(delete) => Outcome::Task {
            task: store.delete(&delete.id, delete.op_id.map(|id| id.0), now)?,
        },
        Call::Backup(_) => {
            let message = "a backup is not written by the store's own thread";
            return Err(Failure::new(code::INTERNAL, message));
        }
        Call::SyncStatus => Outcome::SyncStatus(shared.sync.status(store)?),
        Call::SyncNow => {
            let message = "a sync is not waited for by the store's own thread";
            return Err(Failure::new(code::INTERNAL, message));
        }
    };
    Ok(outcome)
}

/// Has the spoke go through a round; returns what it did and how the sync stands then.
async fn sync_now(shared: &Arc<Shared>) -> Result<Outcome, Failure> {
    let done = shared.sync.now().await?;
    let for_store = Arc::clone(shared);
    let status = shared
        .keeper
        .call(move |store| for_store.sync.status(store));
    let status = status
        .await
        .map_err(|_| Failure::new(code::INTERNAL, "hephd has lost its store and ends"))??;
    Ok(Outcome::SyncRound(SyncRound {
        sent: done.sent,
        received: done.received,
        status,
    }))
}

/// Writes a copy of the store, on a thread of its own so that writes go on meanwhile.
async fn write_backup(shared: &Arc<Shared>, path: String) -> Result<Outcome, Failure> {
    let _one = shared.backup.lock().await;
    // Nothing here may keep the store's thread alive: a backup may outlast the daemon's patience.
    let source = shared.about.store.clone();
    let target = PathBuf::from(&path);
    let copied = task::spawn_blocking(move || store::write_copy(&source, &target));
    match copied.await {
        Ok(Ok(())) => Ok(Outcome::Written { path }),
        Ok(Err(error)) => Err(Failure::new(code::BACKUP, error.one_line())),
        Err(_) => Err(Failure::new(code::INTERNAL, "the backup was given up")),
    }
}

/// What a client sent.
enum Line {
    /// A line, without its newline.
    Request(Vec<u8>),
    /// More than a request may have.
    TooLong,
    /// The end, in the middle of a line.
    Unfinished,
    /// The end.
    End,
}

/// A connection, line by line.
struct Lines {
    stream: UnixStream,
    entry: Arc<Entry>,
    buffer: Vec<u8>,
    // How much of the buffer is known to have no newline.
    searched: usize,
}

impl Lines {
    fn new(stream: UnixStream, entry: Arc<Entry>) -> Lines {
        Lines {
            stream,
            entry,
            buffer: Vec::new(),
            searched: 0,
        }
    }

    /// Returns the place of the first newline in the buffer.
    fn newline(&self) -> Option<usize> {
        let found = self.buffer[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        found.map(|place| self.searched + place)
    }

    fn has_one(&self) -> bool {
        self.newline().is_some()
    }

    /// Returns the next line. Dropped before it is done, it loses nothing.
    async fn next(&mut self) -> io::Result<Line> {
        loop {
            if let Some(end) = self.newline() {
                let rest = self.buffer.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                self.searched = 0;
                return Ok(if line.len() > LARGEST_REQUEST {
                    Line::TooLong
                } else {
                    Line::Request(line)
                });
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > LARGEST_REQUEST {
                return Ok(Line::TooLong);
            }
            self.buffer.reserve(4096);
            self.entry.idle(!self.buffer.is_empty());
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(if self.buffer.is_empty() {
                    Line::End
                } else {
                    Line::Unfinished
                });
            }
        }
    }

    /// Waits until `until` for the first that the client sends.
    async fn read_first(&mut self, until: Instant) {
        if self.buffer.is_empty() {
            self.buffer.reserve(4096);
            drop(timeout_at(until, self.stream.read_buf(&mut self.buffer)).await);
        }
    }

    /// Reads what the client has sent so far, as much of it as one request may have.
    async fn read_what_has_come(&mut self) {
        while self.buffer.len() <= LARGEST_REQUEST {
            self.buffer.reserve(4096);
            let read = self.stream.read_buf(&mut self.buffer);
            if !matches!(timeout(Socket::QUIET, read).await, Ok(Ok(1..))) {
                return;
            }
        }
    }

    /// Writes an answer; returns whether the client took it.
    async fn write(&mut self, answer: &[u8]) -> bool {
        matches!(
            timeout(WRITE_TIMEOUT, self.stream.write_all(answer)).await,
            Ok(Ok(()))
        )
    }

    /// Reads on for a moment without keeping anything: closing with bytes unread would take the answer away from the
    /// client, who is still writing.
    async fn discard(&mut self) {
        drop(self.stream.shutdown().await);
        self.buffer = vec![0; 64 * 1024];
        let read = async { while matches!(self.stream.read(&mut self.buffer).await, Ok(1..)) {} };
        drop(timeout(Duration::from_secs(1), read).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hephd::connections::tests::each_newcomer_evicts_one;
    use tokio::runtime;

    #[test]
    fn each_newcomer_on_the_socket_evicts_one_connection() {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("s");
            let socket = Socket {
                listener: UnixListener::bind(&path).unwrap(),
                name: None,
            };
            let connect = async || UnixStream::connect(&path).await.unwrap();
            each_newcomer_evicts_one(socket, connect).await;
        });
    }
}
