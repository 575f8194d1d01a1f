//! `heph daemon status`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::cli::{Context, ui};
use crate::client;
use crate::error::{Exit, Result};
use crate::os::text::printable;
use crate::platform::generated::FileState;
use crate::platform::service::definition::Environment;
use crate::platform::service::{self, Activity, Process};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The status, as `--json` and the table print it.
#[derive(Debug, Serialize)]
struct Report {
    /// "systemd" or "launchd"; null: no service manager.
    manager: Option<&'static str>,
    /// Whether there is a service file.
    installed: bool,
    /// Whether a hephd runs, as a service or by hand.
    running: bool,
    /// Whether the running hephd is that of the service.
    managed: bool,
    /// Whether the service manager is starting it, perhaps repeatedly.
    starting: bool,
    pid: Option<u32>,
    /// The version that hephd answers with.
    version: Option<String>,
    /// The error of the service manager, or of a hephd that listens and does not answer.
    problem: Option<String>,
    /// What hephd reports of a store that can be used although something is wrong with it.
    warning: Option<String>,
    mode: String,
    socket: PathBuf,
    /// The file by which the service manager holds the socket; or null.
    socket_file: Option<PathBuf>,
    /// Null if the service manager holds no sockets.
    socket_file_state: Option<FileState>,
    /// Whether the service manager listens on the socket; null if it never does.
    socket_held: Option<bool>,
    store: PathBuf,
    log: PathBuf,
    file: Option<PathBuf>,
    file_state: FileState,
    /// The hephd that the service file names.
    program: Option<PathBuf>,
    /// The flags in the service file.
    flags: BTreeMap<&'static str, String>,
}

pub(super) fn run(context: &Context, args: Args) -> Result<Exit> {
    let report = report(context)?;
    if args.json {
        context.ui.json(&report);
    } else {
        for (name, value) in report.lines() {
            let value = printable(&value);
            let name = context.ui.painted(ui::BOLD, &format!("{name:<9}"));
            context.ui.say(format!("{name}{value}"));
        }
    }
    Ok(Exit::Done)
}

fn report(context: &Context) -> Result<Report> {
    let (config, paths) = (&context.config, &context.paths);
    // A service manager that is missing is what status should report, not a reason to fail.
    let (manager, manager_error) = match service::find(config.service_manager, paths) {
        Ok(manager) => (manager, None),
        Err(error) => (None, Some(error.one_line())),
    };
    let (mut file_state, mut process) = (FileState::Absent, Process::STOPPED);
    let mut definition = None;
    let (mut socket_file, mut socket_file_state, mut socket_held) = (None, None, None);
    if let Some(manager) = &manager {
        let file = manager.read()?;
        file_state = file.state;
        definition = file.source.ok();
        process = manager.process()?;
        socket_file = manager.socket_file().map(Path::to_owned);
        socket_file_state = manager.socket_state()?;
        socket_held = manager.holds_socket()?;
    }
    let environment = match &definition {
        Some(definition) => definition.environment.clone(),
        None => Environment::from_variables(std::env::vars_os())?,
    };
    let runtime = manager.as_ref().and_then(|manager| manager.runtime_dir());
    let there = environment.paths(&paths.hephd, runtime.as_deref());
    let socket = match definition {
        Some(_) => there.socket.clone(),
        None => context.socket()?,
    };
    // If systemd holds the socket, the question waits for a hephd that is starting, which may never succeed.
    let limit = match process.activity {
        Activity::Starting => Duration::from_secs(2),
        Activity::Running | Activity::Stopped => Duration::from_secs(5),
    };
    let (answer, problem) = match client::status(&socket, limit) {
        Ok(answer) => (answer, None),
        Err(error) => (None, Some(error.one_line())),
    };
    // systemd would go on listening at a path that was removed, which no client finds.
    let is_lost = answer.is_none() && process.activity == Activity::Running && !socket.exists();
    let lost =
        is_lost.then(|| "the socket is gone; `heph daemon restart` opens it again".to_owned());
    let definition = definition.as_ref();
    let mode_of_service = definition.and_then(|definition| definition.flags.get("mode"));
    let pid = answer.as_ref().map(|answer| answer.pid).or(process.pid);
    Ok(Report {
        manager: manager.as_ref().map(|manager| manager.name()),
        installed: file_state != FileState::Absent,
        running: pid.is_some(),
        managed: pid.is_some() && pid == process.pid,
        starting: process.activity == Activity::Starting,
        pid,
        problem: manager_error.or(problem).or(lost),
        mode: answer
            .as_ref()
            .map(|answer| answer.mode.as_str())
            .or(mode_of_service)
            .unwrap_or("local")
            .to_owned(),
        store: match &answer {
            Some(answer) => answer.store.clone().into(),
            None => there.store.clone(),
        },
        warning: answer.as_ref().and_then(|answer| answer.warning.clone()),
        version: answer.map(|answer| answer.version),
        socket,
        socket_file: socket_file.filter(|_| socket_file_state != Some(FileState::Absent)),
        socket_file_state,
        socket_held,
        log: match definition {
            Some(definition) => definition.log.clone().into(),
            None => there.log(),
        },
        file: manager
            .filter(|_| file_state != FileState::Absent)
            .map(|manager| manager.file().to_owned()),
        file_state,
        program: definition.map(|definition| definition.program.clone().into()),
        flags: definition
            .into_iter()
            .flat_map(|definition| definition.flags.iter())
            .map(|(flag, value)| (flag.name(), value.to_owned()))
            .collect(),
    })
}

