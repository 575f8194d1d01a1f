//! The line that `heph hub invite` prints and `heph sync join` takes: the URL of the hub, `#`, and the secret. Pure.

use std::fmt;

use super::secret::Secret;
use crate::error::{Error, Result, ResultExt};

/// The longest line, in bytes.
const LONGEST: usize = 2_000;

/// A hub and the secret of one machine there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invitation {
    /// The URL of the hub, which the spoke validates.
    pub(crate) hub: String,
    pub(crate) secret: Secret,
}

/// Displays the line itself: what it is for.
impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No browser sends what follows `#`.
        write!(f, "{}#{}", self.hub, self.secret.text())
    }
}

impl Invitation {
    /// Parses a line, with white space or quotes around it where it was copied so. The message never quotes it.
    pub(crate) fn parse(line: &str) -> Result<Invitation> {
        let invalid = || {
            Error::usage("the line is no invitation to a hub").with_hint(
                "copy the whole line that `heph hub invite` printed, such as https://hub.example.org#hephs_…",
            )
        };
        let line = line.trim().trim_matches(['"', '\'', '`']);
        let (hub, secret) = line.rsplit_once('#').with_context(invalid)?;
        if line.len() > LONGEST || line.contains(char::is_whitespace) || hub.is_empty() {
            return Err(invalid());
        }
        let secret = Secret::try_from(secret.to_owned()).map_err(|_| invalid())?;
        Ok(Invitation {
            hub: hub.trim_end_matches('/').to_owned(),
            secret,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_read_as_it_was_copied() {
        let invitation = Invitation {
            hub: "https://hub.example.org/heph".to_owned(),
            secret: Secret::generate().unwrap(),
        };
        let line = invitation.to_string();
        for copied in [
            line.clone(),
            format!("  {line}\r\n"),
            format!("'{line}'"),
            format!("\"{line}\""),
            line.replace('#', "/#"),
        ] {
            assert_eq!(Invitation::parse(&copied).unwrap(), invitation, "{copied}");
        }
    }

    #[test]
    fn what_is_no_line_is_rejected_without_being_quoted() {
        let secret = Secret::generate().unwrap();
        let secret = secret.text();
        for line in [
            "",
            "hush",
            "https://hub.example.org",
            "https://hub.example.org#hush",
            &format!("#{secret}"),
            &format!("https://hub.example.org {secret}"),
            &format!("https://hub.example.org#{secret} hush"),
            &format!("https://hub.example.org#{}", &secret[..30]),
            &format!("https://{}#{secret}", "x".repeat(3_000)),
        ] {
            let error = Invitation::parse(line).unwrap_err();
            assert_eq!(error.exit().code(), 2);
            assert!(!format!("{error:#}").contains("hush"), "{error:#}");
            assert!(!format!("{error:#}").contains(secret), "{error:#}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "\\PC*|https?://[a-z.]*#hephs_[A-Za-z0-9_-]*") {
            let _ = Invitation::parse(&line);
        }
    }
}
