//! Archives larger than the memory that they may take.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use super::kit::{Kit, lay_out, pack, stem, tool};
use crate::support::memory::peak_memory;
use crate::support::wait::PATIENCE;

/// How much of it does not compress.
const CONTENT: usize = 36 << 20;
/// What a run may take.
const MOST: u64 = 32 << 20;

/// The largest window of zstd that is accepted, what it grows by, and what a run may take besides.
const MOST_WITH_WINDOW: u64 = (128 + 16 + 32) << 20;

#[test]
fn a_run_takes_less_memory_than_the_archive() {
    for ending in ["tar.gz", "tar.bz2", "tar.xz", "tar.zst", "zip"] {
        assert_takes(ending, &large(ending), MOST);
    }
}

#[test]
fn the_largest_window_takes_its_size_and_little_more() {
    let folder = tempfile::tempdir().unwrap();
    lay_out(&folder.path().join(stem()), "1.0.0");
    let line = format!(
        "head -c 300M /dev/zero > {0}/zeros; tar -cf - {0} | zstd -q -1 --long=27 -o packed",
        stem()
    );
    tool("sh", folder.path(), &["-ec", &line]);
    let packed = std::fs::read(folder.path().join("packed")).unwrap();
    assert_takes("tar.zst", &packed, MOST_WITH_WINDOW);
}

/// Asserts that a run which installs this archive takes less memory than `most` bytes.
fn assert_takes(ending: &str, packed: &[u8], most: u64) {
    let kit = Kit::new();
    kit.publish(ending, packed);
    let mut run = kit.heph("self-update apply").start();
    let mut peak = 0;
    let limit = Instant::now() + 5 * PATIENCE;
    while !run.has_ended() && Instant::now() < limit {
        peak = peak.max(peak_memory(run.id()));
        thread::sleep(Duration::from_millis(2));
    }
    run.ends().exits(0);
    assert!(peak < most, "{ending}: {} MiB", peak >> 20);
    assert_eq!(kit.manifest()["delivery"], "prebuilt");
}

/// Returns an archive whose one command is large.
fn large(ending: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join(stem());
    lay_out(&top, "1.0.0");
    let mut heph = OpenOptions::new()
        .append(true)
        .open(top.join("heph"))
        .unwrap();
    heph.write_all(b"exit 0\n").unwrap();
    let noise = File::open("/dev/urandom").unwrap();
    io::copy(&mut noise.take(CONTENT as u64), &mut heph).unwrap();
    drop(heph);
    let packed = pack(folder.path(), &stem(), ending);
    assert!(packed.len() > CONTENT / 2);
    packed
}
