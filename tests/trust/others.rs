//! Other users of the machine: root in a user's home leaves nothing there, and nobody else can write to what heph makes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::place::Place;
use crate::support::call::Call;

/// Returns all files and folders below `folder` of which `is` holds.
fn found(folder: &Path, is: &dyn Fn(&fs::Metadata) -> bool) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            all.extend(found(&path, is));
        }
        if !metadata.is_symlink() && is(&metadata) {
            all.push(path);
        }
    }
    all
}

#[test]
fn root_in_the_home_of_another_user_leaves_no_file_there_by_any_command() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test gives a home to another user, which takes root"
    );
    const NOBODY: &str = "65534";
    let place = Place::new();
    place.unsigned("1.1.0");
    let key = place.alice.public();
    let chown = Call::of("chown").args(&["-R", NOBODY]);
    chown.args(&[&place.path]).exits(0);
    for words in [
        "self-update check",
        "self-update apply",
        "self-update apply --dry-run",
        "self-update doctor",
        "self-update enable",
        "self-update disable",
        "self-update rollback",
        "self-update clean",
        "self-update quarantine clear 1.1.0",
        "self-update trust remove x",
        "daemon start",
        "daemon restart",
        "auth login --issuer https://id.example --client-id x",
    ] {
        let ended = place.heph(words).ends();
        assert_ne!(ended.code, 0, "{ended}");
        ended.complains("another user's home");
    }
    let add = place.heph(&["self-update", "trust", "add", &key]);
    add.exits(1).complains("another user's home");
    place.hephd("").exits(1).complains("another user's home");
    place.heph("self-update status").exits(0);
    place.heph("self-update trust show").exits(0);
    let of_root = found(&place.path, &|metadata| metadata.uid() == 0);
    assert_eq!(of_root, [""; 0].map(PathBuf::from));
}

#[test]
fn nothing_that_a_run_makes_can_be_written_to_by_others_whatever_the_mask() {
    let place = Place::new();
    place.unsigned("1.1.0");
    let heph = crate::support::programs::folder().join("heph");
    let without_mask = |words: &str| {
        let script = format!("umask 000; exec \"$0\" {words}");
        place.command("sh").args(&["-c", &script]).args(&[&heph])
    };
    without_mask("self-update check").exits(100);
    without_mask("self-update apply").exits(0);
    let key = place.write("key", format!("{}\n", place.alice.public()));
    fs::rename(key, place.path.join("bin/key")).unwrap();
    without_mask("self-update trust add bin/key").exits(0);
    assert_eq!(place.installed(), "tiny 1.1.0");
    let by_others = |metadata: &fs::Metadata| metadata.permissions().mode() & 0o022 != 0;
    let open = found(&place.path, &by_others);
    assert_eq!(open, [""; 0].map(PathBuf::from));
}
