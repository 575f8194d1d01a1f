//! How long programs take to start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use heph::client;
use rustix::process::{Pid, Signal, kill_process};

use super::installation;
use super::measure::{Contender, Program, Samples, side_by_side};
use super::page::{Page, mebibytes, ratio, row, spread};

const HOW: &str = "\
From start to end of the process; of hephd, from its start until it has answered `status` on its socket, with a store
that is there already and one that is not.";
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures, and writes the section.
pub fn measure(page: &mut Page, scratch: &Path, runs: usize) {
    let home = scratch.join("startup");
    let bin = installation::plain(&home);
    let contender = |path: PathBuf, arguments: &[&str]| Contender {
        program: Program::new(path, arguments).env("HOME", &home),
        before: &|| {},
    };
    let measured = side_by_side(
        [
            contender("/bin/true".into(), &[]),
            contender("/usr/bin/curl".into(), &["--version"]),
            contender(bin.join("heph"), &["--version"]),
            contender(bin.join("hephd"), &["--version"]),
        ],
        runs,
        scratch,
    );
    let least = measured[0].wall.median();
    let mut rows = vec![row(["Start-up", "time", "of `/bin/true`", "peak memory"])];
    let names = [
        "`/bin/true`",
        "`curl --version`",
        "`heph --version`",
        "`hephd --version`",
    ];
    for (name, measured) in names.iter().zip(&measured) {
        let times = format!("{:.1}", ratio(measured.wall.median(), least));
        let peak = mebibytes(measured.peak);
        rows.push([name.to_string(), spread(&measured.wall), times, peak]);
    }
    let data = scratch.join("daemon");
    let fresh = daemons(&bin, &data, runs, true);
    let used = daemons(&bin, &data, runs, false);
    for (name, samples) in [
        ("hephd until it answers, with its store", used),
        ("hephd until it answers, without a store", fresh),
    ] {
        let times = format!("{:.1}", ratio(samples.median(), least));
        rows.push([name.to_owned(), spread(&samples), times, String::new()]);
    }
    page.section("Starting", HOW);
    page.table(rows);
}

fn daemons(bin: &Path, data: &Path, runs: usize, fresh: bool) -> Samples {
    let once = || {
        if fresh {
            drop(fs::remove_dir_all(data));
        }
        let program = Program::new(bin.join("hephd"), &[])
            .env("HOME", data)
            .env("HEPH_DB", data.join("heph.db"))
            .env("HEPH_SOCKET", data.join("hephd.sock"));
        let start = Instant::now();
        let mut command = program.command();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let _ends = Ends(command.spawn().unwrap());
        while !answers(&data.join("hephd.sock")) {
            assert!(start.elapsed() < PATIENCE, "hephd does not answer");
            thread::sleep(Duration::from_micros(200));
        }
        start.elapsed()
    };
    Samples::of((0..runs).map(|_| once()).collect())
}

fn answers(socket: &Path) -> bool {
    socket.exists() && client::status(socket, PATIENCE).is_ok_and(|status| status.is_some())
}

/// A process that is asked to end, and waited for.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        if let Some(pid) = self.0.id().try_into().ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        drop(self.0.wait());
    }
}
