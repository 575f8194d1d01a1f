//! `heph self-update apply`: install the newest release now.

use std::time::Duration;

use jiff::Timestamp;
use semver::Version;

use super::outcome;
use crate::cli::Context;
use crate::error::{Exit, Result};
use crate::os::{clock, interrupt};
use crate::platform::schedule::{self, Scheduler};
use crate::release::decide::Asked;
use crate::update::{self, Request, history};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Install exactly this release, even a lower or a quarantined one
    #[arg(long, value_name = "VERSION", value_parser = super::version)]
    to: Option<Version>,
    /// Install it even if its tag was moved to another commit
    #[arg(long, requires = "to")]
    accept_moved_tag: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Install the current release afresh
    #[arg(long)]
    force: bool,
    /// Leave hephd running as it is
    #[arg(long)]
    no_restart: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Started by the timer
    #[arg(long, hide = true)]
    scheduled: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    interrupt::watch()?;
    if args.scheduled {
        schedule::trim_log(&context.paths);
    }
    if args.scheduled && ran_recently(context)? {
        context.ui.step("skipped: the timer's last run is recent");
        return Ok(Exit::Done);
    }
    let request = Request {
        asked: Asked {
            to: args.to,
            force: args.force,
            by_hand: !args.scheduled,
        },
        dry_run: args.dry_run,
        no_restart: args.no_restart,
        accept_moved_tag: args.accept_moved_tag,
        scheduled: args.scheduled,
    };
    let mut report =
        outcome::with_world(context, args.json, |world| update::apply(world, &request));
    if !args.dry_run {
        outcome::run_hooks(context, &mut report);
    }
    Ok(outcome::print(context, args.json, &report))
}

/// Returns whether the timer's last run is recent: launchd starts its job at each load and login, besides the cadence.
fn ran_recently(context: &Context) -> Result<bool> {
    // Where the timer's files cannot be read, the run goes on; `status` and `doctor` report them.
    let timer = schedule::job(context.config.service_manager, &context.paths);
    let Ok(Some((Scheduler::Launchd, job))) = timer else {
        return Ok(false);
    };
    let runs = history::read(&context.paths)?;
    let last = runs.iter().rev().find(|entry| entry.run.scheduled);
    let last = last.map(|entry| entry.run.started_at);
    Ok(is_recent(last, job.cadence.longest_gap(), clock::now()))
}

/// Returns whether a run at `now` comes less than half an `interval` after the last one.
fn is_recent(last: Option<Timestamp>, interval: Duration, now: Timestamp) -> bool {
    let since = last.and_then(|last| Duration::try_from(now.duration_since(last)).ok());
    since.is_some_and(|since| since < interval / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_interval_must_pass_between_two_scheduled_runs() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let last = Some(at("2026-01-01T00:00:00Z"));
        let interval = Duration::from_secs(21_600);
        assert!(is_recent(last, interval, at("2026-01-01T02:59:59Z")));
        assert!(!is_recent(last, interval, at("2026-01-01T03:00:00Z")));
        assert!(!is_recent(None, interval, at("2026-01-01T00:00:00Z")));
        assert!(
            !is_recent(last, interval, at("2025-12-31T00:00:00Z")),
            "a clock set back stops nothing"
        );
    }
}
