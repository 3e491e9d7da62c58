//! The benchmark: `make bench`. What it measures and how: docs/BENCHMARKS.md.

mod cli;
mod dataset;
mod floor;
mod hsm;
mod load;
mod machine;
mod number;
mod oracles;
mod plot;
mod postgres;
mod proc;
mod process;
mod report;
mod results;
mod rows;
mod run;
mod service;
mod soak;
mod stand;
mod subject;
mod tenants;
mod token;

use std::process::ExitCode;

use clap::Parser as _;

/// What went wrong, for a person.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}
