//! A slow link to a server: a proxy that passes so many bytes a second each way.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// One direction.
struct Lane {
    speed: u32,
    /// When all that was sent so far will have passed.
    free: Mutex<Instant>,
    passed: AtomicU64,
}

/// The link; it takes no more connections once it is dropped.
pub struct SlowLink {
    address: SocketAddr,
    ending: Arc<AtomicBool>,
    up: Arc<Lane>,
}

impl SlowLink {
    /// Starts a link to `server`, an address, that passes `speed` bytes a second each way.
    pub fn to(server: &str, speed: u32) -> SlowLink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ending = Arc::<AtomicBool>::default();
        let [up, down] = [(); 2].map(|()| {
            Arc::new(Lane {
                speed,
                free: Mutex::new(Instant::now()),
                passed: AtomicU64::new(0),
            })
        });
        thread::spawn({
            let (server, ending, up) = (server.to_owned(), Arc::clone(&ending), Arc::clone(&up));
            move || {
                for client in listener.incoming().map_while(Result::ok) {
                    if ending.load(Ordering::Relaxed) {
                        return;
                    }
                    let Ok(server) = TcpStream::connect(&server) else {
                        continue;
                    };
                    let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                    let (up, down) = (Arc::clone(&up), Arc::clone(&down));
                    thread::spawn(move || up.pass(client, server));
                    thread::spawn(move || down.pass(back.0, back.1));
                }
            }
        });
        SlowLink {
            address,
            ending,
            up,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns how many bytes went to the server.
    pub fn sent(&self) -> u64 {
        self.up.passed.load(Ordering::Relaxed)
    }
}

impl Lane {
    /// Passes all that comes, until either side ends it.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let passed = {
                let mut free = self.free.lock().unwrap();
                let takes = Duration::from_secs_f64(count as f64 / f64::from(self.speed));
                *free = (*free).max(Instant::now()) + takes;
                *free
            };
            thread::sleep(passed.saturating_duration_since(Instant::now()));
            self.passed.fetch_add(count as u64, Ordering::Relaxed);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Write));
        drop(from.shutdown(Shutdown::Read));
    }
}

impl Drop for SlowLink {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        // Wakes the one that accepts.
        drop(TcpStream::connect(self.address));
    }
}
