//! `heph undelete`: bring deleted tasks back.

use std::str::FromStr;

use jiff::Timestamp;

use super::{Context, task};
use crate::client;
use crate::config::Interval;
use crate::error::{Error, Exit, Result};
use crate::os::clock;

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["id", "since"])))]
pub struct Args {
    /// Id of the deleted task, or an unambiguous prefix of it
    id: Option<String>,
    /// Bring back every task that was deleted on this machine since then: 30m, 2h, 1d, or a time such as 2026-02-03T04:05:06Z
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A time as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Ago(Interval),
    At(Timestamp),
}

impl FromStr for Since {
    type Err = Error;

    fn from_str(text: &str) -> Result<Since> {
        let ago = text.parse().map(Since::Ago);
        ago.or_else(|_| text.parse().map(Since::At))
            .map_err(|_| Error::usage("write it like 30m, 2h or 1d, or like 2026-02-03T04:05:06Z"))
    }
}

impl Since {
    fn time(self, now: Timestamp) -> Timestamp {
        match self {
            Since::Ago(length) => now.checked_sub(*length).unwrap_or(Timestamp::UNIX_EPOCH),
            Since::At(time) => time,
        }
    }
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let socket = context.socket()?;
    if let Some(id) = &args.id {
        let task = client::undelete(&socket, id)?;
        return Ok(task::print(
            context,
            "undeleted",
            "already back",
            task,
            args.json,
        ));
    }
    // clap demands one of the two.
    let since = args.since.map(|since| since.time(clock::now()));
    let tasks = client::undelete_since(&socket, since.unwrap_or_else(clock::now))?;
    if args.json {
        context.ui.json(&serde_json::json!({ "tasks": tasks }));
        return Ok(Exit::Done);
    }
    let count = tasks.len();
    for task in tasks {
        task::line(context, "undeleted", &task);
    }
    context.ui.say(match count {
        0 => "no task that was deleted since then is missing".to_owned(),
        1 => "1 task is back".to_owned(),
        _ => format!("{count} tasks are back"),
    });
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_length_before_now_or_a_point() {
        let now: Timestamp = "2026-02-03T04:05:06Z".parse().unwrap();
        for (text, time) in [
            ("2h", "2026-02-03T02:05:06Z"),
            ("1d", "2026-02-02T04:05:06Z"),
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
            ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z"),
        ] {
            let since: Since = text.parse().unwrap();
            assert_eq!(since.time(now).to_string(), time, "{text}");
        }
        for text in ["", "yesterday", "2", "2026-01-01"] {
            let error = text.parse::<Since>().unwrap_err().to_string();
            assert!(error.contains("30m"), "{text}: {error}");
        }
    }
}
