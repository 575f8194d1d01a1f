//! The line that any command adds on a terminal.

use super::patient::{LATEST, Patient};

/// Returns what `heph` prints on a terminal, in this shell.
fn on_a_terminal(patient: &Patient, words: &str) -> String {
    // From bsdutils (Debian) or util-linux-script (Fedora).
    let script = patient.command("script");
    let script = script.args("--quiet --return --command");
    let heph = patient.bin().join("heph");
    let script = script
        .env("HEPH", heph)
        .args(&[format!("\"$HEPH\" {words}")]);
    script.args("/dev/null").ends().out.replace('\r', "")
}

#[test]
fn a_newer_release_is_told_on_a_terminal_and_nowhere_else() {
    let patient = Patient::new();
    let version = env!("CARGO_PKG_VERSION");
    let line =
        format!("heph {LATEST} is out, this is {version}; `heph self-update apply` installs it");
    let history = "self-update history";
    assert!(
        !on_a_terminal(&patient, history).contains("is out"),
        "nothing is known yet"
    );

    patient.heph("self-update check").exits(100);
    patient.forge.forget();
    let said = on_a_terminal(&patient, history);
    assert!(said.trim_end().ends_with(&line), "{said}");
    assert!(
        patient.forge.seen().is_empty(),
        "the network is never asked for it"
    );
    assert!(!on_a_terminal(&patient, "self-update history --json").contains(&line));
    assert!(!on_a_terminal(&patient, "self-update status").contains("this is"));
    assert!(!on_a_terminal(&patient, "completions bash").contains(&line));
    let ended = patient.heph("self-update history").exits(0);
    assert!(!ended.err.contains("is out"), "{}", ended.err);

    patient.settings("pin = \"<1\"");
    assert!(
        !on_a_terminal(&patient, history).contains("is out"),
        "unwanted releases are no news"
    );
}

#[test]
fn checks_that_stopped_working_are_told() {
    let patient = Patient::new();
    patient.heph("self-update enable --every 60s").exits(0);
    let history = "self-update history";
    assert!(
        !on_a_terminal(&patient, history).contains("doctor"),
        "it was just turned on"
    );
    for unit in ["heph-self-update.timer", "heph-self-update.service"] {
        let file = std::fs::File::options()
            .append(true)
            .open(patient.unit(unit))
            .unwrap();
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        file.set_modified(long_ago).unwrap();
    }
    let feed = patient.state().join("feed.json");
    // The timer itself may have run meanwhile.
    patient
        .manager
        .systemctl("stop heph-self-update.timer heph-self-update.service");
    drop(std::fs::remove_file(feed));
    let said = on_a_terminal(&patient, history);
    assert!(
        said.contains("No check for a newer heph has succeeded yet"),
        "{said}"
    );
}
