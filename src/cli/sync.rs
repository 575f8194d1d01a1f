//! `heph sync`: show the state of the sync, or sync now.

use std::time::Duration;

use clap::Subcommand;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Context;
use crate::client::{self, SyncStatus};
use crate::error::{Exit, Result};
use crate::os::clock;
use crate::os::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show when hephd last synced with its hub, and what is still to send
    Status(Form),
    /// Sync with the hub now, and wait until that is done
    Now(Form),
}

#[derive(Debug, clap::Args)]
struct Form {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    match args.command {
        Command::Status(form) => status(context, &form),
        Command::Now(form) => now(context, &form),
    }
}

fn status(context: &Context, form: &Form) -> Result<Exit> {
    let status = client::sync_status(&context.paths.hephd.socket)?;
    if form.json {
        context.ui.json(&status);
    } else {
        for line in lines(&status, clock::now(), &TimeZone::system()) {
            context.ui.say(line);
        }
    }
    Ok(Exit::Done)
}

fn now(context: &Context, form: &Form) -> Result<Exit> {
    let round = client::sync_now(&context.paths.hephd.socket)?;
    if form.json {
        context.ui.json(&round);
    } else {
        context.ui.say(format!(
            "in sync: sent {}, received {}",
            operations(round.sent),
            operations(round.received)
        ));
    }
    if round.status.refused > 0 {
        context.ui.warn(refused(round.status.refused));
    }
    Ok(Exit::Done)
}

/// Returns the lines about `status` at the time `now`, with times of day in `zone`.
fn lines(status: &SyncStatus, now: Timestamp, zone: &TimeZone) -> Vec<String> {
    let Some(hub) = &status.hub else {
        return vec![
            "hephd has no hub; set one with `heph daemon restart --hub-url URL`".to_owned(),
        ];
    };
    let mut lines = vec![format!("hub           {}", printable(hub))];
    let mut line = |title: &str, text: String| lines.push(format!("{title:<14}{text}"));
    line(
        "last success",
        match status.last_success {
            Some(at) => {
                let time = at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z");
                format!("{} ago, {time}", length(now.duration_since(at)))
            }
            None => "not since hephd started".to_owned(),
        },
    );
    line("to send", operations(status.pending));
    if status.refused > 0 {
        line("refused", refused(status.refused));
    }
    if let Some(error) = &status.last_error {
        line("last error", printable(error));
    }
    line(
        "next attempt",
        match status.next_attempt {
            None => "under way".to_owned(),
            Some(at) => format!("in {}", length(at.duration_since(now))),
        },
    );
    lines
}

fn operations(count: u64) -> String {
    match count {
        1 => "1 operation".to_owned(),
        _ => format!("{count} operations"),
    }
}

fn refused(count: u64) -> String {
    format!(
        "the hub refused {}; `heph daemon logs` says why",
        operations(count)
    )
}

/// Returns `length` in its largest unit. A negative one, as after a clock was set, counts as zero.
fn length(length: jiff::SignedDuration) -> String {
    let length = Duration::try_from(length).unwrap_or_default();
    let seconds = length.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(status: &SyncStatus) -> String {
        let now = "2026-02-03T04:05:06Z".parse().unwrap();
        lines(status, now, &TimeZone::UTC).join("\n")
    }

    #[test]
    fn without_a_hub_the_hint_says_how_to_set_one() {
        insta::assert_snapshot!(
            shown(&SyncStatus::default()),
            @"hephd has no hub; set one with `heph daemon restart --hub-url URL`"
        );
    }

    #[test]
    fn a_failing_sync_shows_every_line() {
        let status = SyncStatus {
            hub: Some("https://h.example".to_owned()),
            last_success: Some("2026-02-01T00:00:00Z".parse().unwrap()),
            pending: 1,
            refused: 2,
            last_error: Some("cannot connect to h.example".to_owned()),
            next_attempt: Some("2026-02-03T04:08:00Z".parse().unwrap()),
            ..SyncStatus::default()
        };
        insta::assert_snapshot!(shown(&status), @r"
        hub           https://h.example
        last success  2 days ago, 2026-02-01 00:00:00 UTC
        to send       1 operation
        refused       the hub refused 2 operations; `heph daemon logs` says why
        last error    cannot connect to h.example
        next attempt  in 2 min
        ");
    }

    #[test]
    fn a_healthy_sync_is_short() {
        let status = SyncStatus {
            hub: Some("https://h.example".to_owned()),
            last_success: Some("2026-02-03T04:05:00Z".parse().unwrap()),
            ..SyncStatus::default()
        };
        insta::assert_snapshot!(shown(&status), @r"
        hub           https://h.example
        last success  6 s ago, 2026-02-03 04:05:00 UTC
        to send       0 operations
        next attempt  under way
        ");
    }
}
