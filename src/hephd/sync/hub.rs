//! The hub of a spoke as the flags of hephd name it, and the login there.

use std::path::PathBuf;

use super::hub_url::HubUrl;
use crate::error::{Error, Exit, Kind, Result};
use crate::login;
use crate::os::clock;

/// A hub, and the login there if it requires one.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    pub(super) url: HubUrl,
    pub(super) login: Option<Login>,
}

/// The OpenID provider of a hub, and the tokens that `heph auth login` stored on this machine.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub issuer: String,
    pub client_id: String,
    /// The file of the tokens.
    tokens: PathBuf,
}

/// The flags of hephd that name a hub.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags<'a> {
    pub hub_url: Option<&'a str>,
    /// `--oidc-issuer`.
    pub issuer: Option<&'a str>,
    /// `--oidc-client-id`.
    pub client_id: Option<&'a str>,
}

/// Validates flags before they are written into a service, which would otherwise fail at every start.
///
/// # Errors
///
/// As [`Hub::from_flags`].
pub fn check_spoke(
    hub_url: Option<&str>,
    issuer: Option<&str>,
    client_id: Option<&str>,
) -> Result<(), Error> {
    let flags = Flags {
        hub_url,
        issuer,
        client_id,
    };
    Hub::from_flags(flags, PathBuf::new()).map(drop)
}

impl Hub {
    /// Returns the hub that `flags` name, if they name one. Its tokens are in the file `tokens`.
    ///
    /// # Errors
    ///
    /// The URL is invalid, or only one of the two flags of a login is given.
    pub fn from_flags(flags: Flags, tokens: PathBuf) -> Result<Option<Hub>> {
        let Some(url) = flags.hub_url else {
            return Ok(None);
        };
        let login = match (flags.issuer, flags.client_id) {
            (Some(issuer), Some(client_id)) => Some(Login {
                issuer: issuer.to_owned(),
                client_id: client_id.to_owned(),
                tokens,
            }),
            (None, None) => None,
            (Some(_), None) => return Err(missing("--oidc-client-id", "--oidc-issuer")),
            (None, Some(_)) => return Err(missing("--oidc-issuer", "--oidc-client-id")),
        };
        let url = HubUrl::parse(url, login.is_some())?;
        Ok(Some(Hub { url, login }))
    }
}

fn missing(flag: &str, given: &str) -> Error {
    Error::usage(format!("{given} requires {flag}")).with_hint(format!(
        "pass {flag} as well; the provider's administrator knows its value"
    ))
}

impl Login {
    /// Returns the token to send; another one than `rejected`, if the hub rejected that.
    ///
    /// # Errors
    ///
    /// [`Kind::Unreachable`] where the issuer cannot be reached, [`Kind::Unauthorized`] where a person has to log in.
    pub fn token(&self, rejected: Option<&str>) -> Result<String> {
        let (file, issuer, client_id) = (&self.tokens, &self.issuer, &self.client_id);
        let token = match rejected {
            None => login::bearer(file, issuer, client_id, clock::now()),
            Some(rejected) => login::renewed(file, issuer, client_id, rejected, clock::now()),
        };
        token.map_err(|error| match error.exit() {
            Exit::TryLater => error.with_kind(Kind::Unreachable),
            _ => error.with_kind(Kind::Unauthorized),
        })
    }
}
