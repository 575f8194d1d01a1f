//! The hub of a spoke as the flags of hephd name it, and how the spoke identifies itself there.

use std::path::PathBuf;

use jiff::Timestamp;

use super::connection::Remedy;
use super::hub_url::HubUrl;
use crate::error::{Error, Exit, Kind, Result};
use crate::flags::Flags;
use crate::hephd::log;
use crate::hephd::store::ALLOWANCE;
use crate::login::secret::{HubSecret, Secret};
use crate::login::{self, Tokens};
use crate::os::clock;

/// A hub, and how to be somebody there.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    pub(super) url: HubUrl,
    pub(super) credential: Credential,
    /// How many bytes it may store here.
    pub(in crate::hephd) allowance: u64,
}

/// What a spoke sends to be somebody.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    None,
    Login(Login),
    /// The secret of this machine, which the hub has invited.
    Secret(Secret),
}

/// The OpenID provider of a hub, and the tokens that `heph auth login` stored on this machine.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub issuer: String,
    pub client_id: String,
    pub scopes: Option<String>,
    /// The file of the tokens.
    tokens: PathBuf,
}

impl Hub {
    /// Returns the hub that `flags` name, if they name one. The tokens of a login are in the file `tokens`; `secret` is that
    /// of this machine, if it was invited to a hub.
    ///
    /// # Errors
    ///
    /// The URL is invalid, or only one of the two flags of a login is given.
    pub fn new(flags: &Flags, tokens: PathBuf, secret: Option<HubSecret>) -> Result<Option<Hub>> {
        let Some(url) = &flags.hub_url else {
            return Ok(None);
        };
        let url = HubUrl::parse(url)?;
        let credential = match (&flags.oidc_issuer, &flags.oidc_client_id) {
            (Some(issuer), Some(client_id)) => Credential::Login(Login {
                issuer: issuer.clone(),
                client_id: client_id.clone(),
                scopes: flags.oidc_scopes.clone(),
                tokens,
            }),
            // A secret is for the one hub that it was made at.
            (None, None) => match secret.filter(|secret| secret.hub == url.text) {
                Some(stored) => Credential::Secret(stored.secret),
                None => Credential::None,
            },
            (Some(_), None) => return Err(missing("--oidc-client-id", "--oidc-issuer")),
            (None, Some(_)) => return Err(missing("--oidc-issuer", "--oidc-client-id")),
        };
        if let (Some(scopes), Credential::Login(_)) = (&flags.oidc_scopes, &credential)
            && scopes.trim().is_empty()
        {
            return Err(Error::usage("--oidc-scopes names no scope").with_hint(
                "`heph daemon restart --unset oidc-scopes` goes back to what the provider supports",
            ));
        }
        if !matches!(credential, Credential::None) {
            url.check_token(flags.hub_plain_http)?;
        }
        Ok(Some(Hub {
            url,
            credential,
            allowance: flags.quota_bytes.map_or(ALLOWANCE, |size| size.0.get()),
        }))
    }

    /// Returns what is unsafe about the way to the hub.
    pub(super) fn warning(&self) -> Option<String> {
        self.url
            .warning(!matches!(self.credential, Credential::None))
    }

    /// Returns the login, if the hub is one with a provider.
    pub(super) fn login(&self) -> Option<&Login> {
        match &self.credential {
            Credential::Login(login) => Some(login),
            Credential::None | Credential::Secret(_) => None,
        }
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

    /// Returns the other token of the login, which the hub may accept instead of `rejected`, unless it has expired.
    pub fn other(&self, rejected: &str) -> Result<Option<String>> {
        let (file, issuer, client_id) = (&self.tokens, &self.issuer, &self.client_id);
        login::other(file, issuer, client_id, rejected, clock::now())
    }

    /// Records that the hub accepts `token`. A failure costs another attempt with the wrong one.
    pub fn accept(&self, token: &str) {
        let (file, issuer, client_id) = (&self.tokens, &self.issuer, &self.client_id);
        if let Err(error) = login::accept(file, issuer, client_id, token) {
            log::line(format!(
                "cannot record which token the hub accepts: {}",
                error.one_line()
            ));
        }
    }

    /// Returns whether renewing brings another token than the one that the hub rejected.
    pub fn renews_other(&self) -> Result<bool> {
        let stored = login::load(&self.tokens)?;
        Ok(stored.is_some_and(|tokens| tokens.renews_id_token()))
    }

    /// Returns the error of a hub that accepts no token of this login: what they are, where another of their kind would be
    /// rejected as well.
    pub fn explain(&self, error: Error, remedy: Remedy) -> Error {
        match login::load(&self.tokens) {
            Ok(Some(tokens)) if remedy == Remedy::AnotherKind => {
                explain(error, &tokens, clock::now())
            }
            _ => error,
        }
    }
}

/// Explains `error`, with which the hub rejected `tokens` at `now`. Pure.
fn explain(error: Error, tokens: &Tokens, now: Timestamp) -> Error {
    if tokens.has_lost_its_bearer(now) {
        let message = "the hub accepts only the id token, which has expired and which the issuer does not renew: log in again";
        let log_in = Error::new(message)
            .with_kind(Kind::Unauthorized)
            .with_hint("heph auth login");
        return error.context(log_in);
    }
    Error::new(tokens.audiences()).context(error)
}
