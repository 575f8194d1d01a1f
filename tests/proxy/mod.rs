//! Spokes that reach their hub through nginx with TLS, by the configuration that docs/how-to/tls-proxy.md prints.

mod nginx;

use std::net::TcpListener;
use std::process::{Command, Output};

use crate::support::old::daemon::{Daemon, Home, text};
use nginx::Nginx;

/// A hub on loopback.
struct Hub {
    home: Home,
    address: String,
}

impl Hub {
    fn new() -> Hub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Hub {
            home: Home::new(),
            address: listener.local_addr().unwrap().to_string(),
        }
    }

    fn start(&self) -> Daemon {
        let mut hephd = self.home.hephd();
        hephd.args(["--mode=server", "--http-addr", &self.address]);
        Daemon::start(hephd, &self.home.path).until_ready(&self.home.socket())
    }
}

/// A spoke whose hub is behind `nginx`, and which trusts what signed its certificate.
fn spoke(nginx: &Nginx) -> (Home, Daemon) {
    let home = Home::new();
    let mut hephd = home.hephd();
    hephd
        .arg(format!("--hub-url={}", nginx.url()))
        .env("SSL_CERT_FILE", nginx.authority());
    let daemon = Daemon::start(hephd, &home.path).until_ready(&home.socket());
    (home, daemon)
}

fn heph(home: &Home, arguments: &[&str]) -> String {
    text(home.heph().args(arguments).output().unwrap())
}

fn curl(nginx: &Nginx, arguments: &[&str], path: &str) -> (String, String) {
    let output = Command::new("curl")
        .args(["-sS", "-w", "\n%{http_code}", "--cacert"])
        .arg(nginx.authority())
        .args(arguments)
        .arg(format!("{}{path}", nginx.url()))
        .output()
        .unwrap();
    let (body, status) = printed(&output);
    (status, body)
}

fn printed(output: &Output) -> (String, String) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let (body, status) = printed.rsplit_once('\n').unwrap();
    (body.to_owned(), status.to_owned())
}

#[test]
fn spokes_sync_through_the_proxy_of_the_how_to_also_while_the_hub_is_started_anew() {
    let hub = Hub::new();
    let running = hub.start();
    let nginx = Nginx::start(&hub.address);
    let (one, _one) = spoke(&nginx);
    let (other, _other) = spoke(&nginx);

    heph(&one, &["add", "from one"]);
    heph(&one, &["sync", "now"]);
    heph(&other, &["sync", "now"]);
    assert!(heph(&other, &["list"]).contains("from one"));

    // nginx has connections open to a hub that is gone now.
    running.stop();
    let _running = hub.start();
    heph(&other, &["add", "from the other"]);
    heph(&other, &["sync", "now"]);
    heph(&one, &["sync", "now"]);
    let listed = heph(&one, &["list"]);
    assert!(listed.contains("from one") && listed.contains("from the other"));
}

#[test]
fn only_syncing_is_reached_from_outside() {
    let hub = Hub::new();
    let _running = hub.start();
    let nginx = Nginx::start(&hub.address);
    let (status, body) = curl(&nginx, &[], "/healthz");
    assert_eq!((status.as_str(), body.trim()), ("200", "ok"));
    assert_eq!(curl(&nginx, &[], "/metrics").0, "404");
    assert_eq!(curl(&nginx, &[], "/readyz").0, "404");
    // The hub's own answer to what is no request for it.
    let (status, body) = curl(
        &nginx,
        &["-d", "{}", "-H", "Content-Type: application/json"],
        "/v1/sync",
    );
    assert_eq!(status, "400", "{body}");
    assert!(body.contains("\"error\""), "{body}");
    let large = nginx.folder().join("large");
    std::fs::write(&large, vec![b' '; (4 << 20) + 1]).unwrap();
    let large = format!("@{}", large.display());
    assert_eq!(
        curl(&nginx, &["--data-binary", &large], "/v1/sync").0,
        "413"
    );
}

#[test]
fn a_spoke_that_does_not_trust_the_proxy_says_so_and_goes_on_alone() {
    let hub = Hub::new();
    let _running = hub.start();
    let nginx = Nginx::start(&hub.address);
    let home = Home::new();
    let mut hephd = home.hephd();
    hephd.arg(format!("--hub-url={}", nginx.url()));
    let _spoke = Daemon::start(hephd, &home.path).until_ready(&home.socket());
    heph(&home, &["add", "alone"]);
    let output = home.heph().args(["sync", "now"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("certificate"), "{said}");
    assert!(heph(&home, &["list"]).contains("alone"));
}
