//! What a service file is made from, whichever service manager it is for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::arguments::ServiceFlags;
use crate::error::{Error, Result};
use crate::paths::HephdPaths;
use crate::platform::generated::check_path;
use crate::platform::legacy::Written;

/// The variables with which hephd finds its files, and the certificates that it trusts as a spoke. `XDG_RUNTIME_DIR` is not
/// among them: the service manager sets its own.
const VARIABLES: [&str; 9] = [
    "HEPH_CONFIG",
    "HEPH_DB",
    "HEPH_SOCKET",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
];

/// The variables that a service file sets for hephd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(pub(in crate::platform) BTreeMap<String, String>);

impl Environment {
    /// Returns those of `variables` that hephd uses. Empty and relative values count as unset, as they do for the XDG base
    /// directories.
    ///
    /// # Errors
    ///
    /// No service file can carry a value.
    pub fn from_variables(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Environment> {
        let mut environment = Environment::default();
        for (name, value) in variables {
            let value = Path::new(&value);
            let known = VARIABLES.into_iter().find(|known| name == *known);
            if let Some(name) = known.filter(|_| value.is_absolute()) {
                let path = check_path(name, value)?;
                if name == "HEPH_SOCKET" {
                    check_end(path)?;
                }
                environment.0.insert(name.to_owned(), path.to_owned());
            }
        }
        Ok(environment)
    }

    /// Returns the environment with the variables of `newer` added and replaced.
    pub(crate) fn merge(&self, newer: &Environment) -> Environment {
        let mut merged = self.0.clone();
        merged.extend(newer.0.clone());
        Environment(merged)
    }

    /// Returns whether hephd itself runs otherwise with `newer`. It reads no settings, whose file an update names.
    pub(crate) fn differs(&self, newer: &Environment) -> bool {
        let of_hephd = |environment: &Environment| {
            let mut variables = environment.0.clone();
            variables.remove("HEPH_CONFIG");
            variables
        };
        of_hephd(self) != of_hephd(newer)
    }

    /// Returns the paths of a hephd with this environment, whose service manager sets `XDG_RUNTIME_DIR` to `runtime`; where
    /// the environment does not say, they are `ours`.
    pub(crate) fn paths(&self, ours: &HephdPaths, runtime: Option<&Path>) -> HephdPaths {
        let data = self.0.get("XDG_DATA_HOME");
        let folder = match data {
            // The `directories` crate ignores XDG variables on macOS.
            Some(data) if !cfg!(target_os = "macos") => Path::new(data).join("heph"),
            _ => ours.data.clone(),
        };
        let runtime = runtime.map(|runtime| runtime.join("heph"));
        let mut paths = HephdPaths::in_folders(&folder, runtime.as_deref());
        if data.is_none() {
            paths.store.clone_from(&ours.store);
        }
        if let Some(store) = self.0.get("HEPH_DB") {
            paths.store = store.into();
        }
        if let Some(socket) = self.0.get("HEPH_SOCKET") {
            paths.socket = socket.into();
        }
        paths
    }
}

/// Checks that a unit can carry `socket` at the end of a line, where it cannot be quoted: systemd drops trailing white space,
/// and a backslash joins the next line (systemd.syntax(7)).
fn check_end(socket: &str) -> Result<()> {
    if !socket.ends_with(['\\', ' ']) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "HEPH_SOCKET ends in a backslash or a space, which a generated file cannot carry: '{socket}'"
    ))
    .with_hint("set it to another path"))
}

/// All that a generated service file depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The absolute path of hephd, never one into a slot.
    pub(crate) program: String,
    /// Its flags.
    pub flags: ServiceFlags,
    pub(crate) environment: Environment,
    /// The file that its output is appended to.
    pub(crate) log: String,
    /// Arguments that this heph does not know, such as those that a newer heph wrote. They are not written again.
    pub(crate) foreign: Vec<String>,
}

/// A [`Definition`] as the comment in the file carries it, with what only another release of heph understands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::platform) struct Source {
    pub program: String,
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub log: String,
}

impl Definition {
    /// Returns a definition that every back end can render.
    ///
    /// # Errors
    ///
    /// A path is not absolute, or no service file can carry it.
    pub fn new(
        program: &Path,
        flags: ServiceFlags,
        environment: Environment,
        log: &Path,
    ) -> Result<Definition> {
        let path = |what, path| check_path(what, path).map(str::to_owned);
        Ok(Definition {
            program: path("the path of hephd", program)?,
            flags,
            environment,
            log: path("the path of the log", log)?,
            foreign: Vec::new(),
        })
    }

    pub(in crate::platform) fn source(&self) -> Source {
        Source {
            program: self.program.clone(),
            arguments: self.flags.to_arguments(),
            environment: self.environment.0.clone(),
            log: self.log.clone(),
        }
    }
}

impl TryFrom<Source> for Definition {
    type Error = Error;

    fn try_from(source: Source) -> Result<Definition> {
        let (flags, foreign) = ServiceFlags::from_arguments(&source.arguments)?;
        let variables = source.environment.into_iter();
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let environment = Environment::from_variables(variables)?;
        let (program, log) = (source.program.as_ref(), source.log.as_ref());
        Ok(Definition {
            foreign,
            ..Definition::new(program, flags, environment, log)?
        })
    }
}

