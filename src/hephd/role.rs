//! What hephd is, by its flags: alone, a spoke, or a hub. Pure: `heph` validates flags by the same function before it
//! writes them into a service.

use std::path::PathBuf;

use super::sync::{HubUrl, Network};
use super::{hub, sync};
use crate::error::{Error, Result};
use crate::flags::Flags;
use crate::login::secret::HubSecret;

/// What a role needs of the data folder.
#[derive(Clone, Debug, Default)]
pub(super) struct Data {
    /// The file of a spoke's tokens.
    pub(super) tokens: PathBuf,
    /// The secret of a machine that was invited to a hub.
    pub(super) secret: Option<HubSecret>,
    /// The file of the machines that were invited to this hub.
    pub(super) machines: PathBuf,
}

#[derive(Debug)]
pub(super) enum Role {
    Alone,
    Spoke(sync::Hub),
    Hub(hub::Settings),
}

impl Role {
    /// Returns the role that `flags` describe.
    ///
    /// # Errors
    ///
    /// Flags are missing, invalid, or contradict each other.
    pub(super) fn new(flags: &Flags, data: Data) -> Result<Role> {
        if flags.is_hub() {
            return hub::Settings::new(flags, data.machines).map(Role::Hub);
        }
        let of_a_hub = [
            ("--insecure-no-auth", flags.insecure_no_auth),
            ("--invited-only", flags.invited_only),
            ("--sync-rate", flags.sync_rate.is_some()),
            (
                "--quota-bytes",
                flags.quota_bytes.is_some() && flags.hub_url.is_none(),
            ),
            ("--quota-operations", flags.quota_operations.is_some()),
        ];
        if let Some((name, _)) = of_a_hub.into_iter().find(|(_, given)| *given) {
            return Err(Error::usage(format!("{name} requires --mode server"))
                .with_hint(format!("leave out {name}, or add --mode server")));
        }
        Ok(match sync::Hub::new(flags, data.tokens, data.secret)? {
            Some(hub) => Role::Spoke(hub),
            None => Role::Alone,
        })
    }

    /// Returns the mode that `status` names.
    pub(super) fn mode(&self) -> &'static str {
        match self {
            Role::Alone | Role::Spoke(_) => "local",
            Role::Hub(_) => "server",
        }
    }
}

/// Validates flags before they are written into a service, which would otherwise fail at every start.
///
/// # Errors
///
/// hephd would reject them.
pub(crate) fn validate(flags: &Flags) -> Result<()> {
    if let Some(address) = &flags.http_addr {
        // Without effect unless hephd is a hub, but never meant to be wrong.
        hub::parse_address(address)?;
    }
    Role::new(flags, Data::default()).map(drop)
}

/// Returns what to warn of where the service gets these flags: a token that may travel unencrypted.
pub(crate) fn warning(flags: &Flags) -> Option<String> {
    let url = flags.hub_url.as_ref().filter(|_| flags.hub_plain_http)?;
    HubUrl::parse(url).ok()?.warning(true)
}

/// How tasks and tokens travel to a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Encrypted,
    /// They stay on the machine.
    Loopback,
    /// By plain http in a tailnet or private network.
    OwnNetwork,
    /// By plain http anywhere else.
    Public,
}

/// Returns how tasks and tokens travel to the hub at `url`.
///
/// # Errors
///
/// It is not the URL of a hub.
pub(crate) fn way(url: &str) -> Result<Way> {
    let url = HubUrl::parse(url)?;
    Ok(match (url.is_https(), url.is_unencrypted, url.network()) {
        (true, ..) => Way::Encrypted,
        (_, false, _) => Way::Loopback,
        (_, _, Network::Public) => Way::Public,
        (_, _, Network::Tailnet | Network::Private) => Way::OwnNetwork,
    })
}

