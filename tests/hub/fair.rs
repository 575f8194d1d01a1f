//! One user is not served at another's expense: memory, connections and time are shared.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::Http;
use super::scene::Scene;
use super::{Hub, LARGEST, add, post, request, small_and_large, titles};
use crate::support::memory::peak_memory;

impl Scene {
    /// Opens connections with a body of mallory's that is announced in full and does not arrive.
    fn slow_bodies(&self, count: usize) -> Vec<Http> {
        let length = format!("Content-Length: {LARGEST}");
        let head = format!(
            "POST /v1/sync HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {}\r\n{length}\r\n\r\n{{",
            self.mallory
        );
        let open = || {
            let mut http = self.hub.connect();
            http.send(&head);
            http
        };
        (0..count).map(|_| open()).collect()
    }

    /// Returns how long bob's sync takes, which must succeed.
    #[track_caller]
    fn bob_syncs(&self, body: &Value) -> Duration {
        let start = Instant::now();
        self.hub.sync(Some(&self.bob), body);
        start.elapsed()
    }
}

#[test]
fn slow_bodies_of_one_user_do_not_refuse_another() {
    let scene = Scene::start("");
    // More than there is room for.
    let mut slow = scene.slow_bodies(20);
    for number in 1..=5 {
        let body = request("01B", &[add(number, "bob's")]);
        let took = scene.bob_syncs(&body);
        assert!(took < Duration::from_secs(4), "{took:?}");
    }
    // One of them had to go, and says when to come back.
    let answer = slow[0].answer();
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert!(
        answer.error().contains("this user has most of them"),
        "{}",
        answer.error()
    );
}

#[test]
fn a_body_as_large_as_may_be_gets_in_beside_slow_ones() {
    let scene = Scene::start("");
    let _slow = scene.slow_bodies(17);
    let mut largest = request("01B", &[add(1, "x")]).to_string();
    largest.push_str(&" ".repeat(LARGEST - largest.len()));
    let mut http = scene.hub.connect();
    http.send(post(Some(&scene.bob), &[], largest));
    assert_eq!(http.answer().status, 200);
}

#[test]
fn slow_bodies_on_every_connection_do_not_keep_another_user_out() {
    let scene = Scene::start("--sync-rate 100000");
    let mut slow = scene.slow_bodies(600);
    for _ in 0..3 {
        let took = scene.bob_syncs(&request("01B", &[]));
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    assert_eq!(scene.hub.get("/readyz").status, 200);
    assert!(
        slow[0]
            .try_answer()
            .is_none_or(|answer| answer.status >= 400)
    );
}

#[test]
fn large_requests_of_one_user_do_not_delay_another() {
    let scene = Scene::start("");
    // Much work for nothing.
    let gzip = small_and_large();
    let start = Instant::now();
    let many: Vec<Http> = (0..24)
        .map(|_| {
            let mut http = scene.hub.connect();
            let encoding = ["Content-Encoding: gzip"];
            http.send(post(Some(&scene.mallory), &encoding, &gzip));
            http
        })
        .collect();
    let took = scene.bob_syncs(&request("01B", &[add(2, "bob's")]));
    for mut http in many {
        assert_eq!(http.answer().status, 200);
    }
    let all = start.elapsed();
    assert!(took < all / 4, "bob waited {took:?} of {all:?}");
}

/// Operations of a thousand bytes each, a page of them.
fn page(from: u32) -> Vec<Value> {
    let title = "x".repeat(900);
    (from..from + 1000).map(|n| add(n, &title)).collect()
}

#[test]
fn clients_of_a_hub_that_never_read_take_little_memory_and_keep_nobody_out() {
    let scene = Scene::start("--sync-rate 100000");
    for from in [0, 1000, 2000] {
        let sent = request("01A", &page(from));
        scene.hub.sync(Some(&scene.mallory), &sent);
    }
    let pull = post(Some(&scene.mallory), &[], request("01Z", &[]).to_string());
    let before = peak_memory(scene.hub.process());
    // Answers of a megabyte each, several of them to each client.
    let _unread: Vec<Http> = (0..256)
        .map(|_| {
            let mut http = scene.hub.connect();
            http.send(pull.repeat(8));
            http
        })
        .collect();
    for number in 0..10 {
        scene.bob_syncs(&request("01B", &[add(5000 + number, "bob's")]));
    }
    let grown = (peak_memory(scene.hub.process()) - before) >> 20;
    assert!(grown <= 64, "{grown} MiB more");
    let all = scene.hub.sync(Some(&scene.bob), &request("01C", &[]));
    assert_eq!(titles(&all).len(), 10);
}

#[test]
fn clients_of_the_socket_that_never_read_take_little_memory_and_keep_nobody_out() {
    let hub = Hub::start("");
    // Answers of 400 kB each, 100 MB together. A build for tests takes some seconds to make so many.
    hub.sync(None, &request("01A", &page(0)[..400]));
    let list = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"task.list\"}\n";
    let whole = hub.call("task.list", json!({}));
    assert_eq!(whole["tasks"].as_array().unwrap().len(), 400);
    let before = peak_memory(hub.process());
    let unread: Vec<UnixStream> = (0..255)
        .map(|_| {
            let mut stream = UnixStream::connect(hub.socket()).unwrap();
            stream.write_all(list).unwrap();
            stream
        })
        .collect();
    for _ in 0..3 {
        assert_eq!(hub.list().as_array().unwrap().len(), 400);
    }
    let grown = (peak_memory(hub.process()) - before) >> 20;
    assert!(grown <= 64, "{grown} MiB more");
    drop(unread);
    assert_eq!(hub.call("task.list", json!({})), whole);
}
