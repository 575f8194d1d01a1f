//! Folders on which no program may be started: file systems mounted noexec, which takes root.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::patient::{Findings, Patient};
use crate::support::old::home::run;

/// A small file system without programs, until the value is dropped.
struct Noexec(PathBuf);

impl Noexec {
    fn mount(folder: &Path) -> Noexec {
        std::fs::create_dir(folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "noexec,size=64m", "tmpfs"])
            .arg(folder)
            .output()
            .expect("these tests need mount (Debian, Fedora: package util-linux)");
        assert!(
            mounted.status.success(),
            "these tests need root, to mount a file system noexec: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Noexec(folder.to_owned())
    }
}

impl Drop for Noexec {
    fn drop(&mut self) {
        // Lazily: whatever still has a file open there shall not keep it.
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

#[test]
fn a_temporary_folder_without_programs_is_a_warning() {
    let patient = Patient::enabled();
    // Not in the home: rustc's linker takes no '%' in the name of a temporary folder.
    let outside = tempfile::tempdir().unwrap();
    let folder = Noexec::mount(&outside.path().join("noexec"));
    patient.drop_in(&format!("Environment=TMPDIR={}", folder.0.display()));
    patient
        .examine()
        .row("temporary folder", "warning", "noexec")
        .row("linker", "ok", "");
}

#[test]
fn a_build_folder_without_programs_is_a_problem() {
    let patient = Patient::new();
    let folder = Noexec::mount(&patient.home.path.join("noexec"));
    let with_cache = |arguments: &[&str]| {
        let mut command = patient.heph(arguments);
        command.env("XDG_CACHE_HOME", &folder.0);
        command
    };
    run(with_cache(&["self-update", "enable"])).exits(0);
    Findings::of(with_cache(&["self-update", "doctor", "--json"]))
        .row("linker", "problem", "noexec")
        .row("free space", "problem", "for builds");
}
