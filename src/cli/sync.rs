//! `heph sync`: show the state of the sync, or sync now.

mod join;

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Subcommand;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::table::table;
use super::{Context, auth};
use crate::client::{self, SpokeStatus, SyncStatus};
use crate::error::{Exit, Result};
use crate::login;
use crate::os::clock;
use crate::os::text::{excerpt, printable};

/// How much of a user's name is shown, in characters.
const LONGEST_USER: usize = 60;

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
    Now(Now),
    /// Sync with the hub that invited this machine
    Join(join::Args),
}

#[derive(Debug, clap::Args)]
struct Form {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Now {
    /// Let the hub delete the tasks that `heph sync status` says are held back
    #[arg(long)]
    accept_deletes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Returns whether the command may write files.
    pub(super) fn writes(&self) -> bool {
        matches!(self.command, Command::Join(_))
    }
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    match args.command {
        Command::Status(form) => status(context, &form),
        Command::Now(args) => now(context, &args),
        Command::Join(args) => join::run(context, &args),
    }
}

fn status(context: &Context, form: &Form) -> Result<Exit> {
    let status = client::sync_status(&context.socket()?)?;
    if form.json {
        context.ui.json(&status);
    } else {
        let now = clock::now();
        for line in lines(&status, now, &TimeZone::system()) {
            context.ui.say(line);
        }
        if let Some(line) = end_of_login(context, &status, now)? {
            context.ui.say(line);
        }
    }
    Ok(Exit::Done)
}

fn now(context: &Context, args: &Now) -> Result<Exit> {
    let socket = context.socket()?;
    let mut round = client::sync_now(&socket, args.accept_deletes)?;
    let held = round.status.held_deletes;
    let asks = held > 0 && !args.json && context.ui.has_reader() && io::stdin().is_terminal();
    if asks && confirms(context, held)? {
        round = client::sync_now(&socket, true)?;
    }
    if args.json {
        context.ui.json(&round);
    } else {
        let deleted = match round.status.last_deleted + round.accepted_deletes {
            0 => String::new(),
            count => format!(", deleted {}", tasks(count)),
        };
        context.ui.say(format!(
            "in sync: sent {}, received {}{deleted}",
            operations(round.sent),
            operations(round.received)
        ));
    }
    if round.status.held_deletes > 0 {
        context.ui.warn(held_back(round.status.held_deletes));
    }
    if round.status.refused > 0 {
        context.ui.warn(refused(round.status.refused));
    }
    Ok(Exit::Done)
}

/// Asks whether the hub may delete so many tasks.
fn confirms(context: &Context, held: u64) -> Result<bool> {
    let held = tasks(held);
    context.ui.note(format!(
        "the hub deletes {held}, which makes more than half in a day. Delete them? [y/N]"
    ));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Returns a line about a login that nothing renews.
fn end_of_login(context: &Context, status: &SyncStatus, now: Timestamp) -> Result<Option<String>> {
    if status.issuer.is_none() {
        return Ok(None);
    }
    let tokens = login::load(&auth::data(context)?.tokens())?;
    let tokens = tokens.filter(|tokens| !tokens.renews_bearer());
    Ok(tokens.map(|tokens| {
        let at = auth::local(tokens.expires_at);
        match tokens.valid(now) {
            Some(_) => format!("login         ends at {at}: run `heph auth login` by then"),
            None => format!("login         ended at {at}: run `heph auth login`"),
        }
    }))
}

/// Returns the lines about `status` at the time `now`, with times of day in `zone`.
fn lines(status: &SyncStatus, now: Timestamp, zone: &TimeZone) -> Vec<String> {
    if let Some(spokes) = &status.spokes {
        return machines(spokes, now);
    }
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
    let received = operations(status.last_received);
    let deleted = tasks(status.last_deleted);
    line(
        "last round",
        format!("received {received}, deleted {deleted}"),
    );
    line("to send", operations(status.pending));
    if status.refused > 0 {
        line("refused", refused(status.refused));
    }
    if status.held_deletes > 0 {
        line("held back", held_back(status.held_deletes));
    }
    if let Some(error) = &status.last_error {
        line("last error", printable(error));
    }
    if let Some(warning) = &status.warning {
        line("warning", printable(warning));
    }
    if let Some(difference) = &status.clock_difference {
        line("clock", printable(difference));
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

/// Returns the lines about a hub: who syncs with it.
fn machines(spokes: &[SpokeStatus], now: Timestamp) -> Vec<String> {
    if spokes.is_empty() {
        return vec!["this is a hub; no machine has synced since hephd started".to_owned()];
    }
    let rows = spokes.iter().map(|spoke| {
        let name = spoke.machine.as_ref().unwrap_or(&spoke.spoke);
        let user = spoke.user.as_deref().unwrap_or("(owner)");
        let lag = spoke.lag_seconds.map_or("-".to_owned(), |seconds| {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            length(jiff::SignedDuration::from_secs(seconds))
        });
        let lag = match spoke.is_behind {
            true => format!("{lag}, and has more to fetch"),
            false => lag,
        };
        [
            printable(name),
            excerpt(user, LONGEST_USER),
            printable(&spoke.version),
            ago(spoke.last_seen, now),
            lag,
        ]
    });
    table(["machine", "user", "version", "last seen", "lag"], rows)
}

fn operations(count: u64) -> String {
    match count {
        1 => "1 operation".to_owned(),
        _ => format!("{count} operations"),
    }
}

fn tasks(count: u64) -> String {
    match count {
        1 => "1 task".to_owned(),
        _ => format!("{count} tasks"),
    }
}

fn held_back(count: u64) -> String {
    format!(
        "the hub deletes {}, which makes more than half in a day; `heph sync now --accept-deletes` lets it",
        tasks(count)
    )
}

fn refused(count: u64) -> String {
    format!(
        "the hub refused {}; `heph daemon logs` says why",
        operations(count)
    )
}

/// Returns how long ago `at` was.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", length(now.duration_since(at)))
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
            last_received: 1000,
            last_deleted: 1,
            held_deletes: 40,
            last_error: Some("cannot connect to h.example".to_owned()),
            next_attempt: Some("2026-02-03T04:08:00Z".parse().unwrap()),
            ..SyncStatus::default()
        };
        insta::assert_snapshot!(shown(&status), @r"
        hub           https://h.example
        last success  2 days ago, 2026-02-01 00:00:00 UTC
        last round    received 1000 operations, deleted 1 task
        to send       1 operation
        refused       the hub refused 2 operations; `heph daemon logs` says why
        held back     the hub deletes 40 tasks, which makes more than half in a day; `heph sync now --accept-deletes` lets it
        last error    cannot connect to h.example
        next attempt  in 2 min
        ");
    }

    #[test]
    fn a_hub_shows_who_syncs() {
        let spoke = |machine: Option<&str>, user: Option<&str>, seen: &str| SpokeStatus {
            machine: machine.map(str::to_owned),
            user: user.map(str::to_owned),
            spoke: "01K9ZZZZZZABCDEFGHJKMNPQRS".to_owned(),
            version: "1.2.3".to_owned(),
            last_seen: seen.parse().unwrap(),
            lag_seconds: machine.map(|_| 90),
            is_behind: user.is_some(),
        };
        let status = SyncStatus {
            spokes: Some(vec![
                spoke(Some("laptop"), None, "2026-02-03T04:05:00Z"),
                spoke(
                    None,
                    Some("https://id.example alice"),
                    "2026-02-03T04:00:00Z",
                ),
            ]),
            ..SyncStatus::default()
        };
        insta::assert_snapshot!(shown(&status), @r"
        machine                     user                      version  last seen  lag
        laptop                      (owner)                   1.2.3    6 s ago    90 s
        01K9ZZZZZZABCDEFGHJKMNPQRS  https://id.example alice  1.2.3    5 min ago  -, and has more to fetch
        ");
        let idle = SyncStatus {
            spokes: Some(Vec::new()),
            ..SyncStatus::default()
        };
        assert!(shown(&idle).contains("no machine has synced"));
    }

    #[test]
    fn a_hub_over_plain_http_and_a_wrong_clock_are_warned_of() {
        let status = SyncStatus {
            hub: Some("http://100.64.0.1:7345".to_owned()),
            warning: Some("tasks and the token travel unencrypted".to_owned()),
            clock_difference: Some(
                "the clock of this machine is 3 days behind the hub's".to_owned(),
            ),
            ..SyncStatus::default()
        };
        let shown = shown(&status);
        assert!(
            shown.contains(
                "\nwarning       tasks and the token travel unencrypted\nclock         the clock of this machine is 3 days"
            ),
            "{shown}"
        );
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
        last round    received 0 operations, deleted 0 tasks
        to send       0 operations
        next attempt  under way
        ");
    }
}
