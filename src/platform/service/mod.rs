//! hephd as a service of the operating system.
//!
//! One back end a service manager, all with the same verbs, all compiled everywhere and chosen at run time. What a
//! service file says is a [`definition::Definition`], made by pure functions from what the file on disk says already
//! and from what was passed; the back ends only render it, read it back, and drive their one external tool. The file
//! on disk is the only place where the flags of hephd are kept.
//!
//! Architecture invariant: nothing here knows where releases come from or how they become files.

pub mod arguments;
pub mod bring_up;
pub mod definition;
pub mod launchd;
pub mod log;
pub mod systemd;

use std::cmp::Ordering;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{Config, ServiceManager};
use crate::error::{Error, Result};
use crate::os::files;
use crate::paths::Paths;
use crate::platform::generated::template_of;
use definition::{Definition, Environment, Written};

/// How much of a service file is read.
const FILE_LIMIT: u64 = 1 << 20;

/// How hephd stands with the service manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// "systemd" or "launchd".
    pub manager: &'static str,
    /// Whether the service file exists.
    pub installed: bool,
    /// Whether the service manager has it running, or is about to start it again.
    pub running: bool,
    /// The main process, where it runs.
    pub pid: Option<u32>,
    /// The hephd that the service file starts; `None` where a person made the file, or edited it beyond reading.
    pub program: Option<PathBuf>,
}

/// Returns how hephd stands with the service manager that `config` chooses; `None` where there is no service manager.
///
/// # Errors
///
/// The settings name a service manager that does not answer, or one does not answer well.
pub fn state(config: &Config, paths: &Paths) -> Result<Option<State>> {
    let Some(manager) = chosen(config, paths) else {
        return Ok(None);
    };
    // One question tells both whether it answers and what it is doing.
    let Some(process) = if_there(config, manager.process())? else {
        return Ok(None);
    };
    let program = file(&*manager)?
        .written()
        .map(|written| PathBuf::from(&written.program));
    Ok(Some(State {
        manager: manager.name(),
        program,
        installed: manager.file().exists(),
        running: process.activity != Activity::Stopped,
        pid: process.pid,
    }))
}

/// Returns the socket of the hephd that is installed as a service, which may have been installed from a shell with other
/// variables than ours; where none is installed, our own. Only the service file is read: the service manager is not asked.
///
/// # Errors
///
/// The service file is there and cannot be read.
pub fn socket(config: &Config, paths: &Paths) -> Result<PathBuf> {
    let Some(manager) = chosen(config, paths) else {
        return Ok(paths.hephd.socket.clone());
    };
    Ok(match file(&*manager)? {
        File::Generated {
            written: Ok(written),
            ..
        } => written
            .environment
            .socket(paths, manager.runtime_dir().as_deref()),
        _ => paths.hephd.socket.clone(),
    })
}

/// Returns what the service file of hephd says, where heph made it and it can be told. The service manager is not asked.
///
/// # Errors
///
/// The service file is there and cannot be read.
pub fn written(config: &Config, paths: &Paths) -> Result<Option<Written>> {
    let Some(manager) = chosen(config, paths) else {
        return Ok(None);
    };
    Ok(match file(&*manager)? {
        File::Generated { written, .. } => written.ok(),
        _ => None,
    })
}

/// What the service manager is doing with hephd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Nothing.
    Stopped,
    /// It starts it, or waits a moment before it starts it again.
    Starting,
    /// It has it running.
    Running,
}

/// What the service manager says of hephd's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// What it is doing.
    pub activity: Activity,
    /// The main process, where there is one.
    pub pid: Option<u32>,
}

/// The files that are to change, with all of their new text.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewFiles<'a> {
    /// The service file.
    pub service: Option<&'a str>,
    /// The file of the socket.
    pub socket: Option<&'a str>,
}

/// A service manager: renders and reads service files, and drives its tool. Stopping what is stopped succeeds.
pub trait Manager: fmt::Debug {
    /// Returns "systemd" or "launchd".
    fn name(&self) -> &'static str;

    /// Returns where the service file belongs.
    fn file(&self) -> &Path;

    /// Returns the version of the templates that it renders. Raise it there and in `templates/` with every change of one.
    fn template(&self) -> u32;

