//! What is held against the times of two classes.

use serde::{Deserialize, Serialize};

use super::{
    class::{Group, Times},
    statistics::{Difference, Summary},
};

/// Of the spread of a request's time: with less than this an attacker beside the service needs more
/// than about 7,000 requests of either kind to tell them apart with 95 % certainty.
const SHARE: f64 = 0.05;
/// What is asked for at least, in µs.
const LEAST: f64 = 1.0;

/// Two classes, and how far their times are apart.
#[derive(Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) group: String,
    pub(crate) first: String,
    pub(crate) second: String,
    /// Whether they must not differ.
    pub(crate) alike: bool,
    /// Requests of the first.
    pub(crate) count: usize,
    /// Median and spread of the first, in µs.
    pub(crate) median: f64,
    pub(crate) spread: f64,
    pub(crate) t: f64,
    /// Of the low percentile and of the median.
    pub(crate) differences: [Difference; 2],
    /// A difference up to this is of no use.
    pub(crate) margin: f64,
    /// The largest difference between two halves of one class of the group.
    pub(crate) floor: f64,
}

/// What is said of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Both intervals lie within the margin.
    Alike,
    /// One lies outside, and beyond what halves of one class differ by.
    Apart,
    /// Neither: more requests are needed, or a quieter machine.
    Unclear,
}

impl Comparison {
    pub(crate) fn verdict(&self) -> Verdict {
        let beyond = self.margin.max(self.floor);
        if self.differences.iter().all(|difference| difference.most() <= self.margin) {
            Verdict::Alike
        } else if self.differences.iter().any(|difference| difference.least() > beyond) {
            Verdict::Apart
        } else {
            Verdict::Unclear
        }
    }
}

/// Every pair of classes that must be alike, and the first with every other.
pub(crate) fn compare(
    group: &Group,
    times: &[Times],
    random: &mut fastrand::Rng,
) -> Vec<Comparison> {
    let mut floor = 0.0_f64;
    let mut known: Vec<(usize, Summary)> = Vec::new();
    let mut found = Vec::new();
    for (at, (class, times)) in group.classes.iter().zip(times).enumerate() {
        let summary = Summary::of(times.all(), random);
        let [even, odd] = times.0.each_ref().map(|half| Summary::of(half.clone(), random));
        floor = even.differences(&odd).iter().map(|apart| apart.us.abs()).fold(floor, f64::max);
        for (other, before) in &known {
            let Some(first) = group.classes.get(*other) else { continue };
            let alike = first.alike && class.alike;
            if alike || *other == 0 {
                found.push(Comparison {
                    group: group.name.to_owned(),
                    first: first.name.to_owned(),
                    second: class.name.to_owned(),
                    alike,
                    count: before.count(),
                    median: before.at(50),
                    spread: before.spread(),
                    t: summary.t(before),
                    differences: summary.differences(before),
                    margin: (before.spread() * SHARE).max(LEAST),
                    floor: 0.0,
                });
            }
        }
        known.push((at, summary));
    }
    for comparison in &mut found {
        comparison.floor = floor;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_within_the_margin_is_alike() {
        let verdict = |from, to, floor| {
            let near = Difference { us: 0.0, from: -0.2, to: 0.2, deviation: 0.1 };
            let comparison = Comparison {
                group: String::new(),
                first: String::new(),
                second: String::new(),
                alike: true,
                count: 100,
                median: 200.0,
                spread: 40.0,
                t: 0.0,
                differences: [
                    near,
                    Difference { us: f64::midpoint(from, to), from, to, deviation: 0.1 },
                ],
                margin: 2.0,
                floor,
            };
            comparison.verdict()
        };
        assert_eq!(verdict(-1.0, 1.9, 0.3), Verdict::Alike);
        assert_eq!(verdict(-1.0, 2.1, 0.3), Verdict::Unclear);
        assert_eq!(verdict(2.1, 3.0, 0.3), Verdict::Apart);
        assert_eq!(verdict(-3.0, -2.1, 0.3), Verdict::Apart);
        assert_eq!(verdict(2.1, 3.0, 2.5), Verdict::Unclear);
    }
}
