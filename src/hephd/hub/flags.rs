//! What the flags of hephd make of a hub, and which of them contradict each other. Pure.

use std::net::{IpAddr, SocketAddr};

use crate::error::Error;
use crate::hephd::auth::Expected;
use crate::login::discovery;
use crate::os::text::printable;

/// How many requests a minute one user may send, unless `--sync-rate` says otherwise. A spoke sends two or three when
/// nothing happens; one that brings a long history sends a page of operations with each.
pub const SYNC_RATE: u32 = 600;

/// The flags of hephd that have to do with a hub.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags<'a> {
    /// Whether `--mode` is `server`.
    pub server: bool,
    /// `--http-addr`.
    pub http_addr: Option<&'a str>,
    /// `--oidc-issuer`.
    pub oidc_issuer: Option<&'a str>,
    /// `--oidc-audience`.
    pub oidc_audience: Option<&'a str>,
    /// `--oidc-client-id`.
    pub oidc_client_id: Option<&'a str>,
    /// `--hub-url`.
    pub hub_url: Option<&'a str>,
    /// `--insecure-no-auth`.
    pub insecure_no_auth: bool,
    /// `--sync-rate`.
    pub sync_rate: Option<u32>,
}

/// What a hub is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens.
    pub address: SocketAddr,
    /// What tokens have to say; `None` where whoever can connect is the owner.
    pub expected: Option<Expected>,
    /// Whether that is so even where others than this machine can connect.
    pub open: bool,
    /// How many requests a minute one user may send; `None` for as many as they like.
    pub rate: Option<u32>,
}

impl Flags<'_> {
    /// Returns what the hub is told, or `None` where hephd is none.
    ///
    /// # Errors
    ///
    /// Flags are missing, are no good, or contradict each other.
    pub fn settings(&self) -> Result<Option<Settings>, Error> {
        if !self.server {
            return self.check_local().map(|()| None);
        }
        if self.hub_url.is_some() {
            return Err(Error::usage("a hub (--mode server) syncs with no other hub (--hub-url)")
                .with_hint("leave out one of the two; `heph daemon restart --unset hub-url` if it was baked into the service"));
        }
        if self.oidc_client_id.is_some() {
            return Err(Error::usage(
                "--oidc-client-id is for spokes, which log in; a hub checks tokens",
            )
            .with_hint("name what tokens are for with --oidc-audience NAME"));
        }
        let address = self.http_addr.ok_or_else(|| {
            Error::usage("a hub (--mode server) has no address to listen on")
                .with_hint("--http-addr ADDR, such as --http-addr 127.0.0.1:8787")
        })?;
        let address = parse_address(address)?;
        let expected = self.expected()?;
        check_exposure(address, expected.is_some() || self.insecure_no_auth)?;
        let rate = match (self.sync_rate, &expected) {
            (Some(0), _) => return Err(Error::usage("--sync-rate 0 would let nobody sync")),
            (Some(rate), _) => Some(rate),
            (None, Some(_)) => Some(SYNC_RATE),
            // Without tokens all spokes are one user, and there is nobody to be protected from.
            (None, None) => None,
        };
        Ok(Some(Settings {
            address,
            expected,
            open: self.insecure_no_auth,
            rate,
        }))
    }

    /// Returns the flags that a hephd in local mode does without: earlier releases took them and had no use for them
    /// either, so they may be baked into a service that is to go on working.
    pub fn idle(&self) -> Vec<&'static str> {
        let flags = [
            ("--http-addr", self.http_addr),
            ("--oidc-audience", self.oidc_audience),
        ];
        let given = flags
            .into_iter()
            .filter(|(_, value)| !self.server && value.is_some());
        given.map(|(name, _)| name).collect()
    }

    fn check_local(&self) -> Result<(), Error> {
        let given = [
            ("--insecure-no-auth", self.insecure_no_auth),
            ("--sync-rate", self.sync_rate.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((name, _)) => Err(Error::usage(format!("{name} is for a hub"))
                .with_hint(format!("leave out {name}, or add --mode server"))),
        }
    }

    fn expected(&self) -> Result<Option<Expected>, Error> {
        let (issuer, audience) = match (self.oidc_issuer, self.oidc_audience) {
            (None, None) => return Ok(None),
            (Some(issuer), Some(audience)) => (issuer, audience),
            (Some(_), None) => {
                return Err(Error::usage(
                    "with --oidc-issuer alone, a token for anything would do",
                )
                .with_hint("name what tokens have to be for with --oidc-audience NAME"));
            }
            (None, Some(_)) => {
                return Err(
                    Error::usage("--oidc-audience says nothing without --oidc-issuer")
                        .with_hint("name who issues the tokens with --oidc-issuer URL"),
                );
            }
        };
        if self.insecure_no_auth {
            return Err(
                Error::usage("--insecure-no-auth and --oidc-issuer contradict each other")
                    .with_hint("leave out --insecure-no-auth to have tokens checked"),
            );
        }
        if audience.is_empty() {
            return Err(Error::usage("--oidc-audience is empty"));
        }
        discovery::check(issuer).map_err(|wrong| {
            let shown = printable(issuer);
            Error::usage(format!(
                "--oidc-issuer '{shown}' cannot be an issuer: {wrong}"
            ))
        })?;
        Ok(Some(Expected {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
        }))
    }
}

