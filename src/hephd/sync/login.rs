//! The token that a spoke sends: of those that `heph auth login` left on this machine.

use std::path::PathBuf;

use crate::error::Result;
use crate::login;
use crate::os::clock;

/// Where the tokens of a spoke come from.
#[derive(Clone, Debug)]
pub struct Login {
    /// Who gives them.
    pub issuer: String,
    /// To which client.
    pub client_id: String,
    /// The file where they are kept.
    pub tokens: PathBuf,
}

impl Login {
    /// Returns the token to send: another one than `refused`, which the hub did not take.
    ///
    /// # Errors
    ///
    /// Nobody is logged in, the login has ended, or the issuer is away ([`crate::error::Exit::TryLater`]).
    pub fn token(&self, refused: Option<&str>) -> Result<String> {
        let (file, issuer, client_id) = (&self.tokens, &self.issuer, &self.client_id);
        match refused {
            None => login::bearer(file, issuer, client_id, clock::now()),
            Some(refused) => login::renewed(file, issuer, client_id, refused, clock::now()),
        }
    }
}
