//! One page: sent with a token, and again where the connection broke.

use std::thread;
use std::time::{Duration, Instant};

use super::address::Address;
use super::call::{self, Called, Caller};
use super::trouble::{Kind, Trouble};
use super::verdict::{self, Asked, Verdict};
use super::{Hub, Login};
use crate::error::{Error, Exit, Result};
use crate::hephd::print;
use crate::hephd::protocol::{Request, Response};
use crate::os::backoff::Backoff;
use crate::os::clock;

/// How long an interrupted call is repeated before it counts as a failure: a hub restarts in less.
const RESTART: Duration = Duration::from_secs(5);
/// The waits between the attempts.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(20),
    longest: Duration::from_millis(500),
};

/// A hub to exchange pages with.
pub struct Exchange {
    address: Address,
    login: Option<Login>,
    caller: Caller,
    /// What the log was told of the clocks last.
    clocks: Option<String>,
}

impl Exchange {
    /// Returns an exchange with `hub`.
    pub fn new(hub: Hub) -> Exchange {
        Exchange {
            caller: Caller::new(hub.address.clone()),
            address: hub.address,
            login: hub.login,
            clocks: None,
        }
    }

    /// Returns the hub's address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sends `request` and returns what the hub answers. A token that the hub does not take is refreshed once.
    ///
    /// # Errors
    ///
    /// The hub cannot be reached, or does not take the request; or there is no token to send.
    pub fn send(&mut self, request: &Request) -> Result<Response, Trouble> {
        let body = serde_json::to_vec(request)
            .map_err(Error::from)
            .and_then(|json| Ok(call::compressed(&json)?))
            .map_err(|error| Trouble::new(Kind::Wrong, error.one_line()))?;
        let token = self.token(None)?;
        match self.repeat(&body, token.as_deref()) {
            Err(trouble) if trouble.kind == Kind::Login && token.is_some() => {
                let fresh = self.token(token.as_deref())?;
                self.repeat(&body, fresh.as_deref())
            }
            answered => answered,
        }
    }

    /// Sends `body` until it is answered. What breaks off in the middle is sent again, since the hub takes each operation
    /// once, however often it comes: a hub that restarts is not worth a word.
    fn repeat(&mut self, body: &[u8], token: Option<&str>) -> Result<Response, Trouble> {
        let mut until = None;
        let mut failures = 0;
        loop {
            let trouble = match self.once(body, token) {
                Once::Answered(answer) => return Ok(answer),
                Once::Failed(trouble) => return Err(trouble),
                // Nobody was there to begin with.
                Once::NobodyThere(trouble) if until.is_none() => return Err(trouble),
                Once::Interrupted(trouble) | Once::NobodyThere(trouble) => trouble,
            };
            if Instant::now() >= *until.get_or_insert_with(|| Instant::now() + RESTART) {
                return Err(trouble);
            }
            failures += 1;
            thread::sleep(BACKOFF.wait(failures));
        }
    }

    fn once(&mut self, body: &[u8], token: Option<&str>) -> Once {
        let (head, body) = match self.caller.post(body, token) {
            Called::Answered(head, body) => (head, body),
            Called::Interrupted(trouble) => return Once::Interrupted(trouble),
            Called::NobodyThere(trouble) => return Once::NobodyThere(trouble),
            Called::Failed(trouble) => return Once::Failed(trouble),
        };
        let asked = Asked {
            hub: self.address.text(),
            with_token: token.is_some(),
            now: clock::now(),
        };
        match verdict::judge(&head, &body, &asked) {
            Verdict::Answer(answer) => {
                self.compare_clocks(verdict::clocks_apart(&head, asked.now));
                Once::Answered(answer)
            }
            Verdict::Trouble(trouble) => Once::Failed(trouble),
            Verdict::CutOff => {
                let words = format!("the answer of '{}' was cut off", self.address.text());
                Once::Interrupted(Trouble::new(Kind::Unreachable, words))
            }
        }
    }

    /// Logs how far the clocks are apart, when that changes. Syncing does not mind; tokens and people do.
    fn compare_clocks(&mut self, apart: Option<String>) {
        if apart != self.clocks {
            print::log(match &apart {
                Some(words) => words,
                None => "the clocks of this machine and the hub agree again",
            });
            self.clocks = apart;
        }
    }

    /// Returns the token to send, another one than `refused`; `None` where the hub wants none.
    fn token(&self, refused: Option<&str>) -> Result<Option<String>, Trouble> {
        let Some(login) = &self.login else {
            return Ok(None);
        };
        let trouble = |error: Error| {
            let kind = match error.exit() {
                Exit::TryLater => Kind::Unreachable,
                _ => Kind::Login,
            };
            let trouble = Trouble::new(kind, error.one_line());
            match error.hint() {
                Some(hint) => trouble.with_hint(hint),
                None => trouble,
            }
        };
        login.token(refused).map(Some).map_err(trouble)
    }
}

/// What came of sending a request once.
enum Once {
    Answered(Response),
    Interrupted(Trouble),
    NobodyThere(Trouble),
    Failed(Trouble),
}
