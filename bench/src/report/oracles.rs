//! How far classes of requests are apart.

use std::fmt::Write as _;

use super::{
    table::{number, table},
    tables::machine,
};
use crate::oracles::{Comparison, Difference, Oracles, Verdict};

/// A table for each database of what must be alike, and one of what differs by design.
pub(super) fn text(oracles: &Oracles) -> String {
    let Oracles { began, requests, .. } = oracles;
    let mut text = format!(
        "{requests} requests of each class, and more where that was unclear, begun {began}. Times in µs; differences of the second \
         from the first, with their 99 % intervals.\n\n{}",
        machine(&oracles.machine)
    );
    for (database, comparisons) in &oracles.databases {
        for (title, alike) in [("must be alike", true), ("differ by design", false)] {
            let rows = comparisons.iter().filter(|found| found.alike == alike).map(row);
            let rows: Vec<_> = rows.collect();
            let name = database.name();
            let _ = write!(text, "\n### {name}: what {title}\n\n{}", table(3, HEAD, &rows));
        }
    }
    text
}

const HEAD: [&str; 13] = [
    "request",
    "first",
    "second",
    "requests",
    "median",
    "spread",
    "t",
    "p10 apart",
    "median apart",
    "requests to tell",
    "of use above",
    "halves apart",
    "verdict",
];

fn row(found: &Comparison) -> [String; 13] {
    let [low, median] = found.differences.map(interval);
    let needed =
        found.differences.map(|apart| apart.needed(found.count)).into_iter().fold(1e6, f64::min);
    let needed =
        if needed < 1e6 { number(Some(needed.max(2.0)), 0) } else { "> 1000000".to_owned() };
    let verdict = match found.verdict() {
        Verdict::Alike => "alike",
        Verdict::Apart => "APART",
        Verdict::Unclear => "unclear",
    };
    [
        found.group.clone(),
        found.first.clone(),
        found.second.clone(),
        found.count.to_string(),
        number(Some(found.median), 0),
        number(Some(found.spread), 0),
        number(Some(found.t), 1),
        low,
        median,
        needed,
        number(Some(found.margin), 1),
        number(Some(found.floor), 1),
        verdict.to_owned(),
    ]
}

fn interval(Difference { us, from, to, .. }: Difference) -> String {
    format!("{us:+.1} ({from:+.1} to {to:+.1})")
}
