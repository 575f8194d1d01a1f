//! The progress of one round of sync, and whether another page follows. Pure.

use crate::error::{Result, bail};
use crate::hephd::protocol::{Request, Response};

/// The most resets in one round. Two in a row are never accepted, but another spoke may make the hub reset once more.
const MOST_RESETS: u32 = 8;

/// How many operations a round exchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transferred {
    /// How many operations the hub took.
    pub sent: u64,
    pub received: u64,
    /// How many tasks those deleted.
    pub deleted: u64,
}

/// What follows a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Page,
    /// The hub has another log: everything is exchanged again.
    Resync,
    Finish,
}

/// A round under way.
#[derive(Debug)]
pub(super) struct Round {
    pub transferred: Transferred,
    unsent: u64,
    resets: u32,
    was_reset: bool,
}

impl Round {
    /// Begins a round with so many operations to send. Those that are written meanwhile are left to the next round:
    /// under constant writes, this one would never end.
    pub fn new(unsent: u64) -> Round {
        Round {
            transferred: Transferred::default(),
            unsent,
            resets: 0,
            was_reset: false,
        }
    }

    /// Begins again after [`Next::Resync`].
    pub fn restart(&mut self, unsent: u64) {
        self.transferred = Transferred::default();
        self.unsent = unsent;
    }

    /// Goes on with so many operations to send, which got another stamp.
    pub fn extend(&mut self, unsent: u64) {
        self.unsent = unsent;
    }

    /// Counts a page and decides what follows it.
    ///
    /// # Errors
    ///
    /// The hub would keep the round going forever.
    pub fn advance(&mut self, request: &Request, response: &Response) -> Result<Next> {
        if response.reset {
            self.resets += 1;
            if self.was_reset || self.resets > MOST_RESETS {
                bail!("it keeps resetting the sync");
            }
            self.was_reset = true;
            return Ok(Next::Resync);
        }
        self.was_reset = false;
        if response.more && response.operations.is_empty() && response.cursor == request.cursor {
            bail!("it promises more operations and sends none");
        }
        let offered = request.operations.len() as u64;
        self.transferred.sent += offered.saturating_sub(response.refused.len() as u64);
        self.transferred.received += response.operations.len() as u64;
        self.unsent = self.unsent.saturating_sub(offered);
        Ok(if !response.more && (self.unsent == 0 || offered == 0) {
            Next::Finish
        } else {
            Next::Page
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hephd::protocol::{Operation, OperationKind, Position, RefusedOperation};

    fn operations(count: usize) -> Vec<Operation> {
        let operation = Operation {
            id: "01K9ZZZZZZABCDEFGHJKMNPQRS".to_owned(),
            kind: OperationKind::Done,
            task: "01K9ZZZZZZABCDEFGHJKMNPQRT".to_owned(),
            body: serde_json::Map::new(),
            created_at: 1,
        };
        vec![operation; count]
    }

    fn request(operations: Vec<Operation>) -> Request {
        Request {
            schema: 1,
            version: "1.2.3".to_owned(),
            spoke: "01K9ZZZZZZABCDEFGHJKMNPQRU".to_owned(),
            epoch: None,
            cursor: None,
            sent: None,
            operations,
            page_bytes: None,
        }
    }

    fn response(more: bool, reset: bool, operations: Vec<Operation>) -> Response {
        Response {
            schema: 1,
            version: "1.2.3".to_owned(),
            epoch: "E".to_owned(),
            reset,
            refused: Vec::new(),
            sent: None,
            cursor: operations.last().map(|last| Position {
                seq: 1,
                id: last.id.clone(),
            }),
            operations,
            more,
        }
    }

    #[test]
    fn a_round_ends_when_neither_side_lacks_what_was_there_when_it_began() {
        let mut round = Round::new(3);
        let two = request(operations(2));
        let mut answer = response(false, false, operations(1));
        let refused = RefusedOperation {
            id: two.operations[0].id.clone(),
            reason: "no".to_owned(),
        };
        answer.refused.push(refused);
        assert_eq!(round.advance(&two, &answer).unwrap(), Next::Page);
        let more = response(true, false, operations(4));
        assert_eq!(round.advance(&two, &more).unwrap(), Next::Page);
        // More was written meanwhile, and is left to the next round.
        let last = response(false, false, Vec::new());
        assert_eq!(round.advance(&two, &last).unwrap(), Next::Finish);
        let (sent, received) = (5, 5);
        let deleted = 0;
        let transferred = Transferred {
            sent,
            received,
            deleted,
        };
        assert_eq!(round.transferred, transferred);

        // What was counted may have been acknowledged by another exchange.
        let mut round = Round::new(7);
        let nothing = request(Vec::new());
        assert_eq!(round.advance(&nothing, &last).unwrap(), Next::Finish);
    }

    #[test]
    fn a_hub_that_promises_more_and_sends_none_does_not_keep_a_spoke_busy() {
        let answer = response(true, false, Vec::new());
        let advanced = Round::new(0).advance(&request(Vec::new()), &answer);
        assert!(advanced.unwrap_err().to_string().contains("sends none"));
    }

    #[test]
    fn a_hub_that_always_resets_does_not_keep_a_spoke_busy() {
        let reset = response(false, true, Vec::new());
        let page = response(true, false, operations(1));
        let one = request(operations(1));
        let mut round = Round::new(1);
        assert_eq!(round.advance(&one, &reset).unwrap(), Next::Resync);
        round.advance(&one, &reset).unwrap_err();

        let mut round = Round::new(1);
        for _ in 0..MOST_RESETS {
            assert_eq!(round.advance(&one, &reset).unwrap(), Next::Resync);
            round.restart(9);
            assert_eq!(round.advance(&one, &page).unwrap(), Next::Page);
        }
        round.advance(&one, &reset).unwrap_err();
    }
}
