//! The plots of a run.

use crate::{
    number::{float, float_len},
    plot::{Line, Panel, Style, figure},
    results::{Figures, Key, Results},
    soak::Memory,
    subject::{BARS, Database, Subject, Variant},
};

const BLUE: &str = "#1f77b4";
const ORANGE: &str = "#ff7f0e";
const GREEN: &str = "#2ca02c";
const RED: &str = "#d62728";
const GREY: &str = "#555";
const MEASURED: [(Variant, &str); 3] =
    [(Variant::On, BLUE), (Variant::AuditOff, ORANGE), (Variant::SecurityOff, GREEN)];

/// File names and SVG.
pub(super) fn of_run(results: &Results) -> Vec<(String, String)> {
    let mut plots = Vec::new();
    for database in results.databases() {
        let panels = |panel: fn(&Results, Key) -> Panel, subjects: &[Subject]| {
            let panel = |subject: &Subject| {
                let variant = Some(Variant::On);
                panel(results, Key { database, subject: *subject, variant, connections: 0 })
            };
            subjects.iter().map(panel).collect::<Vec<_>>()
        };
        let with_floor = [Subject::Reveal, Subject::Get, Subject::Create];
        let tag = database.tag();
        let all = &Subject::OPERATIONS;
        plots.extend([
            (format!("throughput-{tag}.svg"), figure(&panels(throughput, all), 2)),
            (format!("latency-{tag}.svg"), figure(&panels(latency, all), 2)),
            (format!("ratios-{tag}.svg"), figure(&panels(ratio, &with_floor), 3)),
        ]);
    }
    plots
}

/// The memory over the requests.
pub(super) fn of_memory(memory: &Memory) -> String {
    let last = memory.points.last().map_or(0, |(requests, _)| *requests);
    let quarter = |number| {
        let requests = last / 4 * number;
        (float(requests), format!("{}k", requests / 1000))
    };
    let points = memory.points.iter().map(|(x, kb)| (float(*x), float(*kb) / 1024.0)).collect();
    let panel = Panel {
        title: format!("Memory of the service, {}", memory.database.name()),
        x_name: "requests",
        y_name: "MB resident",
        ticks: (0..=4).map(quarter).collect(),
        lines: vec![Line {
            name: "resident set".to_owned(),
            color: BLUE,
            style: Style::Thin,
            points,
        }],
    };
    figure(&[panel], 1)
}

fn throughput(results: &Results, key: Key) -> Panel {
    let mut lines = measured(results, key, |figures| Some(figures.per_second));
    let floor = points(results, key, |key| results.floor(key));
    let bars = points(results, key, |key| Some(results.floor(key)? * bar(key)?));
    lines.extend(line("floor", GREY, Style::Dashes, floor));
    lines.extend(line("bar", RED, Style::Bars, bars));
    panel(results, key, "requests/s", lines)
}

fn latency(results: &Results, key: Key) -> Panel {
    let p50 = points(results, key, |key| results.figures(key)?.p50_ms);
    let p99 = points(results, key, |key| results.figures(key)?.p99_ms);
    let lines = [line("p50", BLUE, Style::Dots, p50), line("p99", ORANGE, Style::Dots, p99)];
    panel(results, key, "ms, everything on", lines.into_iter().flatten().collect())
}

fn ratio(results: &Results, key: Key) -> Panel {
    let ratio = points(results, key, |key| results.ratio(key));
    let lines = [
        line("everything on", BLUE, Style::Dots, ratio),
        line("bar", RED, Style::Bars, points(results, key, bar)),
    ];
    panel(results, key, "throughput / floor", lines.into_iter().flatten().collect())
}

fn bar(key: Key) -> Option<f64> {
    let fits = |subject, connections| key.subject == subject && key.connections == connections;
    let bar = BARS.iter().find(|bar| fits(bar.subject, bar.connections))?;
    (key.database == Database::Postgres).then_some(bar.ratio)
}

fn measured(results: &Results, key: Key, of: fn(Figures) -> Option<f64>) -> Vec<Line> {
    let lines = MEASURED.into_iter().map(|(variant, color)| {
        let key = Key { variant: Some(variant), ..key };
        line(
            variant.name(),
            color,
            Style::Dots,
            points(results, key, |key| of(results.figures(key)?)),
        )
    });
    lines.flatten().collect()
}

/// The numbers of connections stand at even distances.
fn points(results: &Results, key: Key, of: impl Fn(Key) -> Option<f64>) -> Vec<(f64, f64)> {
    let at = |(place, connections): (usize, &u32)| {
        Some((float_len(place), of(Key { connections: *connections, ..key })?))
    };
    results.connections.iter().enumerate().filter_map(at).collect()
}

fn line(name: &str, color: &'static str, style: Style, points: Vec<(f64, f64)>) -> Option<Line> {
    (!points.is_empty()).then(|| Line { name: name.to_owned(), color, style, points })
}

fn panel(results: &Results, key: Key, y_name: &'static str, lines: Vec<Line>) -> Panel {
    let ticks = results.connections.iter().enumerate();
    Panel {
        title: format!("{}, {}", key.subject.name(), key.database.name()),
        x_name: "connections",
        y_name,
        ticks: ticks.map(|(place, number)| (float_len(place), number.to_string())).collect(),
        lines,
    }
}
