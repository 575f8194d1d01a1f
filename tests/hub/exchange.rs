//! What spokes send each other through a hub.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::{Hub, add, post, request, titles};

#[test]
fn two_spokes_and_the_hub_itself_have_the_same_tasks() {
    let hub = Hub::start("");
    let mut socket = hub.wire();
    socket.call("task.add", json!({"title": "the hub's own"}));

    let first = hub.sync(None, &request("01A", &[add(1, "one"), add(2, "two")]));
    assert_eq!(first["refused"], json!([]));
    assert_eq!(first["reset"], false);
    assert_eq!(titles(&first), ["the hub's own"], "not what it sent itself");

    let second = hub.sync(None, &request("01B", &[add(3, "three")]));
    assert_eq!(titles(&second), ["the hub's own", "one", "two"]);

    // The first one goes on where it was.
    let mut next = request("01A", &[]);
    for member in ["epoch", "cursor", "sent"] {
        next[member] = first[member].clone();
    }
    assert_eq!(titles(&hub.sync(None, &next)), ["three"]);

    assert_eq!(hub.titles(), ["one", "the hub's own", "three", "two"]);
    let status = hub.heph("daemon status --json").succeeds().out;
    assert!(status.contains("\"mode\": \"server\""), "{status}");
}

#[test]
fn what_is_sent_twice_is_taken_once() {
    let hub = Hub::start("");
    let once = request("01A", &[add(1, "one")]);
    let first = hub.sync(None, &once);
    let again = hub.sync(None, &once);
    assert_eq!(first["sent"], again["sent"]);
    assert_eq!(again["refused"], json!([]));
    let all = hub.sync(None, &request("01B", &[]));
    assert_eq!(titles(&all), ["one"]);
}

#[test]
fn a_spoke_of_another_hub_is_told_to_begin_anew() {
    let hub = Hub::start("");
    let mut lost = request("01A", &[add(1, "one")]);
    lost["epoch"] = "01HF7Z00000000000000000000".into();
    let answer = hub.sync(None, &lost);
    assert_eq!(answer["reset"], true);
    assert_eq!(titles(&hub.sync(None, &request("01B", &[]))), [""; 0]);
}

#[test]
fn a_page_is_as_small_as_a_spoke_on_a_slow_link_asks_for() {
    let hub = Hub::start("");
    let many: Vec<Value> = (0..100).map(|n| add(n, &"x".repeat(1000))).collect();
    hub.sync(None, &request("01A", &many));
    let page = |bytes: Value| {
        let mut pull = request("01B", &[]);
        pull["page_bytes"] = bytes;
        let answer = hub.sync(None, &pull);
        (titles(&answer).len(), answer["more"].as_bool().unwrap())
    };
    let (few, more) = page(json!(10_000));
    assert!((5..15).contains(&few) && more, "{few}");
    // One operation is the least, and a megabyte the most.
    assert_eq!(page(json!(0)), (1, true));
    assert_eq!(page(json!(1 << 30)), (100, false));
    assert_eq!(page(json!(null)), (100, false));
}

#[test]
fn bodies_are_compressed_both_ways_and_a_connection_serves_many_requests() {
    let hub = Hub::start("");
    let mut http = hub.connect();
    let many: Vec<Value> = (0..500).map(|n| add(n, &format!("task {n}"))).collect();
    let body = request("01A", &many).to_string();
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(body.as_bytes(), flate2::Compression::fast())
        .read_to_end(&mut packed)
        .unwrap();
    http.send(post(None, &["Content-Encoding: gzip"], packed));
    let answer = http.answer();
    assert_eq!(
        (answer.status, answer.json()["refused"].clone()),
        (200, json!([]))
    );

    let pull = request("01B", &[]).to_string();
    http.send(post(None, &["Accept-Encoding: br, gzip"], &pull));
    let answer = http.answer();
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let mut plain = String::new();
    GzDecoder::new(&answer.body[..])
        .read_to_string(&mut plain)
        .unwrap();
    let unpacked: Value = serde_json::from_str(&plain).unwrap();
    assert_eq!(titles(&unpacked).len(), 500);

    http.send(post(None, &[], &pull));
    let answer = http.answer();
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.json(), unpacked);
}

#[test]
fn the_numbers_of_a_hub_name_nobody() {
    let hub = Hub::start("");
    hub.sync(None, &request("01SPOKE", &[add(1, "a secret title")]));
    hub.get("/nowhere");
    assert_eq!(hub.get("/healthz").text(), "ok\n");
    assert_eq!(hub.get("/readyz").text(), "ok\n");
    let page = hub.get("/metrics");
    assert_eq!(
        page.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let page = page.text();
    for line in [
        "heph_hub_requests_total{path=\"/v1/sync\",status=\"200\"} 1",
        "heph_hub_requests_total{path=\"other\",status=\"404\"} 1",
        "heph_hub_requests_total{path=\"/readyz\",status=\"200\"} 1",
        "heph_hub_operations_accepted_total 1",
        "heph_hub_sync_lag_seconds_count 1",
        "heph_hub_spokes{version=\"9.9.9\"} 1",
        "heph_store_operations 1",
    ] {
        assert!(
            page.lines().any(|found| found == line),
            "no {line} in\n{page}"
        );
    }
    let bytes = page
        .lines()
        .find_map(|line| line.strip_prefix("heph_store_bytes "));
    assert!(bytes.unwrap().parse::<u64>().unwrap() > 4096);
    assert!(
        !page.contains("secret") && !page.contains("01SPOKE"),
        "{page}"
    );
    let log = hub.log();
    assert!(
        log.contains("event=sync spoke=01SPOKE version=9.9.9 received=1 accepted=1"),
        "{log}"
    );
}
