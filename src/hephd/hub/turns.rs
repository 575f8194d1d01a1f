//! The processor and the store, shared by user: of the requests that have arrived, each user has few under way at a time,
//! and the others of that user wait. So a user who sends much does not make others wait for all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// From so many users on, those without a request are forgotten.
const MOST: usize = 1_000;

#[derive(Debug)]
pub(super) struct Turns {
    each: usize,
    users: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Turns {
    /// Returns turns of which each user has so many at a time.
    pub(super) fn new(each: usize) -> Turns {
        Turns {
            each,
            users: Mutex::default(),
        }
    }

    /// Waits for a turn of `user`. `None` only if the semaphore were closed, which it never is.
    pub(super) async fn take(&self, user: &str) -> Option<OwnedSemaphorePermit> {
        let turns = {
            // Nothing in here can panic halfway.
            let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
            if users.len() >= MOST {
                users.retain(|_, turns| Arc::strong_count(turns) > 1);
            }
            let turns = users.entry(user.to_owned());
            Arc::clone(turns.or_insert_with(|| Arc::new(Semaphore::new(self.each))))
        };
        turns.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[test]
    fn a_user_waits_for_its_own_turn_and_for_no_other_users() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap().block_on(async {
            let turns = Turns::new(2);
            let soon = async |user| {
                let turn = timeout(Duration::from_millis(50), turns.take(user)).await;
                turn.ok().flatten()
            };
            let (first, _second) = (soon("m").await, soon("m").await);
            assert!(soon("m").await.is_none());
            assert!(soon("b").await.is_some());
            drop(first);
            assert!(soon("m").await.is_some());
        });
    }

    #[test]
    fn users_without_a_request_are_forgotten() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap().block_on(async {
            let turns = Turns::new(1);
            let kept = turns.take("kept").await;
            for number in 0..3 * MOST {
                drop(turns.take(&number.to_string()).await);
            }
            assert!(turns.users.lock().unwrap().len() <= MOST);
            let again = timeout(Duration::from_millis(50), turns.take("kept"));
            assert!(again.await.is_err(), "the one under way is not");
            drop(kept);
        });
    }
}
