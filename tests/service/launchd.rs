//! Under a launchctl for tests that is as awkward as the real one.

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use crate::support::home::Home;
use crate::support::mac::Mac;
use crate::support::wait::eventually;

#[test]
fn the_life_of_an_agent() {
    let mac = Mac::new();
    mac.heph("daemon start --mode local").exits(0);
    assert_eq!(mac.asked(), ["bootstrap"]);
    let first = mac.status();
    assert_eq!(first["manager"], "launchd");
    assert_eq!(first["managed"], true);
    assert_eq!(first["file_state"], "current");
    assert_eq!(first["file"], json!(mac.agent("hephd")));
    for key in ["socket_file", "socket_file_state", "socket_held"] {
        assert_eq!(first[key], json!(null), "launchd holds no socket");
    }
    mac.heph("daemon start").exits(0).says("already");
    assert_eq!(mac.pid(), first["pid"].as_i64().unwrap());

    mac.asked();
    let agent = fs::read_to_string(mac.agent("hephd")).unwrap();
    mac.heph("daemon restart").exits(0);
    assert_eq!(
        mac.asked(),
        ["kickstart"],
        "an unchanged agent is not loaded anew"
    );
    assert_ne!(mac.status()["pid"], first["pid"]);
    assert_eq!(fs::read_to_string(mac.agent("hephd")).unwrap(), agent);

    mac.heph("daemon restart --oidc-audience 'a & <b>'")
        .exits(0);
    let asked = mac.asked();
    assert_eq!(asked[0], "bootout");
    assert!(
        asked.len() > 2 && asked[1..].iter().all(|verb| verb == "bootstrap"),
        "a busy launchd is asked again: {asked:?}"
    );
    let flags = json!({"mode": "local", "oidc-audience": "a & <b>"});
    assert_eq!(mac.status()["flags"], flags);

    mac.heph("daemon stop").exits(0).says("next login");
    assert_eq!(mac.status()["running"], false);
    mac.heph("daemon stop").exits(0).says("was not running");
    mac.heph("daemon start").exits(0);
    assert_eq!(mac.status()["flags"], flags);
    mac.heph("daemon uninstall").exits(0).says("removed");
    assert!(!mac.agent("hephd").exists());
    assert_eq!(mac.status()["running"], false);
    mac.heph("daemon uninstall")
        .exits(0)
        .says("was not installed");
}

#[test]
fn without_a_login_on_the_screen_the_user_domain_serves() {
    let mac = Mac::new().without_a_screen();
    mac.heph("daemon start").exits(0);
    assert!(mac.launchd().join("user/loaded").exists());
    mac.heph("daemon restart --mode local").exits(0);
    // The user logs in on the screen: the job stays where it is, and is not loaded twice.
    fs::remove_file(mac.launchd().join("no-gui")).unwrap();
    mac.heph("daemon restart --unset mode").exits(0);
    assert!(mac.launchd().join("user/loaded").exists());
    assert!(!mac.launchd().join("gui/loaded").exists());
    mac.heph("daemon uninstall").exits(0);
    assert!(!mac.launchd().join("user/loaded").exists());
}

#[test]
fn a_home_that_takes_markup_apart_works_like_any_other() {
    let mac = Mac::of(Home::named("jo's \"é\" & <co> 100%").with_commands());
    mac.heph("daemon start").exits(0);
    mac.heph("daemon restart").exits(0);
    let status = mac.status();
    assert_eq!(status["managed"], true);
    assert_eq!(status["program"], json!(mac.bin().join("hephd")));
}

#[test]
fn an_agent_made_by_hand_is_left_alone_unless_forced() {
    let mac = Mac::new();
    let by_hand = "<plist version=\"1.0\"><dict></dict></plist>\n";
    fs::create_dir_all(mac.agent("hephd").parent().unwrap()).unwrap();
    fs::write(mac.agent("hephd"), by_hand).unwrap();
    for verb in ["start", "restart", "uninstall"] {
        mac.heph(&format!("daemon {verb}"))
            .exits(1)
            .complains("--force");
    }
    assert_eq!(fs::read_to_string(mac.agent("hephd")).unwrap(), by_hand);
    assert!(mac.asked().is_empty());
    mac.heph("daemon start --force").exits(0);
}

#[test]
fn a_hephd_that_cannot_start_fails_with_its_last_words() {
    let mac = Mac::new();
    mac.write(
        ".local/share/heph/heph.db",
        "this is no store\n".repeat(500),
    );
    mac.heph("daemon start --wait 3s")
        .exits(1)
        .complains("hephd did not come up; it logged:")
        .complains("heph.db");
}

#[test]
fn a_killed_hephd_comes_back() {
    let mac = Mac::new();
    mac.heph("daemon start").exits(0);
    let before = mac.pid();
    mac.signal(Signal::KILL);
    eventually("hephd comes back", || {
        let status = mac.status();
        status["managed"] == true && status["version"].is_string() && status["pid"] != json!(before)
    });
}