impl Report {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![("hephd", self.hephd()), ("service", self.service())];
        if let Some(problem) = &self.problem {
            lines.push(("problem", problem.clone()));
        }
        if let Some(warning) = &self.warning {
            lines.push(("warning", warning.clone()));
        }
        lines.push(("mode", self.mode.clone()));
        if !self.flags.is_empty() {
            let flags = self.flags.iter();
            let flags: Vec<_> = flags
                .map(|(name, value)| format!("--{name}={value}"))
                .collect();
            lines.push(("flags", flags.join(" ")));
        }
        if let Some(program) = &self.program {
            lines.push(("program", program.display().to_string()));
        }
        lines.push(("socket", self.socket()));
        lines.push(("store", self.store.display().to_string()));
        lines.push(("log", self.log.display().to_string()));
        lines
    }

    fn hephd(&self) -> String {
        let Some(pid) = self.pid else {
            return if self.starting {
                "not running, and restarted repeatedly: see `heph daemon logs`".to_owned()
            } else {
                "not running".to_owned()
            };
        };
        let version = match &self.version {
            Some(version) => format!("version {version}"),
            None => "does not answer".to_owned(),
        };
        let how = if self.managed {
            ""
        } else {
            ", started by hand and not as a service"
        };
        format!("running, process {pid}, {version}{how}")
    }

    fn socket(&self) -> String {
        let about = match self.socket_file_state {
            // The line about the service file covers a missing one.
            _ if !matches!(self.file_state, FileState::Current | FileState::Edited) => "",
            Some(FileState::Absent) => ", whose file is missing: `heph daemon restart` rewrites it",
            Some(FileState::OlderTemplate) => {
                ", from an older template: `heph daemon restart` updates it"
            }
            Some(FileState::Edited) => {
                ", whose file was edited by hand: `heph daemon restart --force` rewrites it"
            }
            Some(FileState::HandMade) => ", whose file was made by hand: heph leaves it alone",
            Some(FileState::Current | FileState::NewerTemplate)
                if self.managed && self.socket_held == Some(false) =>
            {
                ", which is closed while hephd restarts, because systemd could not open it: \
                 see `systemctl --user status heph.socket`, then `heph daemon restart`"
            }
            Some(FileState::Current | FileState::NewerTemplate) | None => "",
        };
        format!("{}{about}", self.socket.display())
    }

    fn service(&self) -> String {
        let Some(manager) = self.manager else {
            return "no service manager: run `hephd` by hand or from your init system".to_owned();
        };
        let Some(file) = &self.file else {
            return format!("not installed with {manager}; `heph daemon start` installs it");
        };
        let about = match self.file_state {
            FileState::Absent | FileState::Current => "",
            FileState::OlderTemplate => {
                ", from an older template: `heph daemon restart` updates it"
            }
            FileState::NewerTemplate => ", from the template of a newer heph",
            FileState::Edited => {
                ", edited by hand: `heph daemon restart --force` rewrites it and keeps the flags that heph wrote"
            }
            FileState::HandMade => ", made by hand: heph leaves it alone",
        };
        format!("{manager}, '{}'{about}", file.display())
    }
}
