//! How long a client is held up by a restart, with heph.socket and without.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use super::daemon::{Daemon, request};
use super::installation;
use super::measure::Samples;
use super::page::{Page, ratio, row, spread};
use crate::support::call::Call;
use crate::support::manager::UserManager;

const HOW: &str = "\
A client requests hephd's status without a pause, each time on a new connection, while a private systemd user manager restarts
hephd. The gap is the longest time between two answers; a request that is refused or cut off counts as failed, and the next
one follows immediately. A fifth of the usual number of runs. For comparison, a bare hephd from its start to its first
answer.";
/// How long the client goes on after a restart.
const AFTER: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures, and writes the section.
pub fn measure(page: &mut Page, scratch: &Path, runs: usize) {
    let runs = (runs / 5).max(1);
    let home = scratch.join("restart");
    let bin = installation::plain(&home);
    let manager = UserManager::start(&home);
    let heph = |arguments: &[&str]| {
        let heph = Call::clean(bin.join("heph"), manager.environment());
        heph.args(arguments).exits(0);
    };
    let systemctl = |arguments: &[&str]| {
        manager.systemctl(arguments).exits(0);
    };
    heph(&["daemon", "start"]);
    let socket = manager.runtime_dir().join("heph/hephd.sock");
    let by_heph = gaps(&socket, runs, || heph(&["daemon", "restart"]));
    let by_systemctl = gaps(&socket, runs, || systemctl(&["restart", "heph.service"]));
    heph(&["daemon", "stop"]);
    forget_the_socket(&installation::paths(&home).systemd_units);
    systemctl(&["daemon-reload"]);
    systemctl(&["start", "heph.service"]);
    let without = gaps(&socket, runs, || systemctl(&["restart", "heph.service"]));
    systemctl(&["stop", "heph.service"]);
    drop(manager);
    let data = scratch.join("restart-bare");
    let bare = Samples::of(
        (0..runs)
            .map(|_| Daemon::start(&bin, &data, &[]).started())
            .collect(),
    );

    let mut rows = vec![row([
        "A restart",
        "longest gap",
        "of a bare start",
        "failed",
    ])];
    for (name, gaps, failed) in [
        ("`heph daemon restart`", &by_heph.0, by_heph.1),
        ("`systemctl restart`", &by_systemctl.0, by_systemctl.1),
        (
            "`systemctl restart` without heph.socket",
            &without.0,
            without.1,
        ),
    ] {
        let times = format!("{:.1}", ratio(gaps.median(), bare.median()));
        rows.push([name.to_owned(), spread(gaps), times, failed.to_string()]);
    }
    rows.push([
        "a bare hephd, until it answers".to_owned(),
        spread(&bare),
        "1.0".to_owned(),
        String::new(),
    ]);
    page.section("A restart", HOW);
    page.table(rows);
}

/// Has hephd bind its path by itself, as before there was a heph.socket.
fn forget_the_socket(units: &Path) {
    let unit = units.join("heph.service");
    let text = fs::read_to_string(&unit).unwrap();
    let left: String = text
        .lines()
        .filter(|line| line.starts_with('#') || !line.contains("heph.socket"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_ne!(left, text, "the unit names the socket");
    fs::write(&unit, left).unwrap();
    fs::remove_file(units.join("heph.socket")).unwrap();
}

/// Restarts this often; returns the longest gap of each time, and how many requests failed in all.
fn gaps(socket: &Path, runs: usize, restart: impl Fn()) -> (Samples, usize) {
    let client = Client::on(socket);
    let gaps = (0..runs)
        .map(|_| {
            client.take_longest();
            restart();
            thread::sleep(AFTER);
            client.take_longest()
        })
        .collect();
    (Samples::of(gaps), client.end())
}

struct Client {
    longest: Arc<Mutex<Duration>>,
    failed: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
    asking: JoinHandle<()>,
}

impl Client {
    fn on(socket: &Path) -> Client {
        let longest = Arc::<Mutex<Duration>>::default();
        let failed = Arc::<AtomicUsize>::default();
        let end = Arc::<AtomicBool>::default();
        let asking = {
            let (longest, failed, end) = (longest.clone(), failed.clone(), end.clone());
            let socket = socket.to_owned();
            thread::spawn(move || {
                let line = request("status", &json!({}));
                let mut last = Instant::now();
                while !end.load(Ordering::Relaxed) {
                    if ask(&socket, &line).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(Duration::from_micros(100));
                        continue;
                    }
                    let now = Instant::now();
                    let mut longest = longest.lock().unwrap_or_else(PoisonError::into_inner);
                    *longest = longest.max(now - last);
                    last = now;
                }
            })
        };
        Client {
            longest,
            failed,
            end,
            asking,
        }
    }

    fn take_longest(&self) -> Duration {
        std::mem::take(&mut self.longest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn end(self) -> usize {
        self.end.store(true, Ordering::Relaxed);
        self.asking.join().unwrap();
        self.failed.load(Ordering::Relaxed)
    }
}

fn ask(socket: &Path, line: &str) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.contains("\"result\"") {
        Ok(())
    } else {
        Err(io::Error::other(answer))
    }
}
