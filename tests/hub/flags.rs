//! What a hub refuses to be.

use std::net::TcpListener;

use super::Hub;
use crate::support::old::daemon::Home;

fn refused(flags: &[&str]) -> (Option<i32>, String) {
    let home = Home::new();
    let mut hephd = home.hephd();
    hephd.args(["--mode", "server"]).args(flags);
    home.refused(hephd)
}

#[test]
fn without_tokens_it_binds_nothing_but_loopback() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let (code, said) = refused(&["--http-addr", address]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("anybody who can connect"), "{said}");
        assert!(said.contains("--oidc-issuer"), "{said}");
    }
}

#[test]
fn it_binds_everything_where_that_is_asked_for_and_says_so() {
    for switch in ["--insecure-no-auth", "--insecure-no-auth=true"] {
        let hub = Hub::start(&[switch]);
        assert_eq!(hub.get("/readyz").status, 200);
        assert!(hub.daemon.log().contains("event=insecure"));
    }
    let (code, _) = refused(&["--http-addr", "0.0.0.0:0", "--insecure-no-auth=false"]);
    assert_eq!(code, Some(2));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = refused(&["--http-addr", &address]);
    assert_eq!(code, Some(1));
    let words = format!("cannot listen on {address} (--http-addr)");
    assert!(said.contains(&words), "{said}");
    assert!(said.contains("another process listens there"), "{said}");
}

#[test]
fn what_cannot_be_meant_is_wrong_usage_before_anything_is_made() {
    let home = Home::new();
    for flags in [
        &["--http-addr", "localhost:8787"][..],
        &[],
        &[
            "--http-addr",
            "127.0.0.1:0",
            "--oidc-issuer",
            "https://id.example",
        ],
        &[
            "--http-addr",
            "127.0.0.1:0",
            "--hub-url",
            "https://hub.example",
        ],
        &["--http-addr", "127.0.0.1:0", "--sync-rate", "0"],
    ] {
        let mut hephd = home.hephd();
        hephd.args(["--mode", "server"]).args(flags);
        let (code, said) = home.refused(hephd);
        assert_eq!(code, Some(2), "{flags:?}: {said}");
    }
    assert!(!home.data().exists());
}
