//! With systemd: the checks run in a unit like that of the timer.

use std::fs;
use std::path::{Path, PathBuf};

use super::patient::{Findings, LATEST, Patient};
use crate::support::files::{self, outer, picture};
use crate::support::forge::Forge;

/// Returns the files below `folder`, as far as they are of the doctor.
fn traces(folder: &Path) -> Vec<PathBuf> {
    let all = picture(folder).into_iter().map(|(path, _)| path);
    all.filter(|path| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .contains("doctor")
    })
    .collect()
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
        .row("sources", "ok", "cargo fetches v7.0.0")
        .row("newest tag", "ok", "v7.0.0")
        .row("releases folder", "ok", "")
        .row("links", "ok", ".cargo/bin")
        .row("permissions", "ok", "only you")
        .row("PATH", "ok", ".cargo/bin/heph'")
        .row("quarantine", "ok", "")
        .row("hephd", "ok", "");

    for folder in [&patient.path, patient.manager.runtime_dir()] {
        let traces = traces(folder);
        assert!(traces.is_empty(), "it leaves nothing behind: {traces:?}");
    }
    let units = patient.manager.systemctl("list-units --all --no-legend");
    assert!(!units.out.contains("doctor"));
    assert!(
        !patient.state().join("feed.json").exists(),
        "the memory of the feed is the timer's"
    );

    patient
        .heph("self-update doctor")
        .exits(0)
        .says("A run of the timer will work")
        .says("\nok       cargo             cargo 1.");
}

/// Turns the timer on in a shell that finds these programs only.
fn enable_with(patient: &Patient, programs: &[&str]) {
    let tools = patient.path.join("tools");
    files::tools(&tools, programs);
    let enable = patient.heph("self-update enable");
    enable.env("PATH", tools).exits(0);
}

#[test]
fn the_job_lacks_cargo_though_the_shell_has_it() {
    let patient = Patient::new();
    enable_with(&patient, &["systemctl", "id"]);
    patient
        .examine()
        .row("cargo", "problem", "cannot find cargo")
        .row("linker", "problem", "cargo does not run")
        .row("forge", "ok", "");
}

#[test]
fn the_job_lacks_a_linker() {
    let patient = Patient::new();
    enable_with(&patient, &["cargo", "rustc", "systemctl", "id"]);
    patient
        .examine()
        .row("cargo", "ok", "")
        .row("linker", "problem", "no C compiler or linker");
}

#[test]
fn the_forge_cannot_be_reached() {
    let mut patient = Patient::enabled();
    // Its address is free then, and nobody listens there.
    let gone = std::mem::replace(&mut patient.forge, Forge::start());
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
    let proxied = |words: &str| {
        let proxy = "http://me:hunter2@127.0.0.1:1";
        patient.heph(words).env("https_proxy", proxy)
    };
    proxied("self-update enable").exits(0);
    let findings = Findings::of(proxied("self-update doctor --json"));
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
    patient
        .heph("self-update enable")
        .exits(1)
        .complains("heph-self-update.service' was edited by hand");
    patient.heph("self-update enable --force").exits(0);
    patient.examine().row("generated files", "ok", "");
    patient.manager.systemctl("stop heph-self-update.timer");
    patient
        .examine()
        .row("timer", "problem", "systemd does not run it");
}

#[test]
fn the_drop_ins_of_the_service_count_but_its_commands_do_not_run() {
    let patient = Patient::enabled();
    let (folder, ran) = (patient.path.join("gone"), patient.path.join("ran"));
    let quoted = |path: &Path| {
        let text = path.display().to_string().replace('\\', "\\\\");
        text.replace('"', "\\\"").replace('%', "%%")
    };
    patient.drop_in(&format!(
        "Environment=\"TMPDIR={}\"\nExecStartPre=/bin/touch \"{}\"",
        quoted(&folder),
        quoted(&ran).replace('$', "$$")
    ));
    patient
        .examine()
        .row("temporary folder", "problem", "gone': No such file");
    assert!(!ran.exists());
}

#[test]
fn the_program_of_the_job_is_gone() {
    let patient = Patient::enabled();
    let elsewhere = patient.path.join("heph");
    fs::rename(patient.bin().join("heph"), &elsewhere).unwrap();
    let doctor = patient
        .command(&elsewhere)
        .args("self-update doctor --json");
    Findings::of(doctor).row("program", "problem", "does not work");
}

#[test]
fn another_copy_of_heph_comes_first_on_path() {
    let patient = Patient::enabled();
    let other = patient.path.join("other");
    files::script(&other.join("heph"), "");
    let path = format!("{}:{}", other.display(), patient.shell_path());
    let doctor = patient.doctor().env("PATH", path);
    Findings::of(doctor).row("PATH", "warning", "another copy");
    let cargo = outer("cargo");
    let path = format!("{}:/usr/bin:/bin", cargo.parent().unwrap().display());
    if !cargo.with_file_name("heph").exists() {
        let doctor = patient.doctor().env("PATH", path);
        Findings::of(doctor).row("PATH", "warning", "not on PATH");
    }
}

#[test]
fn a_release_is_in_quarantine() {
    let patient = Patient::enabled();
    let file = patient.state().join("quarantine.json");
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
    let elsewhere = patient.path.join("state");
    let doctor = patient.doctor().env("XDG_STATE_HOME", elsewhere);
    Findings::of(doctor).row("folders", "problem", "the job's state folder");
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
