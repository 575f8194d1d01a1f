//! What the flags of hephd make of a hub. Pure.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::flags::Flags;
use crate::hephd::auth::{Anonymous, Expected};
use crate::hephd::store::Quota;
use crate::login::discovery;
use crate::os::text::printable;

/// How many requests a minute one user may send, unless `--sync-rate` says otherwise. A spoke sends two or three when
/// nothing happens; one that brings a long history sends a page of operations with each.
const SYNC_RATE: NonZeroU32 = NonZeroU32::new(600).unwrap();

/// How many bytes one user may store, unless `--quota-bytes` says otherwise.
const QUOTA_BYTES: u64 = 1 << 30;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::hephd) struct Settings {
    pub(in crate::hephd) address: SocketAddr,
    /// What tokens must contain; `None` where every client is the owner.
    pub(super) expected: Option<Expected>,
    /// Whether clients without tokens may come from other machines.
    pub(super) open: bool,
    /// Whether only machines that were invited may come.
    pub(super) invited_only: bool,
    /// The file of the machines that were invited.
    pub(super) machines: PathBuf,
    /// How many requests a minute one user may send; `None` for no limit.
    pub(super) rate: Option<NonZeroU32>,
    /// How much one user may store; `None` where all clients are the owner.
    quota: Option<Quota>,
    /// How far ahead of the hub's clock that of a machine may be; `None` for the default.
    max_clock_drift: Option<Duration>,
}

impl Settings {
    pub(in crate::hephd) fn new(flags: &Flags, machines: PathBuf) -> Result<Settings> {
        if flags.hub_url.is_some() {
            return Err(Error::usage("a hub (--mode server) syncs with no other hub (--hub-url)")
                .with_hint("leave out one of the two; `heph daemon restart --unset hub-url` removes it from the service"));
        }
        if flags.oidc_client_id.is_some() {
            return Err(Error::usage(
                "--oidc-client-id is for spokes, which log in; a hub checks tokens",
            )
            .with_hint("name the audience of the tokens with --oidc-audience NAME"));
        }
        if flags.oidc_scopes.is_some() {
            return Err(Error::usage(
                "--oidc-scopes is for spokes, which log in; a hub checks tokens",
            ));
        }
        let address = flags.http_addr.as_deref().ok_or_else(|| {
            Error::usage("a hub (--mode server) requires --http-addr")
                .with_hint("--http-addr ADDR, such as --http-addr 127.0.0.1:8787")
        })?;
        let address = parse_address(address)?;
        let expected = expected(flags)?;
        if flags.insecure_no_auth && flags.invited_only {
            return Err(Error::usage(
                "--insecure-no-auth and --invited-only contradict each other",
            )
            .with_hint("leave out --insecure-no-auth to have machines identify themselves"));
        }
        let settings = Settings {
            address,
            rate: None,
            expected,
            open: flags.insecure_no_auth,
            invited_only: flags.invited_only,
            machines,
            quota: None,
            max_clock_drift: flags.max_clock_drift.map(|length| length.0),
        };
        check_exposure(address, settings.authenticates())?;
        // Without tokens all spokes are one user, and there is no other to protect.
        let rate = settings.expected.is_some().then_some(SYNC_RATE);
        Ok(Settings {
            rate: flags.sync_rate.or(rate),
            quota: quota(flags, settings.expected.is_some())?,
            ..settings
        })
    }

    pub(in crate::hephd) fn quota(&self) -> Option<Quota> {
        self.quota
    }

    pub(in crate::hephd) fn max_clock_drift(&self) -> Option<Duration> {
        self.max_clock_drift
    }

    /// Returns whether strangers may connect: none gets anything, or the user said that all may.
    pub(super) fn authenticates(&self) -> bool {
        self.expected.is_some() || self.invited_only || self.open
    }

    /// Returns when a request without a bearer is the owner's.
    pub(super) fn anonymous(&self) -> Anonymous {
        if self.open {
            Anonymous::Always
        } else if self.expected.is_some() || self.invited_only {
            Anonymous::Never
        } else {
            Anonymous::UntilInvited
        }
    }
}

