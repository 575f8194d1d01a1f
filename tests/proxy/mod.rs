//! Spokes that reach their hub through nginx with TLS, by the configuration that docs/how-to/tls-proxy.md prints.

mod nginx;

use nginx::Nginx;

use crate::support::call::Call;
use crate::support::node::Node;

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
