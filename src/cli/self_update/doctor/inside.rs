//! What the doctor looks at inside the environment of the timer's job.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::row::Row;
use super::rows::{self, Trial};
use super::trust;
use crate::cli::Context;
use crate::error::{Error, Result, ResultExt};
use crate::install::Progress;
use crate::install::cargo::Cargo;
use crate::install::percent_free_path::PercentFreePath;
use crate::install::slots::Slots;
use crate::os::http::{self, Get, Limits};
use crate::os::process::Run;
use crate::os::{clock, files};
use crate::paths::Paths;
use crate::release::Release;
use crate::release::source::git;
use crate::update;

/// How long the small build may take.
const BUILD_LIMIT: Duration = Duration::from_secs(120);
/// How long a program may take to say its version.
const VERSION_LIMIT: Duration = Duration::from_secs(20);
/// How many of its last lines say why a build failed.
const TOLD: usize = 100;

/// What one look from inside found.
#[derive(Debug, Serialize, Deserialize)]
pub struct Findings {
    /// The folders that the job uses.
    pub folders: Folders,
    /// What was found.
    pub rows: Vec<Row>,
}

/// The folders that an environment leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folders {
    /// The settings file.
    pub config: PathBuf,
    /// Slots and store.
    pub data: PathBuf,
    /// What updates remember.
    pub state: PathBuf,
    /// The build folder.
    pub cache: PathBuf,
}

impl Folders {
    /// Returns those of `paths`.
    pub fn of(paths: &Paths) -> Folders {
        Folders {
            config: paths.config.clone(),
            data: paths.hephd.data.clone(),
            state: paths.state.clone(),
            cache: paths.cache.clone(),
        }
    }
}

/// Looks, and writes what was found to `file`.
///
/// # Errors
///
/// `file` cannot be written.
pub fn write(context: &Context, file: &Path) -> Result<()> {
    let findings = Findings {
        folders: Folders::of(&context.paths),
        rows: look(context),
    };
    files::write_atomic(file, &serde_json::to_vec(&findings)?, files::PRIVATE)
}

/// Reads what [`write()`] wrote; `None` where it wrote nothing.
///
/// # Errors
///
/// The file is something else.
pub fn read(file: &Path) -> Result<Option<Findings>> {
    const LIMIT: u64 = 1 << 20;
    files::read_if_there(file, LIMIT)?
        .map(|bytes| serde_json::from_slice(&bytes).context("cannot understand what was found"))
        .transpose()
}

fn look(context: &Context) -> Vec<Row> {
    let paths = &context.paths;
    let mut rows = builds(paths);
    rows.push(temporary());
    rows.push(rows::space(
        files::free_space(&paths.build()).map_err(|error| error.one_line()),
        files::free_space(&paths.versions()).map_err(|error| error.one_line()),
    ));
    let (forge, latest) = forge(context);
    rows.push(forge);
    rows.push(rows::git(git(context, latest)));
    rows.extend(trust::look(context));
    rows.push(links(context));
    rows
}

/// Returns the rows about cargo and about what it builds.
fn builds(paths: &Paths) -> Vec<Row> {
    let cargo = Cargo::find(std::env::vars_os().collect(), &paths.home);
    let found = cargo.as_ref().map_err(Error::one_line).and_then(|cargo| {
        let output = cargo
            .run(
                &paths.home,
                &paths.home,
                &paths.build(),
                &Progress::Log(PathBuf::new()),
            )
            .arg("--version")
            .limit(VERSION_LIMIT)
            .success()
            .map_err(|error| error.one_line())?;
        Ok((cargo.program().to_owned(), output.text().trim().to_owned()))
    });
    let tried = match (&cargo, &found) {
        (Ok(cargo), Ok(_)) => match Folder::make(&paths.build().join(".doctor")) {
            Ok(folder) => build(cargo, &folder.0),
            Err(error) => Trial::Failed(error.one_line()),
        },
        _ => Trial::NotTried,
    };
    vec![rows::cargo(found), rows::linker(&tried, &paths.build())]
}

