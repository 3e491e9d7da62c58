//! What grows with the number of secrets.

use std::fmt::Write as _;

use super::{
    table::{number, table},
    tables::machine,
};
use crate::{
    rows::{Outcome, Rows, Sample},
    subject::Database,
};

/// Tables of what was measured.
pub(super) fn text(rows: &Rows) -> String {
    let Rows { seconds, began, .. } = rows;
    let mut text = format!(
        "1 connection, {seconds} s each measurement, begun {began}.\n\n{}",
        machine(&rows.machine)
    );
    for database in [Database::Postgres, Database::Sqlite] {
        let samples = || rows.samples.iter().filter(move |sample| sample.database == database);
        // As they were asked: every set was asked the same.
        let mut questions: Vec<&str> = Vec::new();
        for sample in samples() {
            if !questions.contains(&sample.question.as_str()) {
                questions.push(&sample.question);
            }
        }
        let of =
            |question: &&str| samples().filter(|sample| sample.question == **question).collect();
        let groups: Vec<Vec<&Sample>> = questions.iter().map(of).collect();
        if !groups.is_empty() {
            let _ = write!(text, "\n{}:\n\n{}", database.name(), figures(&groups));
        }
        let plans = plans(&groups);
        if !plans.is_empty() {
            let _ = write!(
                text,
                "\nHow {} reads the last of the sets in one domain:\n\n{plans}",
                database.name()
            );
        }
    }
    text
}

fn figures(groups: &[Vec<&Sample>]) -> String {
    let mut rows = Vec::new();
    for group in groups {
        let first = group.first().and_then(|sample| p50(sample));
        for sample in group {
            let (p99, said) = match &sample.outcome {
                Outcome::Answered(figures) => (figures.p99_ms, String::new()),
                Outcome::Refused(code, ms) => (None, format!("{code} after {ms:.0} ms")),
            };
            let ratio = p50(sample).zip(first).map(|(p50, first)| p50 / first);
            let cost = sample.cost.as_ref();
            rows.push([
                sample.question.clone(),
                sample.size.to_string(),
                said,
                number(p50(sample), 2),
                number(p99, 2),
                number(ratio, 2),
                cost.map_or_else(|| "–".to_owned(), |cost| cost.shown.to_string()),
                number(cost.map(|cost| cost.read), 0),
                cost.map_or_else(|| "–".to_owned(), |cost| cost.buffers.to_string()),
            ]);
        }
    }
    let head = [
        "request",
        "secrets",
        "error",
        "p50 ms",
        "p99 ms",
        "of the first",
        "shown",
        "rows read",
        "pages read",
    ];
    table(3, head, &rows)
}

fn p50(sample: &Sample) -> Option<f64> {
    match &sample.outcome {
        Outcome::Answered(figures) => figures.p50_ms,
        Outcome::Refused(..) => None,
    }
}

/// The plans of the largest set in one domain, where there are any.
fn plans(groups: &[Vec<&Sample>]) -> String {
    let plan = |group: &Vec<&Sample>| {
        let sample =
            group.iter().filter(|sample| sample.size.domains == 1 && sample.cost.is_some());
        let sample = sample.max_by_key(|sample| sample.size.rows)?;
        Some(format!("- {}: {}\n", sample.question, sample.cost.as_ref()?.plan))
    };
    groups.iter().filter_map(plan).collect()
}
