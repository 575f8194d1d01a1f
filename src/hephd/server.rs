//! The socket's connections: requests are answered in order, one connection at a time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connections::{self, FIRST_REQUEST, Listener, WRITE_TIMEOUT};
use super::eviction::{Entry, Registry};
use super::methods::Methods;
use super::room::{Reservation, Room};
use super::rpc::{self, Request};
use super::socket::Socket;
use crate::client::wire::{Call, LARGEST_REQUEST, Which, code};

/// How many connections are served at once. For one more, the longest idle one is evicted; if none is idle, newcomers wait
/// in the kernel's queue.
const CONNECTIONS: usize = 256;
/// How long a connection may be silent, and how long a request may take to arrive.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// How many bytes all answers that clients have not read yet may have together.
const UNREAD: usize = 16 << 20;
/// From this size on, in bytes, an answer counts.
const LARGE: usize = 16 * 1024;
/// How much of an answer is written at a time, in bytes.
const PART: usize = 128 * 1024;
/// How long a client may pause while it reads a large answer, if others need the room.
const STALLED: Duration = Duration::from_millis(100);
/// How many pages of lists are made at a time.
const LISTS: usize = 2;

/// What all connections share.
#[derive(Debug)]
struct Shared {
    methods: Arc<Methods>,
    unread: Room,
    lists: Semaphore,
}

/// Serves `socket` until `stopped`, then drains.
pub(super) async fn serve(socket: Socket, methods: Methods, stopped: watch::Receiver<bool>) {
    let shared = Arc::new(Shared {
        methods: Arc::new(methods),
        unread: Room::new(UNREAD, STALLED),
        lists: Semaphore::new(LISTS),
    });
    let registry = Registry::new(CONNECTIONS);
    let converse = |stream, entry| converse(stream, entry, Arc::clone(&shared), stopped.clone());
    connections::serve(socket, &registry, stopped.clone(), converse).await;
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
    let mut has_requested = false;
    let mut is_draining = false;
    loop {
        if is_draining && lines.newline().is_none() {
            return;
        }
        let line = tokio::select! {
            biased;
            line = lines.next() => line,
            () = connections::until(&mut stopped), if !is_draining => {
                if !has_requested {
                    lines.read_first(accepted + FIRST_REQUEST).await;
                }
                lines.read_sent().await;
                is_draining = true;
                continue;
            }
            () = sleep(IDLE) => return,
        };
        has_requested = true;
        lines.entry.busy();
        let is_answered = match line {
            Ok(Line::Request(line)) => answer(&shared, &mut lines, &line).await,
            Ok(Line::TooLong) => {
                let message = format!("a request has at most {LARGEST_REQUEST} bytes");
                lines.reject(code::INVALID_REQUEST, message).await;
                lines.discard().await;
                return;
            }
            Ok(Line::Unfinished) => {
                let message = "a request ends with a newline";
                return lines.reject(code::PARSE, message).await;
            }
            Ok(Line::End) | Err(_) => return,
        };
        if !is_answered {
            return;
        }
    }
}

/// Processes a request and answers it, unless it is a notification. Returns whether the client received the answer.
async fn answer(shared: &Shared, lines: &mut Lines, line: &[u8]) -> bool {
    let Request {
        id,
        deadline_ms,
        call,
    } = rpc::read(line);
    let call = match (call, &id) {
        (
            Ok(Call::TaskList {
                state,
                limit: None,
                after: None,
            }),
            Some(id),
        ) => return answer_with_all(shared, lines, id, state).await,
        (call, _) => call,
    };
    // A page may be large. Those that wait here have none yet.
    let turn = match &call {
        Ok(Call::TaskList { .. }) => shared.lists.acquire().await.ok(),
        _ => None,
    };
    let outcome = match call {
        Ok(call) => shared.methods.run(call, deadline_ms).await,
        Err(failure) => Err(failure),
    };
    let Some(id) = id else { return true };
    let answer = rpc::answer(&id, outcome);
    let place = claim(shared, &lines.entry, &answer).await;
    drop(turn);
    lines.write(&answer, place.as_ref()).await
}

