//! The timer, with the real `heph`: under a real systemd user manager, a real cron daemon, and a launchctl that is as
//! awkward as the real one.

mod cron;
mod launchd;
mod systemd;
mod units;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::old::home::Home;

/// Variables of a shell whose every value goes wrong where a layer of quoting is missing or one too many is there.
const SHELL: [(&str, &str); 6] = [
    (
        "https_proxy",
        "http://me:p%40ss`x`$y${HOME}$$@proxy:1/?a=1&b=2#c",
    ),
    ("NO_PROXY", " two  spaces, 'single', \"double\", \\back\\n "),
    ("SSL_CERT_FILE", "/100% %h/é日本😀/<ca>&amp;/a;b|c"),
    ("CARGO_HOME", "/ends in \\"),
    ("HEPH_SOCKET", "/tmp/jo's/!heph.sock"),
    ("SECRET_TOKEN", "stays here"),
];

/// What a job saw.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// A home whose bin-dir holds, in place of heph, a program that records how it was started.
struct Recording(Home);

impl Recording {
    fn new(name: &str, settings: &str) -> Recording {
        let home = Home::named(name);
        let job = home.path.join("job");
        script(
            &job.join("heph"),
            r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
env -0 >environment
for argument; do printf '%s\0' "$argument"; done >new
mv new arguments
echo recorded
exit "$(cat status 2>/dev/null || echo 0)"
"#,
        );
        let folder = job
            .to_str()
            .unwrap()
            .replace('\\', "\\\\")
            .replace('"', "\\\"");
        home.configure(&format!(
            "{settings}\n[self-update]\nbin-dir = \"{folder}\"\n"
        ));
        Recording(home)
    }

    fn job(&self) -> PathBuf {
        self.0.path.join("job")
    }

    fn log(&self) -> PathBuf {
        self.0.path.join(".local/state/heph/self-update.log")
    }

    /// Returns what the last run saw, leaving out what a shell adds by itself.
    fn seen(&self) -> Option<Seen> {
        let arguments = fs::read_to_string(self.job().join("arguments")).ok()?;
        let environment = fs::read_to_string(self.job().join("environment")).unwrap();
        let environment = environment.split_terminator('\0');
        let environment = environment.filter_map(|line| line.split_once('='));
        Some(Seen {
            arguments: arguments
                .split_terminator('\0')
                .map(str::to_owned)
                .collect(),
            environment: environment
                .filter(|(name, _)| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
    }

    /// Returns what `heph self-update enable` in a shell with [`SHELL`] bakes.
    fn baked(&self) -> BTreeMap<String, String> {
        let home = self.0.path.to_str().unwrap().to_owned();
        let variables = SHELL.iter().filter(|(name, _)| *name != "SECRET_TOKEN");
        variables
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .chain([("HOME".to_owned(), home)])
            .collect()
    }
}

fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn with_shell(mut command: Command) -> Command {
    command.envs(SHELL);
    command
}

/// Returns all files below `folder`, so that none is overlooked.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries.flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(files_below(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files.sort();
    files
}

/// Waits until `holds` does, and fails the test if it does not within `patience`.
#[track_caller]
fn within(patience: Duration, what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