    /// Returns where the file of the socket belongs; `None` where the service manager holds no socket for hephd.
    fn socket_file(&self) -> Option<&Path> {
        None
    }

    /// Returns the file of the socket of `definition`, where there is one. Pure.
    fn render_socket(&self, _definition: &Definition) -> Option<String> {
        None
    }

    /// Returns whether it holds the socket at this moment; `None` where it never does.
    ///
    /// # Errors
    ///
    /// As [`Manager::answers`].
    fn holds_socket(&self) -> Result<Option<bool>> {
        Ok(None)
    }

    /// Returns the folder that hephd gets as `XDG_RUNTIME_DIR`, where the service manager sets it.
    fn runtime_dir(&self) -> Option<PathBuf>;

    /// Returns the service file of `definition`. Pure.
    fn render(&self, definition: &Definition) -> String;

    /// Reads a service file back. Pure.
    ///
    /// # Errors
    ///
    /// Its command line cannot be told.
    fn parse(&self, text: &str) -> Result<Written>;

    /// Checks that it answers.
    ///
    /// # Errors
    ///
    /// It does not; the hint says what may help.
    fn answers(&self) -> Result<()>;

    /// Returns what it is doing with hephd.
    ///
    /// # Errors
    ///
    /// As [`Manager::answers`].
    fn process(&self) -> Result<Process>;

    /// Writes the files that are to change, has them loaded and hephd started at login, and starts hephd unless it runs.
    fn start(&self, new: NewFiles, limit: Duration) -> Result<()>;

    /// As [`Manager::start`], with a new process in any case.
    fn restart(&self, new: NewFiles, limit: Duration) -> Result<()>;

    /// Stops hephd until the next login or start. Returns whether it was running.
    fn stop(&self) -> Result<bool>;

    /// Stops hephd and removes its files. Returns whether anything was there.
    fn uninstall(&self) -> Result<bool>;
}

/// Returns the service manager that `config` chooses, `None` where there is none.
///
/// # Errors
///
/// The settings name one that does not answer.
pub fn find(config: &Config, paths: &Paths) -> Result<Option<Box<dyn Manager>>> {
    let Some(manager) = chosen(config, paths) else {
        return Ok(None);
    };
    Ok(if_there(config, manager.answers())?.map(|()| manager))
}

/// Returns the service manager that `config` chooses, whether or not it answers.
fn chosen(config: &Config, paths: &Paths) -> Option<Box<dyn Manager>> {
    match config.service_manager {
        ServiceManager::None => None,
        ServiceManager::Launchd => Some(Box::new(launchd::Launchd::new(paths))),
        ServiceManager::Auto if cfg!(target_os = "macos") => {
            Some(Box::new(launchd::Launchd::new(paths)))
        }
        ServiceManager::Systemd | ServiceManager::Auto => {
            Some(Box::new(systemd::Systemd::new(paths)))
        }
    }
}

/// Returns what the service manager answered: `None` where that is no answer and nobody said that there is one.
fn if_there<T>(config: &Config, answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Err(_) if config.service_manager == ServiceManager::Auto && !cfg!(target_os = "macos") => {
            Ok(None)
        }
        answer => answer.map(Some),
    }
}

/// Returns the service manager that `config` chooses.
///
/// # Errors
///
/// There is none; the hint says what to run instead.
pub fn require(config: &Config, paths: &Paths) -> Result<Box<dyn Manager>> {
    if let Some(manager) = find(config, paths)? {
        return Ok(manager);
    }
    let by_hand = "run `hephd` by hand, or let your init system start it";
    if config.service_manager == ServiceManager::None {
        return Err(Error::new(format!(
            "the settings in '{}' say that no service manager is to be used",
            paths.config.display()
        ))
        .with_hint(format!("{by_hand}, or set service-manager to \"auto\"")));
    }
    let systemd = systemd::Systemd::new(paths);
    let fault = Error::new("there is no service manager here: no systemd user manager answers")
        .with_hint(format!("{by_hand}; {}", systemd.remedy()));
    Err(match systemd.answers() {
        Err(cause) => cause.context(fault),
        Ok(()) => fault,
    })
}

