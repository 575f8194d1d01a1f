//! The units that systemd stops along with hephd: those that require it, are bound to it, or are part of it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::error::Result;
use crate::platform::systemd::systemctl::{self, run};

/// The names by which systemd.unit(5) has the other ends of `Requires=`, `Requisite=`, `BindsTo=` and `PartOf=`.
const DEPENDENTS: [&str; 4] = ["RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf"];
/// How long starting them again may take.
const STARTING: Duration = Duration::from_secs(90);

/// What systemd says of a unit.
#[derive(Debug, Default, PartialEq, Eq)]
struct Unit {
    id: String,
    runs: bool,
    dependents: Vec<String>,
}

/// Returns the units that run now and are stopped along with `units`, directly or by one another.
pub(super) fn running(units: &[&str]) -> Result<Vec<String>> {
    let mut known: BTreeSet<String> = units.iter().map(|unit| (*unit).to_owned()).collect();
    let mut found = Vec::new();
    let mut next: Vec<String> = known.iter().cloned().collect();
    while !next.is_empty() {
        let mut dependents = Vec::new();
        for unit in show(&next)? {
            if unit.runs && !units.contains(&unit.id.as_str()) {
                found.push(unit.id);
            }
            dependents.extend(unit.dependents);
        }
        dependents.retain(|name| known.insert(name.clone()));
        next = dependents;
    }
    found.sort();
    Ok(found)
}

/// Starts those of `units` that do not run.
pub(super) fn start(units: &[String]) -> Result<()> {
    if units.is_empty() {
        return Ok(());
    }
    // The name of a unit may begin with a dash.
    let start = run(&["start", "--"]).args(units).limit(STARTING);
    start.success().map(drop)
}

fn show(units: &[String]) -> Result<Vec<Unit>> {
    let wanted = format!("--property=Id,ActiveState,{}", DEPENDENTS.join(","));
    let show = systemctl::run(&["show", &wanted, "--"]).args(units);
    Ok(parse(&show.success()?.text()))
}

/// Parses the properties of units, between empty lines. Pure.
fn parse(text: &str) -> Vec<Unit> {
    let parse = |block: &str| {
        let mut unit = Unit::default();
        for (name, value) in block.lines().filter_map(|line| line.split_once('=')) {
            match name {
                "Id" => unit.id = value.to_owned(),
                "ActiveState" => {
                    unit.runs = !matches!(value, "inactive" | "failed" | "deactivating")
                }
                name if DEPENDENTS.contains(&name) => {
                    let names = value.split_whitespace().map(str::to_owned);
                    unit.dependents.extend(names);
                }
                _ => {}
            }
        }
        unit
    };
    text.split("\n\n")
        .filter(|block| !block.trim().is_empty())
        .map(parse)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_is_a_unit_with_all_that_stop_along() {
        let text = "Id=heph.service\nRequiredBy=a.service b.service\nBoundBy=\nConsistsOf=c.timer\nActiveState=active\n\n\
                    Id=a.service\nActiveState=inactive\n\nId=c.timer\nBoundBy=d.service\nActiveState=activating\n";
        let unit = |id: &str, runs, dependents: &[&str]| Unit {
            id: id.to_owned(),
            runs,
            dependents: dependents.iter().map(|name| (*name).to_owned()).collect(),
        };
        let expected = [
            unit("heph.service", true, &["a.service", "b.service", "c.timer"]),
            unit("a.service", false, &[]),
            unit("c.timer", true, &["d.service"]),
        ];
        assert_eq!(parse(text), expected);
        assert_eq!(parse(""), []);
    }
}
