//! How long programs take to start.

use std::fs;
use std::path::{Path, PathBuf};

use super::daemon::Daemon;
use super::installation;
use super::measure::{Contender, Program, Samples, side_by_side};
use super::page::{Page, mebibytes, ratio, row, spread};

const HOW: &str = "\
From the start to the exit of the process; for hephd, from its start to its answer to `status`, with an existing store and
without one.";

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
        Daemon::start(bin, data, &[]).started()
    };
    Samples::of((0..runs).map(|_| once()).collect())
}
