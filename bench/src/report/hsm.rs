//! The engine beside its HSM.

use std::fmt::Write as _;

use super::{
    table::{number, table},
    tables::machine,
};
use crate::hsm::{Cell, HsmFigures};

/// Tables of what was measured.
pub(super) fn text(figures: &HsmFigures) -> String {
    let HsmFigures { seconds, began, database, .. } = figures;
    let mut text = format!(
        "{}, {seconds} s in all, begun {began}.\n\n{}",
        database.name(),
        machine(&figures.machine)
    );
    let mut part = |title: &str, there: bool, table: String| {
        if there {
            let _ = write!(text, "\n{title}\n\n{table}");
        }
    };
    part(
        "Reveals over an HSM that takes its time:",
        !figures.latency.is_empty(),
        latency(&figures.latency),
    );
    part("The module's homes:", !figures.homes.is_empty(), homes(figures));
    part("Keys at hand and not, 8 connections:", !figures.cold.is_empty(), cold(figures));
    part("Rewraps:", !figures.rewraps.is_empty(), rewraps(figures));
    part(
        "After a fault of two seconds, one reveal after the other:",
        !figures.healed.is_empty(),
        healed(figures),
    );
    text
}

fn latency(cells: &[Cell]) -> String {
    let rows: Vec<_> = cells
        .iter()
        .map(|cell| {
            [
                cell.device.name().to_owned(),
                number(Some(crate::number::float(cell.delay_us) / 1e3), 1),
                number(Some(cell.call_us), 0),
                cell.sessions.to_string(),
                cell.connections.to_string(),
                number(Some(cell.figures.per_second), 0),
                number(cell.figures.p50_ms, 2),
                number(cell.figures.p99_ms, 2),
                number(Some(cell.idle * 100.0), 0),
                number(Some(cell.cpu_us), 0),
                number(Some(cell.bound), 0),
                number(Some(cell.of_bound), 2),
                format!("{:.2}–{:.2}", cell.half.0, cell.half.1),
            ]
        })
        .collect();
    let head = [
        "module",
        "added ms",
        "C_Decrypt µs",
        "sessions",
        "connections",
        "reveals/s",
        "p50 ms",
        "p99 ms",
        "idle %",
        "cpu µs",
        "bound/s",
        "of bound",
        "half of all",
    ];
    table(1, head, &rows)
}

fn homes(figures: &HsmFigures) -> String {
    let rows: Vec<_> = figures
        .homes
        .iter()
        .map(|home| {
            let threads = figures.homes.iter().find(|other| {
                other.home == "threads"
                    && other.subject == home.subject
                    && other.connections == home.connections
            });
            let ratio = threads.map(|threads| home.figures.per_second / threads.figures.per_second);
            [
                home.subject.name().to_owned(),
                home.home.clone(),
                home.connections.to_string(),
                number(Some(home.figures.per_second), 0),
                number(home.figures.p50_ms, 2),
                number(home.figures.p99_ms, 2),
                number(ratio, 2),
            ]
        })
        .collect();
    table(2, ["operation", "home", "connections", "req/s", "p50 ms", "p99 ms", "of threads"], &rows)
}

fn cold(figures: &HsmFigures) -> String {
    let row = |cold: &crate::hsm::Cold| {
        [
            cold.what.clone(),
            number(Some(cold.figures.per_second), 0),
            number(cold.figures.p50_ms, 2),
            number(cold.figures.p99_ms, 2),
        ]
    };
    let rows: Vec<_> = figures.cold.iter().map(row).collect();
    table(1, ["reveals", "per second", "p50 ms", "p99 ms"], &rows)
}

fn rewraps(figures: &HsmFigures) -> String {
    let rows: Vec<_> = figures
        .rewraps
        .iter()
        .map(|rewrap| {
            [
                rewrap.database.name().to_owned(),
                rewrap.rows.to_string(),
                number(Some(rewrap.per_second), 0),
                number(Some(rewrap.unwrap_us), 1),
                number(Some(rewrap.wrap_us), 1),
                number(Some(rewrap.update_us), 1),
                number(Some(rewrap.floor()), 0),
                number(Some(rewrap.per_second / rewrap.floor()), 2),
            ]
        })
        .collect();
    let head = [
        "database",
        "rows",
        "rows/s",
        "C_Decrypt µs",
        "C_Encrypt µs",
        "update µs",
        "floor rows/s",
        "of floor",
    ];
    table(1, head, &rows)
}

fn healed(figures: &HsmFigures) -> String {
    let row = |healed: &crate::hsm::Healed| {
        [healed.fault.clone(), number(Some(healed.healed_ms), 0), number(Some(healed.gap_ms), 0)]
    };
    let rows: Vec<_> = figures.healed.iter().map(row).collect();
    table(1, ["fault", "ms from its end to a reveal", "longest ms without one"], &rows)
}
