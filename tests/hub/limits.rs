//! What a hub does not take.

use std::io::Read;

use flate2::read::GzEncoder;
use serde_json::Value;

use super::http::Http;
use super::{Hub, LARGEST, add, post, request, small_and_large};
use crate::support::memory::peak_memory;

#[test]
fn requests_that_are_none_get_an_answer_that_says_why() {
    let hub = Hub::start("");
    let body = request("01A", &[]).to_string();
    let gzip = "Content-Encoding: gzip";
    let mut other_schema = request("01A", &[]);
    other_schema["schema"] = 2.into();
    let many: Vec<Value> = (0..1001).map(|n| add(n, "x")).collect();
    let plain = |head: &str| format!("{head}\r\nHost: hub\r\n\r\n").into_bytes();
    let table: Vec<(Vec<u8>, u16, &str)> = vec![
        (plain("GET / HTTP/1.1"), 404, "nothing at this path"),
        (plain("GET /v1/sync/ HTTP/1.1"), 404, "nothing at this path"),
        (plain("GET /v1/sync HTTP/1.1"), 405, "another method"),
        (plain("DELETE /metrics HTTP/1.1"), 405, "another method"),
        (
            b"POST /v1/sync HTTP/1.1\r\nHost: hub\r\nContent-Length: 2\r\n\r\n{}".to_vec(),
            415,
            "application/json",
        ),
        (
            post(None, &["Content-Encoding: br"], &body),
            415,
            "neither gzip",
        ),
        (
            post(None, &["Origin: http://evil.example"], &body),
            403,
            "web pages",
        ),
        (post(None, &[gzip], &body), 400, "not gzip"),
        (post(None, &[], "{"), 400, "not a request"),
        (post(None, &[], ""), 400, "not a request"),
        (post(None, &[], "[".repeat(100_000)), 400, "not a request"),
        (
            post(None, &[], other_schema.to_string()),
            400,
            "schema 2; this hub knows 1",
        ),
        (
            post(None, &[], request("", &[]).to_string()),
            400,
            "name its spoke",
        ),
        (
            post(None, &[], request(&"x".repeat(65), &[]).to_string()),
            400,
            "name its spoke",
        ),
        (
            post(None, &[], request("01A", &many).to_string()),
            413,
            "1001 operations",
        ),
    ];
    for (bytes, status, words) in table {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        let mut http = hub.connect();
        http.send(bytes);
        let answer = http.answer();
        assert_eq!(answer.status, status, "{shown}");
        assert!(
            answer.error().contains(words),
            "{shown}: {}",
            answer.error()
        );
    }
    let mut http = hub.connect();
    http.send(plain("PUT /v1/sync HTTP/1.1"));
    assert_eq!(http.answer().header("allow"), Some("POST"));
    // After all that, it serves.
    hub.sync(None, &request("01A", &[]));
}

#[test]
fn bodies_have_a_largest_size_however_they_come() {
    let hub = Hub::start("");
    let too_large = |mut http: Http| {
        let answer = http.answer();
        assert_eq!(answer.status, 413);
        assert!(
            answer.error().contains("4194304 bytes"),
            "{}",
            answer.error()
        );
    };
    // Announced, and sent although it is refused before.
    let mut http = hub.connect();
    http.send(post(None, &[], " ".repeat(LARGEST + 1)));
    too_large(http);
    // Not announced.
    let mut http = hub.connect();
    http.send("POST /v1/sync HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..=LARGEST / 0x10000 {
        http.send(&chunk);
    }
    too_large(http);
    // A bomb: 256 MiB in 256 KiB.
    let mut bomb = Vec::new();
    GzEncoder::new(
        std::io::repeat(b' ').take(256 << 20),
        flate2::Compression::best(),
    )
    .read_to_end(&mut bomb)
    .unwrap();
    assert!(bomb.len() < LARGEST);
    let mut http = hub.connect();
    http.send(post(None, &["Content-Encoding: gzip"], bomb));
    too_large(http);
    // As large as may be.
    let mut largest = request("01A", &[add(1, "x")]).to_string();
    largest.push_str(&" ".repeat(LARGEST - largest.len()));
    let mut http = hub.connect();
    http.send(post(None, &[], largest));
    assert_eq!(http.answer().status, 200);
}

#[test]
fn a_head_has_a_largest_size() {
    let hub = Hub::start("");
    let mut http = hub.connect();
    let long = format!("X-Long: {}", "x".repeat(200_000));
    http.send(post(None, &[&long], "{}"));
    let answer = http.try_answer();
    // The hub may have closed before all was sent, and the answer is lost then.
    assert!(answer.is_none_or(|answer| answer.status == 431));
    hub.sync(None, &request("01A", &[]));
}

#[test]
fn who_asks_too_often_is_told_when_to_come_back() {
    let hub = Hub::start("--sync-rate 3");
    let body = request("01A", &[]);
    for _ in 0..3 {
        hub.sync(None, &body);
    }
    let answer = hub.post(None, &body);
    assert_eq!(answer.status, 429);
    assert!(answer.error().contains("too many"));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(hub.get("/metrics").status, 200, "only syncs are counted");
}

#[test]
fn those_who_say_nothing_make_room_for_those_who_do() {
    let hub = Hub::start("");
    let get = "GET /healthz HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n";
    let mut silent: Vec<Http> = (0..600).map(|_| hub.connect()).collect();
    let answer = hub.post(None, &request("01A", &[add(1, "one")]));
    assert_eq!(answer.status, 200);
    // The last to come are the last to go.
    for http in &mut silent[590..] {
        http.send(get);
        assert_eq!(http.answer().status, 200, "those inside are served");
    }
    assert!(silent[0].at_end(), "the first one made room");
    drop(silent);
    assert_eq!(hub.get("/readyz").status, 200);
}

#[test]
fn a_refused_operation_is_told_and_the_others_are_taken() {
    let hub = Hub::start("");
    let mut bad = add(2, "bad");
    bad["id"] = "no ulid".into();
    let answer = hub.sync(None, &request("01A", &[add(1, "good"), bad]));
    assert_eq!(answer["refused"].as_array().unwrap().len(), 1);
    assert_eq!(answer["refused"][0]["id"], "no ulid");
    assert_eq!(
        super::titles(&hub.sync(None, &request("01B", &[]))),
        ["good"]
    );
}

#[test]
fn small_bodies_that_become_large_ones_take_turns() {
    let hub = Hub::start("");
    let gzip = small_and_large();
    let clients: Vec<Http> = (0..40)
        .map(|_| {
            let mut http = hub.connect();
            http.send(post(None, &["Content-Encoding: gzip"], &gzip));
            http
        })
        .collect();
    assert_eq!(hub.get("/healthz").status, 200, "served in between");
    for mut http in clients {
        let answer = http.answer();
        assert_eq!(answer.status, 200, "{answer:?}");
        let refused = &answer.json()["refused"][0]["reason"];
        assert!(refused.as_str().unwrap().contains("bytes"), "{refused}");
    }
    let peak = peak_memory(hub.process()) >> 20;
    assert!(peak < 512, "{peak} MiB at once");
}
