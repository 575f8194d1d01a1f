//! hephd during an update: its state, restarting it through a slot's own binaries, watching it settle.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use semver::Version;

use super::World;
use super::health::{AtSocket, Condition, Health, Observation, ailment, judge};
use crate::client;
use crate::error::{Error, Result, ResultExt};
use crate::install::links::BinDir;
use crate::install::slots::Slot;
use crate::os::process::Run;
use crate::platform::service::{self, Activity};
use crate::platform::systemd::systemctl;
use crate::release::version;

const HEPHD: &str = "hephd";
/// The time limit of one request to hephd.
const ANSWER: Duration = Duration::from_secs(2);
/// The interval between two observations.
const OBSERVE_EVERY: Duration = Duration::from_millis(200);
/// How long starting the command itself may take, beyond the wait for hephd.
const SLACK: Duration = Duration::from_secs(15);
/// How long an ailment must last: hephd may be restarting.
const AILING: Duration = Duration::from_secs(5);

/// Why a restarted hephd is not to stay.
#[derive(Debug)]
pub(super) enum Setback {
    /// It is not healthy: a verdict on its release.
    Unhealthy(Error),
    /// This machine failed, which says nothing about the release.
    Machine(Error),
}

impl Setback {
    pub fn into_error(self) -> Error {
        match self {
            Setback::Unhealthy(error) | Setback::Machine(error) => error,
        }
    }
}

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

/// Returns the state of hephd; one that is not part of the installation counts as absent. A socket whose path was lost is opened
/// again first, since hephd is judged by its answers.
pub(super) fn look(world: World, bin_dir: &BinDir) -> Result<Daemon> {
    let is_installed = is_installed(world, bin_dir);
    if is_installed {
        let (choice, paths) = (world.config.service_manager, world.paths);
        // What fails here shows as a hephd that does not answer.
        drop(service::heal(
            choice,
            paths,
            *world.config.self_update.health_timeout,
        ));
    }
    let (socket, status) = answer(world, bin_dir)?;
    let managed = is_installed && is_managed(world, bin_dir)?;
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

/// Returns whether hephd is part of the installation, also where its link has gone missing. A hephd that other packages have
/// brought to the same bin-dir is not.
fn is_installed(world: World, bin_dir: &BinDir) -> bool {
    let slots = world.slots();
    let in_slot = || slots.current().ok().flatten();
    // A link that leads nowhere is enough: an update mends it.
    let in_bin_dir = || bin_dir.path.join(HEPHD).symlink_metadata().is_ok();
    bin_dir.brings_hephd(&slots) && (in_bin_dir() || in_slot().is_some_and(|slot| slot.has(HEPHD)))
}

/// Fails if hephd, which is about to be restarted, is ill already in a way that no release can cure: the new one would be
/// blamed for it. Changes nothing.
pub(super) fn check_condition(world: World) -> Result<()> {
    let (choice, paths) = (world.config.service_manager, world.paths);
    let Some(manager) = service::find(choice, paths)? else {
        return Ok(());
    };
    let obstacle = manager.obstacle()?;
    let until = Instant::now() + AILING;
    loop {
        let socket = service::socket(choice, paths)?;
        let at_socket = match client::status(&socket, ANSWER) {
            Ok(Some(status)) => AtSocket::Process(status.pid),
            Ok(None) => AtSocket::Nobody,
            Err(_) => AtSocket::Silence,
        };
        let process = manager.process()?;
        let condition = Condition {
            obstacle: obstacle.clone(),
            service: process.pid,
            is_up: process.activity == Activity::Running,
            at_socket,
            socket: &socket,
        };
        match ailment(&condition) {
            None => return Ok(()),
            Some(ailment) if obstacle.is_some() || Instant::now() >= until => {
                let message = format!(
                    "hephd cannot be restarted, so the update was not begun: {}",
                    ailment.what
                );
                return Err(Error::new(message).with_hint(ailment.hint));
            }
            Some(_) => thread::sleep(OBSERVE_EVERY),
        }
    }
}

/// Returns the units that run now and that are stopped along with hephd.
pub(super) fn companions(world: World) -> Result<Vec<String>> {
    service::companions(world.config.service_manager, world.paths)
        .context("cannot tell which units are stopped along with hephd")
}

/// Starts those of `companions` that were stopped along with hephd.
pub(super) fn start_companions(world: World, companions: &[String]) -> Result<()> {
    service::start_companions(world.config.service_manager, world.paths, companions)
        .context("units that depend on hephd do not run again")
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
///
/// A restart that fails early is tried once more: a disk may have failed once. If the hephd of before still runs then, it was
/// never restarted, and the release's hephd is not to blame.
pub(super) fn restart(world: World, slot: &Slot) -> Result<(), Setback> {
    let start = Instant::now();
    let before = answering(world);
    let program = heph(slot);
    let mut ended = restart_by(world, &program);
    if ended.is_err() && start.elapsed() < *world.config.self_update.health_timeout {
        ended = restart_by(world, &program);
    }
    let Err(error) = ended else {
        return Ok(());
    };
    if before.is_none() || answering(world) != before {
        return Err(Setback::Unhealthy(error));
    }
    // The comparison: what another heph can do on this machine, the release's must be able to do.
    let own = own_heph();
    if own == program || restart_by(world, &own).is_err() {
        return Err(Setback::Machine(error));
    }
    Err(Setback::Unhealthy(error))
}

fn restart_by(world: World, heph: &Path) -> Result<()> {
    let wait = world.config.self_update.health_timeout;
    let arguments = ["daemon", "restart", "--wait", &wait.to_string()];
    let run = run(world, heph).args(arguments).limit(*wait + SLACK);
    run.success().map(drop)
}

/// Returns the process id of the hephd that answers.
fn answering(world: World) -> Option<u32> {
    let socket = service::socket(world.config.service_manager, world.paths).ok()?;
    let status = client::status(&socket, ANSWER).ok()??;
    Some(status.pid)
}

pub(super) fn stop(world: World, slot: &Slot) -> Result<()> {
    let stop = run(world, &heph(slot)).args(["daemon", "stop"]);
    stop.success().map(drop)
}

/// Returns whether hephd went away with the service manager that ran it, which says nothing about the release.
pub(super) fn session_is_ending(world: World) -> bool {
    systemctl::is_stopping() || service::require(world.config.service_manager, world.paths).is_err()
}

/// Returns `slot`'s `heph`; a release without one is managed by the running `heph`.
fn heph(slot: &Slot) -> PathBuf {
    match slot.has("heph") {
        true => slot.binary("heph"),
        false => own_heph(),
    }
}

fn own_heph() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("heph"))
}

/// Returns a run of `heph` with this run's settings.
fn run(world: World, heph: &Path) -> Run {
    let run = Run::new(heph);
    if world.paths.config.exists() {
        run.env("HEPH_CONFIG", &world.paths.config)
    } else {
        run
    }
}

/// Watches hephd until it is healthy as `expected`. The error says why it is not.
pub(super) fn settle(world: World, expected: &Version) -> Result<(), Setback> {
    let settings = &world.config.self_update;
    let socket = || service::socket(world.config.service_manager, world.paths);
    let socket = socket().or_else(|_| socket()).map_err(Setback::Machine)?;
    let start = Instant::now();
    let mut observations = Vec::new();
    loop {
        // A request may fail because of this machine. What a death of hephd was, the second one shows as well.
        let status = client::status(&socket, ANSWER).or_else(|_| client::status(&socket, ANSWER));
        let status = status.unwrap_or_default();
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
            Health::Unhealthy(reason) => return Err(Setback::Unhealthy(Error::new(reason))),
        }
    }
}
