//! The address of a hub, checked once. Pure.

use ureq::http::Uri;

use crate::error::Error;
use crate::os::http;
use crate::os::text::printable;

/// A hub, as `--hub-url` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    text: String,
    sync: Uri,
    plain: bool,
}

impl Address {
    /// Reads `text`: an address of http or https, with a path where the hub is not at the root of its host. A hub that
    /// wants a token (`with_token`) has to be https, but on loopback: who listens on the way could use the token.
    ///
    /// # Errors
    ///
    /// It is wrong usage; the fault says what is wrong.
    pub fn parse(text: &str, with_token: bool) -> Result<Address, Error> {
        let shown = printable(text);
        let bad = |why: &str| {
            Error::usage(format!("'{shown}' cannot be the address of a hub: {why}"))
                .with_hint("write it like --hub-url=https://heph.example.org")
        };
        let uri: Uri = text.parse().map_err(|_| bad("it is not a URL"))?;
        let plain = match uri.scheme_str() {
            Some("https") => false,
            Some("http") => true,
            _ => return Err(bad("it begins with neither https:// nor http://")),
        };
        let authority = uri.authority().map_or("", |all| all.as_str());
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err(bad("it names no host"));
        }
        if authority.contains('@') {
            return Err(bad("it carries a user name or a password"));
        }
        if text.contains(['?', '#']) {
            return Err(bad("it has a query or a fragment"));
        }
        if uri.authority().is_some_and(|all| {
            let port = all.as_str().rsplit_once(':').map(|(_, port)| port);
            port.is_some_and(|port| !port.ends_with(']'))
                && all.port_u16().is_none_or(|port| port == 0)
        }) {
            return Err(bad("its port is none"));
        }
        let plain = plain && !http::is_loopback(host);
        if plain && with_token {
            return Err(bad(
                "a token would travel over plain http; only https is safe for it",
            ));
        }
        let text = text.trim_end_matches('/').to_owned();
        let sync = format!("{text}/v1/sync")
            .parse()
            .map_err(|_| bad("it is not a URL"))?;
        Ok(Address { text, sync, plain })
    }

    /// Returns it as it was given, without slashes at its end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns where operations are exchanged.
    pub fn sync(&self) -> &Uri {
        &self.sync
    }

    /// Returns whether tasks travel readable for all on the way: plain http that leaves this machine.
    pub fn is_plain(&self) -> bool {
        self.plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;
    use proptest::prelude::*;

    fn refused(text: &str, with_token: bool) -> String {
        let fault = Address::parse(text, with_token).expect_err(text);
        assert_eq!(Error::exit(&fault.clone()), Exit::Usage);
        fault.to_string()
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
            let address = Address::parse(text, true).expect(text);
            assert_eq!(address.sync().to_string().to_lowercase(), sync, "{text}");
            assert!(!address.is_plain());
        }
    }

    #[test]
    fn what_is_no_address_of_a_hub_is_refused_in_words() {
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
            Address::parse("http://h.example", false)
                .unwrap()
                .is_plain()
        );
        for loopback in ["http://localhost:1", "http://127.9.9.9:1", "http://[::1]:1"] {
            assert!(!Address::parse(loopback, true).unwrap().is_plain());
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_taken_keeps_its_host(text in "(https?://)?[a-z0-9.:@/?#\\[\\]\\\\ %-]{0,30}") {
            if let Ok(address) = Address::parse(&text, false) {
                prop_assert!(address.sync().to_string().ends_with("/v1/sync"));
                prop_assert!(address.sync().host().is_some_and(|host| !host.is_empty()));
            }
        }
    }
}
