//! Can the timer's job build a release, and start what it has built?

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::facts::{Building, Job};
use super::row::Row;
use crate::error::{Error, Result, ensure};
use crate::install::Progress;
use crate::install::build_failure::{self, BuildFailure};
use crate::install::cargo::Cargo;
use crate::install::percent_free_path::PercentFreePath;
use crate::os::files;
use crate::os::process::Run;

/// With less room than this for builds none succeeds, in bytes. A build of heph takes about 400 MiB.
pub(super) const BUILD_NEEDS: u64 = 1 << 30;
/// With less room than this for slots no update succeeds, in bytes.
pub(super) const SLOT_NEEDS: u64 = 256 << 20;
/// How long the small build may take.
const BUILD_LIMIT: Duration = Duration::from_secs(120);
/// How many of its last lines are searched for why a build failed.
const SEARCHED_LINES: usize = 100;

/// Returns the row of what only a build needs, as far as the timer's run builds.
pub(super) fn of_builds(building: Building, row: impl FnOnce() -> Row) -> Option<Row> {
    match building {
        Building::Needed => Some(row()),
        Building::Spared => Some(row().lessened(
            "; the next run does not need it, for the newest release has an archive for this machine",
        )),
        Building::Never => None,
    }
}

pub(super) fn cargo(job: &Job) -> Option<Row> {
    let found = job.cargo.as_ref();
    let found = found.map(|(cargo, version)| format!("{version}, '{}'", cargo.program().display()));
    of_builds(job.building, || cargo_row(found))
}

/// Judges cargo, given its version and where it is.
pub(super) fn cargo_row(found: Result<String, &Error>) -> Row {
    match found {
        Ok(words) => Row::ok(words),
        Err(error) => {
            let reason = error.one_line();
            let hint = match build_failure::recognize(&reason) {
                BuildFailure::Toolchain => "choose a toolchain: `rustup default stable`",
                _ => {
                    "install Rust as https://rustup.rs says, then run `heph self-update enable` again"
                }
            };
            Row::problem(reason, hint)
        }
    }
}

pub(super) fn linker(job: &Job) -> Option<Row> {
    let build = job.context.paths.build();
    let try_build = |cargo| {
        let folder = Folder::make(&build.join(".doctor"));
        folder.and_then(|folder| try_build(cargo, &folder.0))
    };
    of_builds(job.building, || match &job.cargo {
        Ok((cargo, _)) => linker_row(try_build(cargo), &build),
        Err(_) => Row::problem("not tried, for cargo does not run", "see cargo"),
    })
}

/// Judges compiling, linking and starting a program in `folder`.
pub(super) fn linker_row(tried: Result<()>, folder: &Path) -> Row {
    let Err(error) = tried else {
        return Row::ok("a small program was compiled, linked and started in the build folder");
    };
    let output = error.to_string();
    match build_failure::recognize(&output) {
        BuildFailure::Linker => Row::problem(
            "there is no C compiler or linker",
            "install one: `sudo apt install build-essential`, `sudo dnf install gcc` or `xcode-select --install`",
        ),
        BuildFailure::Disk => Row::problem(
            "the disk is full",
            "make room; `heph self-update clean` removes old releases and the build folder",
        ),
        BuildFailure::Toolchain => Row::problem(
            format!("the Rust toolchain does not work:\n{}", gist(&output)),
            "run `rustup default stable`",
        ),
        _ if output.contains("Permission denied") && output.contains("could not execute") => {
            let folder = folder.display();
            Row::problem(
                format!(
                    "programs cannot be started in the build folder '{folder}' (is it mounted noexec?)"
                ),
                "set XDG_CACHE_HOME to a folder that allows it, and run `heph self-update enable` again",
            )
        }
        _ => Row::problem(
            format!("a small program cannot be built:\n{}", gist(&output)),
            "build any program with `cargo run` in the same environment, and repair what fails",
        ),
    }
}

/// Builds and runs a package with a build script in `folder`, the way releases are built; the error is what cargo says.
fn try_build(cargo: &Cargo, folder: &Path) -> Result<()> {
    write_package(folder)?;
    let build = PercentFreePath::of(folder)?;
    let run = cargo
        .run(folder, folder, build.path(), &Progress::Log(PathBuf::new()))
        .args(["run", "--quiet", "--offline"])
        .limit(BUILD_LIMIT);
    succeeds(run)
}

/// Fails unless `run` of cargo succeeds; the error is what it says.
pub(super) fn succeeds(run: Run) -> Result<()> {
    let output = run.output().map_err(|error| Error::new(error.one_line()))?;
    ensure!(
        output.status.success(),
        "{}",
        output.last_lines(SEARCHED_LINES)
    );
    Ok(())
}

/// Writes a package with a build script to `folder`.
pub(super) fn write_package(folder: &Path) -> Result<()> {
    let manifest = "[package]\nname = \"heph-doctor\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n";
    for (file, text) in [
        ("Cargo.toml", manifest),
        ("build.rs", "fn main() {}\n"),
        ("src/main.rs", "fn main() {}\n"),
    ] {
        files::write_atomic(&folder.join(file), text.as_bytes(), files::PRIVATE)?;
    }
    Ok(())
}

pub(super) fn temporary_folder(job: &Job) -> Option<Row> {
    let folder = std::env::temp_dir();
    of_builds(job.building, || {
        let (written, started) = try_program(&folder);
        temporary_folder_row(&folder, written, started)
    })
}

