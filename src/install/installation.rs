//! The record of what is installed: which packages, and where their commands are (`installation.json`).
//!
//! One data folder holds one installation. Settings that name other packages must not switch its `current`: that would
//! remove the commands of the installed packages, and a roll-back would restore another package.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::os::files;
use crate::paths::Paths;

const RECORD: &str = "installation.json";
const LIMIT: u64 = 64 << 10;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Installation {
    schema: u32,
    pub bin_dir: PathBuf,
    /// The packages; empty if they are unknown.
    #[serde(default)]
    pub packages: Vec<String>,
}

impl Installation {
    pub(crate) fn new(bin_dir: &Path, packages: &[String]) -> Installation {
        Installation {
            schema: 1,
            bin_dir: bin_dir.to_owned(),
            packages: packages.to_vec(),
        }
    }

    /// Reads the record. An unreadable file counts as missing.
    pub(crate) fn read(record: &Path) -> Option<Installation> {
        let installation: Installation = files::read_json_if_there(record, LIMIT).ok()??;
        let usable = installation.schema == 1 && installation.bin_dir.is_absolute();
        usable.then_some(installation)
    }

    /// Writes the record, unless it is up to date. Unknown packages leave the recorded ones as they are.
    pub(crate) fn write(mut self, record: &Path) -> Result<()> {
        let before = Installation::read(record);
        if let (true, Some(before)) = (self.packages.is_empty(), &before) {
            self.packages.clone_from(&before.packages);
        }
        if before.as_ref() == Some(&self) {
            return Ok(());
        }
        // JSON cannot hold a path that is not UTF-8; such a bin-dir is found by PATH only.
        let Ok(mut text) = serde_json::to_vec_pretty(&self) else {
            return Ok(());
        };
        text.push(b'\n');
        files::write_atomic(record, &text, files::PRIVATE)
    }

    /// Fails if `wanted` has none of the installed packages: these are the settings of another installation.
    pub(crate) fn admits(&self, wanted: &[String], paths: &Paths) -> Result<()> {
        if self.packages.is_empty() || wanted.iter().any(|name| self.packages.contains(name)) {
            return Ok(());
        }
        Err(Error::usage(format!(
            "'{}' holds an installation of {}, not of {}",
            paths.hephd.data.display(),
            self.packages.join(", "),
            wanted.join(", ")
        ))
        .with_hint(
            "give each installation folders of its own: set XDG_DATA_HOME and XDG_STATE_HOME",
        ))
    }
}

pub(super) fn record_of(paths: &Paths) -> PathBuf {
    paths.state.join(RECORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_another_installation_are_rejected_and_a_package_more_is_not() {
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
        assert!(refused.to_string().contains("of heph, not of tool"));
        let unknown = Installation::new(Path::new("/bin"), &[]);
        assert!(unknown.admits(&names(&["tool"]), &paths).is_ok());
    }

    #[test]
    fn unknown_packages_leave_the_recorded_ones_as_they_are() {
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
