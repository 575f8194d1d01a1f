//! `heph self-update history`: the runs so far.

use serde_json::json;

use super::shown;
use crate::cli::Context;
use crate::error::{Exit, Result};
use crate::install::slots::Delivery;
use crate::update::history::{self, Action};
use crate::update::report::Outcome;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show at most this many of the newest runs
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let mut runs = history::read(&context.paths)?;
    runs.drain(..runs.len().saturating_sub(args.last));
    if args.json {
        context.ui.json(&json!({ "runs": runs }));
        return Ok(Exit::Done);
    }
    if runs.is_empty() {
        context.ui.say("no runs yet");
    }
    for entry in runs {
        let (run, summary) = (entry.run, entry.summary);
        // The arrow points back where an update was not healthy.
        let back = summary.outcome == Outcome::RolledBack && run.action != Action::Rollback;
        let (from, to) = if back {
            (summary.to, summary.from)
        } else {
            (summary.from, summary.to)
        };
        let mut line = format!(
            "{}  {:<11}  {} → {}",
            entry.ended_at.strftime("%Y-%m-%d %H:%M:%SZ"),
            summary.outcome,
            shown(from.as_ref(), "-"),
            shown(to.as_ref(), "-")
        );
        if summary.delivery == Some(Delivery::Prebuilt) {
            line.push_str("  prebuilt");
        }
        if run.action == Action::Rollback {
            line.push_str("  by hand");
        }
        if let Some(reason) = summary.reason {
            line.push_str("  ");
            line.push_str(&reason);
        }
        if let Some(by) = summary.signed_by {
            line.push_str("  signed by ");
            line.push_str(&by);
        }
        context.ui.say(line);
    }
    Ok(Exit::Done)
}
