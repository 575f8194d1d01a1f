//! What is installed: which packages, and where their commands are (`installation.json`).
//!
//! One data folder holds one installation. Settings that name other packages must not switch its `current`: the commands
//! of the one would go, and the slots of the other would be gone back to.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::os::files;
use crate::paths::Paths;

/// The file, in the state folder.
const RECORD: &str = "installation.json";
/// That file is never larger than this many bytes.
const LIMIT: u64 = 64 << 10;

/// What an adoption or an update remembers of the installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Installation {
    schema: u32,
    /// The folder of the commands.
    pub bin_dir: PathBuf,
    /// The packages; empty where that was not known.
    #[serde(default)]
    pub packages: Vec<String>,
}

impl Installation {
    /// Returns the installation of `packages` with commands in `bin_dir`.
    pub fn new(bin_dir: &Path, packages: &[String]) -> Installation {
        Installation {
            schema: 1,
            bin_dir: bin_dir.to_owned(),
            packages: packages.to_vec(),
        }
    }

    /// Returns what was remembered last. A file that cannot be read as such is as good as none.
    pub fn read(record: &Path) -> Option<Installation> {
        let text = files::read_if_there(record, LIMIT).ok()??;
        serde_json::from_slice(&text)
            .ok()
            .filter(|installation: &Installation| {
                installation.schema == 1 && installation.bin_dir.is_absolute()
            })
    }

    /// Remembers it, unless it is remembered already. Packages that are not known now stay as they were.
    pub fn write(mut self, record: &Path) -> Result<()> {
        let before = Installation::read(record);
        if let (true, Some(before)) = (self.packages.is_empty(), &before) {
            self.packages.clone_from(&before.packages);
        }
        if before.as_ref() == Some(&self) {
            return Ok(());
        }
        // JSON cannot hold a path that is not UTF-8; such a bin-dir is found again by PATH only.
        let Ok(mut text) = serde_json::to_vec_pretty(&self) else {
            return Ok(());
        };
        text.push(b'\n');
        files::write_atomic(record, &text, files::PRIVATE)
    }

    /// Checks that `wanted` may be installed where this is.
    ///
    /// # Errors
    ///
    /// None of the packages is wanted any more: these are the settings of another installation.
    pub fn admits(&self, wanted: &[String], paths: &Paths) -> Result<(), Error> {
        if self.packages.is_empty() || wanted.iter().any(|name| self.packages.contains(name)) {
            return Ok(());
        }
        Err(Error::usage(format!(
            "'{}' holds an installation of {}, and not of {}",
            paths.hephd.data.display(),
            self.packages.join(", "),
            wanted.join(", ")
        ))
        .with_hint(
            "give each installation folders of its own: set XDG_DATA_HOME and XDG_STATE_HOME",
        ))
    }
}

/// Returns the file that remembers the installation.
pub(super) fn record_of(paths: &Paths) -> PathBuf {
    paths.state.join(RECORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_another_installation_are_refused_and_a_package_more_is_not() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let paths = Paths::from_env(None).unwrap();
        let heph = Installation::new(Path::new("/bin"), &names(&["heph"]));
        assert!(heph.admits(&names(&["heph", "more"]), &paths).is_ok());
        let refused = heph.admits(&names(&["tool"]), &paths).unwrap_err();
        assert!(refused.to_string().contains("of heph, and not of tool"));
        let unknown = Installation::new(Path::new("/bin"), &[]);
        assert!(unknown.admits(&names(&["tool"]), &paths).is_ok());
    }

    #[test]
    fn packages_that_are_not_known_now_stay_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join(RECORD);
        let heph = Installation::new(Path::new("/bin"), &["heph".to_owned()]);
        heph.clone().write(&record).unwrap();
        Installation::new(Path::new("/bin"), &[])
            .write(&record)
            .unwrap();
        assert_eq!(Installation::read(&record), Some(heph));
    }
}
