//! Downloads that break off, go on, and meet servers that know better.

use std::fs;

use super::kit::{Kit, TAG, archive, stem};
use crate::support::disk::Disk;
use crate::support::files::entries;
use crate::support::forge::Served;
use crate::support::http::Reply;

/// Returns an archive of some size, for a download to break off in: behind it is an empty stream of gzip, again and again.
pub fn large() -> Vec<u8> {
    let mut bytes = archive("1.0.0", "tar.gz");
    let empty = [
        31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    bytes.extend(empty.repeat(10_000));
    bytes
}

/// Publishes such an archive; returns its name, path and bytes.
fn published(kit: &Kit) -> (String, String, Vec<u8>) {
    let bytes = large();
    let path = kit.publish("tar.gz", &bytes);
    (format!("{}.tar.gz", stem()), path, bytes)
}

/// An answer that announces everything and sends a part.
fn cut_off(bytes: &[u8], sent: usize) -> Reply {
    let file = Served::new(bytes);
    let etag = file.etag.unwrap();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nETag: {etag}\r\nContent-Length: {}\r\n\r\n",
        bytes.len()
    )
    .into_bytes();
    answer.extend(&bytes[..sent]);
    Reply::Bytes(answer)
}

/// Returns what a run with this exit code reports.
fn outcome(code: i32) -> &'static str {
    match code {
        75 => "unreachable",
        _ => "failed",
    }
}

#[test]
fn one_that_breaks_off_goes_on_with_the_next_run() {
    let kit = Kit::new();
    let (name, path, bytes) = published(&kit);
    kit.forge
        .scripts(&path, vec![cut_off(&bytes, 70_000), Reply::Normal]);
    kit.assert_refused(75, "unreachable", "");
    assert!(kit.quarantined().is_empty());
    let partial = kit.downloads().join(format!("{name}.partial"));
    assert_eq!(fs::read(&partial).unwrap(), bytes[..70_000]);

    kit.forge.forget();
    kit.assert_updates();
    let again = kit.forge.seen().into_iter().find(|seen| seen.path == path);
    assert_eq!(again.unwrap().headers["range"], "bytes=70000-");
    assert!(entries(&kit.downloads()).is_empty());
}

#[test]
fn a_server_that_ignores_ranges_starts_over() {
    let kit = Kit::new();
    let (_, path, bytes) = published(&kit);
    kit.forge
        .scripts(&path, vec![cut_off(&bytes, 70_000), Reply::Normal]);
    kit.apply();
    kit.forge.serve(
        &path,
        Served {
            ranges: false,
            ..Served::new(&bytes)
        },
    );
    kit.assert_updates();
}

#[test]
fn a_part_of_another_file_is_thrown_away() {
    let kit = Kit::new();
    let (_, path, bytes) = published(&kit);
    let mut other = bytes.clone();
    other[100] ^= 1;
    kit.forge
        .scripts(&path, vec![cut_off(&other, 70_000), Reply::Normal]);
    kit.apply();
    // The validator is another one now, so the server sends all.
    kit.assert_updates();
}

#[test]
fn a_part_that_a_crash_has_spoilt_is_fetched_again() {
    let kit = Kit::new();
    let (name, path, bytes) = published(&kit);
    kit.forge
        .scripts(&path, vec![cut_off(&bytes, 70_000), Reply::Normal]);
    kit.apply();
    let partial = kit.downloads().join(format!("{name}.partial"));
    let mut spoilt = fs::read(&partial).unwrap();
    spoilt[1000..].fill(0);
    fs::write(&partial, spoilt).unwrap();
    kit.assert_updates();
}

#[test]
fn without_a_strong_validator_there_is_no_going_on() {
    let kit = Kit::new();
    let (_, path, bytes) = published(&kit);
    let Reply::Bytes(mut answer) = cut_off(&bytes, 70_000) else {
        unreachable!()
    };
    answer.splice(17..17, b"X-".iter().copied());
    kit.forge
        .scripts(&path, vec![Reply::Bytes(answer), Reply::Normal]);
    kit.apply().exits(75);
    kit.forge.forget();
    kit.assert_updates();
    let again = kit.forge.seen().into_iter().find(|seen| seen.path == path);
    assert!(!again.unwrap().headers.contains_key("range"));
}

