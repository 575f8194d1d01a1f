//! What is baked into a unit, and what of it stays, under a real systemd user manager.

use std::fs;

use serde_json::json;

use super::SERVICE;
use crate::support::files::copy_tree;
use crate::support::machine::Machine;

#[test]
fn flags_stay_until_they_are_replaced_or_unset() {
    let user = Machine::new();
    user.heph("daemon start --mode local --oidc-audience 'heph tasks'")
        .exits(0);
    let before = user.pid();
    user.heph("daemon restart --oidc-issuer=https://id.example/100%?a=$b")
        .exits(0);
    assert_ne!(user.pid(), before, "restart makes a new process");
    let all = json!({
        "mode": "local",
        "oidc-audience": "heph tasks",
        "oidc-issuer": "https://id.example/100%?a=$b",
    });
    assert_eq!(user.status()["flags"], all);

    let unit = user.unit_text(SERVICE);
    user.heph("daemon restart").exits(0);
    assert_eq!(
        user.unit_text(SERVICE),
        unit,
        "nothing passed: byte for byte the same"
    );

    user.heph("daemon restart --unset oidc-audience --oidc-issuer https://b")
        .exits(0);
    let rest = json!({"mode": "local", "oidc-issuer": "https://b"});
    assert_eq!(user.status()["flags"], rest);

    // New flags reach a hephd that runs, also by `start`.
    let before = user.pid();
    user.heph("daemon start --unset --mode --unset oidc-issuer")
        .exits(0);
    assert_eq!(user.status()["flags"], json!({}));
    assert_ne!(user.pid(), before);
}

#[test]
fn a_hub_stays_one_with_its_switch_and_its_rate() {
    let user = Machine::new();
    user.heph("daemon start --mode server --http-addr 0.0.0.0:0 --insecure-no-auth --sync-rate=9")
        .exits(0);
    let all = json!({
        "mode": "server",
        "http-addr": "0.0.0.0:0",
        "insecure-no-auth": "true",
        "sync-rate": "9",
    });
    user.heph("daemon restart").exits(0);
    assert_eq!(user.status()["flags"], all);
    assert_eq!(user.status()["mode"], "server");
    // Without the switch it would serve strangers: that is wrong usage, and the hub goes on.
    let before = user.pid();
    user.heph(&["daemon", "restart", "--unset", "insecure-no-auth"])
        .exits(2)
        .complains("no tokens are checked");
    assert_eq!(user.status()["flags"], all);
    assert_eq!(user.pid(), before);
}

#[test]
fn flags_that_make_no_sense_change_nothing() {
    let user = Machine::new();
    for (arguments, complaint) in [
        (&["--unset", "hub"][..], "the flags are mode, hub-url"),
        (&["--unset", "hub-url", "--hub-url=https://a"], "contradict"),
        (&["--hub-url="], "--hub-url is empty"),
        (&["--hub-url=https://a\nb"], "--hub-url holds the character"),
        (&["--hub-url=a.example"], "neither https:// nor http://"),
        (&["--mode", "hub"], "possible values: local, server"),
        (&["--self-update-interval-secs", "59"], "59 is not in"),
        (&["--wait", "1 minute"], "not a length of time"),
    ] {
        user.heph(&[&["daemon", "start"], arguments].concat())
            .exits(2)
            .complains(complaint);
    }
    assert!(!user.unit(SERVICE).exists());
}

#[test]
fn variables_of_the_shell_that_started_it_are_baked_and_stay() {
    let user = Machine::new();
    let store = user.path.join("my $tore's/heph.db");
    let socket = user.manager.runtime_dir().join("other.sock");
    fs::create_dir_all(store.parent().unwrap()).unwrap();
    let start = user.heph("daemon start").env("HEPH_DB", &store);
    start.env("HEPH_SOCKET", &socket).exits(0);
    // A timer's run has neither.
    user.heph("daemon restart").exits(0);
    let status = user.status();
    assert_eq!(status["store"], json!(store));
    assert_eq!(status["socket"], json!(socket));
    assert_eq!(status["managed"], true);
}

