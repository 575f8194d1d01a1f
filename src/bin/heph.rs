//! The command line: parse, run, exit.

use std::process::ExitCode;

use clap::Parser;
use heph::cli::{self, Heph, ui};
use heph::error::Fault;

fn main() -> ExitCode {
    match cli::run(Heph::parse()) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            ui::report(&error);
            ExitCode::from(Fault::exit_of(&error).code())
        }
    }
}