#[test]
fn what_a_newer_release_overtakes_is_removed() {
    let kit = Kit::new();
    fs::create_dir_all(kit.downloads()).unwrap();
    fs::write(kit.downloads().join("heph-v0.9.0.tar.gz.partial"), "x").unwrap();
    published(&kit);
    kit.assert_updates();
    assert!(entries(&kit.downloads()).is_empty());
}

#[test]
#[allow(clippy::print_stdout, reason = "names the row, where it fails")]
fn answers_that_are_no_download_leave_everything_as_it_is() {
    let partial = |kit: &Kit| {
        let (name, path, bytes) = published(kit);
        kit.forge
            .scripts(&path, vec![cut_off(&bytes, 70_000), Reply::Normal]);
        kit.apply();
        let there = kit.downloads().join(format!("{name}.partial"));
        assert!(there.exists());
        (path, bytes)
    };
    let head = |line: &str, more: &str| {
        Reply::Bytes(format!("HTTP/1.1 {line}\r\n{more}\r\n\r\nxxxxxxxx").into_bytes())
    };
    let other_range = "Content-Length: 8\r\nContent-Range: bytes 0-7/8";
    let rows = [
        (
            "another part",
            head("206 Partial", other_range),
            1,
            "another part",
        ),
        (
            "a part of nothing known",
            head("206 Partial", "Content-Length: 8"),
            1,
            "another part",
        ),
        (
            "larger than listed",
            head("200 OK", "Content-Length: 999999"),
            1,
            "lists the file with",
        ),
        (
            "larger than allowed",
            head("200 OK", "Content-Length: 99999999999"),
            1,
            "at most",
        ),
        (
            "no length",
            head("200 OK", "X: y"),
            1,
            "does not say how large",
        ),
        (
            "chunks",
            head("200 OK", "Transfer-Encoding: chunked"),
            1,
            "does not say how large",
        ),
        ("nothing", head("200 OK", "Content-Length: 0"), 1, "empty"),
        (
            "a length of no number",
            head("200 OK", "Content-Length: -5"),
            1,
            "",
        ),
        ("gone", head("404 Not Found", "Content-Length: 8"), 1, "404"),
        (
            "forbidden",
            head("403 Forbidden", "Content-Length: 8"),
            1,
            "403",
        ),
        ("busy", head("503 Busy", "Content-Length: 8"), 75, "503"),
        (
            "too many",
            head("429 Slow Down", "Content-Length: 8"),
            75,
            "429",
        ),
        (
            "a redirect to http",
            head("302 Found", "Location: http://forge.example/x"),
            1,
            "http",
        ),
        ("the end at once", Reply::Bytes(Vec::new()), 75, ""),
    ];
    for (name, script, expected, words) in rows {
        let kit = Kit::new();
        let (path, _) = partial(&kit);
        kit.forge.script(&path, script);
        println!("{name}");
        kit.assert_refused(expected, outcome(expected), words);
        assert!(
            kit.quarantined().is_empty(),
            "{name}: the release is not to blame"
        );
    }
}

#[test]
fn a_list_of_checksums_that_cannot_be_fetched_is_no_reason_to_do_without() {
    for (status, expected) in [(404, 1), (500, 75)] {
        let kit = Kit::new();
        published(&kit);
        let path = format!(
            "/{}/releases/download/{TAG}/SHA256SUMS",
            crate::support::forge::PROJECT
        );
        kit.forge.script(&path, Reply::with(status, &[], ""));
        kit.assert_refused(expected, outcome(expected), "");
        assert!(kit.quarantined().is_empty());
    }
}

#[test]
fn a_disk_that_is_too_small_is_named_before_anything_is_written() {
    let kit = Kit::new();
    let (name, ..) = published(&kit);
    let _disk = Disk::small(&kit.downloads(), "size=64k");
    let before = kit.installation();
    kit.apply()
        .exits(1)
        .complains("cannot download a release below")
        .complains("hint: make room");
    assert_eq!(kit.installation(), before);
    let partial = kit.downloads().join(format!("{name}.partial"));
    assert_eq!(fs::metadata(partial).unwrap().len(), 0);
    assert!(kit.quarantined().is_empty());
}
