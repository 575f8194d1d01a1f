//! Settings files that cannot be read, met through the real command.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use crate::support::call::Call;
use crate::support::files::{copy, entries};
use crate::support::home::Home;
use crate::support::programs;

/// The user that owns nothing, on every Unix.
const NOBODY: u32 = 65534;

/// Runs a command, which must fail with exit code 2 and print nothing on standard output; returns what it said.
#[track_caller]
fn refused(call: Call) -> String {
    let ended = call.exits(2);
    assert_eq!(ended.out, "");
    assert!(ended.err.starts_with("error: "), "{ended}");
    ended.err
}

#[test]
fn a_mistake_stops_every_command_before_it_does_anything() {
    let home = Home::new();
    home.configure("[self-update]\nsetle = '3s'\n");
    let before = entries(&home.path);
    let said = refused(home.heph("list"));
    let file = home.path.join(".config/heph/config.toml");
    let expected = format!(
        "error: '{}' line 2: unknown key 'setle' in [self-update]; did you mean 'settle'?\n",
        file.display()
    );
    assert_eq!(said, expected);
    refused(home.heph("self-update apply"));
    assert_eq!(entries(&home.path), before, "nothing was made");
}

#[test]
fn a_named_file_must_be_there() {
    let home = Home::new();
    let missing = home.path.join("none.toml");
    let said = refused(home.heph("list --config none.toml"));
    assert!(
        said.contains("none.toml'") && said.contains("hint: "),
        "{said}"
    );
    let said = refused(home.heph("list").env("HEPH_CONFIG", &missing));
    assert!(said.contains("none.toml'"), "{said}");
    refused(home.heph("list").env("HEPH_CONFIG", "relative.toml"));
}

#[test]
fn a_folder_a_huge_file_and_a_private_one_are_refused() {
    let home = Home::new();
    let said = refused(home.heph("list --config .."));
    assert!(said.contains("directory"), "{said}");
    home.write("huge.toml", "#".repeat((1 << 20) + 1));
    let said = refused(home.heph("list --config huge.toml"));
    assert!(said.contains("larger than"), "{said}");
}

#[test]
fn a_file_that_its_user_may_not_read_is_refused() {
    let home = Home::new();
    let private = home.write("private.toml", "");
    fs::set_permissions(&private, fs::Permissions::from_mode(0o000)).unwrap();
    let mut list = home.heph("list --config private.toml");
    if rustix::process::geteuid().is_root() {
        // Root reads everything, so somebody else must try, with a copy of heph that he can reach.
        for folder in [home.path.parent().unwrap(), &home.path] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let heph = home.path.join("heph");
        copy(&programs::heph(), &heph);
        let call = home.command(heph).args("list --config private.toml");
        let mut command = call.into_command();
        command.uid(NOBODY);
        list = command.into();
    }
    let said = refused(list);
    assert!(said.contains("Permission denied"), "{said}");
}

#[test]
fn completions_need_no_settings() {
    let home = Home::new();
    let completions = home.heph("completions bash");
    let completions = completions.env("HEPH_CONFIG", home.path.join("none.toml"));
    completions.exits(0).says("complete -F _heph");
}
