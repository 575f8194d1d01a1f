//! The thin client of hephd's socket: newline-delimited JSON-RPC 2.0.
//!
//! A restart of hephd is no reason for a command to fail: a call that was cut off is made again, and a socket that has just
//! gone is waited for. So every call but `backup` and those that change the
//! machines of a hub is idempotent: those that write carry an operation id that is chosen here.

mod connection;
mod foreign;
mod list;
mod reconnect;
pub(crate) mod wire;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ulid::Ulid;

use crate::error::{Error, Result, ResultExt};
use crate::os::text::printable;
use connection::Caller;
pub(crate) use list::pages;
use wire::{
    Call, Failure, Machines, NextTask, OneTask, OperationId, RevokedMachine, Undeleted, Written,
};
pub(crate) use wire::{InvitedMachine, Machine};
pub use wire::{SpokeStatus, State, Status, SyncRound, SyncStatus, Task, Which};

/// How long a command waits for hephd.
const LIMIT: Duration = Duration::from_secs(30);
/// How long a command waits for a sync: hephd itself gives up after a minute.
const SYNC_LIMIT: Duration = Duration::from_secs(70);
/// How long the path of a socket may be: `sun_path` without its final zero (unix(7)).
const LONGEST_SOCKET: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Asks the hephd that listens on `socket` for its status, once; `None`, and at once, where no hephd listens.
pub fn status(socket: &Path, limit: Duration) -> Result<Option<Status>> {
    connection::call_if_there(socket, &Call::Status {}, limit)
}

/// Returns whether a process of this user listens on `socket`. Whether it answers is another question.
pub(crate) fn listens(socket: &Path) -> bool {
    connection::listens(socket, Duration::from_secs(2))
}

/// Has hephd write a consistent copy of its store to `file`, an absolute path where nothing exists; returns once it is durable.
pub(crate) fn backup(socket: &Path, file: &Path, limit: Duration) -> Result<()> {
    let path = file
        .to_str()
        .with_context(|| format!("cannot name '{}' to hephd: it is not UTF-8", file.display()))?;
    // Not again: a second one would find the file of the first in its way.
    let call = Call::Backup {
        path: path.to_owned(),
    };
    Caller::connect(socket, limit)?.call_once::<Written>(&call)?;
    Ok(())
}

/// Adds a task and returns it, once it is durable.
pub fn add(socket: &Path, title: &str) -> Result<Task> {
    let title = title.to_owned();
    Ok(write(socket, |op_id| Call::TaskAdd { title, op_id })?.task)
}

/// Marks the task `id`, or the only one with this prefix, as done and returns it.
pub(crate) fn done(socket: &Path, id: &str) -> Result<OneTask> {
    let id = id.to_owned();
    write(socket, |op_id| Call::TaskDone { id, op_id })
}

/// Changes the title of the task `id`, or the only one with this prefix, and returns it.
pub(crate) fn edit(socket: &Path, id: &str, title: &str) -> Result<OneTask> {
    let (id, title) = (id.to_owned(), title.to_owned());
    write(socket, |op_id| Call::TaskEdit { id, title, op_id })
}

/// Marks the task `id`, or the only one with this prefix, as open again and returns it.
pub(crate) fn reopen(socket: &Path, id: &str) -> Result<OneTask> {
    let id = id.to_owned();
    write(socket, |op_id| Call::TaskReopen { id, op_id })
}

/// Deletes the task `id`, or the only one with this prefix, and returns it as it was.
pub(crate) fn delete(socket: &Path, id: &str) -> Result<OneTask> {
    let id = id.to_owned();
    write(socket, |op_id| Call::TaskDelete { id, op_id })
}

/// Brings the deleted task `id`, or the only one with this prefix, back and returns it under its new id.
pub(crate) fn undelete(socket: &Path, id: &str) -> Result<OneTask> {
    let id = id.to_owned();
    write(socket, |op_id| Call::TaskUndelete { id, op_id })
}

/// Brings back every task that was deleted at `since` or later, and returns them under their new ids.
pub(crate) fn undelete_since(socket: &Path, since: Timestamp) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    let mut after = Some(0);
    while let Some(number) = after {
        let call = Call::TaskUndeleteSince {
            since,
            after: number,
        };
        let undeleted = Caller::connect(socket, LIMIT)?.call::<Undeleted>(&call)?;
        tasks.extend(undeleted.tasks);
        after = undeleted.next.filter(|next| *next > number);
    }
    Ok(tasks)
}

/// Calls a method that writes one task, with a new operation id: hephd recognizes the call if it is sent twice.
fn write(socket: &Path, call: impl FnOnce(Option<OperationId>) -> Call) -> Result<OneTask> {
    let call = call(Some(OperationId(Ulid::generate())));
    Caller::connect(socket, LIMIT)?.call(&call)
}

/// Returns the tasks, the oldest first.
pub fn list(socket: &Path, state: Which) -> Result<Vec<Task>> {
    let pages = pages(socket, state)?.collect::<Result<Vec<_>>>()?;
    Ok(pages.concat())
}

/// Returns the task to do next, if there is one.
pub fn next(socket: &Path) -> Result<Option<Task>> {
    let call = Call::TaskNext {};
    Ok(Caller::connect(socket, LIMIT)?
        .call::<NextTask>(&call)?
        .task)
}

