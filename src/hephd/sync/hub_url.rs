//! The URL of a hub. Pure.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::error::{Error, Result};
use crate::os::http;
use crate::os::text::printable;

/// A valid `--hub-url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HubUrl {
    /// As it was given, without slashes at its end.
    pub text: String,
    /// The URL that requests go to.
    pub endpoint: Uri,
    /// Whether tasks travel unencrypted over a network.
    pub is_unencrypted: bool,
}

impl HubUrl {
    /// Parses an http or https URL, with a path if the hub is not at the root of its host.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`](crate::error::Kind::Usage), with the reason.
    pub fn parse(text: &str) -> Result<HubUrl> {
        let shown = printable(text);
        let invalid = |why: &str| {
            Error::usage(format!("--hub-url '{shown}' is invalid: {why}"))
                .with_hint("write it like --hub-url=https://heph.example.org")
        };
        let uri: Uri = text.parse().map_err(|_| invalid("it is not a URL"))?;
        let is_http = match uri.scheme_str() {
            Some("https") => false,
            Some("http") => true,
            _ => return Err(invalid("it begins with neither https:// nor http://")),
        };
        let authority = uri.authority().map_or("", |all| all.as_str());
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err(invalid("it names no host"));
        }
        if authority.contains('@') {
            return Err(invalid("it contains a user name or a password"));
        }
        if text.contains(['?', '#']) {
            return Err(invalid("it has a query or a fragment"));
        }
        let port = authority.rsplit_once(':').map(|(_, port)| port);
        if port.is_some_and(|port| !port.ends_with(']'))
            && uri.port_u16().is_none_or(|port| port == 0)
        {
            return Err(invalid("its port is not a number from 1 to 65535"));
        }
        let is_unencrypted = is_http && !http::is_loopback(host);
        let text = text.trim_end_matches('/').to_owned();
        let endpoint = format!("{text}/v1/sync")
            .parse()
            .map_err(|_| invalid("it is not a URL"))?;
        Ok(HubUrl {
            text,
            endpoint,
            is_unencrypted,
        })
    }

    /// Checks that a token may go to this hub: by https, on loopback, or because the user allows it (`--hub-plain-http`).
    /// Anybody on the way could use the token.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`](crate::error::Kind::Usage).
    pub fn check_token(&self, is_plain_allowed: bool) -> Result<()> {
        if !self.is_unencrypted || is_plain_allowed {
            return Ok(());
        }
        let shown = printable(&self.text);
        let hint = match self.network() {
            Network::Tailnet => {
                "this is an address of a tailnet, which encrypts by itself: allow it with --hub-plain-http"
            }
            Network::Private => {
                "use https, as docs/how-to/tls-proxy.md shows; in a network whose members you all trust, --hub-plain-http allows it"
            }
            Network::Public => {
                "use https, as docs/how-to/tls-proxy.md shows; --hub-plain-http is for a tailnet (100.64.0.0/10, fd7a:115c:a1e0::/48) or a network of your own"
            }
        };
        Err(Error::usage(format!(
            "--hub-url '{shown}' is invalid: a token would travel over plain http; use https"
        ))
        .with_hint(hint))
    }

    pub fn is_https(&self) -> bool {
        self.endpoint.scheme_str() == Some("https")
    }

    /// Returns the network that the host of the URL is in, as far as its name shows.
    pub fn network(&self) -> Network {
        Network::of(self.endpoint.host().unwrap_or_default())
    }

    /// Returns what to say about the way to the hub; `None` where it is encrypted.
    pub fn warning(&self, with_token: bool) -> Option<String> {
        if !self.is_unencrypted {
            return None;
        }
        let what = match with_token {
            true => "tasks and the token travel",
            false => "tasks travel",
        };
        let how = match self.network() {
            Network::Tailnet => "only the tailnet encrypts them",
            Network::Private | Network::Public => "anybody on the way can read and use them",
        };
        Some(format!(
            "the URL of the hub is plain http: {what} unencrypted; {how}"
        ))
    }
}

/// Where a host is, by its address or name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// In a tailnet: 100.64.0.0/10, fd7a:115c:a1e0::/48, or a name below `ts.net`.
    Tailnet,
    /// In a network that is not routed: the private, unique local and link-local addresses, and names of no public domain.
    Private,
    Public,
}

