//! `heph self-update apply` of a signed archive against what people type to install one by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use heph::install::links::BinDir;
use heph::install::slots::Slots;
use heph::release::asset;
use serde_json::Value;

use super::installation::{self, VERSION};
use super::measure::{Contender, Program, side_by_side};
use super::page::{Page, mebibytes, ratio, row, spread, time, verdict};
use crate::support::forge::{Forge, Published, WorkTree};

const GOAL: f64 = 1.3;
/// Bytes.
const MEMORY_GOAL: u64 = 32 << 20;
/// How often the large archive is installed.
const LARGE_RUNS: usize = 3;
/// MiB of noise in the large archive.
const LARGE: u64 = 200;
const OLD: &str = "0.0.1";
const NAMES: [&str; 2] = ["heph", "hephd"];
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
const HOW: &str = "\
The release build of this tree, packed by `tar` and `gzip`, with SHA256SUMS signed by minisign, on a forge on loopback. Each
run begins with an older release in a slot. heph requires a signature (`minisign-keys`), and there is no service
(`service-manager = \"none\"`), so nothing is restarted and there is no settle time. By hand, the same archive comes from the
same server: `curl -sSf -O ARCHIVE -O SHA256SUMS && sha256sum -c SHA256SUMS && tar -xzf ARCHIVE`. heph also requests the feed
from the forge and the commit of the tag from git, verifies the signature, runs the new commands, and syncs everything to the
disk.";

/// Measures, and writes the section; `plain` is what `cargo install` of the same release takes.
pub fn measure(page: &mut Page, scratch: &Path, runs: usize, plain: Option<Duration>) {
    let bench = Bench::new(&scratch.join("prebuilt"));
    let archive = bench.publish(0);
    let heph = bench.heph();
    let by_hand = bench.by_hand();
    bench.lay_out();
    assert_installs(&heph);
    bench.assert_updated();
    let [ours, theirs] = side_by_side(
        [
            Contender {
                program: heph.clone(),
                before: &|| bench.lay_out(),
            },
            Contender {
                program: by_hand,
                before: &|| {
                    afresh(&bench.folder.join("hand"));
                    rustix::fs::sync();
                },
            },
        ],
        runs,
        &bench.folder,
    );
    let large = bench.publish(LARGE);
    let mut peaks: Vec<u64> = (0..LARGE_RUNS)
        .map(|_| {
            bench.lay_out();
            let peak = heph.peak(&bench.folder);
            bench.assert_updated();
            peak
        })
        .collect();
    peaks.sort_unstable();
    let peak = peaks[LARGE_RUNS / 2];

    page.section("`heph self-update apply` of a signed archive", HOW);
    let mut rows = vec![row(["Time", "heph", "the other", "ratio", "goal", ""])];
    let name = format!("by hand, {}", mebibytes(archive));
    let [is, goal, met] = verdict(ratio(ours.wall.median(), theirs.wall.median()), GOAL);
    let (us, them) = (spread(&ours.wall), spread(&theirs.wall));
    rows.push([name, us.clone(), them, is, goal, met]);
    if let Some(plain) = plain {
        let is = format!("{:.4}", ratio(ours.wall.median(), plain));
        let none = String::new;
        let name = "plain `cargo install`".to_owned();
        rows.push([name, us, time(plain), is, none(), none()]);
    }
    page.table(rows);
    let met = if peak < MEMORY_GOAL {
        "met"
    } else {
        "**missed**"
    };
    page.table([
        row(["Peak memory of heph", "", "goal", ""]),
        [
            mebibytes(archive),
            mebibytes(ours.peak),
            String::new(),
            String::new(),
        ],
        [
            mebibytes(large),
            mebibytes(peak),
            format!("< {}", mebibytes(MEMORY_GOAL)),
            met.to_owned(),
        ],
    ]);
}

/// Asserts that `heph` installs the archive.
fn assert_installs(heph: &Program) {
    let said = heph.clone().arg("--json").output();
    let report: Value = serde_json::from_str(&said).unwrap();
    let signed = report["signed_by"].as_str().unwrap_or_default();
    assert!(
        report["delivery"] == "prebuilt" && signed.starts_with("minisign "),
        "{said}"
    );
}

/// A user's machine without services, and an owner with a key and a forge.
pub struct Bench {
    folder: PathBuf,
    home: PathBuf,
    forge: Forge,
}

