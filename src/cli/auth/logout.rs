//! `heph auth logout`: revoke the login and remove its tokens.

use super::Context;
use crate::error::{Error, Exit, Kind, Result};
use crate::login::{self, revoke, tokens};
use crate::os::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(context: &Context, _: Args) -> Result<Exit> {
    let path = super::tokens(context)?;
    if !path.exists() {
        context.ui.say("not logged in");
        return Ok(Exit::Done);
    }
    // hephd may be renewing them, and only its last refresh token can be revoked.
    let _lock = tokens::lock(&path)?;
    let revoked = match login::load(&path) {
        Ok(Some(tokens)) => revoke::revoke(&tokens).map(|revoked| (revoked, tokens)),
        Ok(None) => {
            context.ui.say("not logged in");
            return Ok(Exit::Done);
        }
        Err(unusable) => Err(unusable),
    };
    login::remove(&path)?;
    let (revoked, tokens) = revoked.map_err(|error| {
        let removed = Error::new(format!(
            "removed '{}', but the login is still valid at its issuer",
            path.display()
        ));
        // Another attempt has no tokens to revoke.
        error
            .context(removed.with_hint("end it in the settings of your account there"))
            .with_kind(Kind::Failed)
    })?;
    let issuer = printable(&tokens.issuer);
    context.ui.say(if revoked {
        format!("logged out at {issuer}, and removed '{}'", path.display())
    } else {
        format!(
            "removed '{}'; {issuer} does not support revocation, so the tokens stay valid until they expire",
            path.display()
        )
    });
    Ok(Exit::Done)
}
