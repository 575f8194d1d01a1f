//! The URL of a hub. Pure.

use ureq::http::Uri;

use crate::error::{Error, Result};
use crate::os::http;
use crate::os::text::printable;

/// A valid `--hub-url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HubUrl {
    /// As it was given, without slashes at its end.
    pub text: String,
    /// The URL that requests go to.
    pub endpoint: Uri,
    /// Whether tasks travel unencrypted over a network.
    pub is_unencrypted: bool,
}

impl HubUrl {
    /// Parses an http or https URL, with a path if the hub is not at the root of its host. A hub that gets a token
    /// (`with_token`) must have https or be on loopback, because anybody on the way could use the token.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`](crate::error::Kind::Usage), with the reason.
    pub fn parse(text: &str, with_token: bool) -> Result<HubUrl> {
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
        if is_unencrypted && with_token {
            return Err(invalid("a token would travel over plain http; use https"));
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;
    use proptest::prelude::*;

    fn refused(text: &str, with_token: bool) -> String {
        let error = HubUrl::parse(text, with_token).expect_err(text);
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
            let url = HubUrl::parse(text, true).expect(text);
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
            let words = refused(text, false);
            assert!(words.contains(why), "{text:?}: {words}");
        }
    }

    #[test]
    fn a_token_never_travels_over_plain_http_but_on_loopback() {
        assert!(refused("http://h.example", true).contains("plain http"));
        assert!(refused("http://10.0.0.1:8080", true).contains("plain http"));
        assert!(
            HubUrl::parse("http://h.example", false)
                .unwrap()
                .is_unencrypted
        );
        for loopback in ["http://localhost:1", "http://127.9.9.9:1", "http://[::1]:1"] {
            assert!(!HubUrl::parse(loopback, true).unwrap().is_unencrypted);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_taken_keeps_its_host(text in "(https?://)?[a-z0-9.:@/?#\\[\\]\\\\ %-]{0,30}") {
            if let Ok(url) = HubUrl::parse(&text, false) {
                prop_assert!(url.endpoint.to_string().ends_with("/v1/sync"));
                prop_assert!(url.endpoint.host().is_some_and(|host| !host.is_empty()));
            }
        }
    }
}
