//! The job: what the timer runs, with which environment. Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::cadence::Cadence;
use crate::error::{Error, Result, ResultExt, bail};
use crate::platform::generated::{check_path, check_text};

/// The variables of the enabling shell that the job gets as they are: where cargo and heph find things, and how they
/// reach the network. What a scheduler sets instead is next to nothing.
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

/// Where commands are on every system, for a shell without PATH.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The variables of a job.
pub type Environment = BTreeMap<String, String>;

/// What the timer runs, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The absolute path of `heph` in bin-dir, never one into a slot.
    pub exe: PathBuf,
    /// The settings file, where `--config` named one.
    pub config: Option<PathBuf>,
    /// Whether it only tells of releases.
    pub notify_only: bool,
    /// When it runs.
    pub cadence: Cadence,
    /// Its whole environment.
    pub env: Environment,
}

impl Job {
    /// Returns the arguments of `heph`.
    ///
    /// # Errors
    ///
    /// The settings file's path is one that generated files cannot carry.
    pub fn arguments(&self) -> Result<Vec<String>> {
        let mut arguments = Vec::new();
        if let Some(config) = &self.config {
            let config = check_path("the path of the settings file", config)?;
            arguments.extend(["--config".to_owned(), config.to_owned()]);
        }
        let command = if self.notify_only { "check" } else { "apply" };
        arguments.extend(["self-update", command, "--scheduled"].map(str::to_owned));
        Ok(arguments)
    }

    /// Returns the program.
    ///
    /// # Errors
    ///
    /// Its path is one that generated files cannot carry.
    pub fn program(&self) -> Result<&str> {
        check_path("the path of heph", &self.exe)
    }

    /// Returns the job of this command line, cadence and environment: the reverse of [`Job::program`] and
    /// [`Job::arguments`].
    ///
    /// # Errors
    ///
    /// heph writes no such command line.
    pub fn from_command(command: &[String], cadence: Cadence, env: Environment) -> Result<Job> {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let (exe, config, command) = match words[..] {
            [exe, "self-update", command, "--scheduled"] => (exe, None, command),
            [
                exe,
                "--config",
                config,
                "self-update",
                command,
                "--scheduled",
            ] => (exe, Some(PathBuf::from(config)), command),
            _ => bail!("it runs `{}`, which heph does not write", words.join(" ")),
        };
        let notify_only = match command {
            "apply" => false,
            "check" => true,
            _ => bail!("it runs `self-update {command}`, which heph does not write"),
        };
        Ok(Job {
            exe: PathBuf::from(exe),
            config,
            notify_only,
            cadence,
            env,
        })
    }

    /// Checks that every variable can stand in a generated file.
    ///
    /// # Errors
    ///
    /// One cannot; the error names it.
    pub fn check_env(&self) -> Result<()> {
        for (name, value) in &self.env {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if name.is_empty() || !name.bytes().all(plain) {
                bail!("'{name}' is no name of a variable");
            }
            check_text(&format!("the variable {name}"), value)?;
        }
        Ok(())
    }
}

/// Returns the environment of a job enabled in the shell whose variables `lookup` knows.
///
/// `cargo` is the folder of the cargo that the shell finds, or would be installed in: PATH is led by it where it lacks it.
/// Relative folders on PATH are left out, since a job runs anywhere.
///
/// # Errors
///
/// A value is one that generated files cannot carry; the error names the variable.
pub fn bake_env(
    lookup: impl Fn(&str) -> Option<OsString>,
    home: &Path,
    cargo: &Path,
) -> Result<Environment> {
    let mut env = Environment::new();
    let text = |name: &str, value: OsString| -> Result<String> {
        let value = value.into_string().map_err(|value| {
            let shown = value.to_string_lossy().into_owned();
            Error::usage(format!("the variable {name} is not UTF-8: '{shown}'"))
                .with_hint(format!("unset {name}, or give it another value"))
        })?;
        check_text(&format!("the variable {name}"), &value)
            .with_context(|| format!("cannot bake {name} into the job"))?;
        Ok(value)
    };
    for name in BAKED {
        if let Some(value) = lookup(name).filter(|value| !value.is_empty()) {
            env.insert(name.to_owned(), text(name, value)?);
        }
    }
    env.insert("HOME".to_owned(), check_path("HOME", home)?.to_owned());
    let path = lookup("PATH").filter(|value| !value.is_empty());
    let path = text("PATH", path.unwrap_or_else(|| SYSTEM_PATH.into()))?;
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
    // A folder with a colon in its name cannot be on any PATH.
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
        (path(), config, any::<bool>(), any_cadence(), env).prop_map(
            |(exe, config, notify_only, cadence, env)| Job {
                exe,
                config,
                notify_only,
                cadence,
                env,
            },
        )
    }

    /// Returns a plain job of the user `me`.
    pub(crate) fn plain(cadence: &str) -> Job {
        let variables = [
            ("HOME", "/home/me"),
            ("PATH", "/home/me/.cargo/bin:/usr/bin:/bin"),
        ];
        Job {
            exe: "/home/me/.cargo/bin/heph".into(),
            config: None,
            notify_only: false,
            cadence: Cadence::parse(cadence).unwrap(),
            env: variables
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
        }
    }

    /// Returns a job whose every value holds what quoting gets wrong.
    pub(crate) fn odd(cadence: &str) -> Job {
        let home = "/home/jo's 100% \"$é\" \\ & <co>";
        Job {
            exe: format!("{home}/bin/heph").into(),
            config: Some(format!("{home}/my config.toml").into()),
            notify_only: true,
            cadence: Cadence::parse(cadence).unwrap(),
            env: [
                ("HOME", home),
                ("https_proxy", "http://me:p%40ss`x`$y@proxy:1/?a=1&b=2#c"),
            ]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
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
    fn a_value_that_no_file_can_carry_is_wrong_usage_that_names_the_variable() {
        for value in ["a\nb", "a\u{1b}b"] {
            let error = bake(&[("http_proxy", value)]).unwrap_err();
            assert_eq!(error.exit().code(), 2);
            assert!(error.to_string().contains("http_proxy"), "{error}");
        }
    }

    #[test]
    fn other_command_lines_are_refused() {
        for command in [
            "",
            "/heph",
            "/heph self-update apply",
            "/heph self-update clean --scheduled",
            "/heph x self-update apply --scheduled",
        ] {
            let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
            let cadence = Cadence::parse("every 6h").unwrap();
            assert!(
                Job::from_command(&words, cadence, Environment::new()).is_err(),
                "{command}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_command_line_is_read_back(job in any_job()) {
            let mut command = vec![job.program().unwrap().to_owned()];
            command.extend(job.arguments().unwrap());
            let again = Job::from_command(&command, job.cadence.clone(), job.env.clone()).unwrap();
            prop_assert_eq!(again, job);
        }
    }
}