#[test]
fn a_unit_made_by_hand_is_left_alone_unless_forced() {
    let user = Machine::new();
    let by_hand = "[Service]\nExecStart=/bin/sleep 1000\n";
    fs::create_dir_all(user.unit(SERVICE).parent().unwrap()).unwrap();
    fs::write(user.unit(SERVICE), by_hand).unwrap();
    for verb in ["start", "restart", "uninstall"] {
        user.heph(&format!("daemon {verb}"))
            .exits(1)
            .complains("was not made by heph")
            .complains("--force");
        assert_eq!(user.unit_text(SERVICE), by_hand);
    }
    assert_eq!(user.status()["file_state"], "hand-made");
    user.heph("daemon status").exits(0).says("made by hand");
    user.heph("daemon start --force").exits(0);
    assert_eq!(user.status()["file_state"], "current");
}

#[test]
fn a_unit_edited_by_hand_is_left_alone_unless_forced_and_keeps_its_flags() {
    let user = Machine::new();
    user.heph("daemon start --oidc-client-id 'a b'").exits(0);
    let unit = user.unit_text(SERVICE);
    for edited in [
        unit.replace("RestartSec=1", "RestartSec=9"),
        unit.replace("Made from", "made from"),
    ] {
        edit(&user, &edited);
        assert_eq!(user.status()["file_state"], "edited");
        user.heph("daemon status").exits(0).says("edited by hand");
        for verb in ["start", "restart", "uninstall"] {
            user.heph(&format!("daemon {verb}"))
                .exits(1)
                .complains("heph.service' was edited by hand")
                .complains("--force");
            assert_eq!(user.unit_text(SERVICE), edited);
        }
        user.heph("daemon restart --force").exits(0);
        assert_eq!(user.status()["flags"], json!({"oidc-client-id": "a b"}));
        assert_eq!(user.unit_text(SERVICE), unit);
    }
    edit(&user, &unit.replace("RestartSec=1", "RestartSec=9"));
    user.heph("daemon uninstall --force").exits(0);
    assert!(!user.unit(SERVICE).exists());
}

#[test]
fn a_unit_of_another_heph_is_replaced_and_keeps_its_flags() {
    let user = Machine::new();
    user.heph("daemon start --mode local").exits(0);
    let unit = user.unit_text(SERVICE);
    let older = unit.replace("template 3", "template 2");
    edit(&user, &older.replace("RestartSec=1", "RestartSec=9"));
    assert_eq!(user.status()["file_state"], "older-template");
    user.heph("daemon status").exits(0).says("older template");
    user.heph("daemon restart").exits(0);
    assert_eq!(user.unit_text(SERVICE), unit);

    // Of a newer heph with the same template, and with one more flag.
    let flag = r#""--mode=local""#;
    let newer = unit
        .replace(
            &format!("[{flag}]"),
            &format!(r#"[{flag},"--from-the-future"]"#),
        )
        .replace(
            &format!(" {flag}\n"),
            &format!(" {flag} \"--from-the-future\"\n"),
        );
    edit(&user, &newer);
    assert_eq!(user.status()["file_state"], "current");
    user.heph("daemon restart")
        .exits(0)
        .complains("--from-the-future");
    assert_eq!(user.status()["flags"], json!({"mode": "local"}));
    assert_eq!(user.unit_text(SERVICE), unit);

    // Of one whose comment this heph cannot read.
    let strange = unit.replace("template 3", "template 9");
    edit(&user, &strange.replace("\"program\"", "\"binary\""));
    assert_eq!(user.status()["file_state"], "newer-template");
    user.heph("daemon restart")
        .exits(1)
        .complains("cannot read the flags");
    user.heph("daemon restart --force --mode=local").exits(0);
    assert_eq!(user.unit_text(SERVICE), unit);
}

fn edit(user: &Machine, text: &str) {
    fs::write(user.unit(SERVICE), text).unwrap();
    user.manager.systemctl("daemon-reload");
}

#[test]
fn the_program_that_the_unit_names_stays_while_it_exists() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    let other = user.path.join("other");
    copy_tree(&user.bin(), &other);
    let restart_from_other = || {
        let heph = user.command(other.join("heph"));
        heph.args("daemon restart").exits(0);
        user.status()["program"].clone()
    };
    assert_eq!(restart_from_other(), json!(user.bin().join("hephd")));
    fs::remove_file(user.bin().join("hephd")).unwrap();
    assert_eq!(restart_from_other(), json!(other.join("hephd")));
}