/// Builds and runs a package with a build script in `folder`, the way releases are built.
fn build(cargo: &Cargo, folder: &Path) -> Trial {
    let manifest = "[package]\nname = \"heph-doctor\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n";
    let write = || -> Result<()> {
        for (file, text) in [
            ("Cargo.toml", manifest),
            ("build.rs", "fn main() {}\n"),
            ("src/main.rs", "fn main() {}\n"),
        ] {
            files::write_atomic(&folder.join(file), text.as_bytes(), files::PRIVATE)?;
        }
        Ok(())
    };
    let build = match write().and_then(|()| PercentFreePath::of(folder)) {
        Ok(build) => build,
        Err(error) => return Trial::Failed(error.one_line()),
    };
    let run = cargo
        .run(folder, folder, build.path(), &Progress::Log(PathBuf::new()))
        .args(["run", "--quiet", "--offline"])
        .limit(BUILD_LIMIT);
    match run.output() {
        Ok(output) if output.status.success() => Trial::Worked,
        Ok(output) => Trial::Failed(output.last_lines(TOLD)),
        Err(error) => Trial::Failed(error.one_line()),
    }
}

fn temporary() -> Row {
    let folder = std::env::temp_dir();
    let program = folder.join(format!("heph-doctor-{}", std::process::id()));
    let write = || {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o700)
            .open(&program)?;
        std::io::Write::write_all(&mut file, b"#!/bin/sh\nexit 0\n")
    };
    let written = write().map_err(|error: std::io::Error| error.to_string());
    let started = Run::new(&program)
        .success()
        .map(drop)
        .map_err(|error| error.one_line());
    if written.is_ok() {
        drop(fs::remove_file(&program));
    }
    rows::temporary(&folder, written, started)
}

/// Asks the forge as the timer's run will, with a copy of what is remembered: the run itself must find its memory as it was.
fn forge(context: &Context) -> (Row, Option<Release>) {
    let settings = &context.config.self_update;
    let paths = &context.paths;
    let copy = paths
        .state
        .join(format!("doctor-feed-{}.json", std::process::id()));
    if fs::create_dir_all(&paths.state).is_ok() {
        drop(fs::copy(paths.feed(), &copy));
    }
    let feed = update::feed(settings, &copy);
    let now = clock::now();
    let latest = feed.fetch(now);
    drop(fs::remove_file(&copy));
    let found = latest.as_ref().ok().cloned().flatten();
    let host = settings.repository.host();
    (rows::forge(host, latest, settings.forge, now), found)
}

/// Asks the git remote, which cargo will ask, for the tag of `latest`, or for anything where there is none.
fn git(context: &Context, latest: Option<Release>) -> Result<String, (String, Option<String>)> {
    let settings = &context.config.self_update;
    let url = &settings.repository;
    if let Some(latest) = latest {
        let cache = context.paths.feed();
        let feed = update::feed(settings, &cache);
        let named = feed.tagged(&latest.version, clock::now()).map_err(told)?;
        return Ok(format!("'{url}' has the tag {}", named.tag.as_str()));
    }
    let request = Get {
        url: &git::url(url),
        accept: "*/*",
        ..Get::default()
    };
    match http::get(&request, &Limits::default()) {
        Ok(answer) if answer.status == 200 => Ok(format!("'{url}' answers")),
        Ok(answer) => Err((
            format!("'{url}' answers with status {}", answer.status),
            None,
        )),
        Err(error) => Err((error.one_line(), None)),
    }
}

fn links(context: &Context) -> Row {
    let paths = &context.paths;
    let bin_dir = match update::bin_dir(&context.config.self_update, paths) {
        Ok(bin_dir) => bin_dir,
        Err(error) => return rows::links(Err(told(error)), &[], false),
    };
    let mut obstructed = false;
    let problems = match Slots::new(paths).current() {
        Ok(Some(slot)) => {
            obstructed = bin_dir.is_obstructed(&slot);
            bin_dir.problems(&slot)
        }
        // Nothing was updated yet: the first update makes the links, from the files that are there.
        Ok(None) => Vec::new(),
        Err(error) => vec![error.one_line()],
    };
    rows::links(Ok(&bin_dir.path), &problems, obstructed)
}

/// Returns what `error` says, and the remedy it carries.
fn told(error: Error) -> (String, Option<String>) {
    let hint = error.hint().map(str::to_owned);
    (error.one_line(), hint)
}

/// A folder that is gone with its owner, with those of its parents that it had to make.
struct Folder(PathBuf);

impl Folder {
    fn make(path: &Path) -> Result<Folder> {
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
