//! What a run would end with: the way of cargo to the sources, archives instead of a compiler, the newest tag, folders.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use heph::release::asset;

use super::patient::{Findings, LATEST, Patient};
use crate::support::disk::Disk;
use crate::support::files;
use crate::support::forge::PROJECT;
use crate::support::http::Reply;

/// Examines a machine after `change`, and returns what is said of the sources.
#[track_caller]
fn sources(patient: &Patient, status: &str, words: &str) {
    patient
        .examine()
        .row("git", "ok", "")
        .row("sources", status, words);
}

#[test]
fn settings_of_git_and_cargo_that_block_cargos_way_are_problems() {
    let patient = Patient::enabled();
    let (url, nowhere) = (patient.forge.url(), "http://127.0.0.1:1");
    let settings = patient.path.join(".gitconfig");
    fs::write(
        &settings,
        format!("[url \"{nowhere}/\"]\n\tinsteadOf = {url}/\n"),
    )
    .unwrap();
    sources(&patient, "problem", "a run would end as `unreachable`");
    fs::write(&settings, format!("[http]\n\tproxy = {nowhere}\n")).unwrap();
    sources(&patient, "problem", "a run would end as `unreachable`");
    fs::remove_file(&settings).unwrap();
    // Of cargo: a file above the build folder counts.
    let own = patient.path.join(".cargo/config.toml");
    fs::write(&own, "[net]\noffline = true\n").unwrap();
    sources(&patient, "problem", "a run would end as `failed`");
    fs::remove_file(&own).unwrap();
    sources(&patient, "ok", "cargo fetches v7.0.0");
}

#[test]
fn a_forge_that_wants_a_password_from_cargo_is_told_with_the_reason() {
    let patient = Patient::enabled();
    let unknown = Reply::with(401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b"");
    let path = format!("/{PROJECT}/info/refs");
    patient.forge.scripts(&path, vec![Reply::Normal, unknown]);
    let findings = patient.examine();
    findings.row("sources", "problem", "without a password");
    let rows = findings.0["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == "sources").unwrap();
    assert!(
        row["hint"]
            .as_str()
            .unwrap()
            .contains("no password of yours")
    );
}

/// Turns the timer on in a shell without cargo.
fn without_cargo(patient: &Patient) {
    let tools = patient.path.join("tools");
    files::tools(&tools, &["systemctl", "id"]);
    let enable = patient.heph("self-update enable");
    enable.env("PATH", tools).exits(0);
}

#[test]
fn archives_alone_need_no_cargo() {
    let patient = Patient::new();
    patient.settings("delivery = \"prebuilt\"");
    without_cargo(&patient);
    let findings = patient.examine();
    for absent in ["cargo", "linker", "temporary folder", "sources"] {
        assert!(!findings.has(absent), "{findings:#?}");
    }
    assert_eq!(findings.0["ok"], true, "{findings:#?}");
}

#[test]
fn where_the_newest_release_has_an_archive_a_missing_cargo_is_a_warning() {
    let patient = Patient::new();
    without_cargo(&patient);
    patient
        .examine()
        .row("cargo", "problem", "cannot find cargo");
    let tag = format!("v{LATEST}");
    let name = format!("heph-{tag}-{}.tar.gz", asset::targets()[0]);
    patient.forge.attach(&tag, &name, b"x");
    let sums = format!("{}  {name}\n", "0".repeat(64));
    patient.forge.attach(&tag, "SHA256SUMS", sums.as_bytes());
    let findings = patient.examine();
    findings
        .row("cargo", "warning", "the newest release has an archive")
        .row("linker", "warning", "");
    assert_eq!(findings.0["ok"], true, "{findings:#?}");
    // What was asked for by name is needed.
    patient.settings("delivery = \"cargo\"");
    patient
        .examine()
        .row("cargo", "problem", "cannot find cargo");
}

#[test]
fn an_unsigned_newest_tag_is_a_problem_once_a_key_is_trusted() {
    let patient = Patient::enabled();
    patient
        .examine()
        .row("newest tag", "ok", "no proof is required");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBbVnWRGrrVxYqGYGyJzn8pgmM3pTDoLpHyBm3cAiuMe";
    patient.write(
        ".config/heph/trust/allowed_signers",
        format!("owner@example.org {key}\n"),
    );
    let before = files::entries(&patient.state());
    patient
        .examine()
        .row("newest tag", "problem", "a run would end as `failed`")
        .row("sources", "ok", "");
    assert_eq!(
        files::entries(&patient.state()),
        before,
        "nothing is recorded"
    );
}

#[test]
fn a_home_that_all_can_write_to_is_named() {
    let patient = Patient::enabled();
    let folder = patient.bin();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    patient
        .examine()
        .row("permissions", "warning", ".cargo/bin'");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).unwrap();
    patient.examine().row("permissions", "ok", "");
}

#[test]
fn a_data_folder_without_programs_is_a_problem_for_archives_too() {
    let patient = Patient::new();
    patient.settings("delivery = \"prebuilt\"");
    let folder = patient.path.join("noexec");
    let _disk = Disk::small(&folder, "noexec,size=64m");
    let with_data = |words: &str| patient.heph(words).env("XDG_DATA_HOME", &folder);
    with_data("self-update enable").exits(0);
    Findings::of(with_data("self-update doctor --json")).row(
        "releases folder",
        "problem",
        "a run would end as `failed`: programs cannot be started",
    );
}
