//! The client side of OpenID Connect: how a person logs in for this machine, and how hephd stays logged in.
//!
//! There is no browser here, and hephd may run where nobody looks at a screen. So a person logs in by the device
//! authorization grant (RFC 8628): `heph auth login` shows an address and a code, the person opens the address on whatever
//! has a browser and confirms there, and meanwhile heph asks the token endpoint again and again. What comes of it is a file
//! of tokens, which is all that `heph` and `hephd` share:
//!
//! 1. [`discovery`] finds the endpoints of the issuer, and makes sure that it is the issuer that was asked for.
//! 2. [`device`] asks for a code and waits. How it waits is a pure function of what it hears.
//! 3. [`tokens`] is the file. It is private, and every write of it is complete or did not happen.
//! 4. [`renew`] keeps a bearer at hand. An issuer that rotates refresh tokens takes each of them once, and takes a second
//!    use for theft. So one process at a time renews, under a lock; it looks first whether another did so just now; and the
//!    new refresh token is on disk before the access token is used.
//!
//! heph verifies no token: that is the hub's business. What it reads of one ([`claims`]) it shows, and nothing hangs on it.
//!
//! Architecture invariant: nothing from the network becomes a path or an option, tokens appear in no message, and nothing
//! that carries a token follows a redirect.

pub mod answer;
mod ask;
pub mod claims;
pub mod device;
pub mod discovery;
pub mod pkce;
pub mod renew;
pub mod revoke;
pub mod tokens;

pub use discovery::{Metadata, discover};
pub use renew::{bearer, renewed};
pub use tokens::{Tokens, load, remove, save};

use crate::error::{Error, Kind};
use crate::os::text::excerpt;

/// What is asked for: to know who it is, and a refresh token (OpenID Connect Core 1.0, sections 3.1.2.1 and 11).
pub const SCOPE: &str = "openid offline_access";

/// The longest text of an issuer that a message quotes, in characters.
const LONGEST_QUOTE: usize = 200;

/// Returns what a message quotes of `text`, which came from the network.
fn quoted(text: &str) -> String {
    excerpt(text, LONGEST_QUOTE)
}

/// Returns the fault for an issuer that gave no answer: later it may work, or it may not.
fn no_answer(what: String, failure: &Error) -> Error {
    Error::new(format!("{what}: {}", failure.one_line())).with_kind(failure.kind())
}

/// Returns the fault for an issuer that is away.
fn away(message: String) -> Error {
    Error::new(message).with_kind(Kind::Unreachable)
}
