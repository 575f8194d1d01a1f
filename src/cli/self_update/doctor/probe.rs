//! The probe: `heph self-update doctor --inside FILE`, started the way the timer starts its job.
//!
//! With systemd that is a transient unit in the runtime folder: the service of the timer, drop-ins included, with another
//! command. `systemd-run` would do the same but needs a session bus, which is missing in containers. Elsewhere the
//! environment is exactly what the job's file bakes, so it is enough to start with that.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::row::NamedRow;
use crate::cli::self_update::enable;
use crate::error::{Error, Result, ResultExt, bail};
use crate::os::process::{Run, describe};
use crate::os::{files, interrupt};
use crate::paths::Paths;
use crate::platform::schedule::Scheduler;
use crate::platform::schedule::job::{self, Environment};
use crate::platform::systemd::{syntax, systemctl};

/// How long a probe may take: a small build, and requests that time out.
const LIMIT: Duration = Duration::from_secs(5 * 60);
/// How much of the output of a failed probe is quoted, in bytes.
const QUOTED: u64 = 4096;
/// The longest answer of a probe, in bytes.
const LONGEST_ANSWER: u64 = 1 << 20;
/// The variables that launchd gives each of its jobs.
const OF_LAUNCHD: [&str; 5] = ["HOME", "LOGNAME", "SHELL", "TMPDIR", "USER"];

/// What a probe found.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Findings {
    pub folders: Folders,
    pub rows: Vec<NamedRow>,
}

/// The folders that an environment leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Folders {
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

/// How to start a probe.
#[derive(Debug)]
enum Start {
    /// As a systemd unit with the `[Service]` settings of these files, the drop-ins last.
    Unit(Vec<String>),
    /// With exactly these variables.
    Variables(Vec<(OsString, OsString)>),
}

/// Runs a probe the way the timer starts `job`, or would start one if it were turned on now.
///
/// # Errors
///
/// It could not be started, failed, or wrote no findings.
pub(super) fn look(
    scheduler: Scheduler,
    job: Option<&job::Job>,
    paths: &Paths,
) -> Result<Findings> {
    let (env, config) = match job {
        Some(job) => (
            job.invocation.environment.clone(),
            job.invocation.config.clone(),
        ),
        None => (enable::environment(paths)?, enable::named_settings(paths)?),
    };
    let start = match scheduler {
        Scheduler::Systemd => Start::Unit(match job {
            Some(_) => unit_files(paths)?,
            None => vec![unit_of(&env)],
        }),
        Scheduler::Launchd => Start::Variables(with_launchds(env)),
        Scheduler::Cron => Start::Variables(variables(env)),
    };
    interrupt::watch()?;
    files::create_private_dir(&paths.state)?;
    let number = std::process::id();
    let answer = TemporaryFile(paths.state.join(format!("doctor-{number}.json")));
    let heph = std::env::current_exe().context("cannot tell which program this is")?;
    let mut arguments: Vec<OsString> = Vec::new();
    if let Some(config) = config {
        arguments.extend(["--config".into(), config.into()]);
    }
    arguments.extend(["self-update", "doctor", "--inside"].map(OsString::from));
    arguments.push(answer.0.clone().into());
    match start {
        Start::Unit(texts) => {
            let log = TemporaryFile(paths.state.join(format!("doctor-{number}.log")));
            let unit = format!("heph-self-update-doctor-{number}.service");
            let text = unit_text(
                &texts,
                text_of(&heph)?,
                &texts_of(&arguments)?,
                text_of(&log.0)?,
            );
            run_unit(&unit, &text).map_err(|error| match output(&log.0) {
                Some(output) => error.context(output),
                None => error,
            })?;
        }
        Start::Variables(variables) => {
            let output = Run::new(&heph)
                .args(arguments)
                .only_env(variables)
                .dir("/")
                .limit(LIMIT)
                .interruptible()
                .output()?;
            if !output.status.success() {
                bail!("it {}: {}", describe(output.status), output.last_lines(5));
            }
        }
    }
    let findings = files::read_if_there(&answer.0, LONGEST_ANSWER)?;
    let findings = findings.context("it ended without writing what it found")?;
    serde_json::from_slice(&findings).context("cannot understand what was found")
}

fn unit_of(env: &Environment) -> String {
    let mut unit = String::from("[Service]\n");
    for (name, value) in env {
        let word = syntax::word(&format!("{name}={value}"));
        unit.push_str(&format!("Environment={word}\n"));
    }
    unit
}

/// Returns the texts of the timer's service and of its drop-ins, in the order in which systemd reads them.
fn unit_files(paths: &Paths) -> Result<Vec<String>> {
    let service = paths.systemd_units.join("heph-self-update.service");
    let mut drop_ins: Vec<PathBuf> = fs::read_dir(service.with_extension("service.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "conf")
        })
        .collect();
    drop_ins.sort();
    std::iter::once(service)
        .chain(drop_ins)
        .map(|path| Ok(fs::read_to_string(path)?))
        .collect()
}

