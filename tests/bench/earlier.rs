//! The binaries of this tree against those of release 0.1.0, in turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::daemon::{Daemon, request};
use super::feed::TlsFeed;
use super::installation::{self, VERSION};
use super::measure::{Contender, Measured, Program, Samples, side_by_side};
use super::page::{Page, ratio, row, spread, verdict_of};
use super::prebuilt::Bench;
use super::sync::{filled_hub, new_spoke};

/// Release 0.1.0.
const EARLIER: &str = "60fb2f69ffa6c479f2293f4add988d608f6cbef5";
const GOAL: f64 = 1.05;
/// How many tasks `heph list` prints.
const LISTED: usize = 1_000;
/// How many operations a new spoke fetches.
const FETCHED: usize = 20_000;
const HOW: &str = "\
The release build of this tree against that of release 0.1.0, which is checked out and built for it. Each figure is of the
whole process, or of one request on an open connection; both builds have a home, a store and a hephd of their own, and the
same feed, archive and hub. `apply` installs the archive of this tree without a service, as above.";

/// Measures, and writes the section.
pub fn measure(page: &mut Page, scratch: &Path, runs: usize) {
    let builds = [build(&scratch.join("earlier")), installation::built()];
    let folder = |name: &str, nth: usize| scratch.join(format!("earlier-{name}-{nth}"));
    let mut rows = vec![row(["", "0.1.0", "this tree", "ratio", "goal", ""])];
    let mut add = |name: &str, [before, after]: [Samples; 2]| {
        let [is, goal, met] = verdict_of(ratio(after.median(), before.median()), GOAL, 2);
        rows.push([
            name.to_owned(),
            spread(&before),
            spread(&after),
            is,
            goal,
            met,
        ]);
    };

    for (name, program) in [("`heph --version`", "heph"), ("`hephd --version`", "hephd")] {
        let contender = |built: &PathBuf| Contender {
            program: Program::new(built.join(program), &["--version"]).env("HOME", scratch),
            before: &|| {},
        };
        let measured = side_by_side(builds.each_ref().map(contender), runs, scratch);
        add(name, measured.map(wall));
    }
    let [cold, cached] = check(&builds, scratch, runs);
    add("`heph self-update check`, cold", cold);
    add("`heph self-update check`, 304", cached);
    add(
        "`heph self-update apply`, an archive",
        apply(&builds, scratch, runs),
    );

    add(
        "hephd until it answers",
        in_turn(runs, |nth, _| {
            Daemon::start(&builds[nth], &folder("start", nth), &[]).started()
        }),
    );
    let daemons = [0, 1].map(|nth| Daemon::start(&builds[nth], &folder("tasks", nth), &[]));
    let mut wires = daemons.each_ref().map(Daemon::connect);
    add(
        "`task.add`",
        in_turn(LISTED.max(runs * 20), |nth, run| {
            let title = format!("a task of a common length, number {run}");
            let params = json!({ "title": title, "op_id": ulid::Ulid::generate().to_string() });
            let line = request("task.add", &params);
            let start = Instant::now();
            let answer = wires[nth].exchange(&line);
            let took = start.elapsed();
            assert!(answer.contains("\"task\""), "{answer}");
            took
        }),
    );
    let contender = |nth: usize| Contender {
        program: Program::new(builds[nth].join("heph"), &["list"])
            .env("HOME", scratch)
            .env("HEPH_SOCKET", folder("tasks", nth).join("hephd.sock")),
        before: &|| {},
    };
    let listed = side_by_side([0, 1].map(contender), runs, scratch);
    add("`heph list` of these tasks", listed.map(wall));
    drop(daemons);

    let hubs = [0, 1].map(|nth| filled_hub(&builds[nth], &folder("hub", nth), FETCHED));
    add(
        "a new spoke, 20,000 operations",
        in_turn((runs / 10).max(3), |nth, run| {
            let spoke = folder("spoke", nth).join(run.to_string());
            new_spoke(&builds[nth], &spoke, &hubs[nth].1, FETCHED).1
        }),
    );
    page.section("This tree against release 0.1.0", HOW);
    page.table(rows);
}

/// Builds release 0.1.0 from the history of this repository, and returns the folder of its commands.
fn build(tree: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = installation::built();
    let target = built.parent().unwrap().join("earlier");
    let run = |program: &str, arguments: &[&str], folder: &Path| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder);
        let status = command.stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "{program} {arguments:?} {status}");
    };
    fs::create_dir_all(tree).unwrap();
    let archive = tree.join("tree.tar");
    let archive = archive.to_str().unwrap();
    run("git", &["archive", "--output", archive, EARLIER], root);
    run("tar", &["-xf", archive], tree);
    let target = target.to_str().unwrap();
    let arguments = [
        "build",
        "--locked",
        "--release",
        "--bins",
        "--target-dir",
        target,
    ];
    run("cargo", &arguments, tree);
    Path::new(target).join("release")
}

fn check(builds: &[PathBuf; 2], scratch: &Path, runs: usize) -> [[Samples; 2]; 2] {
    let feed = TlsFeed::start(&scratch.join("earlier-feed"), &format!("v{VERSION}"));
    let settings = format!(
        "service-manager = \"none\"\n[self-update]\nrepository = \"{}\"\nforge = \"forgejo\"\n",
        feed.repository()
    );
    let homes = [0, 1].map(|nth| {
        let home = scratch.join(format!("earlier-check-{nth}"));
        installation::in_a_slot_of(&builds[nth], &home);
        installation::configure(&home, &settings);
        home
    });
    let forget = |home: &PathBuf| drop(fs::remove_file(installation::paths(home).feed()));
    let cold: [&dyn Fn(); 2] = [&|| forget(&homes[0]), &|| forget(&homes[1])];
    let warm: [&dyn Fn(); 2] = [&|| {}, &|| {}];
    [cold, warm].map(|before: [&dyn Fn(); 2]| {
        let contender = |nth: usize| Contender {
            program: Program::new(
                homes[nth].join(".cargo/bin/heph"),
                &["self-update", "check"],
            )
            .env("HOME", &homes[nth])
            .env("PATH", "/usr/bin:/bin")
            .env("SSL_CERT_FILE", feed.authority()),
            before: before[nth],
        };
        side_by_side([0, 1].map(contender), runs, scratch).map(wall)
    })
}

fn apply(builds: &[PathBuf; 2], scratch: &Path, runs: usize) -> [Samples; 2] {
    let bench = Bench::new(&scratch.join("earlier-apply"));
    bench.publish(0);
    let contender = |before| Contender {
        program: bench.heph(),
        before,
    };
    let before: [&dyn Fn(); 2] = [&|| bench.lay_out_of(&builds[0]), &|| {
        bench.lay_out_of(&builds[1])
    }];
    side_by_side(before.map(contender), runs, scratch).map(wall)
}

fn wall(measured: Measured) -> Samples {
    measured.wall
}

/// Takes `runs` samples of both, in turn: `work` is called with 0 for release 0.1.0 and with 1 for this tree.
fn in_turn(runs: usize, mut work: impl FnMut(usize, usize) -> Duration) -> [Samples; 2] {
    let mut samples = [Vec::new(), Vec::new()];
    for run in 0..runs {
        for (nth, samples) in samples.iter_mut().enumerate() {
            samples.push(work(nth, run));
        }
    }
    samples.map(Samples::of)
}