/// Returns the flags that have no effect. Release 0.1.0 accepted them, so a service that has them must go on working.
pub(super) fn ignored(flags: &Flags) -> impl Iterator<Item = &'static str> {
    let of_a_hub = [
        ("--http-addr", &flags.http_addr),
        ("--oidc-audience", &flags.oidc_audience),
    ];
    let is_hub = flags.is_hub();
    let given = of_a_hub
        .into_iter()
        .filter(move |(_, value)| !is_hub && value.is_some());
    given.map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(arguments: &[&str]) -> Result<Role> {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Role::new(&Flags::parse(arguments)?, Data::default())
    }

    #[test]
    fn the_mode_and_the_url_of_a_hub_decide() {
        assert!(matches!(role(&[]), Ok(Role::Alone)));
        assert!(matches!(role(&["--mode=local"]), Ok(Role::Alone)));
        let spoke = role(&["--hub-url=https://hub.example"]);
        assert!(matches!(spoke, Ok(Role::Spoke(_))));
        let hub = role(&["--mode", "server", "--http-addr", "127.0.0.1:1"]);
        assert!(matches!(hub, Ok(Role::Hub(_))));
    }

    #[test]
    fn plain_http_with_a_token_is_allowed_and_warned_of_by_name() {
        const HUB: &str = "--hub-url=http://100.64.0.1:7345";
        let flags = |more: &'static [&'static str]| {
            let login = ["--oidc-issuer=https://id.example", "--oidc-client-id=heph"];
            [&[HUB][..], &login, more].concat()
        };
        let error = role(&flags(&[])).unwrap_err();
        assert!(error.hint().unwrap().contains("--hub-plain-http"));
        assert!(role(&flags(&["--hub-plain-http=false"])).is_err());
        assert!(role(&flags(&["--hub-plain-http"])).is_ok());
        // It stays in the service when the hub is left or gets https.
        assert!(role(&["--hub-plain-http"]).is_ok());
        assert!(role(&["--hub-plain-http", "--hub-url=https://hub.example"]).is_ok());

        let warned = |arguments: &[&str]| {
            let arguments = arguments.iter().map(ToString::to_string).collect();
            warning(&Flags::parse(arguments).unwrap())
        };
        assert!(
            warned(&[HUB, "--hub-plain-http"])
                .unwrap()
                .contains("tailnet")
        );
        assert_eq!(warned(&["--hub-plain-http"]), None);
        assert_eq!(warned(&["--hub-plain-http", "--hub-url=https://h"]), None);
    }

    #[test]
    fn what_would_keep_hephd_from_starting_is_found_before_it_is_baked() {
        let validate = |arguments: &[&str]| {
            let arguments = arguments.iter().map(ToString::to_string).collect();
            validate(&Flags::parse(arguments)?)
        };
        let hub = ["--mode=server", "--http-addr=127.0.0.1:7345"];
        for (more, message) in [
            (&["--mode=server"][..], "requires --http-addr"),
            (&["--http-addr=7345"], "is not an IP address and port"),
            (
                &[hub[0], hub[1], "--oidc-issuer=https://id.example"],
                "--oidc-issuer requires --oidc-audience",
            ),
            (
                &[hub[0], hub[1], "--oidc-audience=heph"],
                "--oidc-audience requires --oidc-issuer",
            ),
            (&[hub[0], hub[1], "--hub-url=https://h"], "no other hub"),
            (
                &[hub[0], "--http-addr=:7345"],
                "is not an IP address and port",
            ),
            (
                &[hub[0], "--http-addr=0.0.0.0:7345"],
                "no tokens are checked",
            ),
            (&["--hub-url=h.example"], "neither https:// nor http://"),
            (&["--sync-rate=9"], "requires --mode server"),
        ] {
            let error = validate(more).unwrap_err();
            assert!(error.to_string().contains(message), "{more:?}: {error}");
            assert_eq!(error.exit().code(), 2);
        }
        validate(&hub).unwrap();
        validate(&hub[1..]).unwrap();
    }

    #[test]
    fn flags_of_a_hub_are_wrong_usage_elsewhere_and_what_0_1_0_ignored_still_is() {
        for (argument, message) in [
            (
                "--insecure-no-auth",
                "--insecure-no-auth requires --mode server",
            ),
            ("--sync-rate=9", "--sync-rate requires --mode server"),
            ("--invited-only", "--invited-only requires --mode server"),
            ("--quota-bytes=1GiB", "--quota-bytes requires --mode server"),
            (
                "--quota-operations=9",
                "--quota-operations requires --mode server",
            ),
        ] {
            let error = role(&[argument]).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert_eq!(error.exit().code(), 2);
        }
        assert!(role(&["--insecure-no-auth=false"]).is_ok());

        let arguments = ["--http-addr=:1", "--oidc-issuer=x", "--oidc-audience=y"];
        assert!(matches!(role(&arguments), Ok(Role::Alone)));
        let flags = |mode: &str| {
            let mode = format!("--mode={mode}");
            let arguments = [&mode].into_iter().map(ToString::to_string);
            let others = arguments.chain(["--http-addr=:1".to_owned()]);
            Flags::parse(others.collect()).unwrap()
        };
        assert_eq!(
            ignored(&flags("local")).collect::<Vec<_>>(),
            ["--http-addr"]
        );
        assert_eq!(ignored(&flags("server")).count(), 0);
    }
}
