//! Lists, page by page, so that neither side has all tasks in memory.

use std::path::Path;
use std::sync::mpsc;
use std::thread;

use jiff::Timestamp;

use super::LIMIT;
use super::connection::Caller;
use super::wire::{Call, PageLimit, Task, Tasks, Which};
use crate::error::{Error, Kind, Result};

/// Returns the tasks, the oldest first, in pages. Fetches a page while the one before is being used; the limit of a call
/// counts anew for each.
///
/// # Errors
///
/// hephd is not running. Each page may be an error, which is the last one.
pub(crate) fn pages(
    socket: &Path,
    state: Which,
) -> Result<impl Iterator<Item = Result<Vec<Task>>> + use<>> {
    let mut list = List {
        caller: Caller::connect(socket, LIMIT)?,
        state,
        after: None,
        last: None,
        is_complete: false,
    };
    let (sender, pages) = mpsc::sync_channel(1);
    let fetching = thread::spawn(move || {
        while !list.is_complete {
            let page = list.next_page();
            list.is_complete |= page.is_err();
            if sender.send(page).is_err() {
                return;
            }
        }
    });
    let mut fetching = Some(fetching);
    Ok(std::iter::from_fn(move || {
        let ended = || {
            let panicked = fetching.take()?.join().is_err();
            panicked.then(|| Err(Error::new("the thread that fetches the list panicked")))
        };
        pages.recv().ok().or_else(ended)
    }))
}

struct List {
    caller: Caller,
    state: Which,
    /// Where the next page begins, in hephd's own words.
    after: Option<String>,
    /// The last task so far, by the keys of the order.
    last: Option<(Timestamp, String)>,
    is_complete: bool,
}

impl List {
    fn next_page(&mut self) -> Result<Vec<Task>> {
        self.caller.extend(LIMIT);
        let page: Tasks = match self.caller.call(&Call::TaskList {
            state: self.state,
            limit: Some(PageLimit::MAX),
            after: self.after.clone(),
        }) {
            // A hephd of release 0.1.0, which may have taken over in the middle of a list.
            Err(error) if error.kind() == Kind::Invalid => self.rest()?,
            page => page?,
        };
        self.is_complete = page.next.is_none();
        self.after = page.next;
        self.last = page.tasks.last().map(keys);
        Ok(page.tasks)
    }

    /// Returns all tasks that are left, from a hephd that knows no pages.
    fn rest(&mut self) -> Result<Tasks> {
        let mut all: Tasks = self.caller.call(&Call::TaskList {
            state: self.state,
            limit: None,
            after: None,
        })?;
        if let Some(last) = &self.last {
            all.tasks.retain(|task| keys(task) > *last);
        }
        Ok(all)
    }
}

/// Returns what lists are ordered by.
fn keys(task: &Task) -> (Timestamp, String) {
    (task.created_at, task.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;

    use serde_json::{Value, json};

    fn task(number: i64) -> Value {
        json!({
            "id": format!("01K9ZZZZZZABCDEFGHJKMNPQR{number}"), "title": format!("task {number}"),
            "state": "open", "created_at": format!("2026-11-28T00:00:0{number}Z"), "done_at": null,
        })
    }

    /// Lists from a hephd that answers so; `Err` stands for the answer of release 0.1.0 to parameters that it does not know.
    /// Returns the titles, and the parameters of each request.
    fn listed(answers: Vec<Result<Value, ()>>) -> (Result<Vec<String>>, Vec<Value>) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let hephd = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut requests = BufReader::new(stream.try_clone().unwrap()).lines();
            let answer = |answer| {
                let request = requests.next().unwrap().unwrap();
                let mut request: Value = serde_json::from_str(&request).unwrap();
                let answer = match answer {
                    Ok(result) => json!({ "jsonrpc": "2.0", "id": 1, "result": result }),
                    Err(()) => json!({
                        "jsonrpc": "2.0", "id": 1,
                        "error": { "code": -32602, "message": "unknown field `limit`, expected `state`" },
                    }),
                };
                stream.write_all(format!("{answer}\n").as_bytes()).unwrap();
                request["params"].take()
            };
            answers.into_iter().map(answer).collect()
        });
        let listed = pages(&socket, Which::Open)
            .unwrap()
            .collect::<Result<Vec<_>>>();
        let titles = |pages: Vec<Vec<Task>>| {
            let tasks = pages.into_iter().flatten();
            tasks.map(|task| task.title).collect()
        };
        (listed.map(titles), hephd.join().unwrap())
    }

    #[test]
    fn pages_follow_one_another() {
        let last = "only hephd knows what this means";
        let (titles, requests) = listed(vec![
            Ok(json!({ "tasks": [task(0), task(1)], "next": last })),
            Ok(json!({ "tasks": [task(2)], "next": null })),
        ]);
        assert_eq!(titles.unwrap(), ["task 0", "task 1", "task 2"]);
        assert_eq!(requests[0], json!({ "state": "open", "limit": 1000 }));
        assert_eq!(requests[1]["after"], last);
    }

    #[test]
    fn a_hephd_of_release_0_1_0_answers_with_all_at_once() {
        let all = json!({ "tasks": [task(0), task(1), task(2)] });
        let (titles, requests) = listed(vec![Err(()), Ok(all.clone())]);
        assert_eq!(titles.unwrap(), ["task 0", "task 1", "task 2"]);
        assert_eq!(requests[1], json!({ "state": "open" }));

        // It took over in the middle of the list.
        let page = json!({ "tasks": [task(0)], "next": "0" });
        let (titles, _) = listed(vec![Ok(page), Err(()), Ok(all)]);
        assert_eq!(titles.unwrap(), ["task 0", "task 1", "task 2"]);
    }

    #[test]
    fn an_error_ends_the_list() {
        let (titles, _) = listed(vec![Err(()), Err(())]);
        assert_eq!(titles.unwrap_err().kind(), Kind::Invalid);
    }
}
