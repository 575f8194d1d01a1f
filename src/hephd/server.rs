//! Connections: accepted, bounded, answered in order, and drained at the end.
//!
//! hephd ends in three steps. A socket of its own loses its name, so that a client learns at once that nobody is there, and
//! those who had found it before are accepted; a socket that the service manager holds is let go as it is, and who waits in
//! its queue is served by the next hephd. Then every request that had reached hephd is answered. After five seconds it
//! gives up on what is left: nothing of that was acknowledged.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, watch};
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::keeper::Keeper;
use super::places::{Place, Places};
use super::rpc::{self, Call, Failure, Outcome};
use super::store::{self, Store};
use super::{print, socket, sync};
use crate::client::wire::{LARGEST_REQUEST, Status, SyncRound, code};
use crate::os::clock;

/// How many connections are served at once. For one more, the one that is idle the longest makes room; where none is idle,
/// the next ones wait in the kernel's queue.
const CONNECTIONS: usize = 256;
/// While there are too many: how often it is looked whether one can make room by now.
const LOOK: Duration = Duration::from_secs(1);
/// How long a connection may say nothing, and how long a request may take to arrive.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// How long a client may take to read its answer.
const SLOW: Duration = Duration::from_secs(30);
/// How long the end may take.
const DRAIN: Duration = Duration::from_secs(5);
/// While ending: how long it takes to tell that nothing more has come.
const QUIET: Duration = Duration::from_millis(10);
/// While ending: how long after it was accepted the first request of a connection may come. Who has just connected is about
/// to ask, and was not refused.
const FIRST: Duration = Duration::from_secs(1);

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
    places: Places,
}

/// Serves `listener` until `stop` is done, then drains. `name` is its name where it is hephd's own, and `None` where the
/// service manager holds it for the next hephd.
pub async fn serve(
    listener: UnixListener,
    name: Option<socket::Name>,
    about: About,
    keeper: Keeper,
    sync: sync::Handle,
    stop: impl Future<Output = ()>,
) {
    let shared = Arc::new(Shared {
        about,
        keeper,
        sync,
        backup: Mutex::new(()),
        places: Places::default(),
    });
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let full = connections.len() > CONNECTIONS;
        if full {
            shared.places.make_room();
        }
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            () = shared.places.rested(), if full => {}
            () = sleep(LOOK), if full => {}
            accepted = listener.accept(), if !full => match accepted {
                Ok((stream, _)) if is_ours(&stream) => {
                    connections.spawn(converse(stream, Arc::clone(&shared), stopped.clone()));
                }
                Ok(_) => print::log("refused a connection of another user"),
                Err(error) => {
                    // Out of descriptors, most likely; it passes when a connection ends.
                    print::log(format!("cannot accept a connection: {error}"));
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
    if let Some(name) = name {
        drop(name);
        // Without a name nobody joins the queue; this ends.
        while let Ok(Ok((stream, _))) = timeout(QUIET, listener.accept()).await {
            if is_ours(&stream) {
                connections.spawn(converse(stream, Arc::clone(&shared), stopped.clone()));
            }
        }
    }
    drop(listener);
    // Whoever waits for the hub is told now: a hub that hangs must not hold up the end.
    shared.sync.stop();
    // Fails only if no connection is left to hear it.
    let _ = stopping.send(true);
    let drained = timeout(DRAIN, async {
        while connections.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        print::log(format!(
            "gave up on {} connections after {DRAIN:?}",
            connections.len()
        ));
    }
}

/// Returns whether the process at the other end has this process's user.
fn is_ours(stream: &UnixStream) -> bool {
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw())
}

/// Answers the requests of one client, in order, until either side ends it.
async fn converse(stream: UnixStream, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut lines = Lines::new(stream, shared.places.take());
    let leave = lines.place.leave();
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
            _ = stopped.changed(), if !last_ones => {
                if !has_asked {
                    lines.read_first(accepted + FIRST).await;
                }
                lines.read_what_has_come().await;
                last_ones = true;
                continue;
            }
            () = leave.notified() => {
                if lines.place.is_wanted() {
                    return;
                }
                continue;
            }
            () = sleep(IDLE) => return,
        };
        has_asked = true;
        lines.place.works();
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
    place: Place,
    buffer: Vec<u8>,
    // How much of the buffer is known to have no newline.
    searched: usize,
}

impl Lines {
    fn new(stream: UnixStream, place: Place) -> Lines {
        Lines {
            stream,
            place,
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
            self.place.rests(!self.buffer.is_empty());
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
            if !matches!(timeout(QUIET, read).await, Ok(Ok(1..))) {
                return;
            }
        }
    }

    /// Writes an answer; returns whether the client took it.
    async fn write(&mut self, answer: &[u8]) -> bool {
        matches!(
            timeout(SLOW, self.stream.write_all(answer)).await,
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
