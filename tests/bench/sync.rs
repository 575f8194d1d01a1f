//! What syncing costs: a new spoke that fetches all there is, and a hub with many spokes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};
use ulid::Ulid;

use super::daemon::{Daemon, free_address};
use super::installation;
use super::page::{Page, mebibytes, row, time};

/// How many operations a new spoke fetches.
const OPERATIONS: usize = 100_000;
/// How many of them one request carries.
const PAGE: usize = 1000;
const SPOKES: usize = 100;
/// How long many spokes are watched.
const WATCHED: Duration = Duration::from_secs(60);
/// How often each of them gets a task meanwhile.
const EVERY: Duration = Duration::from_secs(10);
/// How long the hub is asked as fast as it answers.
const PRESSED: Duration = Duration::from_secs(10);
/// How many clients ask then.
const CLIENTS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(300);

const FETCH: &str = "\
A real hub and a new spoke, with a counting relay between them. The hub has 100,000 operations of one user, each adding a
task with a title of some 40 bytes. The time is from the start of the spoke's hephd until its first round of sync has ended.
For comparison, the same titles are inserted into a bare SQLite database by the library, a thousand rows in one transaction,
which is the size of a page. One run.";
const MANY: &str = "\
One hub with 100 spokes on this machine. *Steady*: for a minute, each spoke gets a task every 10 s, which it sends within a
second and which the 99 others fetch with their next request, at most 30 s later. *As fast as it answers*: eight clients on
open connections poll a hub without news. Processor time is that of the hub alone; 100 % is one core.";

/// Measures, and writes both sections.
pub fn measure(page: &mut Page, scratch: &Path) {
    let folder = scratch.join("sync");
    let bin = installation::plain(&folder);
    fetch_all(page, &bin, &folder);
    many_spokes(page, &bin, &folder);
}

fn hub(bin: &Path, folder: &Path) -> (Daemon, String) {
    let address = free_address();
    let listen = format!("--http-addr={address}");
    // More requests than anybody's hundred spokes would send: the rate is not what is measured.
    let arguments = ["--mode=server", &listen, "--sync-rate=100000000"];
    (Daemon::start(bin, folder, &arguments), address)
}

/// Starts a hub with this many operations of one user.
pub fn filled_hub(bin: &Path, folder: &Path, operations: usize) -> (Daemon, String) {
    let (hub, address) = hub(bin, folder);
    for first in (0..operations).step_by(PAGE) {
        let operations: Vec<Value> = (first..first + PAGE).map(operation).collect();
        let answer = exchange(&address, &operations);
        assert_eq!(answer["refused"], json!([]), "{answer}");
    }
    (hub, address)
}

/// Starts a new spoke of the hub at `address`; returns it, and the time until its first round has ended with this many tasks.
pub fn new_spoke(bin: &Path, folder: &Path, address: &str, tasks: usize) -> (Daemon, Duration) {
    let hub_url = format!("--hub-url=http://{address}");
    let start = Instant::now();
    let spoke = Daemon::start(bin, folder, &[&hub_url]);
    let mut wire = spoke.connect();
    // Not by the number of tasks: hephd counts them, which delays the sync.
    loop {
        let status = wire.call("sync.status", &json!({}));
        if status["last_success"].is_string() {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "the spoke is here: {status}");
        thread::sleep(Duration::from_millis(5));
    }
    let took = start.elapsed();
    assert_eq!(wire.call("status", &json!({}))["open_tasks"], tasks);
    (spoke, took)
}

