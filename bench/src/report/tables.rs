//! What is printed, and written as Markdown.

use std::fmt::Write as _;

use super::table::{number, table};
use crate::{
    machine::Machine,
    number::float,
    results::{Key, Results},
    soak::Memory,
    subject::{Database, Subject, Variant},
};

const VARIANTS: [Variant; 3] = [Variant::On, Variant::AuditOff, Variant::SecurityOff];

/// The tables of a run.
pub(super) fn of_run(results: &Results) -> String {
    let Results { command, began, rounds, seconds, .. } = results;
    let mut text = format!(
        "`bench {command}`, begun {began}: medians of {rounds} rounds, {seconds} s each measurement.\n\n{}",
        machine(&results.machine)
    );
    for database in results.databases() {
        let name = database.name();
        let _ = write!(text, "\n### {name}\n\n{}", operations(results, database));
        let _ = write!(text, "\nFloors beside {name}:\n\n{}", floors(results, database));
    }
    let verdicts = results.verdicts();
    if !verdicts.is_empty() {
        text.push_str("\n### Bars\n\n");
    }
    for verdict in verdicts {
        let _ = writeln!(
            text,
            "- {} at {} connections: {:.2} of its floor, bar {:.2}: {}",
            verdict.key.subject.name(),
            verdict.key.connections,
            verdict.ratio,
            verdict.bar,
            if verdict.met() { "met" } else { "missed" },
        );
    }
    text
}

/// What the soak showed.
pub(super) fn of_memory(memory: &Memory) -> String {
    let requests = memory.points.last().map_or(0, |(requests, _)| *requests);
    let [start, tenth, end, most] =
        memory.landmarks().unwrap_or_default().map(|kb| format!("{:.1}", float(kb) / 1024.0));
    let head = ["requests", "start", "after a tenth", "end", "most", "growth after the tenth"];
    let growth = format!("{} %", number(memory.growth(), 1));
    format!(
        "{}, {} requests in {} s at 32 connections, begun {}.\n\n{}\nResident set in MB:\n\n{}",
        memory.database.name(),
        requests,
        memory.seconds,
        memory.began,
        machine(&memory.machine),
        table(0, head, &[[requests.to_string(), start, tenth, end, most, growth]])
    )
}

/// What it was measured on.
pub(super) fn machine(machine: &Machine) -> String {
    let Machine { processor, cores, memory_gb, kernel, load, .. } = machine;
    let postgres = machine.postgres.as_deref().unwrap_or("no PostgreSQL");
    let commit = machine.commit.as_deref().unwrap_or("unknown");
    format!(
        "{processor}, {cores} cores, {memory_gb} GB, {kernel}, {postgres}; commit {commit}; \
         load average before: {load}.\n"
    )
}

fn operations(results: &Results, database: Database) -> String {
    let mut rows = Vec::new();
    for subject in Subject::OPERATIONS {
        for connections in &results.connections {
            for variant in VARIANTS {
                let variant = Some(variant);
                let key = Key { database, subject, variant, connections: *connections };
                rows.extend(operation(results, key));
            }
        }
    }
    let head = [
        "operation",
        "with",
        "connections",
        "req/s",
        "p50 ms",
        "p99 ms",
        "service µs CPU",
        "database µs CPU",
        "floor/s",
        "of floor",
        "of all on",
    ];
    table(2, head, &rows)
}

fn operation(results: &Results, key: Key) -> Option<[String; 11]> {
    let figures = results.figures(key)?;
    // Floors are made of what is on.
    let all_on = key.variant == Some(Variant::On);
    Some([
        key.subject.name().to_owned(),
        key.variant.map_or("", Variant::name).to_owned(),
        key.connections.to_string(),
        number(Some(figures.per_second), 0),
        number(figures.p50_ms, 2),
        number(figures.p99_ms, 2),
        number(figures.service_cpu_us, 0),
        number(figures.database_cpu_us, 0),
        number(results.floor(key).filter(|_| all_on), 0),
        number(results.ratio(key).filter(|_| all_on), 2),
        number(results.of_all_on(key).filter(|_| !all_on), 2),
    ])
}

fn floors(results: &Results, database: Database) -> String {
    let mut rows = Vec::new();
    for subject in Subject::FLOORS {
        for connections in &results.connections {
            let key = Key { database, subject, variant: None, connections: *connections };
            let Some(figures) = results.figures(key) else { continue };
            rows.push([
                subject.name().to_owned(),
                connections.to_string(),
                number(Some(figures.per_second), 0),
                number(figures.p50_ms, 2),
                number(figures.p99_ms, 2),
                number(figures.service_cpu_us, 0),
                number(figures.database_cpu_us, 0),
            ]);
        }
    }
    let head =
        ["floor", "connections", "per s", "p50 ms", "p99 ms", "server µs CPU", "database µs CPU"];
    table(1, head, &rows)
}
