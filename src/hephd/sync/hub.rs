//! The hub of a spoke as the flags of hephd name it, and the login there.

use std::path::PathBuf;

use super::hub_url::HubUrl;
use crate::error::{Error, Exit, Kind, Result};
use crate::flags::Flags;
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

impl Hub {
    /// Returns the hub that `flags` name, if they name one. Its tokens are in the file `tokens`.
    ///
    /// # Errors
    ///
    /// The URL is invalid, or only one of the two flags of a login is given.
    pub fn new(flags: &Flags, tokens: PathBuf) -> Result<Option<Hub>> {
        let Some(url) = &flags.hub_url else {
            return Ok(None);
        };
        let login = match (&flags.oidc_issuer, &flags.oidc_client_id) {
            (Some(issuer), Some(client_id)) => Some(Login {
                issuer: issuer.clone(),
                client_id: client_id.clone(),
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
