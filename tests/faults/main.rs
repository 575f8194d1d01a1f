//! `make faults`: seeds the faults of faults.toml into a copy of this tree and says which tests catch which.
//!
//! All faults are in one build, each behind a switch that reads a file, so that the copy is compiled once. First the tests
//! have to pass with every fault off; then each fault is turned on in turn, and its own tests are run.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a report prints, and ends with the first thing that is not as it should be"
)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;

/// How long the tests of one fault may take. One that makes them hang is caught.
const LIMIT: Duration = Duration::from_secs(8 * 60);

#[derive(Deserialize)]
struct List {
    fault: Vec<Fault>,
}

/// One of faults.toml, which says what the fields mean.
#[derive(Deserialize)]
struct Fault {
    name: String,
    wrong: String,
    file: PathBuf,
    find: String,
    put: String,
    #[serde(default)]
    units: Vec<String>,
    #[serde(default)]
    suites: Vec<String>,
    before: Vec<String>,
}

fn main() -> ExitCode {
    let all: List = toml::from_str(include_str!("faults.toml")).unwrap();
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    // All of them, or those that are named.
    let is_wanted = |fault: &&Fault| wanted.is_empty() || wanted.contains(&fault.name);
    let faults: Vec<&Fault> = all.fault.iter().filter(is_wanted).collect();
    let copy = Copy::make(&all.fault);

    copy.turn_on("");
    let filters = |of: fn(&Fault) -> &Vec<String>| -> BTreeSet<&String> {
        faults.iter().flat_map(|fault| of(fault)).collect()
    };
    println!("building, and running the tests without a fault");
    for (tests, filters) in [
        (&UNITS, filters(|fault| &fault.units)),
        (&SUITES, filters(|fault| &fault.suites)),
    ] {
        if copy.fails(tests, filters, 3 * LIMIT) {
            println!(
                "error: a test fails without a fault; see {}",
                copy.log.display()
            );
            return ExitCode::FAILURE;
        }
    }

    let (mut caught, mut lost) = (0, 0);
    println!("{:24} {:16} {:16}", "fault", "before", "now");
    for fault in &faults {
        copy.turn_on(&fault.name);
        let now: Vec<&str> = [(&UNITS, &fault.units), (&SUITES, &fault.suites)]
            .into_iter()
            .filter(|(tests, filters)| copy.fails(tests, *filters, LIMIT))
            .map(|(tests, _)| tests.name)
            .collect();
        let shown = |by: &str| match by {
            "" => "-".to_owned(),
            by => by.to_owned(),
        };
        let (before, by) = (shown(&fault.before.join(", ")), shown(&now.join(", ")));
        println!("{:24} {before:16} {by:16} {}", fault.name, fault.wrong);
        caught += usize::from(!now.is_empty());
        lost += usize::from(now.is_empty() && !fault.before.is_empty());
    }
    println!(
        "{caught} of {} caught, {lost} fewer than before",
        faults.len()
    );
    match lost {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Some of cargo's tests.
struct Tests {
    name: &'static str,
    arguments: &'static [&'static str],
}

const UNITS: Tests = Tests {
    name: "units",
    arguments: &["--lib"],
};
const SUITES: Tests = Tests {
    name: "suites",
    arguments: &["--test", "all"],
};

/// A copy of this tree with all faults in it, and what is built of it.
struct Copy {
    tree: PathBuf,
    build: PathBuf,
    switch: PathBuf,
    log: PathBuf,
}

impl Copy {
    fn make(faults: &[Fault]) -> Copy {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = source.join("target/faults");
        let copy = Copy {
            tree: folder.join("tree"),
            build: folder.join("build"),
            switch: folder.join("on"),
            log: folder.join("log"),
        };
        fs::create_dir_all(&folder).unwrap();
        drop(fs::remove_file(&copy.log));
        // A clone, because the tests make releases of what git lists, and need the history.
        drop(fs::remove_dir_all(&copy.tree));
        git(
            source,
            &["clone", "--quiet", "--shared", ".", "target/faults/tree"],
        );
        let listed = [
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ];
        for name in git(source, &listed).split_terminator('\0') {
            let (from, to) = (source.join(name), copy.tree.join(name));
            if from.exists() {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(from, to).unwrap();
            } else {
                fs::remove_file(to).unwrap();
            }
        }
        for fault in faults {
            copy.seed(fault);
        }
        let switch = copy.switch.display();
        copy.append("src/lib.rs", "#[doc(hidden)]\npub mod fault;\n");
        copy.append(
            "src/fault.rs",
            &format!(
                "pub fn is_on(name: &str) -> bool {{\n    \
                 std::fs::read_to_string({:?}).is_ok_and(|on| on == name)\n}}\n",
                switch.to_string()
            ),
        );
        copy
    }

    fn seed(&self, fault: &Fault) {
        let file = self.tree.join(&fault.file);
        let text = fs::read_to_string(&file).unwrap_or_default();
        let found = text.matches(&fault.find).count();
        assert_eq!(
            found,
            1,
            "{}: places in {}",
            fault.name,
            fault.file.display()
        );
        let is_on = format!("crate::fault::is_on({:?})", fault.name);
        let put = fault.put.replace("FAULT", &is_on);
        fs::write(file, text.replace(&fault.find, &put)).unwrap();
    }

    fn append(&self, name: &str, code: &str) {
        let file = self.tree.join(name);
        let text = fs::read_to_string(&file).unwrap_or_default();
        fs::write(file, text + code).unwrap();
    }

    /// Turns the fault `name` on, and every other one off.
    fn turn_on(&self, name: &str) {
        fs::write(&self.switch, name).unwrap();
    }

    /// Runs those of `tests` that match a filter; returns whether one fails, or they do not end in time.
    fn fails<'a>(
        &self,
        tests: &Tests,
        filters: impl IntoIterator<Item = &'a String>,
        limit: Duration,
    ) -> bool {
        let filters: Vec<&String> = filters.into_iter().collect();
        if filters.is_empty() {
            return false;
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let run = |more: &[&str]| {
            let mut command = Command::new(&cargo);
            command
                .args(["test", "--locked", "--quiet"])
                .args(tests.arguments)
                .args(more)
                .current_dir(&self.tree)
                .env("CARGO_TARGET_DIR", &self.build)
                .env("CARGO_TERM_COLOR", "never");
            command
        };
        self.ends_well(run(&["--no-run"]), 3 * LIMIT)
            .then_some(())
            .expect("the copy compiles");
        let before = fs::metadata(&self.log).map_or(0, |log| log.len());
        let mut command = run(&["--"]);
        command.args(filters);
        let passed = self.ends_well(command, limit);
        let log = fs::read(&self.log).unwrap();
        let said = String::from_utf8_lossy(&log[before as usize..]);
        assert!(!said.contains("running 0 tests"), "no test matches: {said}");
        !passed
    }

    /// Runs `command` to its end, or to that of its time, and returns whether it succeeded.
    fn ends_well(&self, mut command: Command, limit: Duration) -> bool {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.success();
            }
            if start.elapsed() > limit {
                let group = Pid::from_raw(child.id().cast_signed()).unwrap();
                let _ = kill_process_group(group, Signal::KILL);
                child.wait().unwrap();
                return false;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
