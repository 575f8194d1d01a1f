//! hephd as a service of the operating system.
//!
//! One back end for each service manager, all with the same verbs, all compiled everywhere and chosen at run time. What a
//! service file is made from is a [`Definition`]: pure functions derive it from the one in the file on disk and from the
//! flags that were passed. A back end renders it and drives its one external tool. The file on disk is the only place where
//! the flags of hephd are kept.

pub mod arguments;
pub(crate) mod bring_up;
pub mod definition;
mod launchd;
pub(crate) mod log;
mod manager;
mod reach;
pub mod systemd;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::ServiceManager;
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::platform::generated::{self, FileState};
use crate::platform::systemd::systemctl;
use definition::Definition;
pub(crate) use manager::{Activity, Manager, Obstacle, Process};
pub(crate) use reach::{explain, reach};

/// The state of hephd as a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// "systemd" or "launchd".
    pub manager: &'static str,
    /// Whether the service file exists.
    pub installed: bool,
    /// Whether the service manager runs it, or is about to start it again.
    pub running: bool,
    /// The hephd that the service file starts; `None` where a person made or edited the file, or it is a link and has to change,
    /// so that heph may not write it.
    pub program: Option<PathBuf>,
}

/// Returns the state of hephd under the service manager of `choice`; `None` without a service manager.
pub(crate) fn state(choice: ServiceManager, paths: &Paths) -> Result<Option<State>> {
    let Some(manager) = choose(choice, paths) else {
        return Ok(None);
    };
    // One question shows both whether it answers and what it is doing.
    let Some(process) = optional(choice, manager.process())? else {
        return Ok(None);
    };
    let file = manager.read()?;
    let definition = file.source.ok();
    let may_write = |definition: &Definition| -> Result<()> {
        check_replaceable(&*manager, "")?;
        generated::check_links(&manager.plan(definition)?, "")
    };
    let definition = definition.filter(|definition| may_write(definition).is_ok());
    Ok(Some(State {
        manager: manager.name(),
        installed: file.state != FileState::Absent,
        running: process.activity != Activity::Stopped,
        program: definition.map(|definition| definition.program.into()),
    }))
}

/// Returns the socket of the hephd that is installed as a service, which a shell with other variables may have installed;
/// without one, our own. Only the service file is read: the service manager is not asked.
pub(crate) fn socket(choice: ServiceManager, paths: &Paths) -> Result<PathBuf> {
    let ours = &paths.hephd;
    let Some(manager) = choose(choice, paths) else {
        return Ok(ours.socket.clone());
    };
    Ok(match manager.read()?.source {
        Ok(Definition { environment, .. }) => {
            let runtime = manager.runtime_dir();
            environment.paths(ours, runtime.as_deref()).socket
        }
        Err(_) => ours.socket.clone(),
    })
}

/// Opens the socket of the service again if its path was removed while hephd runs. Returns whether that was necessary. Call it
/// before hephd is judged by its answers.
pub(crate) fn heal(choice: ServiceManager, paths: &Paths, wait: Duration) -> Result<bool> {
    match find(choice, paths)? {
        Some(manager) => bring_up::heal(&*manager, &paths.hephd, wait),
        None => Ok(false),
    }
}

/// Returns what the service file was made from; `None` where heph did not make it. The service manager is not asked.
pub(crate) fn definition(choice: ServiceManager, paths: &Paths) -> Result<Option<Definition>> {
    let Some(manager) = choose(choice, paths) else {
        return Ok(None);
    };
    Ok(manager.read()?.source.ok())
}

/// Returns the service manager of `choice`; fails where `choice` names one that does not answer.
pub(crate) fn find(choice: ServiceManager, paths: &Paths) -> Result<Option<Box<dyn Manager>>> {
    let Some(manager) = choose(choice, paths) else {
        return Ok(None);
    };
    Ok(optional(choice, manager.answers())?.map(|()| manager))
}

/// Returns the units that run now and that the service manager of `choice` stops along with hephd.
pub(crate) fn companions(choice: ServiceManager, paths: &Paths) -> Result<Vec<String>> {
    match choose(choice, paths) {
        Some(manager) => manager.companions(),
        None => Ok(Vec::new()),
    }
}

/// Starts those of `companions` that do not run any more.
pub(crate) fn start_companions(
    choice: ServiceManager,
    paths: &Paths,
    companions: &[String],
) -> Result<()> {
    match choose(choice, paths) {
        Some(manager) => manager.start_companions(companions),
        None => Ok(()),
    }
}

/// Returns the service manager of `choice`, whether or not it answers.
pub(super) fn choose(choice: ServiceManager, paths: &Paths) -> Option<Box<dyn Manager>> {
    match choice {
        ServiceManager::None => None,
        ServiceManager::Auto if cfg!(target_os = "macos") => choose(ServiceManager::Launchd, paths),
        ServiceManager::Launchd => Some(Box::new(launchd::Launchd::new(paths))),
        ServiceManager::Systemd | ServiceManager::Auto => {
            Some(Box::new(systemd::Systemd::new(paths)))
        }
    }
}

/// Returns the service manager's answer: `None` where it fails and `choice` does not promise one.
fn optional<T>(choice: ServiceManager, answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Err(_) if choice == ServiceManager::Auto && !cfg!(target_os = "macos") => Ok(None),
        answer => answer.map(Some),
    }
}

/// Returns the service manager of `choice`. The hint of an error says what to run without one.
pub(crate) fn require(choice: ServiceManager, paths: &Paths) -> Result<Box<dyn Manager>> {
    if let Some(manager) = find(choice, paths)? {
        return Ok(manager);
    }
    let by_hand = "run `hephd` by hand, or let your init system start it";
    if choice == ServiceManager::None {
        let settings = paths.config.display();
        let message = format!("the settings in '{settings}' turn service managers off");
        let hint = format!("{by_hand}, or set service-manager to \"auto\"");
        return Err(Error::new(message).with_hint(hint));
    }
    let error = Error::new("there is no service manager here: no systemd user manager answers");
    Err(match systemctl::check() {
        Err(cause) => {
            let hint = format!("{by_hand}; {}", cause.hint().unwrap_or_default());
            cause.context(error.with_hint(hint))
        }
        Ok(()) => error.with_hint(by_hand),
    })
}

/// Checks that heph may overwrite or remove the files of `manager`; the error has `hint`.
pub(crate) fn check_replaceable(manager: &dyn Manager, hint: &str) -> Result<()> {
    manager
        .read()?
        .state
        .check_replaceable(manager.file(), hint)?;
    if let (Some(path), Some(state)) = (manager.socket_file(), manager.socket_state()?) {
        state.check_replaceable(path, hint)?;
    }
    Ok(())
}
