//! A log of what strangers cause, with a limit per minute: they cannot fill the disk.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::rate::Rate;
use crate::hephd::log;

const PER_MINUTE: u32 = 60;

#[derive(Debug)]
pub(super) struct LimitedLog(Mutex<State>);

#[derive(Debug)]
struct State {
    rate: Rate,
    unlogged: u64,
}

impl LimitedLog {
    pub(super) fn new() -> LimitedLog {
        LimitedLog(Mutex::new(State {
            rate: Rate::new(PER_MINUTE),
            unlogged: 0,
        }))
    }

    /// Logs an event, or counts it for the next one that is logged.
    pub(super) fn event(&self, name: &str, fields: &[(&str, &dyn Display)]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.rate.take("", Instant::now()).is_err() {
            state.unlogged += 1;
            return;
        }
        let unlogged = std::mem::take(&mut state.unlogged);
        let mut fields = fields.to_vec();
        if unlogged > 0 {
            fields.push(("unlogged-before", &unlogged));
        }
        log::event(name, &fields);
    }
}