fn variables(env: Environment) -> Vec<(OsString, OsString)> {
    env.into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn with_launchds(env: Environment) -> Vec<(OsString, OsString)> {
    OF_LAUNCHD
        .iter()
        .filter_map(|name| Some(((*name).into(), std::env::var_os(name)?)))
        .chain(variables(env))
        .collect()
}

/// Returns the unit that runs `program` where the service made of `texts` would run its own.
fn unit_text(texts: &[String], program: &str, arguments: &[String], log: &str) -> String {
    let replaced = |key: &str| {
        key.starts_with("Exec")
            || matches!(
                key,
                "Type"
                    | "StandardOutput"
                    | "StandardError"
                    | "SuccessExitStatus"
                    | "TimeoutStartSec"
                    | "Restart"
            )
    };
    let mut unit = String::from(
        "# Made by `heph self-update doctor`, which removes it again.\n\
         [Unit]\nDescription=Look whether heph-self-update.service will work\n\n[Service]\n",
    );
    for (key, value) in texts
        .iter()
        .flat_map(|text| syntax::settings(text, "Service"))
        .filter(|(key, _)| !replaced(key))
    {
        unit.push_str(&format!("{key}={value}\n"));
    }
    unit.push_str(&format!(
        "Type=oneshot\nExecStart={}\nStandardOutput=null\nStandardError=append:{}\nTimeoutStartSec={}s\n",
        syntax::command(program, arguments),
        syntax::escape_specifiers(log),
        LIMIT.as_secs()
    ));
    unit
}

fn run_unit(name: &str, text: &str) -> Result<()> {
    let unit = Unit::load(name, text)?;
    // The unit's own limit ends it first, and then all that it started is gone too.
    systemctl::run(&["start", "--", unit.name])
        .limit(LIMIT + Duration::from_secs(30))
        .interruptible()
        .success()?;
    Ok(())
}

/// A unit in the runtime folder, removed with its owner.
struct Unit<'a> {
    name: &'a str,
    file: TemporaryFile,
}

impl<'a> Unit<'a> {
    fn load(name: &'a str, text: &str) -> Result<Unit<'a>> {
        let folder = systemctl::runtime_folder().ok_or_else(|| {
            Error::new("cannot tell where systemd's runtime folder is")
                .with_hint("log in once, or set XDG_RUNTIME_DIR")
        })?;
        let file = TemporaryFile(folder.join("systemd/user").join(name));
        files::write_atomic(&file.0, text.as_bytes(), files::PRIVATE)?;
        let unit = Unit { name, file };
        systemctl::call(&["daemon-reload"])?;
        Ok(unit)
    }
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        // Whatever of this fails, the rest is tried: the runtime folder is gone at logout in any case.
        drop(systemctl::call(&["stop", "--", self.name]));
        drop(systemctl::call(&["reset-failed", "--", self.name]));
        drop(fs::remove_file(&self.file.0));
        drop(systemctl::call(&["daemon-reload"]));
    }
}

/// A file that is removed with its owner.
struct TemporaryFile(PathBuf);

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        drop(files::remove_file_if_there(&self.0));
    }
}

fn output(log: &Path) -> Option<String> {
    let bytes = files::read_if_there(log, QUOTED).ok()??;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn text_of(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("'{}' is not UTF-8, which no unit can name", path.display()))
}

fn texts_of(words: &[OsString]) -> Result<Vec<String>> {
    words
        .iter()
        .map(|word| text_of(Path::new(word)).map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_job_with_another_command() {
        let service = "# Made by heph\n[Unit]\nDescription=x\nConditionACPower=true\n[Service]\nType=oneshot\n\
            ExecStart=\"/bin/heph\" \"self-update\" \"apply\"\nEnvironment=\"PATH=/usr/bin\"\nEnvironment=\"HOME=/h 100%%\"\n\
            TimeoutStartSec=3h\nNice=19\nStandardOutput=append:/log\n";
        let drop_in = "[Service]\nExecStartPre=/bin/rm -r /\nEnvironment=TMPDIR=/big\nNice=5\n";
        let texts = [service.to_owned(), drop_in.to_owned()];
        let unit = unit_text(&texts, "/h 100%/heph", &["a b".to_owned()], "/h 100%/log");
        insta::assert_snapshot!(unit, @r#"
        # Made by `heph self-update doctor`, which removes it again.
        [Unit]
        Description=Look whether heph-self-update.service will work

        [Service]
        Environment="PATH=/usr/bin"
        Environment="HOME=/h 100%%"
        Nice=19
        Environment=TMPDIR=/big
        Nice=5
        Type=oneshot
        ExecStart="/h 100%%/heph" "a b"
        StandardOutput=null
        StandardError=append:/h 100%%/log
        TimeoutStartSec=300s
        "#);
    }
}
