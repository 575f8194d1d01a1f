//! `heph hub machines`: lists the machines that are invited.

use jiff::Timestamp;
use serde::Serialize;

use super::Context;
use crate::cli::sync::ago;
use crate::cli::table::table;
use crate::client::{self, Machine};
use crate::error::{Exit, Result};
use crate::os::clock;
use crate::os::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Output {
    machines: Vec<Machine>,
}

pub fn run(context: &Context, args: &Args) -> Result<Exit> {
    let machines = client::machines(&context.socket()?)?;
    if args.json {
        context.ui.json(&Output { machines });
        return Ok(Exit::Done);
    }
    for line in lines(&machines, clock::now()) {
        context.ui.say(line);
    }
    Ok(Exit::Done)
}

fn lines(machines: &[Machine], now: Timestamp) -> Vec<String> {
    if machines.is_empty() {
        return vec!["no machine is invited; `heph hub invite NAME` invites one".to_owned()];
    }
    let rows = machines.iter().map(|machine| {
        [
            printable(&machine.name),
            machine.version.as_deref().map_or("-".into(), printable),
            ago(machine.invited_at, now),
            machine
                .last_seen
                .map_or("not since hephd started".into(), |at| ago(at, now)),
        ]
    });
    table(["machine", "version", "invited", "last seen"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_a_table() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let machines = [
            Machine {
                name: "desk".to_owned(),
                invited_at: at("2026-02-01T00:00:00Z"),
                last_seen: None,
                version: None,
            },
            Machine {
                name: "laptop".to_owned(),
                invited_at: at("2026-02-03T04:00:00Z"),
                last_seen: Some(at("2026-02-03T04:05:00Z")),
                version: Some("1.2.3".to_owned()),
            },
        ];
        let lines = lines(&machines, at("2026-02-03T04:05:06Z")).join("\n");
        insta::assert_snapshot!(lines, @r"
        machine  version  invited     last seen
        desk     -        2 days ago  not since hephd started
        laptop   1.2.3    5 min ago   6 s ago
        ");
    }

    #[test]
    fn without_machines_the_command_that_invites_one_is_named() {
        let lines = lines(&[], Timestamp::UNIX_EPOCH);
        assert!(lines[0].contains("heph hub invite"), "{lines:?}");
    }
}
