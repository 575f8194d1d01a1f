//! `heph self-update apply` of a patch release against a plain `cargo install` of the same tag.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::installation;
use super::measure::{Program, Samples};
use super::page::{Page, ratio, row, time, verdict};
use crate::support::forge::{Forge, Published};
use crate::support::manager::UserManager;
use crate::support::releases::{Flaw, Releases};
use crate::support::workshop::network_variables;

const GOAL: f64 = 0.5;
const FIRST: &str = "1.0.0";
const HOW: &str = "\
This tree is tagged as a series of patch releases with one lock file, on a forge on loopback (real git over smart HTTP).
systemd runs hephd. One update fills the build folder; then each further release is installed twice, in turn: by
`heph self-update apply`, with the build folder kept, and by `cargo install --locked --git URL --tag TAG --root FRESH`.
Both build with the release profile as users get it, and what they need from the registry is downloaded already.
`apply` does more than install: it verifies the release, backs the store up, restarts hephd and then watches it for the
settle time (10 s by default). Medians of two releases.";

/// Measures with these patch releases, and writes the section. Returns what a plain `cargo install` takes.
pub fn measure(page: &mut Page, scratch: &Path, patches: &[&str]) -> Duration {
    let bench = Bench::new(scratch);
    bench.release(FIRST);
    let first = bench.apply(FIRST);
    let mut applied = Vec::new();
    let mut plain = Vec::new();
    let mut steps: BTreeMap<usize, (String, Vec<Duration>)> = BTreeMap::new();
    for (nth, patch) in patches.iter().enumerate() {
        bench.release(patch);
        // Neither always comes first.
        if nth % 2 == 0 {
            plain.push(bench.cargo_install(patch));
            applied.push(bench.apply(patch));
        } else {
            applied.push(bench.apply(patch));
            plain.push(bench.cargo_install(patch));
        }
    }
    for run in &applied {
        for (place, (name, took)) in run.steps.iter().enumerate() {
            let entry = steps.entry(place).or_insert((name.clone(), Vec::new()));
            assert_eq!(entry.0, *name, "every run takes the same steps");
            entry.1.push(*took);
        }
    }
    let median = |times: Vec<Duration>| Samples::of(times).median();
    let whole = median(applied.iter().map(|run| run.whole).collect());
    let without = median(applied.iter().map(Applied::without_settle).collect());
    let plain = median(plain);

    page.section("`heph self-update apply` against `cargo install`", HOW);
    let mut rows = vec![row(["Patch release", "heph", "cargo", "ratio", "goal", ""])];
    for (name, ours) in [
        ("all of `apply`", whole),
        ("without the settle time", without),
    ] {
        let [is, goal, met] = verdict(ratio(ours, plain), GOAL);
        rows.push([name.to_owned(), time(ours), time(plain), is, goal, met]);
    }
    let is = format!("{:.2}", ratio(first.whole, plain));
    let none = String::new;
    let name = "the first update, build folder empty".to_owned();
    rows.push([name, time(first.whole), time(plain), is, none(), none()]);
    page.table(rows);
    let mut rows = vec![row(["Step of `apply`", "time"])];
    for (name, took) in steps.into_values() {
        let took = median(took);
        // The report counts milliseconds.
        let took = if took < Duration::from_millis(1) {
            "< 1 ms".to_owned()
        } else {
            time(took)
        };
        rows.push([name, took]);
    }
    page.table(rows);
    plain
}

/// What `apply` did, by its own report and by the clock.
struct Applied {
    whole: Duration,
    steps: Vec<(String, Duration)>,
}

impl Applied {
    fn without_settle(&self) -> Duration {
        let settled = self.steps.iter().filter(|(name, _)| name == "settle");
        self.whole - settled.map(|(_, took)| *took).sum()
    }
}

/// A user's machine, a forge, and a second user who only knows cargo.
struct Bench {
    scratch: PathBuf,
    home: PathBuf,
    forge: Forge,
    releases: Releases,
    manager: UserManager,
}

impl Bench {
    fn new(scratch: &Path) -> Bench {
        let home = scratch.join("user");
        let bin = installation::plain(&home);
        let forge = Forge::start();
        let repository = forge.repository();
        installation::configure(
            &home,
            &format!("[self-update]\nrepository = \"{repository}\"\n"),
        );
        for home in [&home, &scratch.join("other")] {
            prepare_cargo(&home.join(".cargo"));
        }
        let bench = Bench {
            manager: UserManager::start(&home),
            releases: Releases::new(&scratch.join("work")),
            scratch: scratch.to_owned(),
            home,
            forge,
        };
        bench
            .program(bin.join("heph"), &["daemon", "start"])
            .output();
        bench
    }

    /// Returns a program in this user's shell.
    fn program(&self, path: PathBuf, arguments: &[&str]) -> Program {
        in_shell(
            Program::new(path, arguments).envs(self.manager.environment()),
            &self.home,
        )
    }

    fn release(&self, version: &str) {
        self.releases.tag(&self.forge, version, Flaw::None);
        self.forge.unpublish();
        self.forge.publish(Published::new(&format!("v{version}")));
    }

    fn apply(&self, version: &str) -> Applied {
        let heph = self.home.join(".cargo/bin/heph");
        let program = self.program(heph, &["self-update", "apply", "--json"]);
        let start = Instant::now();
        let said = program.output();
        let whole = start.elapsed();
        let report: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(
            (report["outcome"].as_str(), report["to"].as_str()),
            (Some("updated"), Some(version)),
            "{said}"
        );
        let step = |step: &Value| {
            let name = step["name"].as_str().unwrap().to_owned();
            (name, Duration::from_millis(step["ms"].as_u64().unwrap()))
        };
        Applied {
            whole,
            steps: report["steps"]
                .as_array()
                .unwrap()
                .iter()
                .map(step)
                .collect(),
        }
    }

    fn cargo_install(&self, version: &str) -> Duration {
        let home = self.scratch.join("other");
        let cargo = which::which("cargo").expect("cargo is on PATH");
        let arguments = ["install", "--locked", "--quiet", "heph", "--git"];
        let root = self.scratch.join(format!("fresh-{version}"));
        let program = Program::new(cargo, &arguments)
            .arg(self.forge.repository())
            .arg("--tag")
            .arg(format!("v{version}"))
            .arg("--root")
            .arg(&root)
            .env("HOME", &home);
        let program = in_shell(program, &home);
        let start = Instant::now();
        program.output();
        let took = start.elapsed();
        assert!(root.join("bin/hephd").is_file());
        took
    }
}

/// Gives `program` what cargo needs in a shell of the user whose home is `home`.
fn in_shell(program: Program, home: &Path) -> Program {
    let cargo = which::which("cargo").expect("cargo is on PATH");
    let folder = cargo.parent().unwrap().display();
    let path = format!("{folder}:/usr/local/bin:/usr/bin:/bin");
    let program = program
        .env("PATH", path)
        .env("CARGO_HOME", home.join(".cargo"));
    network_variables()
        .into_iter()
        .fold(program, |program, (name, value)| program.env(name, value))
}

/// Cargo's folder of a user: what is downloaded already need not be downloaded again.
fn prepare_cargo(home: &Path) {
    let outer = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cargo"),
        PathBuf::from,
    );
    fs::create_dir_all(home).unwrap();
    if outer.join("registry").is_dir() {
        symlink(outer.join("registry"), home.join("registry")).unwrap();
    }
    if outer.join("config.toml").is_file() {
        fs::copy(outer.join("config.toml"), home.join("config.toml")).unwrap();
    }
}
