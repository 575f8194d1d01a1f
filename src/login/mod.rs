//! The client side of OpenID Connect: how a person logs in for this machine, and how hephd stays logged in.
//!
//! There is no browser here, and hephd may run on a machine without a screen. So a person logs in by the device
//! authorization grant (RFC 8628): `heph auth login` shows a URL and a code, the person opens the URL on any device that has
//! a browser and confirms there, and meanwhile heph polls the token endpoint. The result is a file of tokens, which is all
//! that `heph` and `hephd` share:
//!
//! 1. [`discovery`] finds the endpoints of the issuer, and makes sure that it is the issuer that was asked for. The hub finds
//!    the issuer's keys by it, too.
//! 2. [`device`] asks for a code and waits. How it waits is a pure function of the answers.
//! 3. [`tokens`] is the file. It is private, and every write of it is complete or did not happen.
//! 4. [`renew`] keeps a bearer at hand. An issuer that rotates refresh tokens accepts each of them once, and takes a second
//!    use for theft. So one process at a time renews, under a lock; it looks first whether another did so just now; and the
//!    new refresh token is on disk before the access token is used.
//!
//! A hub may also know its machines without any provider, by a [`secret`] of each: an [`invitation`] carries it there.
//!
//! heph verifies no token: that is the hub's business. What it reads of one ([`jwt`]) it displays, and nothing depends on it.
//!
//! Architecture invariant: nothing from the network becomes a path or an option, tokens appear in no message, and no request
//! that carries a token follows a redirect.

pub(crate) mod device;
pub(crate) mod discovery;
mod endpoint;
mod grant;
pub(crate) mod invitation;
pub mod jwt;
pub(crate) mod lenient;
pub mod pkce;
mod renew;
pub(crate) mod revoke;
mod scopes;
pub(crate) mod secret;
pub(crate) mod tokens;

pub(crate) use discovery::discover;
pub use renew::{accept, bearer, other, renewed};
pub(crate) use tokens::remove;
pub use tokens::{Bearer, Tokens, load, save};

use crate::os::text::excerpt;

/// The hint of every error that only a new login resolves.
const LOG_IN: &str = "heph auth login";

/// Returns what a message quotes of `text`, which came from the network.
fn quoted(text: &str) -> String {
    excerpt(text, 200)
}
