//! hephd during an update: its state, restarting it through a slot's own binaries, watching it settle.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use semver::Version;

use super::World;
use super::health::{Health, Observation, judge};
use crate::client;
use crate::error::{Error, Result};
use crate::install::links::BinDir;
use crate::install::slots::Slot;
use crate::os::interrupt;
use crate::os::process::Run;
use crate::platform::service;
use crate::platform::systemd::systemctl;
use crate::release::version;

const HEPHD: &str = "hephd";
/// The time limit of one request to hephd.
const ANSWER: Duration = Duration::from_secs(2);
/// The interval between two observations.
const OBSERVE_EVERY: Duration = Duration::from_millis(200);
/// How long starting the command itself may take, beyond the wait for hephd.
const SLACK: Duration = Duration::from_secs(15);

/// The state of hephd before an update.
#[derive(Clone, Debug)]
pub(super) struct Daemon {
    /// Whether the service manager runs it.
    pub managed: bool,
    /// Its answer to `status`, if it answers.
    pub status: Option<client::Status>,
    pub socket: PathBuf,
}

impl Daemon {
    /// Returns the version that runs as a service.
    pub fn running(&self) -> Option<Version> {
        let status = self.status.as_ref().filter(|_| self.managed)?;
        version::in_output(&status.version)
    }

    /// Returns the store that it serves.
    pub fn store(&self) -> Option<PathBuf> {
        Some(PathBuf::from(&self.status.as_ref()?.store))
    }
}

/// Returns the state of hephd; one that is not part of the installation counts as absent.
pub(super) fn look(world: World, bin_dir: &BinDir) -> Result<Daemon> {
    let (socket, status) = answer(world, bin_dir)?;
    let managed = is_installed(world, bin_dir) && is_managed(world, bin_dir)?;
    Ok(Daemon {
        managed,
        status,
        socket,
    })
}

/// Returns the version that hephd answers with, also one that no service manager started; `None` where it does not answer or
/// is not part of the installation.
pub(super) fn running(world: World, bin_dir: &BinDir) -> Result<Option<Version>> {
    let (_, status) = answer(world, bin_dir)?;
    Ok(status.and_then(|status| version::in_output(&status.version)))
}

/// Returns whether hephd is part of the installation, also where its link has gone missing.
fn is_installed(world: World, bin_dir: &BinDir) -> bool {
    let in_slot = || world.slots().current().ok().flatten();
    bin_dir.path.join(HEPHD).exists() || in_slot().is_some_and(|slot| slot.has(HEPHD))
}

/// Returns whether the service manager runs the hephd in `bin_dir`, by a service file that heph made: then a restart
/// brings up what the switch points at.
pub(super) fn is_managed(world: World, bin_dir: &BinDir) -> Result<bool> {
    let state = service::state(world.config.service_manager, world.paths)?;
    let ours = |program: PathBuf| program.ends_with(HEPHD) && bin_dir.holds(&program);
    Ok(state.is_some_and(|state| state.running && state.program.is_some_and(ours)))
}

fn answer(world: World, bin_dir: &BinDir) -> Result<(PathBuf, Option<client::Status>)> {
    let socket = service::socket(world.config.service_manager, world.paths)?;
    let status = if is_installed(world, bin_dir) {
        // A hephd that hangs is no reason not to update it.
        client::status(&socket, ANSWER).unwrap_or_default()
    } else {
        None
    };
    Ok((socket, status))
}

/// Restarts hephd through `slot`'s own `heph daemon restart`, so that its templates are used.
pub(super) fn restart(world: World, slot: &Slot) -> Result<()> {
    let wait = world.config.self_update.health_timeout;
    let arguments = ["daemon", "restart", "--wait", &wait.to_string()];
    let restart = || {
        heph(world, slot)
            .args(arguments)
            .limit(*wait + SLACK)
            .success()
            .map(drop)
    };
    let asked_to_end = interrupt::requested();
    match restart() {
        // Until the command has a process group of its own, a signal that is meant for this run hits it as well.
        Err(_) if interrupt::requested() && !asked_to_end => restart(),
        ended => ended,
    }
}

pub(super) fn stop(world: World, slot: &Slot) -> Result<()> {
    heph(world, slot)
        .args(["daemon", "stop"])
        .success()
        .map(drop)
}

/// Returns whether hephd went away with the service manager that ran it, which says nothing about the release.
pub(super) fn session_is_ending(world: World) -> bool {
    systemctl::is_stopping() || service::require(world.config.service_manager, world.paths).is_err()
}

/// Returns a run of `slot`'s `heph` with this run's settings; a release without one is managed by the running `heph`.
fn heph(world: World, slot: &Slot) -> Run {
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("heph"));
    let program = if slot.has("heph") {
        slot.binary("heph")
    } else {
        own
    };
    let run = Run::new(program);
    if world.paths.config.exists() {
        run.env("HEPH_CONFIG", &world.paths.config)
    } else {
        run
    }
}

/// Watches hephd until it is healthy as `expected`. The error says why it is not.
pub(super) fn settle(world: World, expected: &Version) -> Result<()> {
    let settings = &world.config.self_update;
    let socket = service::socket(world.config.service_manager, world.paths)?;
    let start = Instant::now();
    let mut observations = Vec::new();
    loop {
        let status = client::status(&socket, ANSWER).unwrap_or_default();
        let answer =
            status.and_then(|status| Some((version::in_output(&status.version)?, status.pid)));
        observations.push(Observation {
            at: start.elapsed(),
            answer,
        });
        match judge(
            &observations,
            expected,
            *settings.settle,
            *settings.health_timeout,
        ) {
            Health::Pending => thread::sleep(OBSERVE_EVERY),
            Health::Healthy => return Ok(()),
            Health::Unhealthy(reason) => return Err(Error::new(reason)),
        }
    }
}
