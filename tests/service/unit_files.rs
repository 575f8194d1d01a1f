//! Generated units, judged by systemd itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use heph::service::arguments::{Baked, Flag};
use heph::service::definition::{Definition, Environment};
use heph::service::systemd::unit;

use super::eventually;
use super::home::ODD_NAME;
use super::manager::UserManager;

/// Texts that go wrong where one layer of quoting is missing or one too many is there.
const NASTY: [&str; 12] = [
    "plain",
    " two  spaces ",
    "100% %h %% %n",
    "$HOME ${HOME} $$ $",
    "\\ \\n \\x41 \\\\",
    "' \" `",
    "; \\; ;",
    "--mode=server",
    "#no [Service] comment",
    "é日本😀\u{a0}\u{2028}",
    "a=b=c",
    "ends in \\",
];

fn definition(program: &Path, log: &Path, values: &[&str], store: &str) -> Definition {
    let mut flags = Baked::default();
    for (flag, value) in Flag::ALL.into_iter().zip(values) {
        flags.set(flag, *value).unwrap();
    }
    let variables = [("HEPH_DB".into(), format!("/{store}").into())];
    let environment = Environment::from_variables(variables).unwrap();
    Definition::new(program, flags, environment, log).unwrap()
}

fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn systemd_accepts_every_unit() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tempfile::tempdir().unwrap();
    for name in NASTY.into_iter().chain([ODD_NAME]) {
        let home = folder.path().join(name);
        let program = home.join("hephd");
        script(&program, "#!/bin/sh\n");
        let file = home.join("heph.service");
        let log = home.join("hephd.log");
        fs::write(
            &file,
            unit::render(&definition(&program, &log, &NASTY, name)),
        )
        .unwrap();
        // A copy under a plain path: how systemd-analyze is given the file is not what is tested.
        let plain = folder.path().join("heph.service");
        fs::copy(&file, &plain).unwrap();
        let output = std::process::Command::new("systemd-analyze")
            .args(["--user", "verify"])
            .arg(&plain)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", folder.path())
            .env("XDG_RUNTIME_DIR", runtime.path())
            .output()
            .expect("these tests need systemd-analyze (Debian, Fedora: package systemd)");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}: {said}");
        assert!(!said.contains("heph.service"), "{name}: {said}");
    }
}

#[test]
fn hephd_gets_exactly_the_arguments_and_variables_that_were_baked() {
    let folder = tempfile::tempdir().unwrap();
    let manager = UserManager::start(folder.path());
    let units = folder.path().join(".config/systemd/user");
    fs::create_dir_all(&units).unwrap();
    for (round, name) in NASTY.into_iter().chain([ODD_NAME]).enumerate() {
        let home = folder.path().join(format!("{round} {name}"));
        let program = home.join("bin/hephd");
        let log = home.join("hephd.log");
        // Arguments are separated by what none of them can hold.
        script(
            &program,
            "#!/bin/sh\nprintf '%s\\n' \"$@\" \"$HEPH_DB\" END\nexec sleep 1000\n",
        );
        let mut values = NASTY;
        values.rotate_left(round % NASTY.len());
        let definition = definition(&program, &log, &values, name);
        fs::write(units.join("heph.service"), unit::render(&definition)).unwrap();
        manager.systemctl(&["daemon-reload"]);
        manager.systemctl(&["start", "--no-block", "heph.service"]);
        let mut expected = definition.flags.to_arguments();
        expected.extend([format!("/{name}"), "END".to_owned()]);
        let said = || fs::read_to_string(&log).unwrap_or_default();
        eventually(&format!("hephd of {name:?} starts"), || {
            said().ends_with("END\n")
        });
        assert_eq!(
            said().split_terminator('\n').collect::<Vec<_>>(),
            expected,
            "{name}"
        );
        manager.systemctl(&["stop", "heph.service"]);
    }
}
