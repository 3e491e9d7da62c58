//! Sums that do not depend on the order of what is added.

/// The exact sum of doubles (Shewchuk, Adaptive Precision Floating-Point Arithmetic, 1997), rounded once.
#[derive(Debug, Clone, Default)]
pub(super) struct Sum {
    /// Parts that do not overlap, the smallest first.
    parts: Vec<f64>,
}

impl Sum {
    /// Adds `times` times `number`.
    pub(super) fn add(&mut self, number: f64, times: f64) {
        let product = number * times;
        self.one(product);
        // What the product lost.
        let lost = number.mul_add(times, -product);
        if lost != 0.0 && lost.is_finite() {
            self.one(lost);
        }
    }

    fn one(&mut self, mut number: f64) {
        let mut kept = Vec::with_capacity(self.parts.len() + 1);
        for &part in &self.parts {
            let (large, small) =
                if number.abs() < part.abs() { (part, number) } else { (number, part) };
            let high = large + small;
            let low = small - (high - large);
            if low != 0.0 {
                kept.push(low);
            }
            number = high;
        }
        kept.push(number);
        self.parts = kept;
    }

    /// The sum.
    pub(super) fn total(&self) -> f64 {
        self.parts.iter().rev().sum::<f64>() + 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::Sum;

    #[test]
    fn order_does_not_matter() {
        let numbers = [1e16, 1.0, -1e16, 0.1, 0.2, 0.3, 1e-9, -7.5];
        let total = |numbers: &mut dyn Iterator<Item = f64>| {
            let mut sum = Sum::default();
            numbers.for_each(|number| sum.add(number, 3.0));
            sum.total()
        };
        let forwards = total(&mut numbers.into_iter());
        assert_eq!(forwards.to_bits(), total(&mut numbers.into_iter().rev()).to_bits());
        let mut each = Sum::default();
        (0..3).for_each(|_| numbers.into_iter().for_each(|number| each.add(number, 1.0)));
        assert_eq!(forwards.to_bits(), each.total().to_bits());
        assert!((forwards - 3.0 * (0.6 + 1e-9 - 6.5)).abs() < 1e-12);
    }
}
