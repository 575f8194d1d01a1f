//! What `heph self-update … --json` prints.

use std::ops::Deref;

use serde_json::Value;

use super::call::Call;

/// The object that a run printed.
#[derive(Debug)]
pub struct Report(Value);

impl Deref for Report {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl Call {
    /// Runs it to its end; asserts its exit code, and the outcome that it reports.
    #[track_caller]
    pub fn reports(self, code: i32, outcome: &str) -> Report {
        let ended = self.ends();
        let report = ended.json();
        let found = (ended.code, report["outcome"].as_str());
        assert_eq!(found, (code, Some(outcome)), "{ended}");
        Report(report)
    }
}

impl Report {
    /// Asserts that the reason has all of `words`.
    #[track_caller]
    pub fn because(&self, words: &[&str]) -> &Report {
        let reason = self["reason"].as_str().unwrap_or_default();
        for word in words {
            assert!(reason.contains(word), "no {word:?} in {reason:?}");
        }
        self
    }
}
