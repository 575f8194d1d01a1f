//! `heph self-update doctor` against machines that really lack what it looks for, and the line about newer releases.

mod by_cron;
mod by_systemd;
mod noexec;
mod notice;
mod patient;
mod predicts;
