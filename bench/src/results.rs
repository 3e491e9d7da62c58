//! What a run has measured, as it is kept in `results.json`, and the figures drawn from it.

use serde::{Deserialize, Serialize};

use crate::{
    machine::Machine,
    number::median,
    subject::{BARS, Database, Subject, Variant},
};

/// A run.
#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) command: String,
    pub(crate) began: String,
    pub(crate) rounds: u32,
    pub(crate) seconds: u64,
    pub(crate) connections: Vec<u32>,
    pub(crate) samples: Vec<Sample>,
}

/// One measurement of one round.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) round: u32,
    #[serde(flatten)]
    pub(crate) key: Key,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

/// What was measured. A floor has no variant; one that knows no connections was measured beside so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) database: Database,
    pub(crate) subject: Subject,
    pub(crate) variant: Option<Variant>,
    pub(crate) connections: u32,
}

/// How it went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) service_cpu_us: Option<f64>,
    pub(crate) database_cpu_us: Option<f64>,
}

impl Figures {
    /// The medians of some measurements of one thing.
    pub(crate) fn medians(some: &[Self]) -> Option<Self> {
        let of = |field: fn(&Self) -> Option<f64>| median(some.iter().filter_map(field));
        Some(Self {
            per_second: of(|figures| Some(figures.per_second))?,
            p50_ms: of(|figures| figures.p50_ms),
            p99_ms: of(|figures| figures.p99_ms),
            service_cpu_us: of(|figures| figures.service_cpu_us),
            database_cpu_us: of(|figures| figures.database_cpu_us),
        })
    }
}

/// Whether a bar was met.
pub(crate) struct Verdict {
    pub(crate) key: Key,
    pub(crate) bar: f64,
    pub(crate) ratio: f64,
}

impl Results {
    /// The medians of `key` over all rounds.
    pub(crate) fn figures(&self, key: Key) -> Option<Figures> {
        let some: Vec<_> = self.of(key).map(|sample| sample.figures).collect();
        Figures::medians(&some)
    }

    /// The composed floor of `key`, per second.
    pub(crate) fn floor(&self, key: Key) -> Option<f64> {
        median(self.of(key).filter_map(|sample| self.floor_in(sample.round, key)))
    }

    /// Throughput over floor: of each round its own, then the median.
    pub(crate) fn ratio(&self, key: Key) -> Option<f64> {
        let ratio =
            |sample: &Sample| Some(sample.figures.per_second / self.floor_in(sample.round, key)?);
        median(self.of(key).filter_map(ratio))
    }

    /// Throughput over that of the same operation with everything on.
    pub(crate) fn of_all_on(&self, key: Key) -> Option<f64> {
        let on = Key { variant: Some(Variant::On), ..key };
        let ratio = |sample: &Sample| {
            let other = self.of(on).find(|other| other.round == sample.round)?;
            Some(sample.figures.per_second / other.figures.per_second)
        };
        median(self.of(key).filter_map(ratio))
    }

    /// The bars that this run can be held to.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let verdict = |bar: &crate::subject::Bar| {
            let key = Key {
                database: Database::Postgres,
                subject: bar.subject,
                variant: Some(Variant::On),
                connections: bar.connections,
            };
            Some(Verdict { key, bar: bar.ratio, ratio: self.ratio(key)? })
        };
        BARS.iter().filter_map(verdict).collect()
    }

    /// The databases that were measured.
    pub(crate) fn databases(&self) -> Vec<Database> {
        let measured = |database: &Database| {
            self.samples.iter().any(|sample| sample.key.database == *database)
        };
        [Database::Postgres, Database::Sqlite].into_iter().filter(measured).collect()
    }

    fn of(&self, key: Key) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.key == key)
    }

    fn floor_in(&self, round: u32, key: Key) -> Option<f64> {
        let mut seconds = 0.0;
        for (times, subject) in key.subject.parts() {
            let part = Key { subject: *subject, variant: None, ..key };
            let sample = self.of(part).find(|sample| sample.round == round)?;
            seconds += times / sample.figures.per_second;
        }
        (seconds > 0.0).then(|| 1.0 / seconds)
    }
}

impl Verdict {
    pub(crate) fn met(&self) -> bool {
        self.ratio >= self.bar
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(round: u32, subject: Subject, per_second: f64) -> Sample {
        let variant = Subject::OPERATIONS.contains(&subject).then_some(Variant::On);
        let key = Key { database: Database::Postgres, subject, variant, connections: 8 };
        Sample { round, key, figures: Figures { per_second, ..Figures::default() } }
    }

    #[test]
    fn a_ratio_is_taken_within_its_round() {
        let samples = [
            // 1 / (1/600 + 1/300) = 200 in the first round, and half of that in the second.
            [(Subject::Http, 600.0), (Subject::Select, 300.0), (Subject::Get, 100.0)],
            [(Subject::Http, 300.0), (Subject::Select, 150.0), (Subject::Get, 30.0)],
        ];
        let samples = samples.iter().zip(1..).flat_map(|(samples, round)| {
            samples.iter().map(move |(subject, figure)| sample(round, *subject, *figure))
        });
        let results = Results {
            machine: Machine::look(None),
            command: String::new(),
            began: String::new(),
            rounds: 2,
            seconds: 1,
            connections: vec![8],
            samples: samples.collect(),
        };
        let key = sample(1, Subject::Get, 0.0).key;
        let near = |found: Option<f64>, figure: f64| (found.unwrap() - figure).abs() < 1e-9;
        assert!(near(results.floor(key), 150.0));
        assert!(near(results.ratio(key), 0.4));
        assert!(results.verdicts().iter().any(|verdict| verdict.met() && verdict.bar == 0.3));
        assert!(results.ratio(sample(1, Subject::Reveal, 0.0).key).is_none());
    }
}
