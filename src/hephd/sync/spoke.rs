//! The thread of a spoke: it waits until a round is due, and goes through it page by page.

use std::sync::Arc;
use std::thread;

use ulid::Ulid;

use super::exchange::Exchange;
use super::trouble::{Kind, Trouble};
use super::{Done, Hub, Shared};
use crate::hephd::keeper::Distant;
use crate::hephd::print;
use crate::hephd::protocol::{PageLimits, Response};
use crate::hephd::store::Store;
use crate::os::text::printable;

/// The smallest page that is tried where larger ones are refused, in bytes before compression.
const SMALLEST_PAGE: usize = 64 << 10;
/// How often a hub may be another one in one round, never twice in a row: another spoke may find it to be one as well.
const MOST_RESETS: u32 = 8;
/// How many refused operations of one answer the log names.
const NAMED: usize = 5;

/// The thread.
pub struct Spoke {
    exchange: Exchange,
    store: Distant,
    shared: Arc<Shared>,
    page: PageLimits,
    /// What the log was told last, so that it is told once.
    told: Told,
}

#[derive(Debug, PartialEq)]
enum Told {
    Nothing,
    Well,
    Trouble(String),
}

/// Says, when the thread ends, that no round will begin any more: also if it panicked.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        if thread::panicking() {
            print::log("the sync has ended by itself; `heph daemon restart` begins it anew");
        }
        self.0.stop();
    }
}

impl Spoke {
    /// Returns a spoke of `hub`.
    pub fn new(hub: Hub, store: Distant, shared: Arc<Shared>) -> Spoke {
        Spoke {
            exchange: Exchange::new(hub),
            store,
            shared,
            page: PageLimits::default(),
            told: Told::Nothing,
        }
    }

    /// Goes through rounds until hephd ends.
    pub fn run(mut self) {
        let _end = End(Arc::clone(&self.shared));
        let address = self.exchange.address();
        print::log(format!("syncs with '{}'", address.text()));
        if address.is_plain() {
            print::log("its address is plain http: whoever is on the way can read the tasks");
        }
        while self.shared.begin_when_due() {
            let outcome = self.round();
            if matches!(&outcome, Err(trouble) if trouble.kind == Kind::Ending) {
                return;
            }
            self.log(&outcome);
            self.shared.end(outcome, entropy());
        }
    }

    /// Exchanges pages until neither side lacks what was there when the round began.
    fn round(&mut self) -> Result<Done, Trouble> {
        self.ask(Store::become_spoke)?;
        let mut done = Done::default();
        let mut resets = 0;
        let mut was_reset = false;
        let mut left = self.ask(|store| store.pending())?;
        loop {
            let page = self.page;
            let request = Arc::new(self.ask(move |store| store.next_request(page))?);
            let answer = match self.exchange.send(&request) {
                Ok(answer) => Arc::new(answer),
                Err(trouble) if trouble.kind == Kind::TooLarge && page.bytes > SMALLEST_PAGE => {
                    self.page.bytes /= 2;
                    continue;
                }
                Err(trouble) => return Err(trouble),
            };
            let stands_still = answer.operations.is_empty() && answer.cursor == request.cursor;
            if !answer.reset && answer.more && stands_still {
                return Err(self.confused("says that there is more, and sends nothing"));
            }
            if answer.reset && (was_reset || resets == MOST_RESETS) {
                return Err(self.confused("says again and again that it is another one"));
            }
            let (asked, answered) = (Arc::clone(&request), Arc::clone(&answer));
            self.ask(move |store| store.apply(&asked, &answered))?;
            was_reset = answer.reset;
            if answer.reset {
                resets += 1;
                self.tell_of_reset();
                done = Done::default();
                left = self.ask(|store| store.pending())?;
                continue;
            }
            tell_of_refused(&answer);
            let (offered, refused) = (request.operations.len(), answer.refused.len());
            done.sent += offered.saturating_sub(refused) as u64;
            done.refused += refused as u64;
            done.received += answer.operations.len() as u64;
            left = left.saturating_sub(offered as u64);
            // What is written meanwhile has its own round: under constant writes, this one would never end.
            if !answer.more && (left == 0 || offered == 0) {
                return Ok(done);
            }
        }
    }

    /// Has the store's thread do `work`.
    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> crate::error::Result<T> + Send + 'static,
    ) -> Result<T, Trouble> {
        match self.store.call(work) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(Trouble::new(
                Kind::Wrong,
                error.context("the store failed on this machine").one_line(),
            )),
            Err(_) => Err(Trouble::new(Kind::Ending, "hephd ends")),
        }
    }

    fn confused(&self, does: &str) -> Trouble {
        let words = format!("the hub '{}' {does}", self.exchange.address().text());
        Trouble::new(Kind::Wrong, words).with_hint("look at its log")
    }

    fn tell_of_reset(&self) {
        print::log(format!(
            "the hub '{}' is another one than before, or came back from a backup: it is told everything anew",
            self.exchange.address().text()
        ));
    }

    /// Logs what came of a round, unless it is the same as before.
    fn log(&mut self, outcome: &Result<Done, Trouble>) {
        let told = match outcome {
            Ok(_) => Told::Well,
            Err(trouble) => Told::Trouble(trouble.sentence()),
        };
        if told == self.told {
            return;
        }
        match &told {
            Told::Trouble(sentence) => print::log(format!("cannot sync: {}", printable(sentence))),
            _ => print::log("in sync with the hub"),
        }
        self.told = told;
    }
}

/// Logs what the hub refused: that is not sent again.
fn tell_of_refused(answer: &Response) {
    for refused in answer.refused.iter().take(NAMED) {
        print::log(format!(
            "the hub refused the operation {}: {}",
            printable(&refused.id),
            printable(&refused.reason)
        ));
    }
    if let Some(more @ 1..) = answer.refused.len().checked_sub(NAMED) {
        print::log(format!("the hub refused {more} more"));
    }
}

/// Returns random bits for the jitter.
fn entropy() -> u64 {
    // ULIDs carry 80 of them.
    (Ulid::generate().random() >> 8) as u64
}
