//! `heph list`: list tasks, the oldest first.

use std::cell::RefCell;

use serde::ser::{Error as _, SerializeSeq};
use serde::{Serialize, Serializer};

use super::Context;
use crate::client::{self, State, Task, Which};
use crate::error::{Error, Exit, Result};
use crate::os::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Include the tasks that are done
    #[arg(long, conflicts_with = "done")]
    all: bool,
    /// List only the tasks that are done
    #[arg(long)]
    done: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let which = match (args.all, args.done) {
        (true, _) => Which::All,
        (_, true) => Which::Done,
        _ => Which::Open,
    };
    let mut pages = client::pages(&context.socket()?, which)?;
    // Before anything is printed, so that an error stands alone.
    let first = pages.next().transpose()?;
    let pages = first.map(Ok).into_iter().chain(pages);
    if args.json {
        let tasks = TaskStream::new(pages);
        context.ui.json(&Listed { tasks: &tasks });
        return tasks.finish();
    }
    for page in pages {
        let mut lines = String::new();
        for task in page? {
            add_line(&mut lines, &task, which);
        }
        context.ui.raw(lines.as_bytes());
        if context.ui.is_unread() {
            break;
        }
    }
    Ok(Exit::Done)
}

/// Appends the line for `task`, with its state where tasks of both states are listed.
fn add_line(lines: &mut String, task: &Task, which: Which) {
    lines.push_str(&task.id);
    lines.push_str(match (which, task.state) {
        (Which::All, State::Open) => "  open  ",
        (Which::All, State::Done) => "  done  ",
        _ => "  ",
    });
    lines.push_str(&printable(&task.title));
    lines.push('\n');
}

#[derive(Serialize)]
struct Listed<'a, T> {
    tasks: &'a T,
}

/// Tasks that are printed while they are fetched, as one array.
struct TaskStream<I> {
    pages: RefCell<I>,
    failure: RefCell<Option<Error>>,
}

impl<I> TaskStream<I> {
    fn new(pages: I) -> TaskStream<I> {
        TaskStream {
            pages: RefCell::new(pages),
            failure: RefCell::default(),
        }
    }

    /// Returns the error of the page that could not be fetched. The array has no end then.
    fn finish(self) -> Result<Exit> {
        self.failure.into_inner().map_or(Ok(Exit::Done), Err)
    }
}

impl<I: Iterator<Item = Result<Vec<Task>>>> Serialize for TaskStream<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for page in &mut *self.pages.borrow_mut() {
            let page = page.map_err(|error| {
                *self.failure.borrow_mut() = Some(error);
                S::Error::custom("the list is not complete")
            })?;
            for task in page {
                list.serialize_element(&task)?;
            }
        }
        list.end()
    }
}
