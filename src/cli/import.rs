//! `usersecret import`.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::{Failure, Quiet, Source, job, say};
use crate::{
    app::Core,
    config::Config,
    error::{Code, Error, wire_name},
    transfer::{Fate, Import, Tally, Told},
    upkeep,
};

/// The most lines on their way: enough to fill one commit while another is under way.
const IN_FLIGHT: usize = 512;

/// How many lines come between two looks at the figures beside the bar.
const LOOK: u64 = 100;

pub(super) fn run(source: &Source, file: &Path, first: u64) -> Result<(), Failure> {
    let config = job::prepare(source)?;
    let (input, size) = open(file)?;
    let stop = CancellationToken::new();
    let (tally, readable) = job::with(&config, &stop.clone(), async |core: &Core| {
        let import = Import {
            service: core.secrets.clone(),
            run: upkeep::new_run().map_err(|error| error.causes())?,
            first,
            line_bytes: config.limits.body_bytes,
            in_flight: in_flight(&config),
            stop,
        };
        let bar = bar(size)?;
        let mut seen = Tally::default();
        let ended = import.run(input, |told| show(&bar, told, &mut seen)).await;
        bar.finish_and_clear();
        Ok(ended)
    })?;
    let bad = conclude(&tally);
    readable.map_err(|error| format!("{}: {error}", file.display()))?;
    bad
}

/// What the HSM's queue can hold, or half of it would be refused.
fn in_flight(config: &Config) -> usize {
    IN_FLIGHT.min(config.hsm.queue).max(1)
}

/// The input, and its size if it has one.
fn open(file: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if file == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let named = |error: io::Error| format!("{}: {error}", file.display());
    let opened = File::open(file).map_err(named)?;
    let about = opened.metadata().map_err(named)?;
    Ok((Box::new(opened), about.is_file().then_some(about.len())))
}

/// It shows itself only where standard error is a terminal.
fn bar(size: Option<u64>) -> Result<ProgressBar, Failure> {
    Ok(match size {
        Some(size) => ProgressBar::new(size)
            .with_style(ProgressStyle::with_template("{bar:30} {percent}%, {eta} left: {msg}")?),
        None => ProgressBar::new_spinner()
            .with_style(ProgressStyle::with_template("{spinner} {elapsed}: {msg}")?),
    })
}

fn show(bar: &ProgressBar, told: &Told, seen: &mut Tally) {
    match &told.fate {
        Fate::Stored => seen.stored += 1,
        Fate::Skipped => seen.skipped += 1,
        Fate::Bad(error) => {
            seen.bad += 1;
            if error.code() == Code::Internal || error.code() == Code::Unavailable {
                tracing::error!(line = told.number, causes = error.causes(), "a line failed");
            }
            let text = format!("✘ line {}: {}", told.number, words(error));
            let _ = bar.suspend(|| say(&text));
        }
    }
    bar.set_position(told.end);
    if told.number.is_multiple_of(LOOK) {
        bar.set_message(figures(seen));
    }
}

/// The error with the key as the line has it.
fn words(error: &Error) -> String {
    match error.argument() {
        Some((_, argument, rule)) => format!("{}: {rule}", wire_name(argument)),
        None => error.to_string(),
    }
}

fn figures(tally: &Tally) -> String {
    let Tally { stored, skipped, bad, .. } = tally;
    format!("{stored} stored, {skipped} there already, {bad} bad")
}

fn conclude(tally: &Tally) -> Result<(), Failure> {
    say(&figures(tally))?;
    if let Some(next) = tally.next {
        say(&format!("stopped: go on with --from-line {next}"))?;
    }
    if tally.bad > 0 || tally.next.is_some() { Err(Box::new(Quiet(1))) } else { Ok(()) }
}
