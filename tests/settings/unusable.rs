//! Settings files that cannot be read, met through the real command.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// The user that owns nothing, on every Unix.
const NOBODY: u32 = 65534;

/// Returns a home that needs quoting everywhere.
fn home() -> TempDir {
    tempfile::Builder::new()
        .prefix("hö me %h & 'x'")
        .tempdir()
        .unwrap()
}

/// Returns `heph` (the program `heph`) in a clean environment of `home`.
fn command(heph: &Path, home: &Path) -> Command {
    let mut command = Command::new(heph);
    command
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/bin:/bin");
    command
}

fn heph(home: &Path) -> Command {
    command(Path::new(env!("CARGO_BIN_EXE_heph")), home)
}

/// Runs `command`, which must fail with exit code 2 and print nothing on standard output; returns what it said.
fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty());
    assert!(said.starts_with("error: "), "{said}");
    said
}

#[test]
fn a_mistake_stops_every_command_before_it_does_anything() {
    let home = home();
    let folder = home.path().join(".config/heph");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.toml"), "[self-update]\nsetle = '3s'\n").unwrap();
    let said = refused(heph(home.path()).arg("list"));
    let file = folder.join("config.toml");
    let expected = format!(
        "error: '{}' line 2: unknown key 'setle' in [self-update]; did you mean 'settle'?\n",
        file.display()
    );
    assert_eq!(said, expected);
    refused(heph(home.path()).args(["self-update", "apply"]));
    assert_eq!(
        fs::read_dir(home.path()).unwrap().count(),
        1,
        "nothing else was made"
    );
}

#[test]
fn a_named_file_must_be_there() {
    let home = home();
    let missing = home.path().join("none.toml");
    let said = refused(heph(home.path()).arg("list").arg("--config").arg(&missing));
    assert!(
        said.contains("none.toml'") && said.contains("hint: "),
        "{said}"
    );
    let said = refused(heph(home.path()).arg("list").env("HEPH_CONFIG", &missing));
    assert!(said.contains("none.toml'"), "{said}");
    refused(
        heph(home.path())
            .arg("list")
            .env("HEPH_CONFIG", "relative.toml"),
    );
}

#[test]
fn a_folder_a_huge_file_and_a_private_one_are_refused() {
    let home = home();
    let said = refused(
        heph(home.path())
            .arg("list")
            .arg("--config")
            .arg(home.path()),
    );
    assert!(said.contains("directory"), "{said}");

    let huge = home.path().join("huge.toml");
    fs::write(&huge, "#".repeat((1 << 20) + 1)).unwrap();
    let said = refused(heph(home.path()).arg("list").arg("--config").arg(&huge));
    assert!(said.contains("larger than"), "{said}");
}

#[test]
fn a_file_that_its_user_may_not_read_is_refused() {
    let home = home();
    let private = home.path().join("private.toml");
    fs::write(&private, "").unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o000)).unwrap();
    let said = if rustix::process::geteuid().is_root() {
        // Root reads everything, so somebody else must try, with a copy of heph that he can reach.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let copy = home.path().join("heph");
        crate::support::files::copy(&crate::support::programs::heph(), &copy);
        refused(
            command(&copy, home.path())
                .arg("list")
                .arg("--config")
                .arg(&private)
                .uid(NOBODY),
        )
    } else {
        refused(heph(home.path()).arg("list").arg("--config").arg(&private))
    };
    assert!(said.contains("Permission denied"), "{said}");
}

#[test]
fn completions_need_no_settings() {
    let home = home();
    let output = heph(home.path())
        .args(["completions", "bash"])
        .env("HEPH_CONFIG", home.path().join("none.toml"))
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("complete -F _heph"));
}
