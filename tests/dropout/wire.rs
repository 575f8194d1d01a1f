//! A wire between spokes and hub that breaks anywhere: in the middle of a request, or of an answer that the hub has acted on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::scene::Scene;
use super::writer::{Random, Writer};
use crate::support::node::free_address;
use crate::support::soak::times;
use crate::support::wait::PATIENCE;

/// How many connections break before the wire is sound.
const BREAKS: u64 = 60;

struct Shared {
    broken: AtomicU64,
    ended: AtomicBool,
    random: Mutex<Random>,
}

/// Passes bytes on; most connections break after a few of them.
struct BadWire {
    address: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl BadWire {
    fn to(hub: &str) -> BadWire {
        let address = free_address();
        let listener = TcpListener::bind(&address).unwrap();
        let shared = Arc::new(Shared {
            broken: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            random: Mutex::new(Random(20_260_204)),
        });
        let (hub, known) = (hub.to_owned(), Arc::clone(&shared));
        let thread = thread::spawn(move || {
            for near in listener.incoming() {
                if known.ended.load(Ordering::SeqCst) {
                    return;
                }
                let (near, far) = (near.unwrap(), TcpStream::connect(&hub).unwrap());
                pass(near, far, &known);
            }
        });
        BadWire {
            address,
            shared,
            thread: Some(thread),
        }
    }

    fn broken(&self) -> u64 {
        self.shared.broken.load(Ordering::SeqCst)
    }
}

impl Drop for BadWire {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(&self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Passes on what comes from either side. A connection that is to break does so after as many bytes of one direction.
fn pass(near: TcpStream, far: TcpStream, shared: &Arc<Shared>) {
    let (to_hub, to_spoke) = if shared.broken.load(Ordering::SeqCst) < times(BREAKS) {
        let mut random = shared.random.lock().unwrap();
        let after = random.below(900);
        match random.below(2) {
            0 => (after, u64::MAX),
            _ => (u64::MAX, after),
        }
    } else {
        (u64::MAX, u64::MAX)
    };
    let streams = [near, far].map(Arc::new);
    let [near, far] = &streams;
    for (from, to, limit) in [(near, far, to_hub), (far, near, to_spoke)] {
        let (from, to, shared) = (Arc::clone(from), Arc::clone(to), Arc::clone(shared));
        thread::spawn(move || {
            if copy(&from, &to, limit) {
                shared.broken.fetch_add(1, Ordering::SeqCst);
            }
            for stream in [from, to] {
                drop(stream.shutdown(Shutdown::Both));
            }
        });
    }
}

/// Copies until the end, or until so many bytes have passed; returns whether it was the latter.
fn copy(mut from: &TcpStream, mut to: &TcpStream, mut left: u64) -> bool {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        let passed = read.min(usize::try_from(left).unwrap_or(usize::MAX));
        if to.write_all(&bytes[..passed]).is_err() {
            return false;
        }
        left -= passed as u64;
        if left == 0 {
            return true;
        }
    }
    false
}

#[test]
fn a_wire_that_breaks_in_the_middle_of_everything_loses_nothing_and_doubles_nothing() {
    let mut scene = Scene::prepared();
    let wire = BadWire::to(&scene.hub.address);
    for spoke in &mut scene.spokes {
        spoke.set_flags(&format!("--hub-url=http://{}", wire.address));
    }
    scene.each(|machine| machine.start());
    let writers = scene.writers();
    let until = Instant::now() + 8 * u32::try_from(times(1)).unwrap() * PATIENCE;
    while wire.broken() < times(BREAKS) {
        assert!(
            Instant::now() < until,
            "{} connections broke",
            wire.broken()
        );
        for spoke in &scene.spokes {
            // Whether it succeeds is a matter of luck now.
            drop(spoke.heph("sync now").ends());
        }
        thread::sleep(Duration::from_millis(10));
    }
    let acknowledged = Writer::end(writers);
    scene.sync();
    scene.check(&acknowledged);
}
