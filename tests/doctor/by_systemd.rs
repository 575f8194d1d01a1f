//! With systemd: the checks run in a unit like that of the timer.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::patient::{Findings, LATEST, Patient, outer};
use crate::support::old::home::run;

/// Returns the files below `folder`, as far as they are of the doctor.
fn traces(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.map(|entry| entry.unwrap()) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.contains("doctor") {
            found.push(entry.path().display().to_string());
        }
        if entry.file_type().unwrap().is_dir() {
            found.extend(traces(&entry.path()));
        }
    }
    found
}

#[test]
fn a_machine_on_which_all_is_well() {
    let patient = Patient::enabled();
    let findings = patient.examine();
    assert_eq!(findings.0["ok"], true, "{findings:#?}");
    assert_eq!(findings.named("problem"), [""; 0]);
    findings
        .row(
            "timer",
            "ok",
            "systemd runs it every 6h, and it installs releases; the next run is at",
        )
        .row("generated files", "ok", "")
        .row(
            "program",
            "ok",
            concat!(".cargo/bin/heph', heph ", env!("CARGO_PKG_VERSION")),
        )
        .row("environment", "ok", "inside a unit")
        .row("cargo", "ok", "cargo 1.")
        .row("linker", "ok", "compiled, linked and started")
        .row("temporary folder", "ok", "'/tmp'")
        .row("forge", "ok", LATEST)
        .row("git", "ok", &format!("has the tag v{LATEST}"))
        .row("links", "ok", ".cargo/bin")
        .row("PATH", "ok", ".cargo/bin/heph'")
        .row("quarantine", "ok", "")
        .row("hephd", "ok", "");

    assert_eq!(
        traces(&patient.home.path),
        [""; 0],
        "it leaves nothing behind"
    );
    assert_eq!(traces(patient.manager.runtime_dir()), [""; 0]);
    let units = patient
        .manager
        .systemctl(&["list-units", "--all", "--no-legend"]);
    assert!(!String::from_utf8_lossy(&units.stdout).contains("doctor"));
    assert!(
        !patient
            .home
            .path
            .join(".local/state/heph/feed.json")
            .exists(),
        "the memory of the feed is the timer's"
    );

    let told = run(patient.heph(&["self-update", "doctor"])).exits(0);
    assert!(
        told.out.contains("A run of the timer will work"),
        "{}",
        told.out
    );
    assert!(
        told.out.contains("\nok       cargo             cargo 1."),
        "{}",
        told.out
    );
}

#[test]
fn the_job_lacks_cargo_though_the_shell_has_it() {
    let patient = Patient::new();
    let tools = patient.tools("tools", &["systemctl", "id"]);
    run(patient.heph_with_path(&tools, &["self-update", "enable"])).exits(0);
    patient
        .examine()
        .row("cargo", "problem", "cannot find cargo")
        .row("linker", "problem", "cargo does not run")
        .row("forge", "ok", "");
}

#[test]
fn the_job_lacks_a_linker() {
    let patient = Patient::new();
    let tools = patient.tools("tools", &["cargo", "rustc", "systemctl", "id"]);
    run(patient.heph_with_path(&tools, &["self-update", "enable"])).exits(0);
    patient
        .examine()
        .row("cargo", "ok", "")
        .row("linker", "problem", "no C compiler or linker");
}

#[test]
fn the_forge_cannot_be_reached() {
    let mut patient = Patient::enabled();
    // Its address is free then, and nobody listens there.
    let gone = std::mem::replace(&mut patient.forge, crate::support::forge::Forge::start());
    drop(gone);
    patient
        .examine()
        .row("forge", "problem", "127.0.0.1")
        .row("git", "problem", "127.0.0.1")
        .row("linker", "ok", "");
}

#[test]
fn a_password_of_a_proxy_is_never_shown() {
    let patient = Patient::new();
    patient.home.configure(
        "service-manager = \"systemd\"\n[self-update]\nrepository = \"https://forge.invalid/a/b\"\n",
    );
    let proxied = |arguments: &[&str]| {
        let mut command = patient.heph(arguments);
        command.env("https_proxy", "http://me:hunter2@127.0.0.1:1");
        command
    };
    run(proxied(&["self-update", "enable"])).exits(0);
    let findings = Findings::of(proxied(&["self-update", "doctor", "--json"]));
    findings
        .row("forge", "problem", "")
        .row("git", "problem", "");
    assert!(!findings.0.to_string().contains("hunter2"), "{findings:#?}");
}

