//! Why a sync failed, in words.

use std::time::Duration;

/// Whose move it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The hub is away, or cannot answer now: later it may work by itself.
    Unreachable,
    /// The hub, or the provider of tokens, does not take the login.
    Login,
    /// The request is larger than the hub, or a proxy before it, takes.
    TooLarge,
    /// Something is wrong that does not pass by itself.
    Wrong,
    /// This hephd ends.
    Ending,
}

/// Why a sync failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Whose move it is.
    pub kind: Kind,
    /// What happened. It has nothing in it that differs each time, so that the log tells it once.
    pub words: String,
    /// What helps.
    pub hint: Option<String>,
    /// How long the hub asked to be left alone.
    pub retry_after: Option<Duration>,
}

impl Trouble {
    /// Returns a trouble without a hint.
    pub fn new(kind: Kind, words: impl Into<String>) -> Trouble {
        Trouble {
            kind,
            words: words.into(),
            hint: None,
            retry_after: None,
        }
    }

    /// Adds what helps.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Trouble {
        self.hint = Some(hint.into());
        self
    }

    /// Returns it in one line, for the status and the log.
    pub fn sentence(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{} (hint: {hint})", self.words),
            None => self.words.clone(),
        }
    }
}
