//! Tables and plots.

mod plots;
mod table;
mod tables;

use std::{fs, io::Write as _, path::Path};

use crate::{Failure, results::Results, soak::Memory};

/// What `bench run` leaves.
pub(crate) const RESULTS: &str = "results.json";
/// What `bench soak` leaves.
pub(crate) const SOAK: &str = "soak.json";
const FIGURES: &str = "figures.md";
const MEMORY: &str = "memory.md";

/// Writes what the last runs left in `out` again.
pub(crate) fn read(out: &Path) -> Result<(), Failure> {
    match fs::read(out.join(RESULTS)) {
        Ok(json) => write(out, Some(&serde_json::from_slice(&json)?))?,
        Err(error) if out.join(SOAK).exists() => drop(error),
        Err(error) => return Err(format!("{}: {error}", out.join(RESULTS).display()).into()),
    }
    if out.join(SOAK).exists() { write(out, None) } else { Ok(()) }
}

/// Prints and writes the report of a run, or of the soak when none is given.
pub(crate) fn write(out: &Path, results: Option<&Results>) -> Result<(), Failure> {
    let (name, text) = match results {
        Some(results) => {
            for (name, svg) in plots::of_run(results) {
                fs::write(out.join(name), svg)?;
            }
            (FIGURES, tables::of_run(results))
        }
        None => {
            let memory: Memory = serde_json::from_slice(&fs::read(out.join(SOAK))?)?;
            fs::write(out.join("memory.svg"), plots::of_memory(&memory))?;
            (MEMORY, tables::of_memory(&memory))
        }
    };
    fs::write(out.join(name), &text)?;
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}