impl From<Written> for Source {
    fn from(written: Written) -> Source {
        let mut command = written.command.into_iter();
        Source {
            program: command.next().unwrap_or_default(),
            arguments: command.collect(),
            environment: written.variables.into_iter().collect(),
            // A person removed it, so nothing is logged to a file.
            log: written.log.unwrap_or_else(|| "/dev/null".to_owned()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::platform::generated::tests::any_text;
    use crate::platform::service::arguments::tests::any_flags;
    use proptest::prelude::*;

    pub(crate) fn any_definition() -> impl Strategy<Value = Definition> {
        let path = || any_text().prop_map(|text| format!("/{text}/x"));
        let name = proptest::sample::select(&VARIABLES[..]).prop_map(str::to_owned);
        let variables = proptest::collection::btree_map(name, path(), 0..4);
        (path(), any_flags(), variables, path()).prop_map(|(program, flags, variables, log)| {
            Definition {
                program,
                flags,
                environment: Environment(variables),
                log,
                foreign: Vec::new(),
            }
        })
    }

    pub(crate) fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::from_variables(
            variables
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        )
        .unwrap()
    }

    #[test]
    fn only_absolute_paths_of_known_variables_are_baked() {
        let baked = environment(&[
            ("HOME", "/home/me"),
            ("XDG_DATA_HOME", "relative"),
            ("XDG_STATE_HOME", ""),
            ("XDG_RUNTIME_DIR", "/run/user/1"),
            ("HEPH_DB", "/data/heph.db"),
            ("SSL_CERT_FILE", "/etc/ours.pem"),
            ("HTTPS_PROXY", "http://proxy:3128"),
        ]);
        let expected = [
            ("HEPH_DB", "/data/heph.db"),
            ("SSL_CERT_FILE", "/etc/ours.pem"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(baked.0, BTreeMap::from(expected));
    }

    #[test]
    fn baked_variables_stay_until_the_environment_says_otherwise() {
        let old = environment(&[("HEPH_DB", "/old"), ("HEPH_SOCKET", "/socket")]);
        let new = environment(&[("HEPH_DB", "/new")]);
        assert_eq!(
            old.merge(&new),
            environment(&[("HEPH_DB", "/new"), ("HEPH_SOCKET", "/socket")])
        );
    }

    #[test]
    fn the_settings_file_makes_no_difference_to_hephd() {
        let plain = environment(&[("HEPH_DB", "/db")]);
        let of_update = environment(&[("HEPH_DB", "/db"), ("HEPH_CONFIG", "/config.toml")]);
        assert!(!plain.differs(&of_update) && !of_update.differs(&plain));
        assert!(of_update.differs(&environment(&[("HEPH_DB", "/other")])));
    }

    #[test]
    fn the_baked_environment_overrides_ours() {
        let mut ours = HephdPaths::in_folders(Path::new("/home/me/.local/share/heph"), None);
        ours.store = "/mine/heph.db".into();
        let runtime = Some(Path::new("/run/user/1"));
        let plain = Environment::default();
        assert_eq!(plain.paths(&ours, None), ours);
        let there = plain.paths(&ours, runtime);
        assert_eq!(there.store, ours.store);
        assert_eq!(there.log(), ours.log());
        assert_eq!(there.socket, Path::new("/run/user/1/heph/hephd.sock"));
        let moved = environment(&[("HEPH_SOCKET", "/s"), ("XDG_DATA_HOME", "/data")]);
        let moved = moved.paths(&ours, runtime);
        assert_eq!(moved.socket, Path::new("/s"));
        if cfg!(not(target_os = "macos")) {
            assert_eq!(moved.store, Path::new("/data/heph/heph.db"));
            assert_eq!(moved.log(), Path::new("/data/heph/hephd.log"));
        }
        let store = environment(&[("HEPH_DB", "/db"), ("XDG_DATA_HOME", "/data")]);
        assert_eq!(store.paths(&ours, None).store, Path::new("/db"));
    }

    #[test]
    fn a_socket_that_no_line_can_end_with_is_rejected() {
        for (path, fits) in [
            ("/run/a b\\c", true),
            ("/run/a\\", false),
            ("/run/a ", false),
            ("/run/a\u{a0}", true),
        ] {
            let variables = [("HEPH_SOCKET".into(), path.into())];
            assert_eq!(
                Environment::from_variables(variables).is_ok(),
                fits,
                "{path}"
            );
        }
    }

    #[test]
    fn paths_that_no_service_file_can_carry_are_rejected() {
        use std::os::unix::ffi::OsStrExt;
        let latin1 = Path::new(std::ffi::OsStr::from_bytes(b"/h\xf6me/hephd"));
        for (bad, cause) in [
            (Path::new("hephd"), "relative"),
            (Path::new("/a\nb"), "character"),
            (latin1, "UTF-8"),
        ] {
            let error = Definition::new(
                bad,
                ServiceFlags::default(),
                Environment::default(),
                Path::new("/log"),
            )
            .unwrap_err();
            assert!(error.to_string().contains(cause), "{error}");
        }
    }
}
