//! The time of day, injected so that a test can hold it still.

use std::sync::Arc;

use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

/// A moment, in microseconds since 1970-01-01T00:00:00Z.
///
/// Both databases store it as an integer: text of varying width does not sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `micros` microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// As the original writes it, in ISO 8601: always three digits of the second, cut and not rounded.
    pub fn to_iso_milliseconds(self) -> String {
        const FORM: &[BorrowedFormatItem<'_>] = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        OffsetDateTime::from(self).format(FORM).unwrap_or_default()
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(moment: OffsetDateTime) -> Self {
        let micros = moment.unix_timestamp_nanos() / 1_000;
        Self(i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX }))
    }
}

impl From<Timestamp> for OffsetDateTime {
    fn from(moment: Timestamp) -> Self {
        Self::from_unix_timestamp_nanos(i128::from(moment.0) * 1_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
        Self(Arc::new(|| OffsetDateTime::now_utc().into()))
    }

    /// A clock that `tell` drives.
    pub fn from_fn(tell: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn milliseconds() {
        let cases = [
            (1_707_955_199_999_999, "2024-02-14T23:59:59.999Z"),
            (0, "1970-01-01T00:00:00.000Z"),
            (1_704_441_600_120_000, "2024-01-05T08:00:00.120Z"),
        ];
        for (micros, text) in cases {
            assert_eq!(Timestamp::from_micros(micros).to_iso_milliseconds(), text);
        }
    }
}