/// Returns how the sync with the hub stands.
pub(crate) fn sync_status(socket: &Path) -> Result<SyncStatus> {
    Caller::connect(socket, LIMIT)?.call(&Call::SyncStatus {})
}

/// Returns the same from the hephd that listens on `socket`, if one does; asks once.
pub(crate) fn sync_status_if_there(socket: &Path, limit: Duration) -> Result<Option<SyncStatus>> {
    connection::call_if_there(socket, &Call::SyncStatus {}, limit)
}

/// Has hephd sync with its hub, and returns what that did. With `accept_deletes`, it first applies the hub's deletions that
/// wait for that.
pub(crate) fn sync_now(socket: &Path, accept_deletes: bool) -> Result<SyncRound> {
    Caller::connect(socket, SYNC_LIMIT)?.call(&Call::SyncNow { accept_deletes })
}

/// Has the hub on this machine invite a machine, and returns its secret, which is nowhere else.
pub(crate) fn invite(
    socket: &Path,
    name: Option<String>,
    url: Option<String>,
) -> Result<InvitedMachine> {
    // Not again: a second one would replace the secret of the first.
    Caller::connect(socket, LIMIT)?.call_once(&Call::HubInvite { name, url })
}

/// Returns the machines that are invited to the hub on this machine.
pub(crate) fn machines(socket: &Path) -> Result<Vec<Machine>> {
    let call = Call::HubMachines {};
    Ok(Caller::connect(socket, LIMIT)?
        .call::<Machines>(&call)?
        .machines)
}

/// Has the hub on this machine revoke the secret of the machine `name`, and returns the name.
pub(crate) fn revoke(socket: &Path, name: &str) -> Result<String> {
    let name = name.to_owned();
    // Not again: it would find no such machine.
    let revoked: RevokedMachine =
        Caller::connect(socket, LIMIT)?.call_once(&Call::HubRevoke { name })?;
    Ok(revoked.name)
}

/// Checks that `socket` fits into the address of a unix socket.
pub fn check_length(socket: &Path) -> Result<()> {
    let length = socket.as_os_str().len();
    if length <= LONGEST_SOCKET {
        return Ok(());
    }
    Err(Error::usage(format!(
        "the path of the socket '{}' has {length} bytes, and a socket's may have {LONGEST_SOCKET}",
        socket.display()
    ))
    .with_hint("set HEPH_SOCKET to a shorter absolute path, for heph and hephd alike"))
}

#[derive(Deserialize)]
struct Answer<T> {
    result: Option<T>,
    error: Option<Failure>,
}

/// Reads hephd's answer: a result, or the error that hephd had.
fn read_answer<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let answer: Answer<T> =
        serde_json::from_slice(bytes).context("cannot understand hephd's answer")?;
    if let Some(failure) = answer.error {
        let hint = match failure.code {
            wire::code::NO_TASK => Some("`heph list --all` shows every task with its id"),
            wire::code::AMBIGUOUS => Some("write more of the id"),
            wire::code::NO_METHOD => Some(
                "hephd is of another version than heph; `heph daemon restart` starts the one beside it",
            ),
            _ => None,
        };
        let error = failure.into_error().map_text(printable);
        return Err(match hint.filter(|_| error.hint().is_none()) {
            Some(hint) => error.with_hint(hint),
            None => error,
        });
    }
    let result = answer.result;
    result.context("hephd's answer has neither a result nor an error")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;
    use std::thread;

    /// Returns the error of a client whose hephd answers with `answer`, byte for byte.
    fn failure(answer: &'static [u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            stream.write_all(answer).unwrap();
        });
        format!("{:#}", status(&socket, LIMIT).unwrap_err())
    }

    #[test]
    fn nobody_there_is_no_error_of_status_and_one_with_a_hint_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        assert_eq!(status(&missing, LIMIT).unwrap(), None);
        let stale = folder.path().join("stale");
        drop(UnixListener::bind(&stale).unwrap());
        assert_eq!(status(&stale, LIMIT).unwrap(), None);
        let error = next(&folder.path().join("no folder/s")).unwrap_err();
        assert_eq!(error.to_string(), "hephd is not running");
        assert_eq!(error.hint(), Some("`heph daemon start`, or run `hephd`"));
    }

    #[test]
    fn strange_answers_are_errors_in_words() {
        assert!(failure(b"").contains("it closed the connection"));
        assert!(failure(b"{\"result\"").contains("it closed the connection"));
        assert!(failure(b"hello\n").contains("cannot understand"));
        assert!(failure(b"{}\n").contains("neither"));
        assert!(failure(b"{\"result\":{\"pid\":true}}\n").contains("cannot understand"));
        let refused = failure(b"{\"error\":{\"code\":-1,\"message\":\"no\\u001b[2J\"}}\n");
        assert_eq!(refused, "no\\u{1b}[2J");
    }

    #[test]
    fn a_hephd_that_never_answers_costs_no_more_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let _deaf = UnixListener::bind(&socket).unwrap();
        let error = status(&socket, Duration::from_millis(50)).unwrap_err();
        assert!(format!("{error:#}").contains("timed out"));
    }

    #[test]
    fn a_long_path_names_the_variable_that_shortens_it() {
        let error = next(Path::new(&format!("/{}", "x".repeat(200)))).unwrap_err();
        assert!(error.to_string().contains("has 201 bytes"), "{error}");
        assert!(error.hint().unwrap().contains("HEPH_SOCKET"));
    }
}
