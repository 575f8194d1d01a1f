//! The job: what the timer runs, with which environment. Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cadence::Cadence;
use crate::error::{Error, Result, ResultExt, bail, ensure};
use crate::platform::generated::{check_path, check_text};
use crate::platform::legacy::Written;

/// The variables of the enabling shell that the job gets as they are: where cargo and heph find things, and how they
/// reach the network. A scheduler itself sets almost none.
const BAKED: [&str; 23] = [
    "ALL_PROXY",
    "CARGO_HOME",
    "CARGO_HTTP_CAINFO",
    "CARGO_NET_GIT_FETCH_WITH_CLI",
    "GIT_SSL_CAINFO",
    "HEPH_CONFIG",
    "HEPH_DB",
    "HEPH_SOCKET",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "RUSTUP_HOME",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The PATH of a job that was enabled in a shell without one.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

pub(crate) type Environment = BTreeMap<String, String>;

/// What the timer runs, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// What it runs.
    #[serde(flatten)]
    pub invocation: Invocation,
    /// When it runs.
    pub cadence: Cadence,
}

/// One run of `heph self-update` by the timer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// The absolute path of `heph` in bin-dir, never one into a slot.
    pub program: PathBuf,
    /// The settings file, where `--config` named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// Whether it only reports releases.
    pub notify_only: bool,
    /// Its whole environment.
    pub environment: Environment,
    /// The file that its output is appended to.
    pub log: PathBuf,
}

impl Invocation {
    /// Returns the program and its arguments.
    pub(in crate::platform) fn command(&self) -> Result<Vec<String>> {
        let mut command = vec![check_path("the path of heph", &self.program)?];
        if let Some(config) = &self.config {
            let config = check_path("the path of the settings file", config)?;
            command.extend(["--config", config]);
        }
        let verb = if self.notify_only { "check" } else { "apply" };
        command.extend(["self-update", verb, "--scheduled"]);
        Ok(command.into_iter().map(str::to_owned).collect())
    }

    pub(super) fn log(&self) -> Result<&str> {
        check_path("the path of the log", &self.log)
    }

    /// Returns the environment, after a check that generated files can carry it.
    pub(super) fn environment(&self) -> Result<&Environment> {
        for (name, value) in &self.environment {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let is_plain = !name.is_empty() && name.bytes().all(plain);
            ensure!(is_plain, "'{name}' is not the name of a variable");
            check_text(&format!("the variable {name}"), value)?;
        }
        Ok(&self.environment)
    }
}

impl TryFrom<Written> for Invocation {
    type Error = Error;

    fn try_from(written: Written) -> Result<Invocation> {
        let words: Vec<&str> = written.command.iter().map(String::as_str).collect();
        let (program, config, run) = match words[..] {
            [program, "--config", config, ref run @ ..] => (program, Some(config.into()), run),
            [program, ref run @ ..] => (program, None, run),
            [] => ("", None, &[][..]),
        };
        let notify_only = match run {
            ["self-update", "apply", "--scheduled"] => false,
            ["self-update", "check", "--scheduled"] => true,
            _ => bail!("it runs `{}`, which heph does not write", words.join(" ")),
        };
        Ok(Invocation {
            program: program.into(),
            config,
            notify_only,
            environment: written.variables.into_iter().collect(),
            log: written.log.unwrap_or_else(|| "/dev/null".to_owned()).into(),
        })
    }
}

impl TryFrom<Written> for Job {
    type Error = Error;

    fn try_from(mut written: Written) -> Result<Job> {
        let cadence = written.cadence.take();
        let cadence = cadence.context("it holds neither an interval nor times of day")?;
        Ok(Job {
            invocation: Invocation::try_from(written)?,
            cadence: Cadence::parse(&cadence)?,
        })
    }
}

/// Returns the environment of a job, from the variables of the enabling shell. An error names the variable.
///
/// `cargo` is the folder of cargo: it is put first on a PATH that lacks it. Relative folders on PATH are dropped, since the
/// working folder of a job is not the shell's.
pub(crate) fn bake_env(
    lookup: impl Fn(&str) -> Option<OsString>,
    home: &Path,
    cargo: &Path,
) -> Result<Environment> {
    let mut env = Environment::new();
    let lookup = |name: &str| lookup(name).filter(|value| !value.is_empty());
    let text = |name: &str, value: OsString| -> Result<String> {
        let value = value.into_string().map_err(|value| {
            let shown = value.display();
            Error::usage(format!("the variable {name} is not UTF-8: '{shown}'"))
                .with_hint(format!("unset {name}, or set it to another value"))
        })?;
        check_text(&format!("the variable {name}"), &value)
            .with_context(|| format!("cannot bake {name} into the job"))?;
        Ok(value)
    };
    for name in BAKED {
        if let Some(value) = lookup(name) {
            env.insert(name.to_owned(), text(name, value)?);
        }
    }
    env.insert("HOME".to_owned(), check_path("HOME", home)?.to_owned());
    let path = lookup("PATH").unwrap_or_else(|| SYSTEM_PATH.into());
    let path = text("PATH", path)?;
    let cargo = check_path("cargo's folder", cargo)?;
    env.insert("PATH".to_owned(), job_path(&path, cargo));
    Ok(env)
}

