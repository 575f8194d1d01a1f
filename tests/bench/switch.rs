//! The switch itself, against the number of binaries in a release.

use std::fs;
use std::path::Path;

use heph::install::slots::Slots;

use super::installation;
use super::measure::Samples;
use super::page::{Page, ratio, row, spread};

const HOW: &str = "\
`Slots::switch` through the library, to and fro between two releases whose binaries are small files. On a disk it ends
with an fsync of one folder; in memory (`/dev/shm`) that costs nothing, which leaves the work itself: reading
`release.json`, looking at each binary, one link, one rename. The last column is that work against the same with one
binary. Ten times as many runs as elsewhere.";

/// Measures, and writes the section.
pub fn measure(page: &mut Page, disk: &Path, runs: usize) {
    let memory = tempfile::Builder::new()
        .prefix("heph-bench-")
        .tempdir_in("/dev/shm")
        .unwrap();
    let mut rows = vec![row(["Binaries", "on disk", "in memory", "ratio"])];
    let mut with_one = None;
    for count in [1, 10, 100] {
        let on_disk = switches(&disk.join(format!("switch-{count}")), count, runs);
        let in_memory = switches(&memory.path().join(format!("{count}")), count, runs);
        let first = *with_one.get_or_insert(in_memory.median());
        let growth = ratio(in_memory.median(), first);
        let growth = format!("{growth:.1}");
        rows.push([
            count.to_string(),
            spread(&on_disk),
            spread(&in_memory),
            growth,
        ]);
    }
    page.section("The switch", HOW);
    page.table(rows);
}

fn switches(home: &Path, count: usize, runs: usize) -> Samples {
    let slots = Slots::new(&installation::paths(home));
    let names: Vec<_> = (0..count).map(|nth| format!("command-{nth:03}")).collect();
    let put = |name: &str, to: &Path| fs::write(to, name).unwrap();
    let two = ["1.0.0", "1.0.1"].map(|version| installation::slot(&slots, version, &names, put));
    let mut turn = two.iter().cycle();
    Samples::take(runs, || {
        slots.switch(turn.next().expect("a cycle")).unwrap()
    })
}