fn quota(flags: &Flags, has_users: bool) -> Result<Option<Quota>> {
    let given = [
        ("--quota-bytes", flags.quota_bytes.is_some()),
        ("--quota-operations", flags.quota_operations.is_some()),
    ];
    if let Some((name, _)) = given.into_iter().find(|(_, given)| *given && !has_users) {
        return Err(Error::usage(format!(
            "{name} requires --oidc-issuer: without it a hub has no users"
        ))
        .with_hint(format!(
            "leave out {name}: nothing limits what the owner stores"
        )));
    }
    Ok(has_users.then(|| Quota {
        bytes: flags.quota_bytes.map_or(QUOTA_BYTES, |size| size.0.get()),
        operations: flags.quota_operations.map(NonZeroU64::get),
    }))
}

fn expected(flags: &Flags) -> Result<Option<Expected>> {
    let (issuer, audience) = match (&flags.oidc_issuer, &flags.oidc_audience) {
        (None, None) => return Ok(None),
        (Some(issuer), Some(audience)) => (issuer, audience),
        (Some(_), None) => {
            return Err(Error::usage(
                "--oidc-issuer requires --oidc-audience: a token for any other service would be accepted",
            )
            .with_hint("name the audience of the tokens with --oidc-audience NAME"));
        }
        (None, Some(_)) => {
            return Err(Error::usage("--oidc-audience requires --oidc-issuer")
                .with_hint("name the issuer of the tokens with --oidc-issuer URL"));
        }
    };
    if flags.insecure_no_auth {
        return Err(
            Error::usage("--insecure-no-auth and --oidc-issuer contradict each other")
                .with_hint("leave out --insecure-no-auth to have tokens checked"),
        );
    }
    if audience.is_empty() {
        return Err(Error::usage("--oidc-audience is empty"));
    }
    discovery::check(issuer).map_err(|reason| {
        let shown = printable(issuer);
        Error::usage(format!(
            "--oidc-issuer '{shown}' is not an issuer: {reason:#}"
        ))
    })?;
    Ok(Some(Expected {
        issuer: issuer.clone(),
        audience: audience.clone(),
    }))
}

pub(in crate::hephd) fn parse_address(address: &str) -> Result<SocketAddr> {
    address.parse().map_err(|_| {
        let shown = printable(address);
        Error::usage(format!("--http-addr '{shown}' is not an IP address and port"))
            .with_hint("write 127.0.0.1:8787, [::1]:8787, or 0.0.0.0:8787 for every IPv4 address; host names are not resolved")
    })
}

/// Rejects a non-loopback address unless clients are `authenticated`, or need not be.
pub(super) fn check_exposure(address: SocketAddr, authenticated: bool) -> Result<()> {
    if authenticated || is_loopback(address.ip()) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "on {address} anybody who can connect could read and write every task: no tokens are checked"
    ))
    .with_hint(
        "--invited-only serves the machines that `heph hub invite` invites; --oidc-issuer URL --oidc-audience NAME checks \
         tokens; 127.0.0.1 keeps the hub to this machine; --insecure-no-auth serves everybody",
    ))
}

