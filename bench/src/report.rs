//! Tables and plots.

mod hsm;
mod oracles;
mod plots;
mod rows;
mod table;
mod tables;
mod tenants;

use std::{fs, io::Write as _, path::Path};

use serde::de::DeserializeOwned;

use crate::{
    Failure, hsm::HsmFigures, oracles::Oracles, results::Results, rows::Rows, soak::Memory,
    tenants::Tenants,
};

/// What `bench run` leaves.
pub(crate) const RESULTS: &str = "results.json";
/// What `bench soak` leaves.
pub(crate) const SOAK: &str = "soak.json";
/// What `bench oracles` leaves.
pub(crate) const ORACLES: &str = "oracles.json";
/// What `bench tenants` leaves.
pub(crate) const TENANTS: &str = "tenants.json";

/// What `bench hsm` leaves.
pub(crate) const HSM: &str = "hsm.json";

/// What `bench rows` leaves.
pub(crate) const ROWS: &str = "rows.json";

/// Writes what the last runs left in `out` again.
pub(crate) fn read(out: &Path) -> Result<(), Failure> {
    let found = [
        again(out, RESULTS, run)?,
        again(out, SOAK, memory)?,
        again(out, ORACLES, oracles)?,
        again(out, TENANTS, tenants)?,
        again(out, ROWS, rows)?,
        again(out, HSM, hsm_figures)?,
    ];
    if found.contains(&true) {
        Ok(())
    } else {
        Err(format!("{}: no results", out.display()).into())
    }
}

/// Whether there is a file `name`, which `write` then reports on.
fn again<T: DeserializeOwned>(
    out: &Path,
    name: &str,
    write: impl Fn(&Path, &T) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let file = out.join(name);
    if !file.exists() {
        return Ok(false);
    }
    write(out, &serde_json::from_slice(&fs::read(file)?)?)?;
    Ok(true)
}

/// Reports on `bench run`.
pub(crate) fn run(out: &Path, results: &Results) -> Result<(), Failure> {
    for (name, svg) in plots::of_run(results) {
        fs::write(out.join(name), svg)?;
    }
    say(out, "figures.md", &tables::of_run(results))
}

/// Reports on `bench soak`.
pub(crate) fn memory(out: &Path, memory: &Memory) -> Result<(), Failure> {
    fs::write(out.join("memory.svg"), plots::of_memory(memory))?;
    say(out, "memory.md", &tables::of_memory(memory))
}

/// Reports on `bench oracles`.
pub(crate) fn oracles(out: &Path, oracles: &Oracles) -> Result<(), Failure> {
    say(out, "oracles.md", &oracles::text(oracles))
}

/// Reports on `bench tenants`.
pub(crate) fn tenants(out: &Path, tenants: &Tenants) -> Result<(), Failure> {
    fs::write(out.join("tenants.svg"), tenants::plot(tenants))?;
    say(out, "tenants.md", &tenants::text(tenants))
}

/// Reports on `bench rows`.
pub(crate) fn rows(out: &Path, rows: &Rows) -> Result<(), Failure> {
    say(out, "rows.md", &rows::text(rows))
}

/// Reports on `bench hsm`.
pub(crate) fn hsm_figures(out: &Path, figures: &HsmFigures) -> Result<(), Failure> {
    say(out, "hsm.md", &hsm::text(figures))
}

fn say(out: &Path, name: &str, text: &str) -> Result<(), Failure> {
    fs::write(out.join(name), text)?;
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}
