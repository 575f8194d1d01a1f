//! What a hub refuses to be.

use std::net::TcpListener;

use super::Hub;
use crate::support::call::Ended;
use crate::support::home::Home;

#[track_caller]
fn refused(flags: &str, code: i32) -> Ended {
    let home = Home::new();
    let ended = home.hephd(&format!("--mode server {flags}")).exits(code);
    assert!(!home.data().exists() || code == 1, "nothing is made");
    ended
}

#[test]
fn without_tokens_it_binds_nothing_but_loopback() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        refused(&format!("--http-addr {address}"), 2)
            .complains("anybody who can connect")
            .complains("--oidc-issuer");
    }
}

#[test]
fn it_binds_everything_where_that_is_asked_for_and_says_so() {
    for switch in ["--insecure-no-auth", "--insecure-no-auth=true"] {
        let hub = Hub::start(switch);
        assert_eq!(hub.get("/readyz").status, 200);
        assert!(hub.log().contains("event=insecure"));
    }
    refused("--http-addr 0.0.0.0:0 --insecure-no-auth=false", 2);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    refused(&format!("--http-addr {address}"), 1)
        .complains(&format!("cannot listen on {address} (--http-addr)"))
        .complains("another process listens there");
}

#[test]
fn what_cannot_be_meant_is_wrong_usage_before_anything_is_made() {
    for flags in [
        "--http-addr localhost:8787",
        "",
        "--http-addr 127.0.0.1:0 --oidc-issuer https://id.example",
        "--http-addr 127.0.0.1:0 --hub-url https://hub.example",
        "--http-addr 127.0.0.1:0 --sync-rate 0",
    ] {
        refused(flags, 2);
    }
}
