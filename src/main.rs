//! The command line's entry.

use std::process::ExitCode;

use clap::Parser as _;
use usersecret::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "usersecret: {error}");
            ExitCode::FAILURE
        }
    }
}
