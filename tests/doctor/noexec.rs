//! Folders on which no program may be started: file systems mounted noexec, which takes root.

use super::patient::{Findings, Patient};
use crate::support::disk::Disk;

#[test]
fn a_temporary_folder_without_programs_is_a_warning() {
    let patient = Patient::enabled();
    // Not in the home: rustc's linker takes no '%' in the name of a temporary folder.
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("noexec");
    let _disk = Disk::small(&folder, "noexec,size=64m");
    patient.drop_in(&format!("Environment=TMPDIR={}", folder.display()));
    patient
        .examine()
        .row("temporary folder", "warning", "noexec")
        .row("linker", "ok", "");
}

#[test]
fn a_build_folder_without_programs_is_a_problem() {
    let patient = Patient::new();
    let folder = patient.path.join("noexec");
    let _disk = Disk::small(&folder, "noexec,size=64m");
    let with_cache = |words: &str| patient.heph(words).env("XDG_CACHE_HOME", &folder);
    with_cache("self-update enable").exits(0);
    Findings::of(with_cache("self-update doctor --json"))
        .row("linker", "problem", "noexec")
        .row("free space", "problem", "for builds");
}
