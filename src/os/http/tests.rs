//! Tests of the rules that need no server; tests/feeds asks real ones.

use super::url::{join, redirect};
use super::*;
use proptest::prelude::*;

#[test]
fn only_https_and_http_on_loopback_may_be_asked() {
    for url in [
        "https://forge.example/a",
        "http://127.0.0.1:80/a",
        "http://127.9.9.9/a",
        "http://[::1]:3000/a",
        "http://LocalHost:1/a",
    ] {
        assert!(check(url).is_ok(), "{url}");
    }
    for url in [
        "http://forge.example/a",
        "http://127.0.0.1.example/a",
        "http://127.1/a",
        "http://localhost.example/a",
        "http://[::ffff:127.0.0.1]/a",
        "http://2130706433/a",
        "https://user@forge.example/a",
        "http://127.0.0.1@evil.example/a",
        "file:///etc/passwd",
        "ftp://forge.example/a",
        "/a",
        "forge.example",
        "",
        "https://",
    ] {
        assert!(check(url).is_err(), "{url}");
    }
}

#[test]
fn a_location_is_resolved_against_the_address_it_came_from() {
    let from: Uri = "https://forge.example/a/b?c=1".parse().unwrap();
    for (location, expected) in [
        ("https://other.example/x#y", "https://other.example/x"),
        ("//other.example/x", "https://other.example/x"),
        ("/x", "https://forge.example/x"),
        ("x", "https://forge.example/a/x"),
        ("?d=2", "https://forge.example/a/b?d=2"),
    ] {
        assert_eq!(join(&from, location), expected, "{location}");
    }
}

#[test]
fn a_redirect_never_leaves_https_and_plain_http_stays_on_loopback() {
    let lead = |from: &str, to: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, to.parse().unwrap());
        redirect(&from.parse().unwrap(), &headers)
    };
    assert!(lead("https://a.example/", "https://b.example/").is_ok());
    assert!(lead("http://127.0.0.1/", "https://b.example/").is_ok());
    assert!(lead("http://127.0.0.1/", "http://localhost/").is_ok());
    assert!(lead("https://a.example/", "http://b.example/").is_err());
    assert!(lead("https://a.example/", "http://127.0.0.1/").is_err());
    assert!(lead("http://127.0.0.1/", "http://b.example/").is_err());
    assert!(lead("https://a.example/", "https://u:p@b.example/").is_err());
    assert!(lead("https://a.example/", "file:///etc/passwd").is_err());
}

#[test]
fn proxies_are_read_as_curl_reads_them() {
    let chosen = |url: &str, variables: &[(&str, &str)]| {
        proxy::of(&url.parse().unwrap(), |name| {
            variables
                .iter()
                .find(|(there, _)| *there == name)
                .map(|(_, value)| (*value).to_owned())
        })
        .map(|proxy| proxy.map(|proxy| proxy.host().to_owned()))
    };
    let url = "https://forge.example/a";
    assert_eq!(chosen(url, &[]).unwrap(), None);
    assert_eq!(chosen(url, &[("HTTP_PROXY", "http://p:1")]).unwrap(), None);
    assert_eq!(
        chosen(
            url,
            &[("HTTPS_PROXY", "http://p:1"), ("ALL_PROXY", "http://q:1")]
        )
        .unwrap(),
        Some("p".to_owned())
    );
    assert_eq!(
        chosen(url, &[("ALL_PROXY", "q:1")]).unwrap(),
        Some("q".to_owned())
    );
    for list in [
        "*",
        "forge.example",
        ".example",
        "a, *.example ,b",
        "EXAMPLE",
    ] {
        let variables = [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", list)];
        assert_eq!(chosen(url, &variables).unwrap(), None, "{list}");
    }
    for list in ["", "ample", "orge.example", "other.example"] {
        let variables = [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", list)];
        assert!(chosen(url, &variables).unwrap().is_some(), "{list}");
    }
    let local = [("HTTPS_PROXY", "http://p:1")];
    assert_eq!(chosen("https://localhost:8443/", &local).unwrap(), None);
    assert!(chosen(url, &[("HTTPS_PROXY", "socks5://p:1")]).is_err());
    assert!(chosen(url, &[("HTTPS_PROXY", "http://")]).is_err());
}

proptest! {
    #[test]
    fn no_location_panics_or_leads_off_https(location in "\\PC*") {
        let from: Uri = "https://forge.example/a/b".parse().unwrap();
        if let Ok(to) = check(&join(&from, &location)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = location.parse() {
                headers.insert(header::LOCATION, value);
                let led = redirect(&from, &headers);
                prop_assert!(led.is_err() || to.scheme_str() == Some("https"));
            }
        }
    }
}