impl Bench {
    /// Returns one in `folder`.
    pub fn new(folder: &Path) -> Bench {
        let bench = Bench {
            folder: folder.to_owned(),
            home: folder.join("user"),
            forge: Forge::start(),
        };
        let tree = WorkTree::new(folder.join("work"));
        tree.write("README.md", "heph\n").commit("one");
        tree.tag(&tag());
        bench.forge.push(&tree);
        bench.shell("minisign -G -W -s key -p key.pub");
        let key = fs::read_to_string(folder.join("key.pub")).unwrap();
        let key = key.lines().nth(1).unwrap();
        let repository = bench.forge.repository();
        installation::configure(
            &bench.home,
            &format!(
                "service-manager = \"none\"\n[self-update]\nrepository = \"{repository}\"\nforge = \"forgejo\"\n\
                 delivery = \"prebuilt\"\n[self-update.trust]\nminisign-keys = [\"{key}\"]\n"
            ),
        );
        bench
    }

    /// Publishes the release anew, with so many MiB of noise in its archive. Returns the size of the archive in bytes.
    pub fn publish(&self, noise: u64) -> u64 {
        let (stem, built) = (stem(), installation::built());
        let top = self.folder.join(&stem);
        afresh(&top);
        for name in NAMES {
            fs::copy(built.join(name), top.join(name)).unwrap();
        }
        self.shell(&format!(
            "head -c {noise}M /dev/urandom > {stem}/noise && tar -czf {stem}.tar.gz {stem} && \
             sha256sum {stem}.tar.gz > SHA256SUMS && minisign -S -s key -m SHA256SUMS"
        ));
        self.forge.unpublish();
        self.forge.publish(Published::new(&tag()));
        let archive = format!("{stem}.tar.gz");
        for name in ["SHA256SUMS", "SHA256SUMS.minisig", &archive] {
            let bytes = fs::read(self.folder.join(name)).unwrap();
            self.forge.attach(&tag(), name, &bytes);
        }
        fs::metadata(self.folder.join(archive)).unwrap().len()
    }

    /// Runs the owner's work.
    fn shell(&self, script: &str) {
        let script = format!("cd \"$FOLDER\" && {script}");
        Program::new("/bin/sh", &["-c", &script])
            .env("PATH", PATH)
            .env("HOME", &self.folder)
            .env("FOLDER", &self.folder)
            .output();
    }

    /// Installs an older release, and clears heph's state.
    fn lay_out(&self) {
        self.lay_out_of(&installation::built());
    }

    /// As [`Bench::lay_out`], with the commands in the folder `built`.
    pub fn lay_out_of(&self, built: &Path) {
        for folder in [".local", ".cache", ".cargo"] {
            afresh(&self.home.join(folder));
        }
        let paths = installation::paths(&self.home);
        let slots = Slots::new(&paths);
        let copy = |name: &str, to: &Path| {
            fs::copy(built.join(name), to).unwrap();
        };
        let slot = installation::slot(&slots, OLD, &NAMES.map(str::to_owned), copy);
        slots.switch(&slot).unwrap();
        let bin_dir = BinDir::at(self.home.join(".cargo/bin"), &[], &paths);
        bin_dir.relink(&slot).unwrap();
        // What was written here is not to be synced by what is measured.
        rustix::fs::sync();
    }

    fn assert_updated(&self) {
        let current = fs::read_link(installation::paths(&self.home).current()).unwrap();
        assert!(current.ends_with(VERSION), "{}", current.display());
    }

    /// Returns `heph self-update apply` in this home.
    pub fn heph(&self) -> Program {
        let heph = self.home.join(".cargo/bin/heph");
        Program::new(heph, &["self-update", "apply"])
            .env("HOME", &self.home)
            .env("PATH", PATH)
    }

    fn by_hand(&self) -> Program {
        let stem = stem();
        let url = format!("{}/releases/download/{}", self.forge.repository(), tag());
        let script = format!(
            "cd \"$FOLDER\" && curl -sSf -O {url}/{stem}.tar.gz -O {url}/SHA256SUMS && sha256sum -c SHA256SUMS && \
             tar -xzf {stem}.tar.gz"
        );
        Program::new("/bin/sh", &["-c", &script])
            .env("PATH", PATH)
            .env("HOME", &self.home)
            .env("FOLDER", self.folder.join("hand"))
    }
}

/// Makes `folder` an empty one.
fn afresh(folder: &Path) {
    drop(fs::remove_dir_all(folder));
    fs::create_dir_all(folder).unwrap();
}

fn tag() -> String {
    format!("v{VERSION}")
}

/// Returns the name of the archive without its ending.
fn stem() -> String {
    format!("heph-{}-{}", tag(), asset::targets().remove(0))
}
