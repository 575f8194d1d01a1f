//! An unlucky machine and a hostile release: what others changed behind heph's back, and programs that misbehave.

mod changed_by_hand;
mod programs;
mod scene;
