//! The command line's entry.

use std::process::ExitCode;

use clap::Parser as _;
use usersecret::cli::{Cli, Quiet};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Quiet>() => {
            ExitCode::from(error.downcast_ref().map_or(1, |Quiet(status)| *status))
        }
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "usersecret: {error}");
            ExitCode::FAILURE
        }
    }
}