fn fetch_all(page: &mut Page, bin: &Path, folder: &Path) {
    let (hub, address) = filled_hub(bin, &folder.join("hub"), OPERATIONS);
    let at_first = hub.cpu();
    let relay = Relay::to(&address);
    let (spoke, took) = new_spoke(bin, &folder.join("spoke"), &relay.address, OPERATIONS);
    let bare = bare(&folder.join("bare.db"), OPERATIONS);
    let rate = OPERATIONS as f64 / took.as_secs_f64();
    page.section("A new spoke", FETCH);
    page.table([
        row(["100,000 operations", ""]),
        row([
            "time",
            &format!("{} ({rate:.0} operations a second)", time(took)),
        ]),
        row(["bare SQLite inserts of as many rows", &time(bare)]),
        row([
            "bytes from the hub",
            &mebibytes(relay.down.load(Ordering::Relaxed)),
        ]),
        row([
            "bytes to the hub",
            &mebibytes(relay.up.load(Ordering::Relaxed)),
        ]),
        row(["peak memory of the spoke", &mebibytes(spoke.peak())]),
        row(["peak memory of the hub", &mebibytes(hub.peak())]),
        row(["processor time of the spoke", &time(spoke.cpu())]),
        row([
            "processor time of the hub",
            &time(hub.cpu().saturating_sub(at_first)),
        ]),
    ]);
}

fn many_spokes(page: &mut Page, bin: &Path, folder: &Path) {
    let (hub, address) = hub(bin, &folder.join("steady-hub"));
    let hub_url = format!("--hub-url=http://{address}");
    let spokes: Vec<Daemon> = (0..SPOKES)
        .map(|nth| Daemon::start(bin, &folder.join(format!("s{nth}")), &[&hub_url]))
        .collect();
    let mut wires: Vec<_> = spokes.iter().map(Daemon::connect).collect();
    let (requests, cpu) = (requests(&address), hub.cpu());
    let start = Instant::now();
    let mut added = 0;
    let pause = EVERY / u32::try_from(SPOKES).expect("a small number");
    while start.elapsed() < WATCHED {
        let title = format!("task {added} of many spokes");
        wires[added % SPOKES].call("task.add", &json!({ "title": title }));
        added += 1;
        let due = pause * u32::try_from(added).expect("a small number");
        thread::sleep(due.saturating_sub(start.elapsed()));
    }
    let watched = start.elapsed().as_secs_f64();
    let steady = (self::requests(&address) - requests) as f64 / watched;
    let steady_cpu = (hub.cpu() - cpu).as_secs_f64() / watched;
    drop(wires);
    drop(spokes);

    let (cpu, start) = (hub.cpu(), Instant::now());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let address = address.clone();
            thread::spawn(move || press(&address))
        })
        .collect();
    let answered: u64 = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    let watched = start.elapsed().as_secs_f64();
    let pressed = answered as f64 / watched;
    let pressed_cpu = (hub.cpu() - cpu).as_secs_f64() / watched;

    page.section("A hub with 100 spokes", MANY);
    let figures =
        |requests: f64, cpu: f64| [format!("{requests:.1}"), format!("{:.1} %", cpu * 100.0)];
    let [requests_steady, cpu_steady] = figures(steady, steady_cpu);
    let [requests_pressed, cpu_pressed] = figures(pressed, pressed_cpu);
    page.table([
        row(["", "requests a second", "processor of the hub"]),
        ["steady".to_owned(), requests_steady, cpu_steady],
        [
            "as fast as it answers".to_owned(),
            requests_pressed,
            cpu_pressed,
        ],
    ]);
    page.table([
        row(["The hub", ""]),
        row(["operations taken meanwhile", &added.to_string()]),
        row(["peak memory", &mebibytes(hub.peak())]),
    ]);
}

fn operation(nth: usize) -> Value {
    json!({
        "id": Ulid::generate().to_string(),
        "kind": "task.add",
        "task": Ulid::generate().to_string(),
        "body": { "title": format!("a task of a common length, number {nth}"), "clock": [1_700_000_000_000_u64 + nth as u64, 0] },
        "created_at": 1_700_000_000_000_u64 + nth as u64,
    })
}

/// Sends operations to the hub as a spoke that wants nothing back would.
fn exchange(address: &str, operations: &[Value]) -> Value {
    let answer = ureq::post(format!("http://{address}/v1/sync"))
        .content_type("application/json")
        .send(request(operations).to_string())
        .unwrap()
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_to_string()
        .unwrap();
    serde_json::from_str(&answer).unwrap()
}

