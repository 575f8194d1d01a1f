//! `heph auth logout`: give the login back.

use super::Context;
use crate::error::{Error, Exit, Result};
use crate::login::{self, revoke, tokens};
use crate::os::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(context: &Context, _: Args) -> Result<Exit> {
    let path = super::tokens(context)?;
    if !path.exists() {
        context.ui.say("nobody was logged in");
        return Ok(Exit::Done);
    }
    // hephd may be renewing them: what is revoked has to be what it leaves.
    let _lock = tokens::lock(&path)?;
    let revoked = match login::load(&path) {
        Ok(Some(tokens)) => revoke::revoke(&tokens).map(|revoked| (revoked, tokens)),
        Ok(None) => {
            context.ui.say("nobody was logged in");
            return Ok(Exit::Done);
        }
        Err(unusable) => Err(unusable),
    };
    login::remove(&path)?;
    let (revoked, tokens) = revoked.map_err(|error| {
        let fault = Error::new(format!(
            "removed '{}', but the login goes on at its issuer",
            path.display()
        ));
        error.context(fault.with_hint("end it there, in the settings of your account"))
    })?;
    let issuer = printable(&tokens.issuer);
    context.ui.say(if revoked {
        format!("logged out at {issuer}, and removed '{}'", path.display())
    } else {
        format!(
            "removed '{}'; {issuer} takes no tokens back, so they stay good until they expire",
            path.display()
        )
    });
    Ok(Exit::Done)
}
