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
fn a_name_that_resolves_to_loopback_is_refused_unless_the_repository_is_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    // No address for this program, but one for the resolver of the system.
    let url = format!("https://2130706433:{port}/x");
    let ask = |base| {
        let request = Get {
            url: &url,
            base: Some(base),
            accept: "*/*",
            ..Get::default()
        };
        let limits = Limits {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(5),
            ..Limits::default()
        };
        get(&request, &limits).unwrap_err().to_string()
    };
    // An address for documentation (RFC 5737): a repository elsewhere.
    let refused = ask("https://192.0.2.1/a/b");
    assert!(refused.contains("only this machine can reach"), "{refused}");
    assert!(listener.accept().is_err(), "no connection was made");
    let admitted = ask("http://127.0.0.1:1/a/b");
    assert!(!admitted.contains("only this machine"), "{admitted}");
    assert!(listener.accept().is_ok());
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
    for list in [
        "",
        "ample",
        "orge.example",
        "other.example",
        "forge.example:443",
        "10.0.0.0/8",
        ".",
    ] {
        let variables = [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", list)];
        assert!(chosen(url, &variables).unwrap().is_some(), "{list}");
    }
    let local = [("HTTPS_PROXY", "http://p:1")];
    assert_eq!(chosen("https://localhost:8443/", &local).unwrap(), None);
    for proxy in [
        "socks5://p:1",
        "socks5h://p:1",
        "socks4a://p",
        "SOCKS5H://u:s@p:1",
    ] {
        let socks = chosen(url, &[("ALL_PROXY", proxy)]);
        assert_eq!(socks.unwrap(), Some("p".to_owned()), "{proxy}");
    }
    for proxy in ["http://", "ftp://p:1", "socks6://p:1"] {
        assert!(chosen(url, &[("HTTPS_PROXY", proxy)]).is_err(), "{proxy}");
    }
}

#[test]
fn no_proxy_is_read_as_curl_reads_it() {
    let covers = |list: &str, host: &str| {
        let url = format!("https://{host}/a").parse().unwrap();
        let variable = |name: &str| match name {
            "https_proxy" => Some("http://p:1".to_owned()),
            "no_proxy" => Some(list.to_owned()),
            _ => None,
        };
        proxy::of(&url, variable).unwrap().is_none()
    };
    for (list, host) in [
        ("10.0.0.0/8", "10.1.2.3"),
        ("192.168.1.7", "192.168.1.7"),
        ("a,192.168.0.0/16,b", "192.168.1.7:8443"),
        ("10.1.2.3/32", "10.1.2.3"),
        ("0.0.0.0/0", "10.1.2.3"),
        ("fd00::/8", "[fd12::1]"),
        ("fd12:0::1", "[fd12::1]"),
        ("[fd12::1]", "[fd12::1]:8443"),
        ("fd12::1/128", "[fd12::1]"),
        ("forge.example.", "forge.example"),
        ("forge.example", "forge.example."),
        (".example.", "Forge.Example"),
        ("*.example", "forge.example"),
        ("x example", "forge.example"),
        ("x\t*", "forge.example"),
    ] {
        assert!(covers(list, host), "{list} {host}");
    }
    for (list, host) in [
        ("10.0.0.0/8", "11.0.0.1"),
        ("10.0.0.0/33x", "10.0.0.1"),
        ("10.0.0.0/", "10.0.0.0"),
        ("10.0.0.0/-1", "10.0.0.0"),
        ("fd00::/8", "[fe00::1]"),
        ("fd00::/8", "253.0.0.1"),
        ("0.0.0.0/0", "[fd12::1]"),
        ("0.0.0.0/0", "forge.example"),
        ("1.2.3", "10.1.2.3"),
        ("..", "forge.example"),
        ("e", "forge.example"),
    ] {
        assert!(!covers(list, host), "{list} {host}");
    }
}

#[test]
fn an_error_behind_a_proxy_names_the_proxy_without_its_password() {
    let named = |variables: &[(&str, &str)]| {
        proxy::named(&"https://forge.example/a".parse().unwrap(), |name| {
            let mut all = variables.iter();
            let (_, value) = all.find(|(there, _)| *there == name)?;
            Some((*value).to_owned())
        })
    };
    assert_eq!(named(&[]), None);
    for (proxy, words) in [
        ("http://me:secret@p.example:3128/", "p.example:3128"),
        ("socks5h://me:secret@p.example", "p.example:1080"),
        ("p.example:8080", "p.example:8080"),
    ] {
        assert_eq!(named(&[("https_proxy", proxy)]).as_deref(), Some(words));
    }
    let listed = [("https_proxy", "http://p:1"), ("no_proxy", "example")];
    assert_eq!(named(&listed), None);
}

proptest! {
    #[test]
    fn no_list_of_no_proxy_panics(list in "\\PC{0,20}", host in "[a-z0-9.]{1,12}", network in "[0-9a-f:./]{0,20}") {
        let url = format!("https://{host}/").parse().unwrap();
        for list in [list, network] {
            let _ = proxy::of(&url, |_| Some(list.clone()));
        }
    }

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
