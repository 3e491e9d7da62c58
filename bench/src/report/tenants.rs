//! What grows with the number of tenants.

use std::fmt::Write as _;

use super::{
    table::{number, table},
    tables::machine,
};
use crate::{
    number::{float, float_len},
    plot::{Line, Panel, Style, figure},
    results::Figures,
    subject::Subject,
    tenants::{OPERATIONS, Stage, Tenants, rate},
};

const COLORS: [&str; 3] = ["#1f77b4", "#ff7f0e", "#2ca02c"];
const GREY: &str = "#555";

/// Tables of what was measured.
pub(super) fn text(tenants: &Tenants) -> String {
    let Tenants { database, connections, seconds, began, .. } = tenants;
    let mut text = format!(
        "{}, {connections} connections, {seconds} s in all, begun {began}.\n\n{}",
        database.name(),
        machine(&tenants.machine)
    );
    let _ = write!(text, "\n{}", growth(tenants));
    let _ = write!(text, "\nRandom tenants beside one:\n\n{}", operations(&tenants.stages));
    if let Some(rate) = rate(&tenants.deletions, 0, usize::MAX) {
        let _ = write!(text, "\nDeletion of all: {rate:.0} tenants a second.\n");
    }
    text
}

fn growth(tenants: &Tenants) -> String {
    let mut before = 0;
    let mut rows = Vec::new();
    for stage in &tenants.stages {
        let megabytes = |kb| number(Some(float(kb) / 1024.0), 1);
        rows.push([
            stage.tenants.to_string(),
            number(rate(&tenants.creations, before, stage.tenants), 0),
            number(stage.deletion.map(|figures| figures.per_second), 0),
            number(Some(stage.start_ms), 1),
            megabytes(stage.filled_kb),
            megabytes(stage.started_kb),
            megabytes(stage.touched_kb),
        ]);
        before = stage.tenants;
    }
    let head = [
        "tenants",
        "created/s up to here",
        "deletions/s",
        "start ms",
        "MB after their creation",
        "MB after the start",
        "MB after the load",
    ];
    table(0, head, &rows)
}

fn operations(stages: &[Stage]) -> String {
    let mut rows = Vec::new();
    for subject in OPERATIONS {
        for stage in stages {
            let (one, random) = (stage.figures(subject, false), stage.figures(subject, true));
            let cell = |figures: Option<Figures>, of: fn(Figures) -> Option<f64>, digits| {
                number(figures.and_then(of), digits)
            };
            let ratio = one.zip(random).map(|(one, random)| random.per_second / one.per_second);
            rows.push([
                subject.name().to_owned(),
                stage.tenants.to_string(),
                cell(one, |figures| Some(figures.per_second), 0),
                cell(one, |figures| figures.p50_ms, 2),
                cell(one, |figures| figures.p99_ms, 2),
                cell(one, cpu, 0),
                cell(random, |figures| Some(figures.per_second), 0),
                cell(random, |figures| figures.p50_ms, 2),
                cell(random, |figures| figures.p99_ms, 2),
                cell(random, cpu, 0),
                number(ratio, 2),
            ]);
        }
    }
    let head = [
        "operation",
        "tenants",
        "one req/s",
        "one p50 ms",
        "one p99 ms",
        "one µs CPU",
        "random req/s",
        "random p50 ms",
        "random p99 ms",
        "random µs CPU",
        "random of one",
    ];
    table(1, head, &rows)
}

/// Of the service, and of a database beside it.
fn cpu(figures: Figures) -> Option<f64> {
    Some(figures.service_cpu_us? + figures.database_cpu_us.unwrap_or(0.0))
}

/// The curves.
pub(super) fn plot(tenants: &Tenants) -> String {
    let panels = [
        windows(tenants, "Creation of tenants", "tenants/s", &tenants.creations),
        windows(tenants, "Deletion of all", "tenants/s", &tenants.deletions),
        latency(tenants, "p50 of random tenants", |figures| figures.p50_ms),
        latency(tenants, "p99 of random tenants", |figures| figures.p99_ms),
        stages(tenants, "Start until ready", "ms", &[("start", |stage| stage.start_ms)]),
        stages(
            tenants,
            "Memory of the service",
            "MB resident",
            &[
                ("after creation", |stage| float(stage.filled_kb) / 1024.0),
                ("after the start", |stage| float(stage.started_kb) / 1024.0),
                ("after the load", |stage| float(stage.touched_kb) / 1024.0),
            ],
        ),
    ];
    figure(&panels, 2)
}

fn windows(
    tenants: &Tenants,
    title: &str,
    y_name: &'static str,
    windows: &[(usize, Figures)],
) -> Panel {
    let most = tenants.stages.iter().map(|stage| stage.tenants).max().unwrap_or(0);
    let tick = |quarter: usize| (float_len(most / 4 * quarter), (most / 4 * quarter).to_string());
    let points = windows.iter().map(|(x, figures)| (float_len(*x), figures.per_second)).collect();
    Panel {
        title: format!("{title}, {}", tenants.database.name()),
        x_name: "tenants",
        y_name,
        ticks: (0..=4).map(tick).collect(),
        lines: vec![line("rate", COLORS[0], Style::Thin, points)],
    }
}

fn latency(tenants: &Tenants, title: &str, of: fn(Figures) -> Option<f64>) -> Panel {
    let drawn = |(subject, color): (Subject, &'static str)| {
        let of = |random| places(tenants, |stage| of(stage.figures(subject, random)?));
        let floor = format!("{}, one", subject.name());
        [
            line(subject.name(), color, Style::Dots, of(true)),
            line(&floor, color, Style::Dashes, of(false)),
        ]
    };
    let lines = OPERATIONS.into_iter().zip(COLORS).flat_map(drawn).collect();
    panel(tenants, title, "ms", lines)
}

/// A name, and the figure of a look at so many tenants.
type Named = (&'static str, fn(&Stage) -> f64);

fn stages(tenants: &Tenants, title: &str, y_name: &'static str, named: &[Named]) -> Panel {
    let drawn = |((name, of), color): (&Named, &'static str)| {
        line(name, color, Style::Dots, places(tenants, |stage| Some(of(stage))))
    };
    let lines = named.iter().zip([COLORS[0], COLORS[1], GREY]).map(drawn).collect();
    panel(tenants, title, y_name, lines)
}

/// Sizes stand at even distances.
fn places(tenants: &Tenants, of: impl Fn(&Stage) -> Option<f64>) -> Vec<(f64, f64)> {
    let at = |(place, stage): (usize, &Stage)| Some((float_len(place), of(stage)?));
    tenants.stages.iter().enumerate().filter_map(at).collect()
}

fn panel(tenants: &Tenants, title: &str, y_name: &'static str, lines: Vec<Line>) -> Panel {
    let tick = |(place, stage): (usize, &Stage)| (float_len(place), stage.tenants.to_string());
    Panel {
        title: format!("{title}, {}", tenants.database.name()),
        x_name: "tenants",
        y_name,
        ticks: tenants.stages.iter().enumerate().map(tick).collect(),
        lines,
    }
}

fn line(name: &str, color: &'static str, style: Style, points: Vec<(f64, f64)>) -> Line {
    Line { name: name.to_owned(), color, style, points }
}
