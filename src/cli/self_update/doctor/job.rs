//! A look from inside: `heph self-update doctor --inside FILE`, started the way the timer starts its job.
//!
//! With systemd that is a unit of its own for the moment, in the runtime folder: the service of the timer, drop-ins
//! included, with another command. `systemd-run` would do the same but needs a session bus, which is missing in
//! containers. Elsewhere the environment is exactly what the job's file bakes, so it is enough to start with that.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::inside::{self, Findings};
use crate::error::{Error, Result, ResultExt, bail};
use crate::os::process::{Run, describe};
use crate::os::{files, interrupt};
use crate::paths::Paths;
use crate::platform::systemd::{syntax, systemctl};

/// How long a look may take: a small build, and requests that time out.
const LIMIT: Duration = Duration::from_secs(5 * 60);
/// How much of what a failed look says is quoted, in bytes.
const QUOTED: u64 = 4096;

/// How to start it.
#[derive(Debug)]
pub enum Start {
    /// As a systemd unit with the `[Service]` settings of these files, the drop-ins last.
    Unit(Vec<String>),
    /// With exactly these variables.
    Variables(Vec<(OsString, OsString)>),
}

/// Starts a look from inside and returns what it found. `config` is the settings file that the job is told to use.
///
/// # Errors
///
/// It could not be started, ended badly, or found no place to say what it found.
pub fn look(start: Start, config: Option<&Path>, paths: &Paths) -> Result<Findings> {
    interrupt::watch()?;
    files::create_private_dir(&paths.state)?;
    let number = std::process::id();
    let answer = Gone(paths.state.join(format!("doctor-{number}.json")));
    let heph = std::env::current_exe().context("cannot tell which program this is")?;
    let mut arguments: Vec<OsString> = Vec::new();
    if let Some(config) = config {
        arguments.extend(["--config".into(), config.into()]);
    }
    arguments.extend(["self-update", "doctor", "--inside"].map(OsString::from));
    arguments.push(answer.0.clone().into());
    match start {
        Start::Unit(texts) => {
            let log = Gone(paths.state.join(format!("doctor-{number}.log")));
            let unit = format!("heph-self-update-doctor-{number}.service");
            let text = unit_text(
                &texts,
                text_of(&heph)?,
                &texts_of(&arguments)?,
                text_of(&log.0)?,
            );
            run_unit(&unit, &text).map_err(|error| match said(&log.0) {
                Some(said) => error.context(said),
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
    inside::read(&answer.0)?.context("it ended without saying what it found")
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

/// A unit in the runtime folder, gone with its owner.
struct Unit<'a> {
    name: &'a str,
    file: Gone,
}

impl<'a> Unit<'a> {
    fn load(name: &'a str, text: &str) -> Result<Unit<'a>> {
        let folder = systemctl::runtime_folder().ok_or_else(|| {
            Error::new("cannot tell where systemd's runtime folder is")
                .with_hint("log in once, or set XDG_RUNTIME_DIR")
        })?;
        let file = Gone(folder.join("systemd/user").join(name));
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

/// A file that is gone with its owner.
struct Gone(PathBuf);

impl Drop for Gone {
    fn drop(&mut self) {
        drop(files::remove_file_if_there(&self.0));
    }
}

fn said(log: &Path) -> Option<String> {
    let bytes = files::read_if_there(log, QUOTED).ok()??;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn text_of(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("'{}' is not UTF-8, which no unit can say", path.display()))
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
