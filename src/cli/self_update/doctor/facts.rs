//! What the checks look at, gathered once.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::probe::{self, Findings};
use crate::cli::Context;
use crate::config::Delivery;
use crate::error::Result;
use crate::install::cargo::Cargo;
use crate::install::{self, Progress, StageRequest};
use crate::os::{clock, files};
use crate::paths::Paths;
use crate::platform::schedule::job::Job as TimerJob;
use crate::platform::schedule::{self, Scheduler};
use crate::release::Release;
use crate::release::trust::{Origin, Proof};
use crate::update;

/// How long a program may take to print its version.
const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// What the checks in the shell look at.
pub(super) struct Shell<'a> {
    pub context: &'a Context,
    /// That of the timer, or the one that would run it.
    pub scheduler: Scheduler,
    /// The timer's job; `None` where the timer is off.
    pub job: Result<Option<TimerJob>>,
    /// What was found in the environment of that job, or of the one that `enable` would make now.
    pub findings: Result<Findings>,
}

impl<'a> Shell<'a> {
    pub fn of(context: &'a Context) -> Shell<'a> {
        let manager = context.config.service_manager;
        let (scheduler, job) = match schedule::job(manager, &context.paths) {
            Ok(Some((scheduler, job))) => (scheduler, Ok(Some(job))),
            Ok(None) => (Scheduler::choose(manager), Ok(None)),
            Err(error) => (Scheduler::choose(manager), Err(error)),
        };
        let known = job.as_ref().ok().and_then(Option::as_ref);
        Shell {
            context,
            scheduler,
            findings: probe::look(scheduler, known, &context.paths),
            job,
        }
    }

    pub fn job(&self) -> Option<&TimerJob> {
        self.job.as_ref().ok()?.as_ref()
    }
}

/// What the checks in the job's environment look at.
pub(super) struct Job<'a> {
    pub context: &'a Context,
    /// cargo and its version.
    pub cargo: Result<(Cargo, String)>,
    /// The newest release that the forge names.
    pub latest: Result<Option<Release>>,
    /// Whether the timer's next run builds.
    pub building: Building,
}

/// Whether the timer's next run needs cargo and a compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Building {
    Needed,
    /// The newest release has an archive for this machine; another one may have none.
    Spared,
    /// The settings admit archives only.
    Never,
}

impl<'a> Job<'a> {
    pub fn of(context: &'a Context) -> Job<'a> {
        let latest = latest(context);
        Job {
            context,
            cargo: cargo(&context.paths),
            building: building(context, latest.as_ref().ok().and_then(Option::as_ref)),
            latest,
        }
    }

    /// Returns the newest release, if the forge names one.
    pub fn newest(&self) -> Option<&Release> {
        self.latest.as_ref().ok()?.as_ref()
    }
}

fn building(context: &Context, latest: Option<&Release>) -> Building {
    let has_archives = |release| has_archives(context, release).unwrap_or(false);
    match context.config.self_update.delivery {
        Delivery::Cargo => Building::Needed,
        Delivery::Prebuilt => Building::Never,
        Delivery::Auto if latest.is_some_and(has_archives) => Building::Spared,
        Delivery::Auto => Building::Needed,
    }
}

/// Returns whether a run would find archives of `release` that it may install.
fn has_archives(context: &Context, release: &Release) -> Result<bool> {
    let settings = &context.config.self_update;
    let (mut paths, now) = (context.paths.clone(), clock::now());
    let cache = paths.feed();
    let feed = update::feed(settings, &cache);
    let plain_git = feed.is_plain_git(now);
    let here = match plain_git {
        true => feed.advertised(now)?,
        false => Vec::new(),
    };
    let here = here.into_iter().find(|here| here.tag == release.tag);
    // A folder of its own: a run may be under way.
    paths.cache = paths.cache.join("doctor");
    let found = install::has_archives(&StageRequest {
        release,
        origin: &Origin {
            commit: here.map(|here| here.commit).unwrap_or_default(),
            proof: Proof::Unproven(String::new()),
        },
        repository: &settings.repository,
        plain_git,
        packages: &settings.packages,
        delivery: settings.delivery,
        features: settings.chosen_features(),
        allow_fewer_commands: settings.allow_fewer_commands,
        trust: &settings.trust,
        bin_dir: &update::bin_dir(settings, &context.paths)?,
        paths: &paths,
        environment: Vec::new(),
        afresh: false,
    });
    files::remove_tree_if_there(&paths.cache)?;
    Ok(found)
}

fn cargo(paths: &Paths) -> Result<(Cargo, String)> {
    let cargo = Cargo::find(&std::env::vars_os().collect(), paths)?;
    let log = Progress::Log(PathBuf::new());
    let version = cargo
        .run(&paths.home, &paths.home, &paths.build(), &log)
        .arg("--version")
        .limit(VERSION_LIMIT)
        .success()?;
    let version = version.text().trim().to_owned();
    Ok((cargo, version))
}

/// Asks the forge as the timer's run will, with a copy of the cache: the run itself must find its cache as it was.
fn latest(context: &Context) -> Result<Option<Release>> {
    let paths = &context.paths;
    let copy = format!("doctor-feed-{}.json", std::process::id());
    let copy = paths.state.join(copy);
    if fs::create_dir_all(&paths.state).is_ok() {
        drop(fs::copy(paths.feed(), &copy));
    }
    let latest = update::feed(&context.config.self_update, &copy).fetch(clock::now());
    drop(fs::remove_file(&copy));
    latest
}
