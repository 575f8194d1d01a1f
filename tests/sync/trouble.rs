//! Hubs that hang, break off, redirect, refuse, or are none: hephd serves all the while, and says what is wrong.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::json;

use super::{SYNC, answer, well};
use crate::support::http::{Reply, Server};
use crate::support::node::{Node, free_address};
#[test]
fn a_hub_that_never_answers_stalls_neither_tasks_nor_the_end() {
    let hub = Server::start(|_| Reply::Silence);
    let mut spoke = Node::spoke(&hub.url());
    hub.wait_for(1);
    let id = spoke.add("while the hub hangs");
    assert_eq!(spoke.list()[0]["id"], id.as_str());
    spoke.heph(&["done", &id]).succeeds();
    let status = spoke.sync_status();
    assert!(status["next_attempt"].is_null(), "under way: {status}");
    assert!(status["last_success"].is_null(), "{status}");

    let mut waiting = spoke.wire();
    waiting.send(crate::support::daemon::request(7, "sync.now", json!({})));
    spoke.signal(Signal::TERM);
    let answer = waiting.receive().unwrap();
    assert_eq!(
        answer["error"]["message"], "hephd is shutting down",
        "{answer}"
    );
    assert_eq!(spoke.wait().code(), Some(0));
    let log = spoke.log();
    assert!(log.contains("hephd has shut down"), "{log}");
    assert!(!log.contains("gave up"), "nothing was waited for: {log}");
}

#[test]
fn a_hub_that_never_answers_is_given_up_after_half_a_minute() {
    let hub = Server::start(|_| Reply::Silence);
    let spoke = Node::spoke(&hub.url());
    let words = "timed out after 30 s";
    spoke.heph("sync now").exits(75).complains(words);
    let error = spoke.sync_status()["last_error"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(error.contains(words), "{error}");
}

#[test]
fn half_an_answer_is_asked_for_again_and_counts_for_nothing() {
    let half = |bytes: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            bytes.len()
        );
        let mut whole = head.into_bytes();
        whole.extend(&bytes[..bytes.len() / 2]);
        Reply::Bytes(whole)
    };
    let page = answer().to_string();
    let hub = Server::start(move |_| half(page.as_bytes()));
    let spoke = Node::spoke(&hub.url());
    let ended = spoke.heph("sync now").exits(75);
    ended.complains("was cut off");
    assert!(hub.seen().len() > 2, "it was asked again");
    assert!(spoke.sync_status()["last_success"].is_null());
    hub.script(SYNC, well());
    spoke.heph("sync now").succeeds();
}

#[test]
fn an_answer_without_a_length_that_ends_in_the_middle_is_cut_off_as_well() {
    let page = answer().to_string();
    let hub = Server::start(move |_| {
        let half = &page[..page.len() / 2];
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
        Reply::Bytes(format!("{head}{half}").into_bytes())
    });
    let spoke = Node::spoke(&hub.url());
    let ended = spoke.heph("sync now").exits(75);
    ended.complains("was cut off");
}

#[test]
fn a_hub_that_restarts_in_the_middle_of_a_call_is_no_failure() {
    let hub = Server::start(|_| well());
    let broken = Reply::Bytes(Vec::new());
    hub.scripts(SYNC, [vec![broken; 3], vec![well()]].concat());
    let spoke = Node::spoke(&hub.url());
    spoke.heph("sync now").succeeds();
    let bodies: Vec<_> = hub.seen().iter().map(|seen| seen.json()).collect();
    assert_eq!(bodies[0], bodies[3], "the same request, four times");
    let log = spoke.log();
    assert!(!log.contains("cannot sync"), "{log}");
}

#[test]
fn nobody_there_is_not_reached() {
    let spoke = Node::spoke(&format!("http://{}", free_address()));
    spoke.add("while the hub is away");
    let ended = spoke.heph("sync now").exits(75);
    ended.complains("cannot reach 127.");
    let status = spoke.sync_status();
    assert!(status["next_attempt"].is_string(), "it goes on: {status}");
    let log = spoke.log();
    assert_eq!(log.matches("cannot sync").count(), 1, "told once: {log}");
}

#[test]
fn what_is_no_hub_is_called_so() {
    let html = [("Content-Type", "text/html; charset=utf-8")];
    let page = Reply::with(200, &html, "<html><title>A router</title></html>");
    let hub = Server::start(move |_| page.clone());
    let spoke = Node::spoke(&hub.url());
    let ended = spoke.heph("sync now").exits(1);
    let ended = ended.complains("is not a hub: it sent text/html");
    ended.complains("hint: `heph daemon restart --hub-url URL`");
    hub.script(SYNC, Reply::with(404, &[], "no such page"));
    let ended = spoke.heph("sync now").exits(1);
    ended.complains("is not a hub: it sent status 404");
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Server::start(|_| well());
    let target = format!("{}/v1/sync", elsewhere.url());
    for status in [301, 302, 303, 307, 308] {
        let target = target.clone();
        let hub = Server::start(move |_| Reply::with(status, &[("Location", &target)], ""));
        let spoke = Node::spoke(&hub.url());
        let ended = spoke.heph("sync now").exits(1);
        ended.complains("redirects to 'http://127.0.0.1:");
    }
    assert_eq!(elsewhere.seen().len(), 0, "nothing goes there");
}

