//! Whether a host could not be reached is what cargo concludes, with the real cargo against a forge that serves heph and not it.

use super::scene::Scene;
use crate::support::call::Call;
use crate::support::forge::PROJECT;
use crate::support::http::Reply;

/// The forge advertises its tags once, to heph, and gives cargo `reply`.
fn with_reply(reply: Reply) -> Scene {
    let mut scene = Scene::new();
    scene.publish("1.1.0");
    // Retries change nothing here but the time that this takes.
    scene.set("CARGO_NET_RETRY", "0");
    let advertisement = format!("/{PROJECT}/info/refs");
    scene
        .forge
        .scripts(&advertisement, vec![Reply::Normal, reply]);
    scene
}

#[test]
fn a_server_that_asks_for_a_later_try_or_hangs_up_is_unreachable_and_nothing_waits() {
    for reply in [
        Reply::with(503, &[], "busy"),
        Reply::with(429, &[], "slow down"),
        Reply::Bytes(Vec::new()),
    ] {
        let scene = with_reply(reply.clone());
        let report = scene.timer().reports(75, "unreachable");
        report.because(&["a host cannot be reached"]);
        assert!(scene.failed_build().is_null(), "{reply:?}");
        assert!(scene.quarantined().is_empty());
    }
}

#[test]
fn a_server_that_rejects_the_request_is_a_failure() {
    let headers = [("WWW-Authenticate", "Basic realm=\"forge\"")];
    for reply in [
        Reply::with(404, &[], "no such repository"),
        Reply::with(401, &headers, "who are you?"),
        Reply::with(403, &[], "not you"),
    ] {
        let scene = with_reply(reply.clone());
        scene.timer().reports(1, "failed");
        assert!(scene.quarantined().is_empty(), "{reply:?}");
        let status = scene.failed_build();
        assert_eq!(status["version"], "1.1.0", "{reply:?}");
        scene.timer().reports(0, "skipped");
    }
}

#[test]
fn a_repository_that_this_cargo_cannot_read_is_a_failure() {
    let scene = Scene::new();
    let bare = scene.forge.bare(PROJECT);
    std::fs::remove_dir_all(&bare).unwrap();
    let git = |words: &str| Call::of("git").args(words);
    for folder in [&scene.tree.folder, &bare] {
        let dot_git = folder.join(".git");
        drop(std::fs::remove_dir_all(dot_git));
        std::fs::create_dir_all(folder).unwrap();
        let kind = if *folder == bare { "--bare" } else { "--quiet" };
        let init = git("init --quiet --object-format=sha256 --initial-branch=main");
        init.args(&[kind]).current_dir(folder).exits(0);
    }
    scene.publish("1.1.0");
    let report = scene.timer().reports(1, "failed");
    report.because(&["cannot build v1.1.0"]);
    assert!(scene.quarantined().is_empty());
}
