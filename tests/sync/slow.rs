//! Slow links. They take their time, so these tests run side by side with the others.

use std::time::Duration;

use serde_json::json;

use crate::support::node::Node;
use crate::support::slow_link::SlowLink;
use crate::support::wait::until;

/// 64 kbit/s, in bytes.
const SPEED: u32 = 8_000;

/// Returns `count` titles of 600 letters, which do not compress well, by a generator of Marsaglia's.
fn letters(count: usize) -> Vec<String> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        char::from(letters[(state >> 32) as usize % letters.len()])
    };
    let mut title = || -> String { (0..600).map(|_| letter()).collect() };
    (0..count).map(|_| title()).collect()
}

/// Returns a machine without a hub that has tasks with these titles.
fn with_tasks(titles: &[String]) -> Node {
    let node = Node::with("");
    let mut wire = node.wire();
    for title in titles {
        wire.call("task.add", json!({ "title": title }));
    }
    node
}

/// Starts it again as a spoke of the hub at the other end of `link`.
fn join(node: &mut Node, link: &SlowLink) {
    node.stop();
    node.set_flags(&[format!("--hub-url={}", link.url())]);
    node.start();
}

/// Waits, for some minutes, until the node has so many tasks.
fn wait_for_tasks(node: &Node, count: usize) {
    until(Duration::from_secs(300), || match node.tasks().len() {
        there if there == count => Ok(()),
        there => Err(format!("{there} of {count}: {}", node.log())),
    });
}

#[test]
fn nine_hundred_long_titles_get_through_64_kbit_a_second_both_ways() {
    let titles = letters(900);
    let mut writer = with_tasks(&titles);
    let hub = Node::hub();
    let [up, down] = [(); 2].map(|()| SlowLink::to(&hub.address, SPEED));
    join(&mut writer, &up);
    let reader = Node::spoke(&down.url());
    wait_for_tasks(&reader, titles.len());
    let status = writer.wait_until(|status| status["pending"] == 0);
    assert_eq!(status["last_error"], json!(null), "{}", writer.log());
    // Compressed it is half a megabyte; nothing of it went twice.
    assert!(up.sent() < 600_000, "{} bytes", up.sent());
}

#[test]
fn a_page_that_timed_out_is_followed_by_smaller_ones() {
    let titles = letters(100);
    let mut writer = with_tasks(&titles);
    let hub = Node::hub();
    // What there is would fit one page, for which this link takes more than the half minute.
    let link = SlowLink::to(&hub.address, 1_400);
    join(&mut writer, &link);
    until(
        Duration::from_secs(300),
        || match writer.sync_status()["pending"].as_u64() {
            Some(0) => Ok(()),
            pending => Err(format!("{pending:?}: {}", writer.log())),
        },
    );
    let log = writer.log();
    // Whichever side was the first to give up.
    let timed_out = ["timed out after 30 s", "did not arrive within 30 s"];
    assert!(timed_out.iter().any(|words| log.contains(words)), "{log}");
    assert_eq!(hub.tasks().len(), titles.len());
}

#[test]
fn a_page_that_is_fetched_too_slowly_is_followed_by_smaller_ones() {
    let titles = letters(100);
    let mut writer = with_tasks(&titles);
    let hub = Node::hub();
    writer.stop();
    writer.set_flags(&[format!("--hub-url={}", hub.url())]);
    writer.start();
    writer.wait_until(|status| status["pending"] == 0 && status["last_success"].is_string());
    let link = SlowLink::to(&hub.address, 1_400);
    let reader = Node::spoke(&link.url());
    wait_for_tasks(&reader, titles.len());
    assert!(
        reader.log().contains("timed out after 30 s"),
        "{}",
        reader.log()
    );
}
