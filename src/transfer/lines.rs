//! The lines of a file or a pipe, read on a thread of its own in bounded memory.

use std::{
    io::{self, BufRead as _, BufReader, Read},
    sync::Arc,
    thread,
};

use futures_util::{Stream, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// A line that is not blank.
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: u64,
    /// How many bytes were read up to its end.
    pub(super) end: u64,
    /// What stands in it, unless that is too long.
    pub(super) text: Option<Vec<u8>>,
    /// Its share of the memory; given back when the line is dropped.
    room: Option<OwnedSemaphorePermit>,
}

/// Lines that wait between the thread and who uses them.
const WAITING: usize = 64;

/// The most bytes of all lines together that are in use and not dropped yet; a single one may have more.
const ROOM: u32 = 32 << 20;

/// The lines of `input` from number `first` on. Of one that is longer than `limit` bytes nothing is kept.
pub(super) fn lines(
    input: impl Read + Send + 'static,
    first: u64,
    limit: usize,
) -> impl Stream<Item = io::Result<Line>> {
    let (found, waiting) = mpsc::channel(WAITING);
    thread::spawn(move || {
        if let Err(error) = read(input, first, limit, &found) {
            let _ = found.blocking_send(Err(error));
        }
    });
    // Whoever polls no more lets the thread find its channel closed.
    let room = Arc::new(Semaphore::new(usize::try_from(ROOM).unwrap_or(usize::MAX)));
    stream::unfold((waiting, room), async |(mut waiting, room)| {
        let mut line: io::Result<Line> = waiting.recv().await?;
        if let Ok(line) = &mut line
            && let Some(text) = &line.text
        {
            let share = u32::try_from(text.len()).unwrap_or(ROOM).min(ROOM);
            line.room = Arc::clone(&room).acquire_many_owned(share).await.ok();
        }
        Some((line, (waiting, room)))
    })
}

fn read(
    input: impl Read,
    first: u64,
    limit: usize,
    found: &mpsc::Sender<io::Result<Line>>,
) -> io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let mut end = 0;
    let bytes = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    for _ in 1..first {
        end += bytes(input.skip_until(b'\n')?);
    }
    for number in first.. {
        let mut text = Vec::new();
        let most = bytes(limit).saturating_add(1);
        end += bytes(input.by_ref().take(most).read_until(b'\n', &mut text)?);
        let whole = text.pop_if(|last| *last == b'\n').is_some();
        let too_long = text.len() > limit;
        if too_long && !whole {
            end += bytes(input.skip_until(b'\n')?);
        } else if text.is_empty() && !whole {
            return Ok(());
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let text = (!too_long).then_some(text);
        if found.blocking_send(Ok(Line { number, end, text, room: None })).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    async fn read_all(input: &'static [u8], first: u64) -> Vec<(u64, u64, Option<String>)> {
        lines(input, first, 4)
            .map(|line| {
                let line = line.unwrap();
                let text = line.text.map(|text| String::from_utf8(text).unwrap());
                (line.number, line.end, text)
            })
            .collect()
            .await
    }

    #[tokio::test]
    async fn lines_have_their_numbers_and_limits() {
        let some = |text: &str| Some(text.to_owned());
        let input = b"a\n\nfour\nfive5\n \r\nlast";
        assert_eq!(
            read_all(input, 1).await,
            [(1, 2, some("a")), (3, 8, some("four")), (4, 14, None), (6, 21, some("last"))]
        );
        assert_eq!(read_all(input, 4).await, [(4, 14, None), (6, 21, some("last"))]);
        assert_eq!(read_all(input, 7).await, []);
        assert_eq!(read_all(b"", 1).await, []);
        assert_eq!(read_all(b"endless.............", 1).await, [(1, 20, None)]);
    }

    #[tokio::test]
    async fn one_endless_line_is_never_held() {
        // Two gigabytes, of which a machine would notice if they were kept.
        let input = io::repeat(b'x').take(2 << 30);
        let all: Vec<_> = lines(input, 1, 1 << 20).collect().await;
        assert_eq!(all.len(), 1);
        let resident = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = resident.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        let kilobytes: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(kilobytes < 500_000, "{peak}");
    }
}