fn is_loopback(ip: IpAddr) -> bool {
    // ::ffff:127.0.0.1 is loopback as well, which `Ipv6Addr::is_loopback` does not say.
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUB: &str = "--http-addr=127.0.0.1:8787";
    const ISSUER: &str = "--oidc-issuer=https://id.example/realm";
    const AUDIENCE: &str = "--oidc-audience=heph";

    fn settings(arguments: &[&str]) -> Result<Settings> {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Settings::new(&Flags::parse(arguments)?, PathBuf::new())
    }

    #[test]
    fn what_makes_a_hub() {
        let plain = settings(&[HUB]).unwrap();
        assert_eq!(plain.address.port(), 8787);
        assert_eq!(
            (plain.expected, plain.rate, plain.quota),
            (None, None, None)
        );

        let guarded = settings(&["--http-addr=0.0.0.0:443", ISSUER, AUDIENCE]).unwrap();
        let expected = guarded.expected.unwrap();
        assert_eq!(expected.issuer, "https://id.example/realm");
        assert_eq!(expected.audience, "heph");
        assert_eq!(guarded.rate, Some(SYNC_RATE));
        let quota = |bytes, operations| Some(Quota { bytes, operations });
        assert_eq!(guarded.quota, quota(1 << 30, None));
        let flags = [HUB, ISSUER, AUDIENCE, "--quota-bytes=5MiB"];
        assert_eq!(settings(&flags).unwrap().quota, quota(5 << 20, None));
        let flags = [HUB, ISSUER, AUDIENCE, "--quota-operations=7"];
        assert_eq!(settings(&flags).unwrap().quota, quota(1 << 30, Some(7)));

        let strict = settings(&[HUB, "--max-clock-drift=90m"]).unwrap();
        assert_eq!(strict.max_clock_drift, Some(Duration::from_secs(5400)));
        let slow = settings(&[HUB, "--sync-rate=1"]).unwrap();
        assert_eq!(slow.rate.unwrap().get(), 1);
        let invited = settings(&["--http-addr=100.64.0.1:1", "--invited-only"]).unwrap();
        assert_eq!(invited.anonymous(), Anonymous::Never);
        assert_eq!(
            settings(&[HUB]).unwrap().anonymous(),
            Anonymous::UntilInvited
        );
        let open = settings(&["--http-addr=[::]:1", "--insecure-no-auth"]).unwrap();
        assert_eq!(open.anonymous(), Anonymous::Always);
        assert_eq!(open.expected, None);
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
    fn wrong_usage_names_the_flag() {
        for (arguments, message) in [
            (&[][..], "requires --http-addr"),
            (&["--http-addr=localhost:1"], "'localhost:1' is not an IP"),
            (&["--http-addr=127.0.0.1"], "'127.0.0.1' is not an IP"),
            (&["--http-addr=:80"], "':80' is not an IP address"),
            (&["--http-addr=0.0.0.0:80"], "no tokens are checked"),
            (&[HUB, "--hub-url=https://hub.example"], "--hub-url"),
            (
                &[HUB, ISSUER, AUDIENCE, "--oidc-client-id=x"],
                "--oidc-client-id",
            ),
            (&[HUB, ISSUER], "--oidc-issuer requires --oidc-audience"),
            (&[HUB, AUDIENCE], "requires --oidc-issuer"),
            (&[HUB, ISSUER, AUDIENCE, "--insecure-no-auth"], "contradict"),
            (
                &[HUB, ISSUER, "--oidc-audience="],
                "--oidc-audience is empty",
            ),
            (
                &[HUB, "--oidc-issuer=http://id.example", AUDIENCE],
                "plain http",
            ),
            (
                &[HUB, "--oidc-issuer=https://id.example/?a", AUDIENCE],
                "a query",
            ),
            (
                &[HUB, "--oidc-issuer=id.example", AUDIENCE],
                "is not an issuer",
            ),
            (&[HUB, "--sync-rate=0"], "--sync-rate"),
            (&[HUB, "--max-clock-drift=0h"], "--max-clock-drift"),
            (&[HUB, "--max-clock-drift=1"], "write it like 90s"),
            (&[HUB, "--quota-bytes=1GiB"], "--quota-bytes requires"),
            (
                &[HUB, "--quota-operations=9"],
                "--quota-operations requires",
            ),
            (&[HUB, ISSUER, AUDIENCE, "--quota-bytes=0"], "--quota-bytes"),
        ] {
            let error = settings(arguments).unwrap_err();
            assert!(
                error.to_string().contains(message),
                "{arguments:?}: {error}"
            );
            assert_eq!(error.exit().code(), 2);
        }
    }
}
