//! An unlucky machine and a hostile release: what others changed behind heph's back, and programs that misbehave.

mod another_tool;
mod changed_by_hand;
mod companions;
mod disk_errors;
mod ill_hephd;
mod newer_journal;
mod one_installation;
mod programs;
mod scene;
