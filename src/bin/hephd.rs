//! The daemon: parse, run, exit.

use std::process::ExitCode;

use clap::Parser;
use heph::cli::ui;
use heph::hephd::{self, Hephd};

fn main() -> ExitCode {
    match hephd::run(Hephd::parse()) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            ui::report(&error);
            ExitCode::from(error.exit().code())
        }
    }
}
