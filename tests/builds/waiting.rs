//! When a build that failed is tried again.

use std::fs;

use super::scene::{FORGES, Scene};
use crate::support::faketime::times_as_fast;
use crate::support::files::script;

#[test]
fn a_build_that_fails_waits_on_every_forge_and_is_no_quarantine() {
    for (speaks, kind) in FORGES {
        let mut scene = Scene::on(speaks, kind);
        scene.publish("1.1.0");
        scene.cargo_that_fails();
        let report = scene.timer().reports(1, "failed");
        report.because(&["cannot build v1.1.0: compiling `tiny` failed", ".log'"]);
        let reason = report["reason"].as_str().unwrap();
        assert!(!reason.contains("E0425"), "{kind}: {reason}");
        assert!(scene.quarantined().is_empty(), "{kind}");

        let report = scene.timer().reports(0, "skipped");
        report.because(&["compiling `tiny` failed", "tried again after", ".log'"]);
        assert_eq!(scene.builds(), 1, "{kind}");
        assert_eq!(scene.installed(), "tiny 1.0.0");
    }
}

#[test]
fn status_check_dry_run_and_history_say_what_waits() {
    let mut scene = Scene::new();
    scene.publish("1.1.0");
    assert!(scene.failed_build().is_null());
    scene.cargo_that_fails();
    scene.timer().reports(1, "failed");

    let failed = scene.failed_build();
    assert_eq!(failed["version"], "1.1.0");
    assert_eq!(failed["repository"], scene.forge.repository());
    assert_eq!(
        failed["reason"],
        "cannot build v1.1.0: compiling `tiny` failed"
    );
    assert_eq!(failed["failures"], 1);
    assert!(failed["next_try"].is_string() && failed["commit"].is_string());
    let log = fs::read_to_string(failed["log"].as_str().unwrap()).unwrap();
    assert!(log.contains("E0425"), "{log}");
    let status = scene.heph("self-update status").exits(0);
    status
        .says("waiting    1.1.0  cannot build v1.1.0")
        .says("tries it again after")
        .says("not latest")
        .quietly();
    let doctor = scene.self_update("doctor").ends().json();
    let rows = doctor["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == "failed build");
    let detail = row.unwrap()["detail"].to_string();
    assert!(detail.contains("would end as `skipped`"), "{detail}");
    scene
        .heph("self-update quarantine list")
        .exits(0)
        .says("no release is in quarantine");

    let check = scene.self_update("check").reports(0, "skipped");
    check.because(&["tried again after"]);
    let predicted = scene.self_update("apply --dry-run --scheduled");
    predicted
        .reports(0, "skipped")
        .because(&["tried again after"]);
    let by_hand = scene.self_update("apply --dry-run").reports(0, "skipped");
    by_hand.because(&["would install 1.1.0"]);
    assert!(by_hand["notes"].to_string().contains("failed here once"));
    assert_eq!(scene.builds(), 1);

    let history = scene.heph("self-update history").exits(0);
    history.says("compiling `tiny` failed");
    let history = scene.self_update("history").json().to_string();
    assert!(!history.contains("E0425"), "{history}");
}

#[test]
fn a_person_tries_it_at_once_and_the_next_release_does_not_wait() {
    let mut scene = Scene::new();
    scene.publish("1.1.0");
    scene.cargo_that_fails();
    scene.timer().reports(1, "failed");
    scene.apply().exits(1).complains("cannot build v1.1.0");
    scene.heph("self-update apply --force").exits(1);
    scene.heph("self-update apply --to 1.1.0").exits(1);
    assert_eq!(scene.builds(), 4);
    // That does not make it wait any longer.
    assert_eq!(scene.failed_build()["failures"], 1);
    scene.timer().reports(0, "skipped");

    scene.publish("1.2.0");
    scene.timer().reports(1, "failed");
    assert_eq!(scene.builds(), 5);
    scene.real_cargo();
    scene.apply().exits(0).says("updated");
    assert_eq!(scene.installed(), "tiny 1.2.0");
    assert!(scene.failed_build().is_null());
    let file = fs::read_to_string(scene.state().join("builds.json")).unwrap();
    assert!(!file.contains("1.1.0") && !file.contains("1.2.0"), "{file}");
}

#[test]
fn it_is_tried_again_after_one_day_and_then_after_two() {
    let mut scene = Scene::new();
    scene.publish("1.1.0");
    scene.cargo_that_fails();
    scene.timer().reports(1, "failed");
    scene.timer_in(22).reports(0, "skipped");
    scene.timer_in(24).reports(1, "failed");
    scene.timer_in(24 + 46).reports(0, "skipped");
    scene.timer_in(24 + 48).reports(1, "failed");
    assert_eq!(scene.builds(), 3);
    assert_eq!(scene.failed_build()["failures"], 3);
}

#[test]
fn it_is_tried_at_once_when_cargo_rustc_a_linker_the_settings_or_the_release_change() {
    let mut scene = Scene::new();
    scene.publish("1.1.0");
    scene.cargo_that_fails();
    let path = std::env::var("PATH").unwrap();
    let tools = scene.path.join("more-tools");
    scene.set("PATH", &format!("{}:{path}", tools.display()));
    scene.timer().reports(1, "failed");
    let mut tried = 1;
    let mut is_tried = |scene: &Scene, what: &str| {
        let report = scene.timer().reports(1, "failed");
        let notes = report["notes"].to_string();
        assert!(notes.contains(&format!("as {what} changed")), "{notes}");
        scene.timer().reports(0, "skipped");
        tried += 1;
        assert_eq!(scene.builds(), tried, "{what}");
    };
    scene.write("cargo-version", "cargo 2.0.0\n");
    is_tried(&scene, "cargo");
    script(&tools.join("rustc"), "echo rustc 99.0.0");
    is_tried(&scene, "rustc");
    script(&tools.join("mold"), "exit 0");
    is_tried(&scene, "the linker or a tool like it");
    scene.settings("keep = 3");
    is_tried(&scene, "the settings");
    scene.write(".cargo/config.toml", "[build]\njobs = 1\n");
    is_tried(&scene, "the settings");
    scene
        .forge
        .attach("v1.1.0", "tiny-v1.1.0.tar.gz", b"no archive");
    is_tried(&scene, "the release");
}

#[test]
fn what_release_0_1_0_quarantined_for_its_build_is_built_again() {
    let mut scene = Scene::new();
    scene.publish("1.1.0");
    let entry = |version: &str, reason: &str| {
        format!(r#"{{"version":"{version}","reason":"{reason}","at":"2026-01-01T00:00:00Z"}}"#)
    };
    let build = "cannot build v1.1.0: it does not compile: `cargo install` exited with 101";
    let text = format!(
        r#"{{"schema":1,"releases":[{},{}]}}"#,
        entry("1.1.0", build),
        entry("1.2.0", "hephd 1.2.0 died 3 s after it first answered")
    );
    scene.write(".local/state/heph/quarantine.json", &text);
    assert_eq!(scene.quarantined(), ["1.2.0"]);
    scene.self_update("check").reports(100, "available");
    assert_eq!(
        scene.failed_build()["reason"],
        "cannot build v1.1.0: it does not compile"
    );
    scene.cargo_that_fails();
    scene.timer().reports(1, "failed");
    scene.timer().reports(0, "skipped");
    scene.real_cargo();
    scene.apply().exits(0).says("updated");
    scene.publish("1.2.0");
    scene.timer().reports(0, "skipped").because(&["quarantine"]);
}

#[test]
fn a_build_that_is_interrupted_has_not_failed() {
    let mut scene = Scene::new();
    scene.publish("1.1.0");
    scene.cargo("kill -TERM $PPID; exit 101");
    scene.timer().reports(1, "failed").because(&["interrupted"]);
    scene.timer().reports(1, "failed").because(&["interrupted"]);
    assert_eq!(scene.builds(), 2);
    assert!(scene.failed_build().is_null());
}

#[test]
fn a_build_that_hangs_is_killed_and_waits() {
    let mut scene = Scene::new();
    scene.publish("1.1.0");
    // Time runs so fast for heph that its two hours end within seconds, and not for what it waits for.
    scene.cargo("unset LD_PRELOAD FAKETIME; exec tail -f /dev/null");
    let run = || scene.timer().envs(times_as_fast(400)).ends();
    // The limits of requests are as short, so that a busy machine may miss them.
    let ended = (0..50).map(|_| run()).find(|ended| ended.code != 75);
    let report = ended.expect("the forge answers").exits(1).json();
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.contains("it did not end within 2 hours"), "{reason}");
    scene.timer().reports(0, "skipped").because(&["2 hours"]);
    assert_eq!(scene.builds(), 1);
    assert!(scene.quarantined().is_empty());
}