fn job_path(path: &str, cargo: &str) -> String {
    let mut folders: Vec<&str> = Vec::new();
    for folder in path.split(':') {
        if folder.starts_with('/') && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    // PATH cannot express a colon.
    if !folders.contains(&cargo) && !cargo.contains(':') {
        folders.insert(0, cargo);
    }
    folders.join(":")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::platform::generated::tests::any_text;
    use crate::platform::schedule::cadence::tests::any_cadence;
    use proptest::prelude::*;

    pub(crate) fn any_job() -> impl Strategy<Value = Job> {
        let path = || any_text().prop_map(|text| PathBuf::from(format!("/{text}/x")));
        let name = proptest::sample::select(&BAKED[..]).prop_map(str::to_owned);
        let env = proptest::collection::btree_map(name, any_text(), 0..5);
        let config = proptest::option::of(path());
        let invocation = (path(), config, any::<bool>(), env, path()).prop_map(
            |(program, config, notify_only, environment, log)| Invocation {
                program,
                config,
                notify_only,
                environment,
                log,
            },
        );
        (invocation, any_cadence()).prop_map(|(invocation, cadence)| Job {
            invocation,
            cadence,
        })
    }

    /// Returns a plain job of the user `me`.
    pub(crate) fn plain(cadence: &str) -> Job {
        let variables = [
            ("HOME", "/home/me"),
            ("PATH", "/home/me/.cargo/bin:/usr/bin:/bin"),
        ];
        Job {
            invocation: Invocation {
                program: "/home/me/.cargo/bin/heph".into(),
                config: None,
                notify_only: false,
                environment: variables
                    .map(|(name, value)| (name.into(), value.into()))
                    .into(),
                log: "/home/me/.local/state/heph/self-update.log".into(),
            },
            cadence: Cadence::parse(cadence).unwrap(),
        }
    }

    /// Returns a job whose every value holds what quoting gets wrong.
    pub(crate) fn odd(cadence: &str) -> Job {
        let home = "/home/jo's 100% \"$é\" \\ & <co>";
        Job {
            invocation: Invocation {
                program: format!("{home}/bin/heph").into(),
                config: Some(format!("{home}/my config.toml").into()),
                notify_only: true,
                environment: [
                    ("HOME", home),
                    ("https_proxy", "http://me:p%40ss`x`$y@proxy:1/?a=1&b=2#c"),
                ]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
                log: format!("{home}/.local/state/heph/self-update.log").into(),
            },
            cadence: Cadence::parse(cadence).unwrap(),
        }
    }

    fn bake(variables: &[(&str, &str)]) -> Result<Environment> {
        let lookup = |name: &str| {
            let mut variables = variables.iter();
            variables
                .find(|(known, _)| *known == name)
                .map(|(_, value)| OsString::from(value))
        };
        bake_env(
            lookup,
            Path::new("/home/me"),
            Path::new("/home/me/.cargo/bin"),
        )
    }

    #[test]
    fn known_variables_are_baked_and_others_are_not() {
        let baked = bake(&[
            ("PATH", "/usr/bin"),
            ("HOME", "/elsewhere"),
            ("https_proxy", "http://proxy:3128"),
            ("NO_PROXY", ""),
            ("SECRET_TOKEN", "x"),
            ("RUSTUP_TOOLCHAIN", "nightly"),
            ("CARGO_HOME", "/data/cargo"),
        ])
        .unwrap();
        let baked: Vec<_> = baked
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            baked,
            [
                "CARGO_HOME=/data/cargo",
                "HOME=/home/me",
                "PATH=/home/me/.cargo/bin:/usr/bin",
                "https_proxy=http://proxy:3128",
            ]
        );
    }

    #[test]
    fn cargos_folder_leads_the_path_where_it_is_missing() {
        for (path, expected) in [
            ("", "/c:/usr/local/bin:/usr/bin:/bin"),
            ("/usr/bin:/bin", "/c:/usr/bin:/bin"),
            ("/usr/bin:/c:/bin", "/usr/bin:/c:/bin"),
            (":.:bin:/usr/bin:/usr/bin::", "/c:/usr/bin"),
        ] {
            let lookup = |name: &str| (name == "PATH").then(|| OsString::from(path));
            let baked = bake_env(lookup, Path::new("/h"), Path::new("/c")).unwrap();
            assert_eq!(baked["PATH"], expected, "{path}");
        }
    }

    #[test]
    fn a_value_that_no_file_can_carry_is_wrong_usage_and_names_the_variable() {
        for value in ["a\nb", "a\u{1b}b"] {
            let error = bake(&[("http_proxy", value)]).unwrap_err();
            assert_eq!(error.exit().code(), 2);
            assert!(error.to_string().contains("http_proxy"), "{error}");
        }
    }

    #[test]
    fn other_command_lines_are_rejected() {
        for command in [
            "",
            "/heph",
            "/heph self-update apply",
            "/heph self-update clean --scheduled",
            "/heph x self-update apply --scheduled",
        ] {
            let written = Written {
                command: command.split(' ').map(str::to_owned).collect(),
                ..Written::default()
            };
            assert!(Invocation::try_from(written).is_err(), "{command}");
        }
    }

    proptest! {
        #[test]
        fn a_command_line_is_read_back(job in any_job()) {
            let invocation = &job.invocation;
            let written = Written {
                command: invocation.command().unwrap(),
                variables: invocation.environment.clone().into_iter().collect(),
                log: Some(invocation.log().unwrap().to_owned()),
                cadence: Some(job.cadence.to_string()),
            };
            prop_assert_eq!(Job::try_from(written).unwrap(), job);
        }
    }
}