fn parse_address(address: &str) -> Result<SocketAddr, Error> {
    address.parse().map_err(|_| {
        let shown = printable(address);
        Error::usage(format!("--http-addr '{shown}' is no IP address and port"))
            .with_hint("names of hosts will not do: 127.0.0.1:8787, [::1]:8787, or 0.0.0.0:8787 for every IPv4 address")
    })
}

/// Checks that nobody but this machine can reach a hub that knows nobody; `guarded` is whether that is no matter.
///
/// # Errors
///
/// `address` is not loopback.
pub fn check_exposure(address: SocketAddr, guarded: bool) -> Result<(), Error> {
    if guarded || is_loopback(address.ip()) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "on {address} anybody who can connect could read and write every task: no tokens are asked for"
    ))
    .with_hint(
        "--oidc-issuer URL --oidc-audience NAME has tokens checked; 127.0.0.1 keeps the hub to this machine; \
         --insecure-no-auth serves everybody",
    ))
}

fn is_loopback(ip: IpAddr) -> bool {
    // ::ffff:127.0.0.1 is loopback as well, which `Ipv6Addr::is_loopback` does not say.
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUB: Flags<'_> = Flags {
        server: true,
        http_addr: Some("127.0.0.1:8787"),
        oidc_issuer: None,
        oidc_audience: None,
        oidc_client_id: None,
        hub_url: None,
        insecure_no_auth: false,
        sync_rate: None,
    };
    const GUARDED: Flags<'_> = Flags {
        oidc_issuer: Some("https://id.example/realm"),
        oidc_audience: Some("heph"),
        ..HUB
    };

    #[test]
    fn what_makes_a_hub() {
        let settings = |flags: Flags<'_>| flags.settings().unwrap().unwrap();
        let plain = settings(HUB);
        assert_eq!(plain.address.port(), 8787);
        assert_eq!((plain.expected, plain.rate), (None, None));

        let guarded = settings(Flags {
            http_addr: Some("0.0.0.0:443"),
            ..GUARDED
        });
        let expected = guarded.expected.unwrap();
        assert_eq!(expected.issuer, "https://id.example/realm");
        assert_eq!(expected.audience, "heph");
        assert_eq!(guarded.rate, Some(SYNC_RATE));

        let slow = settings(Flags {
            sync_rate: Some(1),
            ..HUB
        });
        assert_eq!(slow.rate, Some(1));
        let open = Flags {
            http_addr: Some("[::]:1"),
            insecure_no_auth: true,
            ..HUB
        };
        assert_eq!(settings(open).expected, None);
    }

    #[test]
    fn only_loopback_is_served_without_tokens() {
        for address in [
            "127.0.0.1:0",
            "127.8.9.1:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            let address = address.parse().unwrap();
            assert!(check_exposure(address, false).is_ok(), "{address}");
        }
        for address in [
            "0.0.0.0:1",
            "10.0.0.1:1",
            "[::]:1",
            "[::ffff:10.0.0.1]:1",
            "[fe80::1]:1",
        ] {
            let address = address.parse().unwrap();
            assert!(check_exposure(address, false).is_err(), "{address}");
            assert!(check_exposure(address, true).is_ok(), "{address}");
        }
    }

    #[test]
    fn what_cannot_be_is_a_wrong_use_that_names_the_flag() {
        let table = [
            (
                Flags {
                    http_addr: None,
                    ..HUB
                },
                "no address",
            ),
            (
                Flags {
                    http_addr: Some("localhost:1"),
                    ..HUB
                },
                "'localhost:1' is no IP address",
            ),
            (
                Flags {
                    http_addr: Some("127.0.0.1"),
                    ..HUB
                },
                "'127.0.0.1' is no IP address",
            ),
            (
                Flags {
                    http_addr: Some(":80"),
                    ..HUB
                },
                "':80' is no IP address",
            ),
            (
                Flags {
                    http_addr: Some("0.0.0.0:80"),
                    ..HUB
                },
                "no tokens are asked for",
            ),
            (
                Flags {
                    hub_url: Some("https://hub.example"),
                    ..HUB
                },
                "--hub-url",
            ),
            (
                Flags {
                    oidc_client_id: Some("x"),
                    ..GUARDED
                },
                "--oidc-client-id",
            ),
            (
                Flags {
                    oidc_audience: None,
                    ..GUARDED
                },
                "--oidc-issuer alone",
            ),
            (
                Flags {
                    oidc_issuer: None,
                    ..GUARDED
                },
                "without --oidc-issuer",
            ),
            (
                Flags {
                    insecure_no_auth: true,
                    ..GUARDED
                },
                "contradict",
            ),
            (
                Flags {
                    oidc_audience: Some(""),
                    ..GUARDED
                },
                "--oidc-audience is empty",
            ),
            (
                Flags {
                    oidc_issuer: Some("http://id.example"),
                    ..GUARDED
                },
                "plain http is for loopback only",
            ),
            (
                Flags {
                    oidc_issuer: Some("https://id.example/?a"),
                    ..GUARDED
                },
                "a query",
            ),
            (
                Flags {
                    oidc_issuer: Some("id.example"),
                    ..GUARDED
                },
                "cannot be an issuer",
            ),
            (
                Flags {
                    sync_rate: Some(0),
                    ..HUB
                },
                "--sync-rate 0",
            ),
            (
                Flags {
                    server: false,
                    insecure_no_auth: true,
                    ..HUB
                },
                "--insecure-no-auth is for a hub",
            ),
            (
                Flags {
                    server: false,
                    sync_rate: Some(9),
                    ..HUB
                },
                "--sync-rate is for a hub",
            ),
        ];
        for (flags, words) in table {
            let fault = flags.settings().unwrap_err();
            assert!(fault.to_string().contains(words), "{flags:?}: {fault}");
            assert_eq!(crate::error::Error::exit(&fault).code(), 2);
        }
    }

    #[test]
    fn what_earlier_releases_ignored_is_still_ignored() {
        let local = Flags {
            server: false,
            ..GUARDED
        };
        assert_eq!(local.settings().unwrap(), None);
        assert_eq!(local.idle(), ["--http-addr", "--oidc-audience"]);
        assert!(GUARDED.idle().is_empty());
    }
}