impl Network {
    /// Returns the network of `host`, as it stands in a URL.
    pub(crate) fn of(host: &str) -> Network {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
            Ok(IpAddr::V4(ip)) => {
                let [first, second, ..] = ip.octets();
                if first == 100 && second & 0b1100_0000 == 64 {
                    Network::Tailnet
                } else if ip.is_private() || ip.is_link_local() || ip.is_loopback() {
                    Network::Private
                } else {
                    Network::Public
                }
            }
            Ok(IpAddr::V6(ip)) => {
                if ip.segments()[..3] == [0xfd7a, 0x115c, 0xa1e0] {
                    Network::Tailnet
                } else if ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback() {
                    Network::Private
                } else {
                    Network::Public
                }
            }
            Err(_) => Network::of_name(bare),
        }
    }

    fn of_name(name: &str) -> Network {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let is_below = |domain: &str| name.ends_with(domain);
        if is_below(".ts.net") {
            Network::Tailnet
        } else if !name.contains('.')
            || [".local", ".home.arpa", ".internal", ".lan"]
                .into_iter()
                .any(is_below)
        {
            Network::Private
        } else {
            Network::Public
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;
    use proptest::prelude::*;

    fn refused(text: &str) -> String {
        let error = HubUrl::parse(text).expect_err(text);
        assert_eq!(error.exit(), Exit::Usage);
        error.to_string()
    }

    #[test]
    fn a_hub_may_be_below_a_path() {
        for (text, sync) in [
            ("https://h.example", "https://h.example/v1/sync"),
            ("https://h.example/", "https://h.example/v1/sync"),
            (
                "https://h.example:8443/a/b//",
                "https://h.example:8443/a/b/v1/sync",
            ),
            ("http://127.0.0.1:1", "http://127.0.0.1:1/v1/sync"),
            ("http://[::1]:8080/heph", "http://[::1]:8080/heph/v1/sync"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]/v1/sync"),
            ("HTTPS://H.example", "https://h.example/v1/sync"),
        ] {
            let url = HubUrl::parse(text).expect(text);
            assert_eq!(url.endpoint.to_string().to_lowercase(), sync, "{text}");
            assert!(!url.is_unencrypted);
        }
    }

    #[test]
    fn an_invalid_url_is_rejected_with_the_reason() {
        for (text, why) in [
            ("", "not a URL"),
            ("h.example", "neither https:// nor http://"),
            ("h.example:8080", "neither https:// nor http://"),
            ("/run/heph.sock", "neither https:// nor http://"),
            ("ftp://h.example", "neither https:// nor http://"),
            ("https://", "not a URL"),
            ("https:///path", "not a URL"),
            ("https://me:secret@h.example", "user name or a password"),
            ("https://h.example?x=1", "query or a fragment"),
            ("https://h.example/#top", "query or a fragment"),
            ("https://h.example:99999", "its port"),
            ("https://h.example:", "its port"),
            ("https://h.example/a b", "not a URL"),
            ("https://h.example\n", "not a URL"),
        ] {
            let words = refused(text);
            assert!(words.contains(why), "{text:?}: {words}");
        }
    }

    #[test]
    fn a_token_never_travels_over_plain_http_but_on_loopback() {
        let checked = |text, is_allowed| HubUrl::parse(text).unwrap().check_token(is_allowed);
        for (text, hint) in [
            ("http://h.example", "is for a tailnet (100.64.0.0/10"),
            ("http://10.0.0.1:8080", "whose members you all trust"),
            ("http://100.99.1.2:8080", "an address of a tailnet"),
            ("http://[fd7a:115c:a1e0::1]", "an address of a tailnet"),
        ] {
            let error = checked(text, false).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            assert!(error.to_string().contains("plain http"), "{error}");
            let said = error.hint().unwrap();
            assert!(
                said.contains(hint) && said.contains("--hub-plain-http"),
                "{said}"
            );
            assert!(checked(text, true).is_ok());
            let warning = HubUrl::parse(text).unwrap().warning(true).unwrap();
            assert!(
                warning.contains("the token travel unencrypted"),
                "{warning}"
            );
        }
        for safe in [
            "http://localhost:1",
            "http://127.9.9.9:1",
            "http://[::1]:1",
            "https://h.example",
        ] {
            assert!(checked(safe, false).is_ok(), "{safe}");
            assert_eq!(HubUrl::parse(safe).unwrap().warning(true), None);
        }
    }

    #[test]
    fn a_network_is_told_by_address_or_name() {
        use Network::*;
        for (host, network) in [
            ("100.64.0.0", Tailnet),
            ("100.127.255.255", Tailnet),
            ("100.63.255.255", Public),
            ("100.128.0.0", Public),
            ("[fd7a:115c:a1e0:ab12::1]", Tailnet),
            ("[fd7a:115c:a1e1::1]", Private),
            ("[::ffff:100.64.0.1]", Tailnet),
            ("hub.tail1234.ts.net", Tailnet),
            ("ts.net.evil.example", Public),
            ("192.168.178.2", Private),
            ("172.16.0.1", Private),
            ("172.32.0.1", Public),
            ("169.254.1.1", Private),
            ("[fe80::1]", Private),
            ("[2001:db8::1]", Public),
            ("hub", Private),
            ("hub.local", Private),
            ("hub.fritz.box", Public),
            ("evil-lan", Private),
            ("hub.LAN.", Private),
            ("8.8.8.8", Public),
        ] {
            assert_eq!(Network::of(host), network, "{host}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_taken_keeps_its_host(text in "(https?://)?[a-z0-9.:@/?#\\[\\]\\\\ %-]{0,30}") {
            if let Ok(url) = HubUrl::parse(&text) {
                let _ = url.check_token(false);
                prop_assert!(url.endpoint.to_string().ends_with("/v1/sync"));
                prop_assert!(url.endpoint.host().is_some_and(|host| !host.is_empty()));
            }
        }
    }
}