#[test]
fn a_unit_was_edited_and_the_timer_stopped() {
    let patient = Patient::enabled();
    let unit = patient.unit("heph-self-update.service");
    let text = fs::read_to_string(&unit).unwrap();
    fs::write(&unit, text.replace("Nice=19", "Nice=0")).unwrap();
    patient.examine().row(
        "generated files",
        "problem",
        "heph-self-update.service' is edited",
    );
    patient.enable();
    patient.examine().row("generated files", "ok", "");
    patient
        .manager
        .systemctl(&["stop", "heph-self-update.timer"]);
    patient
        .examine()
        .row("timer", "problem", "systemd does not run it");
}

#[test]
fn the_drop_ins_of_the_service_count_but_its_commands_do_not_run() {
    let patient = Patient::enabled();
    let (folder, ran) = (
        patient.home.path.join("gone"),
        patient.home.path.join("ran"),
    );
    let quoted = |path: &Path| {
        let text = path.display().to_string().replace('\\', "\\\\");
        text.replace('"', "\\\"").replace('%', "%%")
    };
    patient.drop_in(&format!(
        "Environment=\"TMPDIR={}\"\nExecStartPre=/bin/touch \"{}\"",
        quoted(&folder),
        quoted(&ran).replace('$', "$$")
    ));
    patient.examine().row(
        "temporary folder",
        "problem",
        "gone', and compilers have to: No such file",
    );
    assert!(!ran.exists());
}

#[test]
fn the_program_of_the_job_is_gone() {
    let patient = Patient::enabled();
    let elsewhere = patient.tools("elsewhere", &[]).join("heph");
    fs::rename(patient.home.bin().join("heph"), &elsewhere).unwrap();
    let mut command = patient.manager.command(&elsewhere);
    command
        .env("PATH", patient.path())
        .args(["self-update", "doctor", "--json"]);
    Findings::of(command).row("program", "problem", "does not work");
}

#[test]
fn another_copy_of_heph_comes_first_on_path() {
    let patient = Patient::enabled();
    let other = patient.tools("other", &[]);
    fs::write(other.join("heph"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(other.join("heph"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", other.display(), patient.path());
    Findings::of(patient.heph_with_path(path, &["self-update", "doctor", "--json"])).row(
        "PATH",
        "warning",
        "another copy",
    );
    let cargo = outer("cargo");
    let path = format!("{}:/usr/bin:/bin", cargo.parent().unwrap().display());
    if !cargo.with_file_name("heph").exists() {
        Findings::of(patient.heph_with_path(path, &["self-update", "doctor", "--json"])).row(
            "PATH",
            "warning",
            "not on PATH",
        );
    }
}

#[test]
fn a_release_is_in_quarantine() {
    let patient = Patient::enabled();
    let file = patient.home.path.join(".local/state/heph/quarantine.json");
    fs::write(
        &file,
        r#"{"schema":1,"releases":[{"version":"7.0.0","reason":"x","at":"2026-01-01T00:00:00Z"}]}"#,
    )
    .unwrap();
    patient.examine().row("quarantine", "warning", "7.0.0");
    fs::write(&file, "{").unwrap();
    patient
        .examine()
        .row("quarantine", "problem", "quarantine.json");
}

#[test]
fn the_job_uses_other_folders_than_the_shell() {
    let patient = Patient::enabled();
    let mut command = patient.heph(&["self-update", "doctor", "--json"]);
    command.env("XDG_STATE_HOME", patient.home.path.join("state"));
    Findings::of(command).row("folders", "problem", "the job's state folder");
}

#[test]
fn the_timer_is_off() {
    let patient = Patient::new();
    let findings = patient.examine();
    findings
        .row("timer", "warning", "off")
        .row("environment", "ok", "inside a unit")
        .row("linker", "ok", "");
    assert_eq!(findings.0["ok"], true);
}
