//! Many lines on their way at once: read, sealed by the HSM, and stored in commits that they share.
//!
//! Each has its place in the order of insertion before it sets out, so it does not matter who arrives first.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::{
    line::Entry,
    lines::{Line, lines},
};
use crate::{
    error::{Code, Error, Result},
    ids::UserSecretId,
    service::{Caller, ImportInput, Imported, Position, UserSecretService},
};

/// Lines that come in.
pub struct Import {
    /// Who stores them.
    pub service: UserSecretService,
    /// The trace id of the run.
    pub run: Arc<str>,
    /// The first line that counts, from 1.
    pub first: u64,
    /// The most bytes of a line.
    pub line_bytes: usize,
    /// The most lines on their way.
    pub in_flight: usize,
    /// Ends it: no further line is begun.
    pub stop: CancellationToken,
}

/// What became of a line.
#[derive(Debug)]
pub struct Told {
    /// Its number, from 1.
    pub number: u64,
    /// How many bytes were read up to its end.
    pub end: u64,
    /// What became of it.
    pub fate: Fate,
}

/// What becomes of a line.
#[derive(Debug)]
pub enum Fate {
    /// It is stored.
    Stored,
    /// A secret of its domain and id was there already.
    Skipped,
    /// It was not stored.
    Bad(Error),
}

/// How many lines came to what.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Stored.
    pub stored: u64,
    /// There already.
    pub skipped: u64,
    /// Not stored.
    pub bad: u64,
    /// Where the next run has to begin, when this one was ended.
    pub next: Option<u64>,
}

/// How long a line waits for a database or an HSM that is away, before the import ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

impl Import {
    /// Brings in the lines of `input`; `tell` hears of each, in their order.
    ///
    /// Where the input cannot be read any further, what was read is brought in all the same.
    pub async fn run(
        &self,
        input: impl Read + Send + 'static,
        mut tell: impl FnMut(&Told),
    ) -> (Tally, io::Result<()>) {
        // Where one line was there already, others may be.
        let repeats = AtomicBool::new(true);
        let told = lines(input, self.first, self.line_bytes)
            .take_until(self.stop.cancelled())
            .map(|line| {
                let position = self.service.next_position();
                let repeats = &repeats;
                async move { Ok::<_, io::Error>(self.bring(line?, position, repeats).await) }
            })
            .buffered(self.in_flight);
        let mut told = std::pin::pin!(told);
        let (mut tally, mut next, mut readable) = (Tally::default(), self.first, Ok(()));
        while let Some(line) = told.next().await {
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    self.stop.cancel();
                    readable = Err(error);
                    continue;
                }
            };
            let count = match &line.fate {
                Fate::Stored => &mut tally.stored,
                Fate::Skipped => &mut tally.skipped,
                Fate::Bad(_) => &mut tally.bad,
            };
            *count += 1;
            next = line.number + 1;
            tell(&line);
        }
        tally.next = self.stop.is_cancelled().then_some(next);
        (tally, readable)
    }

    async fn bring(&self, line: Line, position: Position, repeats: &AtomicBool) -> Told {
        let fate = self.settle(&line, position, repeats.load(Ordering::Relaxed)).await;
        repeats.store(matches!(fate, Fate::Skipped), Ordering::Relaxed);
        Told { number: line.number, end: line.end, fate }
    }

    /// Tries until it is clear what becomes of `line`.
    async fn settle(&self, line: &Line, position: Position, mut look: bool) -> Fate {
        let (begun, mut drawn) = (Instant::now(), self.service.new_id());
        loop {
            match self.attempt(line, position, &drawn, look).await {
                Ok((Imported::Stored, _)) => return Fate::Stored,
                Ok((Imported::Taken, Id::Given)) => return Fate::Skipped,
                Ok((Imported::Taken, Id::Drawn)) => drawn = self.service.new_id(),
                Err(error) if error.code() != Code::Unavailable => return Fate::Bad(error),
                Err(error) if self.stop.is_cancelled() => return Fate::Bad(error),
                Err(error) if begun.elapsed() >= PATIENCE => {
                    self.stop.cancel();
                    return Fate::Bad(error);
                }
                Err(_) => {
                    // It may be there by this very line: it was committed, and the answer was lost.
                    look = false;
                    self.stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
                }
            }
        }
    }

    async fn attempt(
        &self,
        line: &Line,
        position: Position,
        drawn: &UserSecretId,
        look: bool,
    ) -> Result<(Imported, Id)> {
        let text = line.text.as_ref().ok_or_else(|| {
            let rule = format!("a line must have {} bytes or less", self.line_bytes);
            Error::exhausted("limits.body_bytes", &rule)
        })?;
        let Entry { domain, owner, id, secret, provider, created_at } = Entry::read(text)?;
        let whose = if id.is_some() { Id::Given } else { Id::Drawn };
        let id = id.unwrap_or_else(|| drawn.to_string());
        let input = ImportInput { id, secret, provider, created_at, position };
        let caller = Caller::operator(domain, Arc::clone(&self.run));
        let look = look && matches!(whose, Id::Given);
        Ok((self.service.import(&caller, &owner, Ok(input), look).await?, whose))
    }
}

/// Where the id of a line comes from.
enum Id {
    Given,
    Drawn,
}
