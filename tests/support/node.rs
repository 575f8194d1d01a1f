//! A hephd in a home of its own, by itself, as a hub or as a spoke.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::TcpListener;
use std::ops::Deref;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use serde_json::Value;

use super::call::Words;
use super::daemon::{Daemon, Wire};
use super::home::Home;
use super::wait::{PATIENCE, until};

/// A home whose hephd may be down.
#[derive(Debug)]
pub struct Node {
    pub home: Home,
    flags: Vec<OsString>,
    daemon: Option<Daemon>,
    /// Where a hub listens.
    pub address: String,
}

impl Deref for Node {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl Node {
    /// Returns a home whose hephd does not run yet, and will have these flags.
    pub fn down(flags: &(impl Words + ?Sized)) -> Node {
        Node {
            home: Home::new(),
            flags: flags.words(),
            daemon: None,
            address: String::new(),
        }
    }

    pub fn with(flags: &(impl Words + ?Sized)) -> Node {
        Node::down(flags).up()
    }

    /// Returns a hub that does not run yet; its address is one that stays free while it is down.
    pub fn hub_down() -> Node {
        let address = free_address();
        let flags = format!("--mode=server --http-addr={address}");
        Node {
            address,
            ..Node::down(&flags)
        }
    }

    pub fn hub() -> Node {
        Node::hub_down().up()
    }

    /// Returns a spoke of the hub at this URL.
    pub fn spoke(hub: &str) -> Node {
        Node::with(&[format!("--hub-url={hub}")])
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn up(mut self) -> Node {
        self.start();
        self
    }

    #[track_caller]
    pub fn start(&mut self) {
        self.daemon = Some(self.home.start(&self.flags));
    }

    /// Has hephd started with further flags next time.
    pub fn add_flags(&mut self, flags: &(impl Words + ?Sized)) {
        self.flags.extend(flags.words());
    }

    /// Has hephd started with other flags next time.
    pub fn set_flags(&mut self, flags: &(impl Words + ?Sized)) {
        self.flags = flags.words();
    }

    #[track_caller]
    pub fn stop(&mut self) {
        self.daemon.take().unwrap().stop();
    }

    #[track_caller]
    pub fn kill(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    pub fn signal(&self, signal: Signal) {
        self.daemon.as_ref().unwrap().signal(signal);
    }

    /// Waits until hephd has ended by itself.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.daemon.as_mut().unwrap().wait()
    }

    /// Returns what hephd logged.
    pub fn log(&self) -> String {
        self.daemon.as_ref().map(Daemon::log).unwrap_or_default()
    }

    pub fn process(&self) -> u32 {
        self.daemon.as_ref().unwrap().pid()
    }

    pub fn wire(&self) -> Wire {
        Wire::open(&self.socket())
    }

    /// Returns the result of a call that must succeed.
    #[track_caller]
    pub fn call(&self, method: &str, params: Value) -> Value {
        self.wire().call(method, params)
    }

    /// Returns the tasks by their ids.
    #[track_caller]
    pub fn tasks(&self) -> BTreeMap<String, Value> {
        let listed = self.call("task.list", serde_json::json!({ "state": "all" }));
        let listed = listed["tasks"].as_array().unwrap().clone();
        let count = listed.len();
        let by_id = |task: Value| (task["id"].as_str().unwrap().to_owned(), task);
        let tasks: BTreeMap<_, _> = listed.into_iter().map(by_id).collect();
        assert_eq!(tasks.len(), count, "no task twice");
        tasks
    }

    /// Returns how this spoke stands with its hub.
    #[track_caller]
    pub fn sync_status(&self) -> Value {
        self.heph("sync status --json").json()
    }

    /// Waits until that is as `wanted` says.
    #[track_caller]
    pub fn wait_until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        until(PATIENCE, || {
            let status = self.sync_status();
            match wanted(&status) {
                true => Ok(status),
                false => Err(format!("{status}\n{}", self.log())),
            }
        })
    }
}

/// Returns an address that stays free until it is used again: no connection that the kernel gives a port of its own is on
/// this one of the addresses of loopback.
pub fn free_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = format!("127.{}.{high}.{low}", 16 + number % 200);
    let listener = TcpListener::bind((address.as_str(), 0)).unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Returns a port of 127.0.0.1 that stays free until it is used: it is below those that the kernel gives out by itself.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id();
        let port = u16::try_from(20_000 + number % 10_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
