//! The place of a task in a list: its keys in the order of the list. Pure.
//!
//! Both keys are the task's own. So whatever is added, changed or deleted between two pages, the next page begins behind the
//! last one.

use std::fmt;

use crate::client::wire::Task;
use crate::error::{Error, Kind, Result};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ListCursor {
    /// In milliseconds since 1970.
    pub created_at: i64,
    pub id: String,
}

impl ListCursor {
    /// The place before every task.
    pub const START: ListCursor = ListCursor {
        created_at: i64::MIN,
        id: String::new(),
    };

    pub fn of(task: &Task) -> ListCursor {
        ListCursor {
            created_at: task.created_at.as_millisecond(),
            id: task.id.clone(),
        }
    }

    /// Reads what [`fmt::Display`] has written.
    pub fn parse(text: &str) -> Result<ListCursor> {
        let keys = text.split_once(':').and_then(|(created_at, id)| {
            let created_at = created_at.parse().ok()?;
            Some((created_at, id.to_owned()))
        });
        let (created_at, id) = keys.ok_or_else(|| {
            Error::new("after is not the `next` of an earlier page").with_kind(Kind::Invalid)
        })?;
        Ok(ListCursor { created_at, id })
    }
}

impl fmt::Display for ListCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.created_at, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(created_at: i64, id: String) {
            let cursor = ListCursor { created_at, id };
            prop_assert_eq!(ListCursor::parse(&cursor.to_string()).unwrap(), cursor);
        }
    }

    #[test]
    fn anything_else_is_rejected() {
        for text in [
            "",
            ":",
            "x",
            "7",
            "01K9ZZZZZZABCDEFGHJKMNPQRS",
            "x:01K9",
            "9223372036854775808:1",
        ] {
            let error = ListCursor::parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{text}");
        }
    }
}
