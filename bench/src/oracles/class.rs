//! Requests whose answers are to tell nothing, and what they answer.

use std::time::Instant;

use crate::{Failure, cli::progress, load::Connection, number::nanos};

/// Requests before the first that counts.
const WARM_UP: usize = 500;

/// Requests of one caller that differ in what they name.
pub(crate) struct Group {
    /// What is asked, and by whom.
    pub(crate) name: &'static str,
    pub(crate) classes: Vec<Class>,
}

/// Requests that name the same kind of thing.
pub(crate) struct Class {
    pub(crate) name: &'static str,
    /// Whether its answers must be those of the group's first class.
    pub(crate) alike: bool,
    pub(crate) requests: Vec<Vec<u8>>,
}

/// The times of a class in nanoseconds: of its even requests, and of its odd ones.
#[derive(Default)]
pub(crate) struct Times(pub(crate) [Vec<u64>; 2]);

impl Group {
    /// Sends `count` requests of each class over one connection, in random order.
    ///
    /// Their times come to those that there are. An answer of a class that must be alike is held against the first one, byte by byte.
    pub(crate) async fn measure(
        &self,
        connection: &mut Connection,
        count: usize,
        random: &mut fastrand::Rng,
        times: &mut [Times],
    ) -> Result<(), Failure> {
        progress(self.name);
        let mut order: Vec<usize> = (0..self.classes.len()).collect();
        let mut expected = None;
        for round in 0..count.saturating_add(WARM_UP) {
            random.shuffle(&mut order);
            for at in &order {
                let (Some(class), Some(times)) = (self.classes.get(*at), times.get_mut(*at)) else {
                    continue;
                };
                let which = random.usize(..class.requests.len());
                let Some(request) = class.requests.get(which) else { continue };
                let begun = Instant::now();
                let answer = connection.exchange(request).await?;
                let took = nanos(begun.elapsed());
                let answer = (answer.status, answer.body);
                if class.alike {
                    let (status, body) =
                        expected.get_or_insert_with(|| (answer.0, answer.1.to_owned()));
                    if (*status, body.as_str()) != answer {
                        let name = format!("{}, {}", self.name, class.name);
                        return Err(format!("{name}: {status} {body} is not {answer:?}").into());
                    }
                    if *status == 200 && !body.contains("\"errors\":") {
                        return Err(format!("{}, {}: it was granted", self.name, class.name).into());
                    }
                }
                if round >= WARM_UP
                    && let Some(half) = times.0.get_mut(which % 2)
                {
                    half.push(took);
                }
            }
        }
        Ok(())
    }
}

impl Times {
    /// All of them.
    pub(crate) fn all(&self) -> Vec<u64> {
        self.0.concat()
    }
}