/// The service file as it is on disk.
#[derive(Debug)]
pub enum File {
    /// There is none.
    Absent,
    /// A person or another program made it.
    HandMade,
    /// heph made it.
    Generated {
        /// The version of its template.
        template: u32,
        /// Its whole text.
        text: String,
        /// What it says, where that can be told.
        written: Result<Written>,
    },
}

/// Reads the service file of `manager`.
///
/// # Errors
///
/// It is there and cannot be read.
pub fn file(manager: &dyn Manager) -> Result<File> {
    Ok(match read(manager.file())? {
        OnDisk::Absent => File::Absent,
        OnDisk::HandMade => File::HandMade,
        OnDisk::Generated { template, text } => File::Generated {
            template,
            written: manager.parse(&text),
            text,
        },
    })
}

/// Returns how the file of the socket compares to what `manager` would write beside the service file `file`; `None` where
/// the service manager holds no socket.
///
/// # Errors
///
/// It is there and cannot be read.
pub fn socket_state(
    manager: &dyn Manager,
    file: &File,
    paths: &Paths,
) -> Result<Option<FileState>> {
    let Some(path) = manager.socket_file() else {
        return Ok(None);
    };
    Ok(Some(match read(path)? {
        OnDisk::Absent => FileState::Absent,
        OnDisk::HandMade => FileState::HandMade,
        OnDisk::Generated { template, text } => {
            let definition = file
                .written()
                .and_then(|written| written.definition(paths).ok());
            let again = definition.and_then(|definition| manager.render_socket(&definition));
            compare(manager, template, &text, again.as_deref())
        }
    }))
}

/// A file as it is on disk.
enum OnDisk {
    Absent,
    HandMade,
    Generated { template: u32, text: String },
}

fn read(path: &Path) -> Result<OnDisk> {
    let Some(bytes) = files::read_if_there(path, FILE_LIMIT)? else {
        return Ok(OnDisk::Absent);
    };
    // What is not UTF-8 was not written by heph.
    let Ok(text) = String::from_utf8(bytes) else {
        return Ok(OnDisk::HandMade);
    };
    Ok(match template_of(&text) {
        None => OnDisk::HandMade,
        Some(template) => OnDisk::Generated { template, text },
    })
}

/// Returns how the generated `text` of `template` compares to what `manager` would write `again`.
fn compare(manager: &dyn Manager, template: u32, text: &str, again: Option<&str>) -> FileState {
    match template.cmp(&manager.template()) {
        Ordering::Less => FileState::OlderTemplate,
        Ordering::Greater => FileState::NewerTemplate,
        Ordering::Equal if again == Some(text) => FileState::Current,
        Ordering::Equal => FileState::Edited,
    }
}

/// How a file on disk compares to what heph would write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileState {
    /// There is none.
    Absent,
    /// It is what this heph would write again.
    Current,
    /// It is from an older template: `heph daemon restart` brings it up to date.
    OlderTemplate,
    /// It is from the template of a newer heph.
    NewerTemplate,
    /// heph made it and somebody changed it.
    Edited,
    /// A person or another program made it.
    HandMade,
}

impl File {
    /// Returns how it compares to what `manager` would write.
    pub fn state(&self, manager: &dyn Manager, paths: &Paths) -> FileState {
        match self {
            File::Absent => FileState::Absent,
            File::HandMade => FileState::HandMade,
            File::Generated {
                template,
                text,
                written,
            } => {
                let again = written
                    .as_ref()
                    .ok()
                    .and_then(|written| written.definition(paths).ok())
                    .map(|definition| manager.render(&definition));
                compare(manager, *template, text, again.as_deref())
            }
        }
    }

    /// Returns what it says, where heph made it and it can be told.
    pub fn written(&self) -> Option<&Written> {
        match self {
            File::Generated {
                written: Ok(written),
                ..
            } => Some(written),
            _ => None,
        }
    }

    /// Returns the environment that hephd has, or would have if it were installed from `ours`.
    pub fn environment(&self, ours: &Environment) -> Environment {
        match self.written() {
            Some(written) => written.environment.clone(),
            None => ours.clone(),
        }
    }
}
