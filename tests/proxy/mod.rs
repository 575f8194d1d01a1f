//! Spokes that reach their hub through nginx with TLS, by the configuration that docs/how-to/tls-proxy.md prints.

mod nginx;

use std::path::Path;

use nginx::{Nginx, certificate_command};

use crate::support::call::Call;
use crate::support::node::Node;
use crate::support::tls::certify;

/// A spoke whose hub is behind `nginx`, and which trusts what signed its certificate.
fn spoke(nginx: &Nginx) -> Node {
    let mut spoke = Node::down(&format!("--hub-url={}", nginx.url()));
    spoke.home.set("SSL_CERT_FILE", nginx.authority());
    spoke.up()
}

/// Returns status and body of the answer of `nginx`.
fn curl(nginx: &Nginx, arguments: &[&str], path: &str) -> (String, String) {
    let curl = Call::of("curl").args(&["-sS", "-w", "\n%{http_code}", "--cacert"]);
    let curl = curl.args(&[nginx.authority()]).args(arguments);
    let printed = curl.args(&[format!("{}{path}", nginx.url())]).prints();
    let (body, status) = printed.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[test]
fn spokes_sync_through_the_proxy_of_the_how_to_also_while_the_hub_is_started_anew() {
    let mut hub = Node::hub();
    let nginx = Nginx::start(&hub.address);
    let (one, other) = (spoke(&nginx), spoke(&nginx));

    one.add("from one");
    one.sync();
    other.sync();
    assert_eq!(other.titles(), ["from one"]);

    // nginx has connections open to a hub that is gone now.
    hub.stop();
    hub.start();
    other.add("from the other");
    other.sync();
    one.sync();
    assert_eq!(one.titles(), ["from one", "from the other"]);
}

#[test]
fn only_syncing_is_reached_from_outside() {
    let hub = Node::hub();
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

/// Makes `cert.pem` and `key.pem` in `folder` by `openssl req`, each its own authority.
fn self_signed(folder: &Path, words: &str) {
    let openssl = Call::of("openssl").args("req").args(words);
    openssl.current_dir(folder).exits(0);
}

/// Starts a spoke that trusts the certificate of `nginx` itself.
fn trusting(nginx: &Nginx) -> Node {
    let mut spoke = Node::down(&format!("--hub-url={}", nginx.url()));
    let certificate = nginx.folder().join("cert.pem");
    spoke.home.set("SSL_CERT_FILE", certificate);
    spoke.up()
}

#[test]
fn the_certificate_of_the_how_to_needs_no_authority() {
    let hub = Node::hub();
    let command = certificate_command();
    let make = |folder: &Path| self_signed(folder, &command);
    let nginx = Nginx::start_with(&hub.address, make, str::to_owned);
    trusting(&nginx).sync();
}

#[test]
fn a_certificate_that_is_one_of_an_authority_is_explained_with_the_command() {
    let hub = Node::hub();
    let words = "-x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
                 -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem";
    let nginx = Nginx::start_with(
        &hub.address,
        |folder| self_signed(folder, words),
        str::to_owned,
    );
    trusting(&nginx)
        .heph("sync now")
        .exits(75)
        .complains("its certificate is one of an authority")
        .complains("openssl req -x509")
        .complains("basicConstraints=critical,CA:FALSE");
}

#[test]
fn a_token_of_the_largest_providers_passes_the_proxy_of_the_how_to() {
    let hub = Node::hub();
    let token = format!("Authorization: Bearer hephs_{}", "x".repeat(15_000));
    let arguments = ["-d", "{}", "-H", &token];
    let nginx = Nginx::start(&hub.address);
    let (status, body) = curl(&nginx, &arguments, "/v1/sync");
    assert_eq!(status, "401", "the hub's own answer: {body}");
    assert!(body.contains("\"reason\":\"machine\""), "{body}");
    // By default nginx rejects it, in a page of its own.
    let without = |settings: &str| {
        let line = "large_client_header_buffers 4 32k;";
        assert!(settings.contains(line));
        settings.replace(line, "")
    };
    let nginx = Nginx::start_with(&hub.address, certify, without);
    let (status, body) = curl(&nginx, &arguments, "/v1/sync");
    assert_eq!(status, "400", "{body}");
    assert!(body.contains("Too Large"), "{body}");
}

#[test]
fn a_spoke_that_does_not_trust_the_proxy_says_so_and_goes_on_alone() {
    let hub = Node::hub();
    let nginx = Nginx::start(&hub.address);
    let spoke = Node::spoke(&nginx.url());
    spoke.add("alone");
    let ended = spoke.heph("sync now").ends();
    assert_ne!(ended.code, 0);
    ended.complains("certificate");
    assert_eq!(spoke.titles(), ["alone"]);
}
