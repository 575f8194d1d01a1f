//! What the commands that change one task print.

use serde::Serialize;

use super::Context;
use crate::client::Task;
use crate::error::Exit;
use crate::os::text::printable;

#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    task: &'a Task,
}

/// Prints `task`, as one object with `json`, and else after what was done to it.
pub fn print(context: &Context, done: &str, task: &Task, json: bool) -> Exit {
    if json {
        context.ui.json(&Output { schema: 1, task });
    } else {
        let title = printable(&task.title);
        context.ui.say(format!("{done} {}  {title}", task.id));
    }
    Exit::Done
}