fn request(operations: &[Value]) -> Value {
    json!({
        "schema": 1, "version": installation::VERSION, "spoke": Ulid::generate().to_string(),
        "epoch": null, "cursor": null, "sent": null, "operations": operations,
    })
}

/// Asks for news as fast as the hub answers; returns how often it did.
fn press(address: &str) -> u64 {
    let agent = ureq::Agent::new_with_defaults();
    let url = format!("http://{address}/v1/sync");
    // The hub's own last operation is the cursor of one who knows everything.
    let mut request = request(&[]);
    loop {
        let answer = ask(&agent, &url, &request);
        request["cursor"] = answer["cursor"].clone();
        request["epoch"] = answer["epoch"].clone();
        if answer["more"] == false {
            break;
        }
    }
    let (mut answered, start) = (0, Instant::now());
    while start.elapsed() < PRESSED {
        let answer = ask(&agent, &url, &request);
        assert_eq!(answer["operations"], json!([]));
        answered += 1;
    }
    answered
}

fn ask(agent: &ureq::Agent, url: &str, request: &Value) -> Value {
    let mut answer = agent
        .post(url)
        .content_type("application/json")
        .send(request.to_string())
        .unwrap();
    serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
}

/// Returns how many requests for `/v1/sync` the hub has answered, as its metrics say.
fn requests(address: &str) -> u64 {
    let metrics = ureq::get(format!("http://{address}/metrics"))
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    let counted = metrics
        .lines()
        .filter(|line| line.starts_with("heph_hub_requests_total") && line.contains("/v1/sync"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_ne!(counted, 0, "the hub counts its requests: {metrics}");
    counted
}

/// Returns how long so many rows take without hephd.
pub fn bare(path: &Path, rows: usize) -> Duration {
    let mut connection = Connection::open(path).unwrap();
    let settings = "PRAGMA journal_mode = wal; PRAGMA synchronous = full;
        CREATE TABLE tasks (id TEXT PRIMARY KEY, title TEXT NOT NULL, created_at INTEGER NOT NULL);";
    connection.execute_batch(settings).unwrap();
    let start = Instant::now();
    for first in (0..rows).step_by(PAGE) {
        let transaction = connection.transaction().unwrap();
        for nth in first..first + PAGE {
            let title = format!("a task of a common length, number {nth}");
            transaction
                .prepare_cached("INSERT INTO tasks VALUES (?1, ?2, ?3)")
                .unwrap()
                .execute((Ulid::generate().to_string(), title, 0))
                .unwrap();
        }
        transaction.commit().unwrap();
    }
    start.elapsed()
}

/// Passes connections on to the hub and counts their bytes.
struct Relay {
    address: String,
    up: Arc<AtomicU64>,
    down: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Relay {
    fn to(hub: &str) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay {
            address: listener.local_addr().unwrap().to_string(),
            up: Arc::default(),
            down: Arc::default(),
            ended: Arc::default(),
        };
        let (up, down, ended) = (relay.up.clone(), relay.down.clone(), relay.ended.clone());
        let hub = hub.to_owned();
        thread::spawn(move || {
            for client in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let client = client.unwrap();
                let server = TcpStream::connect(&hub).unwrap();
                pass(
                    client.try_clone().unwrap(),
                    server.try_clone().unwrap(),
                    up.clone(),
                );
                pass(server, client, down.clone());
            }
        });
        relay
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(&self.address));
    }
}

/// Copies one direction on a thread of its own, until it ends.
fn pass(mut from: TcpStream, mut to: TcpStream, count: Arc<AtomicU64>) {
    thread::spawn(move || {
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut chunk) {
            count.fetch_add(read as u64, Ordering::Relaxed);
            if to.write_all(&chunk[..read]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Write));
    });
}