/// Writes a program to `folder`, and starts it.
fn try_program(folder: &Path) -> (Result<()>, Result<()>) {
    let program = folder.join(format!("heph-doctor-{}", std::process::id()));
    let write = || -> Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o700)
            .open(&program)?;
        Ok(file.write_all(b"#!/bin/sh\nexit 0\n")?)
    };
    let written = write();
    let started = Run::new(&program).success().map(drop);
    if written.is_ok() {
        drop(fs::remove_file(&program));
    }
    (written, started)
}

/// Checks the folder of the slots, in which each command of a release is started before it is used.
pub(super) fn slots(job: &Job) -> Option<Row> {
    let data = &job.context.paths.hephd.data;
    let tried = Folder::make(&data.join(".doctor")).map(|folder| try_program(&folder.0));
    let (written, started) = match tried {
        Ok(tried) => tried,
        Err(error) => (Err(error), Ok(())),
    };
    Some(slots_row(data, written, started))
}

/// Judges whether a release can be written to a folder below `data`, and started there.
pub(super) fn slots_row(data: &Path, written: Result<()>, started: Result<()>) -> Row {
    let name = data.display();
    match (written, started) {
        (Err(error), _) => Row::problem(
            format!("a run would end as `failed`: {}", error.one_line()),
            format!("make '{name}' writable for this user"),
        ),
        (Ok(()), Err(error)) => Row::problem(
            format!(
                "a run would end as `failed`: programs cannot be started in '{name}' (is it mounted noexec?): {}",
                error.one_line()
            ),
            "set XDG_DATA_HOME to a folder that allows it, and run `heph self-update enable` again",
        ),
        (Ok(()), Ok(())) => Row::ok(format!("'{name}'")),
    }
}

/// Judges whether files can be written in `folder`, and programs started.
pub(super) fn temporary_folder_row(folder: &Path, written: Result<()>, started: Result<()>) -> Row {
    let name = folder.display();
    match (written, started) {
        (Err(error), _) => Row::problem(
            format!("compilers cannot write in '{name}': {}", error.one_line()),
            "make it writable again, or unset TMPDIR and run `heph self-update enable` again",
        ),
        // cargo builds in the build folder; only a few build scripts start programs of their own from here.
        (Ok(()), Err(error)) => Row::warning(
            format!(
                "programs cannot be started in '{name}' (is it mounted noexec?), which some builds need: {}",
                error.one_line()
            ),
            "if a build fails for that, set TMPDIR under [env] in cargo's config.toml",
        ),
        (Ok(()), Ok(())) => Row::ok(format!("'{name}'")),
    }
}

pub(super) fn free_space(job: &Job) -> Option<Row> {
    let paths = &job.context.paths;
    let builds = job.building == Building::Needed;
    let build = builds.then(|| files::free_space(&paths.build()));
    let slots = files::free_space(&paths.versions());
    Some(free_space_row(build.transpose(), slots))
}

/// Judges how many bytes are free where releases are built, if they are, and where slots are.
pub(super) fn free_space_row(build: Result<Option<u64>>, slots: Result<u64>) -> Row {
    let (build, slots) = match (build, slots) {
        (Ok(build), Ok(slots)) => (build, slots),
        (Err(error), _) | (_, Err(error)) => {
            return Row::warning(error.one_line(), "check whether the folder can be read");
        }
    };
    let rooms = |build: Option<u64>, slots| {
        let build = build.map(|build| format!("{} for builds, ", show_bytes(build)));
        let build = build.unwrap_or_default();
        format!("{build}{} for releases", show_bytes(slots))
    };
    let detail = rooms(build, slots);
    if build.is_some_and(|build| build < BUILD_NEEDS) || slots < SLOT_NEEDS {
        let needed = rooms(build.and(Some(BUILD_NEEDS)), SLOT_NEEDS);
        return Row::problem(
            format!("{detail}; an update needs {needed}"),
            "make room; `heph self-update clean` removes old releases and trims the build folder",
        );
    }
    Row::ok(detail)
}

/// Returns the most telling lines of a failed build, shortened: a linker's command line has thousands of letters.
fn gist(output: &str) -> String {
    let lines = || {
        output
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let mut telling: Vec<&str> = lines().filter(|line| line.contains("error")).collect();
    if telling.is_empty() {
        telling = lines().collect();
    }
    shortened(telling.into_iter())
}

/// Returns the first few of `lines`, each cut short.
pub(super) fn shortened<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    const LINES: usize = 5;
    const LETTERS: usize = 200;
    let short = |line: &str| match line.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    };
    let lines: Vec<String> = lines.take(LINES).map(short).collect();
    lines.join("\n")
}

fn show_bytes(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => {
            let tenths = (bytes >> 20) * 10 / 1024;
            format!("{}.{} GiB", tenths / 10, tenths % 10)
        }
    }
}

/// A folder that is removed with its owner, with those of its parents that it had to make.
pub(super) struct Folder(pub PathBuf);

impl Folder {
    pub fn make(path: &Path) -> Result<Folder> {
        files::remove_tree_if_there(path)?;
        files::create_private_dir(path)?;
        Ok(Folder(path.to_owned()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(files::remove_tree_if_there(&self.0));
        // Parents that others use are not empty, and stay.
        for parent in self.0.ancestors().skip(1).take(2) {
            drop(fs::remove_dir(parent));
        }
    }
}
