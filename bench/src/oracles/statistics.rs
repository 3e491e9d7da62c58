//! Whether two sets of times differ, and by how much.
//!
//! Welch's t on cropped samples is that of dudect (Reparaz, Balasch, Verbauwhede:
//! "Dude, is my code constant time?", 2017). It says whether there is a difference,
//! the bootstrap says how large it is.

use serde::{Deserialize, Serialize};

use crate::number::{float, float_len, percentile};

/// The percentiles that are compared: the low one has little noise, the middle is what most see.
const PERCENTS: [usize; 2] = [10, 50];
/// Resamples; with 600 the interval of 99 % leaves out three at either end.
const RESAMPLES: usize = 600;
const LEFT_OUT: usize = RESAMPLES / 200;
/// Deviations between two means of which either is taken for the other once in twenty times: 2 × 1.645.
const CERTAIN: f64 = 3.29;
/// Of both samples together, what is longer is left out.
const CROPS: [usize; 6] = [50, 75, 90, 95, 99, 100];

/// Sorted times, and what resamples of them say.
pub(crate) struct Summary {
    sorted: Vec<u64>,
    replicates: [Vec<u64>; 2],
}

/// A difference in µs, with its 99 % confidence interval.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Difference {
    pub(crate) us: f64,
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// Its standard deviation over the resamples.
    pub(crate) deviation: f64,
}

impl Summary {
    /// Takes times in nanoseconds.
    pub(crate) fn of(mut times: Vec<u64>, random: &mut fastrand::Rng) -> Self {
        times.sort_unstable();
        let mut replicates = [const { Vec::new() }; 2];
        let mut drawn: Vec<u64> = Vec::with_capacity(times.len());
        for _ in 0..RESAMPLES {
            drawn.clear();
            drawn.extend((0..times.len()).filter_map(|_| times.get(random.usize(..times.len()))));
            drawn.sort_unstable();
            for (percent, replicates) in PERCENTS.iter().zip(&mut replicates) {
                replicates.extend(percentile(&drawn, *percent));
            }
        }
        Self { sorted: times, replicates }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.sorted.len()
    }

    /// A percentile in µs.
    pub(crate) fn at(&self, percent: usize) -> f64 {
        percentile(&self.sorted, percent).map_or(f64::NAN, float) / 1e3
    }

    /// The range that holds the middle half, in µs.
    pub(crate) fn spread(&self) -> f64 {
        self.at(75) - self.at(25)
    }

    /// How much longer the low percentile and the median are than those of `other`.
    pub(crate) fn differences(&self, other: &Self) -> [Difference; 2] {
        let of = |which: usize, percent: usize| {
            let replicates = |summary: &Self| summary.replicates.get(which).cloned();
            let mine = replicates(self).unwrap_or_default();
            let theirs = replicates(other).unwrap_or_default();
            let apart = mine.iter().zip(&theirs).map(|(a, b)| (float(*a) - float(*b)) / 1e3);
            let mut apart: Vec<f64> = apart.collect();
            apart.sort_by(f64::total_cmp);
            let end = |at: usize| apart.get(at).copied().unwrap_or(f64::NAN);
            let (from, to) = (end(LEFT_OUT), end(RESAMPLES.saturating_sub(LEFT_OUT + 1)));
            let count = float_len(apart.len());
            let mean = apart.iter().sum::<f64>() / count;
            let squares: f64 = apart.iter().map(|one| (one - mean).powi(2)).sum();
            let deviation = (squares / (count - 1.0)).sqrt();
            Difference { us: self.at(percent) - other.at(percent), from, to, deviation }
        };
        let [low, middle] = PERCENTS;
        [of(0, low), of(1, middle)]
    }

    /// The largest |t| of Welch's test over all crops.
    pub(crate) fn t(&self, other: &Self) -> f64 {
        let mut both: Vec<u64> = self.sorted.iter().chain(&other.sorted).copied().collect();
        both.sort_unstable();
        let crop = |percent: &usize| {
            let most = percentile(&both, *percent)?;
            Some(welch(self.upto(most), other.upto(most)).abs())
        };
        CROPS.iter().filter_map(crop).fold(0.0, f64::max)
    }

    fn upto(&self, most: u64) -> &[u64] {
        let end = self.sorted.partition_point(|time| *time <= most);
        self.sorted.get(..end).unwrap_or_default()
    }
}

impl Difference {
    /// The least that its size is, by the interval.
    pub(crate) fn least(&self) -> f64 {
        self.from.max(-self.to).max(0.0)
    }

    /// How many requests of each kind tell them apart with 95 % certainty, when `count` gave this.
    pub(crate) fn needed(&self, count: usize) -> f64 {
        float_len(count) * (CERTAIN * self.deviation / self.us).powi(2)
    }

    /// The most that its size is.
    pub(crate) fn most(&self) -> f64 {
        self.to.max(-self.from)
    }
}

fn welch(a: &[u64], b: &[u64]) -> f64 {
    let (mean_a, part_a) = mean_and_part(a);
    let (mean_b, part_b) = mean_and_part(b);
    let deviation = (part_a + part_b).sqrt();
    if deviation > 0.0 { (mean_a - mean_b) / deviation } else { 0.0 }
}

/// The mean, and the variance of the mean.
fn mean_and_part(times: &[u64]) -> (f64, f64) {
    let count = float_len(times.len());
    let mean = times.iter().map(|time| float(*time)).sum::<f64>() / count;
    let squares: f64 = times.iter().map(|time| (float(*time) - mean).powi(2)).sum();
    (mean, squares / (count - 1.0) / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 µs and a tail of noise.
    fn times(random: &mut fastrand::Rng, more: u64) -> Vec<u64> {
        let noise = |random: &mut fastrand::Rng| random.u64(..20_000) + random.u64(..20_000);
        (0..4_000).map(|_| 100_000 + more + noise(random)).collect()
    }

    #[test]
    fn a_difference_is_found_and_none_is_not() {
        let random = &mut fastrand::Rng::with_seed(7);
        let mut summary = |more| {
            let times = times(random, more);
            Summary::of(times, random)
        };
        let (first, same, slower) = (summary(0), summary(0), summary(5_000));
        assert!(first.t(&same) < 4.5);
        for difference in same.differences(&first) {
            assert!(difference.from < 0.5 && difference.to > -0.5 && difference.most() < 2.0);
        }
        assert!(slower.t(&first) > 10.0);
        for difference in slower.differences(&first) {
            assert!(difference.least() > 3.0 && difference.most() < 7.0);
        }
    }

    #[test]
    fn welch_of_known_samples() {
        // Means 2 and 4, variances 1 and 4: (2 - 4) / sqrt(1/3 + 4/3).
        let t = welch(&[1, 2, 3], &[2, 4, 6]);
        assert!((t + 2.0 / (5.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }
}
