//! `heph self-update check` against curl, on the same feed.

use std::fs;
use std::path::{Path, PathBuf};

use super::feed::TlsFeed;
use super::installation::{self, VERSION};
use super::measure::{Contender, Measured, Program, side_by_side};
use super::page::{Page, mebibytes, ratio, row, spread, verdict};
use crate::support::manager::UserManager;

const GOAL: f64 = 1.2;
const HOW: &str = "\
Both request the latest release in Forgejo's form from the same nginx on loopback, over TLS 1.3, and trust an authority made
for this run: heph by `SSL_CERT_FILE`, curl by `--cacert`. The release named is the one installed. *Cold*: the feed is not
cached, the answer is 200, and curl saves the ETag (`--etag-save`); heph reads
the list of releases as well, once, which curl does not. *304*: both send the ETag of the previous answer
(`--etag-compare`). heph is installed in a slot.

- *hephd as a service*: default settings; systemd runs hephd, and `check` requests its version.
- *no service manager*: `service-manager = \"none\"`, and no hephd runs.
- *system trust*: as the first, but both read the system's authorities and this one from one file.";

/// Which feed, what is known of it, and in which circumstances.
struct Case<'a> {
    name: &'a str,
    home: &'a Path,
    served: bool,
    environment: Vec<(&'static str, PathBuf)>,
    authority: &'a Path,
    feed: &'a TlsFeed,
    scratch: &'a Path,
}

/// Measures, and writes the section.
pub fn measure(page: &mut Page, scratch: &Path, runs: usize) {
    let feed = TlsFeed::start(&scratch.join("feed"), &format!("v{VERSION}"));
    let all = scratch.join("system and own authorities.crt");
    let system = fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
    let own = fs::read(feed.authority()).unwrap();
    fs::write(&all, [system, own].concat()).unwrap();

    let repository = feed.repository();
    let settings = format!("[self-update]\nrepository = \"{repository}\"\nforge = \"forgejo\"\n");
    let served = scratch.join("served");
    let bin = installation::in_a_slot(&served);
    installation::configure(&served, &settings);
    let manager = UserManager::start(&served);
    Program::new(bin.join("heph"), &["daemon", "start"])
        .envs(manager.environment())
        .output();

    let alone = scratch.join("alone");
    installation::in_a_slot(&alone);
    let none = format!("service-manager = \"none\"\n{settings}");
    installation::configure(&alone, &none);
    let environment = vec![
        ("HOME", alone.clone()),
        ("PATH", PathBuf::from("/usr/local/bin:/usr/bin:/bin")),
        ("LC_ALL", PathBuf::from("C.UTF-8")),
    ];

    let authority = feed.authority();
    let home_of_the_service = served.as_path();
    let case = |name, home, environment, authority| Case {
        name,
        served: home == home_of_the_service,
        home,
        environment,
        authority,
        feed: &feed,
        scratch,
    };
    let cases = [
        (
            case(
                "hephd as a service",
                &served,
                manager.environment(),
                &authority,
            ),
            true,
        ),
        (
            case("no service manager", &alone, environment, &authority),
            false,
        ),
        (
            case("system trust", &served, manager.environment(), &all),
            false,
        ),
    ];
    let mut times = vec![row(["Time", "heph", "curl", "ratio", "goal", ""])];
    let mut peaks = vec![row(["Peak memory", "heph", "curl", "ratio", "goal", ""])];
    for (case, judged) in &cases {
        for cold in [true, false] {
            let [heph, curl] = case.measure(cold, runs);
            let name = format!("{}, {}", if cold { "cold" } else { "304" }, case.name);
            let wall = ratio(heph.wall.median(), curl.wall.median());
            let memory = heph.peak as f64 / curl.peak as f64;
            let [is, goal, met] = judge(wall, *judged);
            let (ours, theirs) = (spread(&heph.wall), spread(&curl.wall));
            times.push([name.clone(), ours, theirs, is, goal, met]);
            let [is, goal, met] = judge(memory, *judged);
            let (ours, theirs) = (mebibytes(heph.peak), mebibytes(curl.peak));
            peaks.push([name, ours, theirs, is, goal, met]);
        }
    }
    page.section("`heph self-update check` against curl", HOW);
    page.table(times);
    page.table(peaks);
}

fn judge(ratio: f64, judged: bool) -> [String; 3] {
    let [is, goal, met] = verdict(ratio, GOAL);
    if judged {
        [is, goal, met]
    } else {
        [is, String::new(), String::new()]
    }
}

impl Case<'_> {
    fn measure(&self, cold: bool, runs: usize) -> [Measured; 2] {
        let known = installation::paths(self.home).feed();
        let etag = self.scratch.join("etag");
        let forget = |file: &Path| {
            if cold {
                drop(fs::remove_file(file));
            }
        };
        let heph = Program::new(self.home.join(".cargo/bin/heph"), &["self-update", "check"])
            .envs(self.environment.iter().cloned())
            .env("SSL_CERT_FILE", self.authority);
        let told = heph.output().contains("\nrunning ");
        assert_eq!(told, self.served, "{}: hephd is to be asked", self.name);
        let mut curl = Program::new("/usr/bin/curl", &["--silent", "--show-error", "--fail"])
            .arg(self.feed.url())
            .arg("--cacert")
            .arg(self.authority)
            .arg("--output")
            .arg(self.scratch.join("answer"))
            .arg("--etag-save")
            .arg(&etag)
            .envs(self.environment.iter().cloned());
        if !cold {
            // As heph, it has asked before.
            curl.output();
            curl = curl.arg("--etag-compare").arg(&etag);
        }
        let status = if cold { 200 } else { 304 };
        let answered = || ["heph", "curl"].map(|agent| self.feed.answered(agent, status));
        let before = answered();
        let measured = side_by_side(
            [
                Contender {
                    program: heph,
                    before: &|| forget(&known),
                },
                Contender {
                    program: curl,
                    before: &|| forget(&etag),
                },
            ],
            runs,
            self.scratch,
        );
        let after = answered();
        let asked = [after[0] - before[0], after[1] - before[1]];
        assert!(
            asked[0] == asked[1] && asked[0] > runs,
            "{}: not every answer was a {status}: {asked:?}",
            self.name
        );
        measured
    }
}
