//! The command line: parse, run, exit.

use std::process::ExitCode;

use clap::Parser;
use heph::cli::{self, Heph, ui};

fn main() -> ExitCode {
    match cli::run(Heph::parse()) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            ui::report(&error);
            ExitCode::from(error.exit().code())
        }
    }
}
