//! Feeds, good and bad, asked over the wire: a table of answers, what is remembered, TLS, and git.

mod binary;
mod git;
mod remembering;
mod rows;
mod table;
pub mod tls;
