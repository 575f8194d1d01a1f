//! `make bench`: heph against the tools that people would use instead, in one run, written to docs/benchmarks.md.
//!
//! Everything is real and on loopback: nginx, curl, git, cargo, systemd. Contenders take turns, so a disturbance of the
//! machine affects all of them, and medians are compared.
//!
//! `cargo run --release --example bench -- PART…` runs some of the parts (check, apply, prebuilt, switch, startup, adding,
//! sync, many, restart, earlier) and prints what it would write; a number among them is how often to run what is short.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark prints, and ends with the first thing that is not as it should be"
)]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

mod adding;
mod apply;
mod check;
mod daemon;
mod earlier;
mod feed;
mod installation;
mod many;
mod measure;
mod page;
mod prebuilt;
mod restart;
mod startup;
mod switch;
mod sync;

use std::fs;
use std::path::Path;
use std::thread;

use measure::Program;
use page::Page;

const PARTS: [&str; 10] = [
    "check", "apply", "prebuilt", "switch", "startup", "adding", "sync", "many", "restart",
    "earlier",
];
/// How often what is short runs, unless said otherwise.
const RUNS: usize = 50;
/// How many switches there are to one other run.
const SWITCHES: usize = 10;
const PATCHES: [&str; 2] = ["1.0.1", "1.0.2"];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut parts = Vec::new();
    let mut runs = RUNS;
    for word in &words {
        match (word.parse(), PARTS.iter().find(|part| *part == word)) {
            (Ok(number), _) => runs = number,
            (_, Some(part)) => parts.push(*part),
            _ => panic!("'{word}' is neither a number nor one of {PARTS:?}"),
        }
    }
    let all = parts.is_empty();
    if all {
        parts = PARTS.to_vec();
    }

    let scratch = tempfile::Builder::new()
        .prefix("heph-bench-")
        .tempdir()
        .unwrap();
    let scratch = scratch.path();
    let head = head(scratch, runs);
    let mut page = Page::default();
    // What a plain `cargo install` takes, if that was measured in this run.
    let mut plain = None;
    for part in parts {
        println!("measuring: {part}");
        match part {
            "check" => check::measure(&mut page, scratch, runs),
            "apply" => plain = Some(apply::measure(&mut page, scratch, &PATCHES)),
            "prebuilt" => prebuilt::measure(&mut page, scratch, runs, plain),
            "switch" => switch::measure(&mut page, scratch, runs * SWITCHES),
            "startup" => startup::measure(&mut page, scratch, runs),
            "adding" => adding::measure(&mut page, scratch, runs),
            "sync" => sync::measure(&mut page, scratch),
            "many" => many::measure(&mut page, scratch, runs),
            "restart" => restart::measure(&mut page, scratch, runs),
            _ => earlier::measure(&mut page, scratch, runs),
        }
    }
    println!("{head}{}", page.text());
    if all {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
        page.save(&head, &file);
        println!("written: docs/benchmarks.md");
    }
}

/// Returns what the page opens with: what it is, and on which machine it was made.
fn head(scratch: &Path, runs: usize) -> String {
    let cores = thread::available_parallelism().unwrap();
    let memory = fs::read_to_string("/proc/meminfo").unwrap();
    let memory: u64 = memory
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .unwrap();
    let memory = memory as f64 / f64::from(1 << 20);
    let kernel = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let kernel = kernel.split('-').next().unwrap_or_default();
    let disk = Program::new("/usr/bin/df", &["--output=fstype"])
        .arg(scratch)
        .output();
    let disk = disk.lines().last().unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    let load = load.split(' ').next().unwrap_or_default();
    let curl = Program::new("/usr/bin/curl", &["--version"]).output();
    let curl: Vec<&str> = curl.split_whitespace().take(2).collect();
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d");
    format!(
        "# Benchmarks\n\n\
         `make bench` measured this on {today}, in one run. Contenders took turns, so a disturbance of the machine affected\n\
         all of them. Figures are medians of {runs} runs, with the range of nine in ten in brackets, unless a section says\n\
         otherwise.\n\n\
         Machine: {cores} cores, {memory:.0} GiB of memory, Linux {kernel}, {disk}, {curl}; load {load} at the start.\n",
        curl = curl.join(" "),
    )
}