#[test]
fn a_hub_that_asks_to_be_left_alone_is() {
    for status in [429, 503] {
        let hub = Server::start(move |_| Reply::with(status, &[("Retry-After", "120")], ""));
        let before = Timestamp::now();
        let spoke = Node::spoke(&hub.url());
        let status = spoke.wait_until(|status| status["last_error"].is_string());
        let next: Timestamp = status["next_attempt"].as_str().unwrap().parse().unwrap();
        let pause = next.duration_since(before).as_secs();
        assert!((115..=300).contains(&pause), "{pause} s, {status}");
        // Neither a write nor a person hastens it.
        spoke.add("meanwhile");
        let asked = hub.seen().len();
        spoke.heph("sync now").exits(75).complains("the hub");
        assert_eq!(hub.seen().len(), asked);
    }
}

#[test]
fn a_short_pause_is_waited_for() {
    let hub = Server::start(|_| well());
    let pause = Reply::with(503, &[("Retry-After", "2")], "");
    hub.scripts(SYNC, vec![pause, well()]);
    let spoke = Node::spoke(&hub.url());
    hub.wait_for(1);
    spoke.wait_until(|status| {
        status["last_error"].is_string() || status["last_success"].is_string()
    });
    spoke.heph("sync now").succeeds().says("in sync");
}

#[test]
fn a_hubs_own_words_are_passed_on() {
    let body = json!({ "error": "the subject 'x' has no place here", "hint": "ask the owner" });
    let hub = Server::start(move |_| Reply::json(403, &body));
    let spoke = Node::spoke(&hub.url());
    let ended = spoke.heph("sync now").exits(1);
    let ended = ended.complains("denies access\n  because: the subject 'x' has no place here");
    ended.complains("hint: ask the owner");
}

#[test]
fn a_hub_that_wants_a_login_names_the_flags() {
    let hub = Server::start(|_| Reply::with(401, &[("WWW-Authenticate", "Bearer")], ""));
    let spoke = Node::spoke(&hub.url());
    let ended = spoke.heph("sync now").exits(1);
    ended
        .complains("requires a login")
        .complains("--oidc-issuer");
}

#[test]
fn an_answer_that_unpacks_to_more_than_fits_is_refused() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![b' '; 64 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    let headers = [
        ("Content-Type", "application/json"),
        ("Content-Encoding", "gzip"),
    ];
    let reply = Reply::with(200, &headers, bomb);
    let hub = Server::start(move |_| reply.clone());
    let spoke = Node::spoke(&hub.url());
    let ended = spoke.heph("sync now").exits(1);
    ended.complains("is larger than 8388608 bytes");
}

#[test]
fn a_hub_that_would_never_end_is_called_confused() {
    let hub = Server::start(|_| {
        let mut endless = answer();
        endless["more"] = json!(true);
        Reply::json(200, &endless)
    });
    let spoke = Node::spoke(&hub.url());
    let ended = spoke.heph("sync now").exits(1);
    ended.complains("promises more operations and sends none");
    let mut forgetful = answer();
    forgetful["reset"] = json!(true);
    hub.script(SYNC, Reply::json(200, &forgetful));
    let ended = spoke.heph("sync now").exits(1);
    ended.complains("keeps resetting the sync");
}

#[test]
fn a_clock_that_is_far_from_the_hubs_is_worth_one_line_of_the_log() {
    let hub = Server::start(|_| {
        let headers = [
            ("Content-Type", "application/json"),
            ("Date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ];
        Reply::with(200, &headers, answer().to_string())
    });
    let spoke = Node::spoke(&hub.url());
    for _ in 0..3 {
        spoke.heph("sync now").succeeds();
    }
    let log = spoke.log();
    let told = log.matches("the clock of this machine is ").count();
    assert_eq!(told, 1, "{log}");
}

#[test]
fn requests_are_compressed_json_for_the_path_below_the_address() {
    let hub = Server::start(|_| well());
    let spoke = Node::spoke(&format!("{}/team/heph/", hub.url()));
    spoke.heph("sync now").succeeds();
    let seen = &hub.seen()[0];
    assert_eq!(seen.line, "POST /team/heph/v1/sync HTTP/1.1");
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("content-encoding"), Some("gzip"));
    assert!(seen.header("accept-encoding").unwrap().contains("gzip"));
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.json()["schema"], 1);
    assert_eq!(seen.json()["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_proxy_that_takes_no_large_requests_is_tried_with_smaller_ones_before_it_is_blamed() {
    let hub = Server::start(|_| Reply::with(413, &[("Content-Type", "text/html")], "<html>"));
    let spoke = Node::spoke(&hub.url());
    let ended = spoke.heph("sync now").exits(1);
    let ended = ended.complains("rejects requests of this size");
    ended.complains("client_max_body_size");
    assert!(hub.seen().len() > 4, "{} requests", hub.seen().len());
}
