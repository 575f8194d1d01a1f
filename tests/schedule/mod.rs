//! The timer, with the real `heph`: under a real systemd user manager, a real cron daemon, and a launchctl that is as
//! awkward as the real one.

mod busybox;
mod cron;
mod failing;
mod launchd;
mod systemd;
mod units;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::support::call::Call;
use crate::support::files::{picture, script};
use crate::support::home::Home;

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
trait Recording {
    /// Makes that program, and settings with it; `top` comes first.
    fn record(&self, top: &str);
    /// Returns settings with that program.
    fn settings(&self, top: &str) -> String;
    /// Returns the folder of the program.
    fn job(&self) -> PathBuf;
    fn job_log(&self) -> String;
    /// Returns what the last run saw, leaving out what a shell adds by itself.
    fn seen(&self) -> Option<Seen>;
    /// Returns what `heph self-update enable` in a shell with [`SHELL`] bakes.
    fn baked(&self) -> BTreeMap<String, String>;
    /// Returns the files that have to do with the timer, so that none is overlooked.
    fn traces(&self) -> Vec<PathBuf>;
    /// Returns `heph self-update`.
    fn update(&self, words: &str) -> Call;
}

impl Recording for Home {
    fn record(&self, top: &str) {
        script(
            &self.job().join("heph"),
            r#"cd "$(dirname "$0")" || exit 1
env -0 >environment
for argument; do printf '%s\0' "$argument"; done >new
mv new arguments
echo recorded
exit "$(cat status 2>/dev/null || echo 0)""#,
        );
        self.configure(&self.settings(top));
    }

    fn settings(&self, top: &str) -> String {
        let folder = self.job().to_str().unwrap().replace('\\', "\\\\");
        let folder = folder.replace('"', "\\\"");
        format!("{top}\n[self-update]\nbin-dir = \"{folder}\"\n")
    }

    fn job(&self) -> PathBuf {
        self.path.join("job")
    }

    fn job_log(&self) -> String {
        fs::read_to_string(self.state().join("self-update.log")).unwrap_or_default()
    }

    fn traces(&self) -> Vec<PathBuf> {
        let all = picture(&self.path).into_iter().map(|(path, _)| path);
        all.filter(|path| !path.is_dir() && path.to_string_lossy().contains("self-update"))
            .collect()
    }

    fn update(&self, words: &str) -> Call {
        self.heph(&format!("self-update {words}"))
    }

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

    fn baked(&self) -> BTreeMap<String, String> {
        let home = self.path.to_str().unwrap().to_owned();
        let variables = SHELL.iter().filter(|(name, _)| *name != "SECRET_TOKEN");
        variables
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .chain([("HOME".to_owned(), home)])
            .collect()
    }
}

fn with_shell(call: Call) -> Call {
    call.envs(SHELL)
}
