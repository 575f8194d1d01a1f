//! Where nothing manages services.

use serde_json::Value;

use crate::support::home::Home;

#[test]
fn every_verb_that_needs_a_manager_says_what_to_run_instead() {
    let lonely = Home::new().with_commands();
    for verb in ["start", "stop", "restart", "uninstall"] {
        lonely
            .heph(&format!("daemon {verb}"))
            .exits(1)
            .complains("no service manager")
            .complains("run `hephd` by hand");
    }
    lonely.configure("service-manager = \"none\"\n");
    lonely
        .heph("daemon start")
        .exits(1)
        .complains("config.toml")
        .complains("run `hephd` by hand");
    lonely.configure("service-manager = \"systemd\"\n");
    lonely
        .heph("daemon start")
        .exits(1)
        .complains("does not answer")
        .complains("XDG_RUNTIME_DIR");
    let status = lonely.status();
    let problem = status["problem"].as_str().unwrap();
    assert!(problem.contains("does not answer"), "{problem}");
}

#[test]
fn status_and_logs_work_all_the_same() {
    let lonely = Home::new().with_commands();
    let status = lonely.status();
    assert_eq!(status["manager"], Value::Null);
    assert_eq!(status["installed"], false);
    assert_eq!(status["running"], false);
    lonely
        .heph("daemon status")
        .exits(0)
        .says("not running")
        .says("no service manager");

    let by_hand = lonely.start("");
    let status = lonely.status();
    assert_eq!(status["managed"], false);
    assert_eq!(status["pid"], by_hand.pid());
    by_hand.stop();

    lonely.write(".local/share/heph/hephd.log", "a line\n");
    lonely.heph("daemon logs").exits(0).says("a line");
}