/// Answers `task.list` without a limit, as clients of release 0.1.0 send it: with all tasks, of which hephd has no more than a
/// page at a time. Where the store fails after the first page, the answer is cut off, and the connection ends.
async fn answer_with_all(shared: &Shared, lines: &mut Lines, id: &Value, state: Which) -> bool {
    let mut part = rpc::head(id, "result");
    part.extend(b"{\"tasks\":[");
    let mut after = None;
    let mut is_first = true;
    loop {
        let turn = shared.lists.acquire().await.ok();
        let next = match shared.methods.list_part(state, after).await {
            Ok((json, next)) => {
                if !is_first && !json.is_empty() {
                    part.push(b',');
                }
                part.extend(json);
                next
            }
            Err(failure) if is_first => {
                return lines.write(&rpc::answer(id, Err(failure)), None).await;
            }
            Err(_) => return false,
        };
        if next.is_none() {
            part.extend(b"]}");
            part.extend(rpc::TAIL);
        }
        let place = claim(shared, &lines.entry, &part).await;
        drop(turn);
        let is_received = lines.write(&part, place.as_ref()).await;
        if !is_received || next.is_none() {
            return is_received;
        }
        part.clear();
        after = next;
        is_first = false;
    }
}

/// Claims the room that a large answer takes until the client has read it; `None` for a small one. If the room is used up, the
/// connections end whose clients have read nothing for longest.
async fn claim(shared: &Shared, entry: &Arc<Entry>, answer: &[u8]) -> Option<Reservation> {
    if answer.len() < LARGE {
        return None;
    }
    let entry = Arc::clone(entry);
    let claim = shared.unread.claim("", answer.len(), move || entry.end());
    Some(claim.await)
}

enum Line {
    /// Without its newline.
    Request(Vec<u8>),
    TooLong,
    /// The connection ended in the middle of a line.
    Unfinished,
    /// The connection ended.
    End,
}

/// A connection, read line by line.
struct Lines {
    stream: UnixStream,
    entry: Arc<Entry>,
    buffer: Vec<u8>,
    /// The start of the buffer that has no newline.
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

    fn newline(&self) -> Option<usize> {
        let found = self.buffer[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        found.map(|place| self.searched + place)
    }

    /// Returns the next line. Cancel safe.
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

    /// Waits until `until` for the first bytes of the client.
    async fn read_first(&mut self, until: Instant) {
        if self.buffer.is_empty() {
            self.buffer.reserve(4096);
            drop(timeout_at(until, self.stream.read_buf(&mut self.buffer)).await);
        }
    }

    /// Reads what the client has sent so far, up to the size of one request.
    async fn read_sent(&mut self) {
        while self.buffer.len() <= LARGEST_REQUEST {
            self.buffer.reserve(4096);
            let read = self.stream.read_buf(&mut self.buffer);
            if !matches!(timeout(Socket::QUIET, read).await, Ok(Ok(1..))) {
                return;
            }
        }
    }

    async fn reject(&mut self, code: i64, message: impl Into<String>) {
        let answer = rpc::answer(&Value::Null, Err(rpc::failure(code, message)));
        self.write(&answer, None).await;
    }

    /// Writes an answer, which takes up `place`; returns whether the client received it.
    async fn write(&mut self, answer: &[u8], place: Option<&Reservation>) -> bool {
        let writing = async {
            for part in answer.chunks(PART) {
                self.stream.write_all(part).await?;
                if let Some(place) = place {
                    place.progressed();
                }
            }
            io::Result::Ok(())
        };
        matches!(timeout(WRITE_TIMEOUT, writing).await, Ok(Ok(())))
    }

    /// Reads and discards for a moment: closing with bytes unread would destroy the answer before the client, which is still
    /// writing, reads it.
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
    use tokio::net::UnixListener;
    use tokio::runtime;

    #[test]
    fn each_newcomer_on_the_socket_evicts_one_connection() {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("s");
            let socket = Socket {
                listener: UnixListener::bind(&path).unwrap(),
                path: None,
            };
            let connect = async || UnixStream::connect(&path).await.unwrap();
            each_newcomer_evicts_one(socket, connect).await;
        });
    }
}
