//! Moments as conditions write them: in ISO 8601, or told from now.

use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use crate::clock::Timestamp;

/// Reads `2024`, `2024-03`, `2024-03-01` or `20240301`, with a time behind `T` or a blank, and
/// `Z` or an offset; without one it is UTC (ISO 8601, as Python's `isoparse` takes it).
pub fn absolute(text: &str) -> Option<Timestamp> {
    let (date, time) = match text.find(['T', ' ']) {
        Some(at) => (text.get(..at)?, Some(text.get(at + 1..)?)),
        None => (text, None),
    };
    let date = read_date(date)?;
    let (time, offset, midnight) =
        time.map_or(Some((Time::MIDNIGHT, UtcOffset::UTC, false)), clock)?;
    let moment = PrimitiveDateTime::new(date, time).assume_offset(offset);
    let moment = if midnight { moment.checked_add(Duration::DAY)? } else { moment };
    Some(moment.into())
}

fn read_date(text: &str) -> Option<Date> {
    let month = |text: &str| Month::try_from(number::<u8>(text, 2)?).ok();
    let parts: Vec<&str> = text.split('-').collect();
    let (year, month, day) = match parts[..] {
        [year] if year.len() == 8 => {
            (year.get(..4)?, month(year.get(4..6)?)?, number(year.get(6..)?, 2)?)
        }
        [year] => (year, Month::January, 1),
        [year, text] => (year, month(text)?, 1),
        [year, text, day] => (year, month(text)?, number(day, 2)?),
        _ => return None,
    };
    Date::from_calendar_date(number(year, 4)?, month, day).ok()
}

/// A time of day, its offset, and whether it is 24:00, the end of the day.
fn clock(text: &str) -> Option<(Time, UtcOffset, bool)> {
    let (time, offset) = match text.find(['Z', '+', '-']) {
        Some(at) => (text.get(..at)?, offset(text.get(at..)?)?),
        None => (text, UtcOffset::UTC),
    };
    let (time, fraction) = match time.find(['.', ',']) {
        Some(at) => (time.get(..at)?, Some(time.get(at + 1..)?)),
        None => (time, None),
    };
    let (hour, minute, second) = hours(time)?;
    let micros = match fraction {
        None => 0,
        Some(digits) if digits.is_empty() || second.is_none() => return None,
        Some(digits) => {
            let known: String = digits.chars().chain("000000".chars()).take(6).collect();
            if digits.bytes().all(|byte| byte.is_ascii_digit()) {
                known.parse().ok()?
            } else {
                return None;
            }
        }
    };
    let (minute, second) = (minute.unwrap_or(0), second.unwrap_or(0));
    if hour == 24 && minute == 0 && second == 0 && micros == 0 {
        return Some((Time::MIDNIGHT, offset, true));
    }
    Some((Time::from_hms_micro(hour, minute, second, micros).ok()?, offset, false))
}

fn offset(text: &str) -> Option<UtcOffset> {
    if text == "Z" {
        return Some(UtcOffset::UTC);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hour, minute, second) = hours(text.get(1..)?)?;
    if second.is_some() || hour > 23 {
        return None;
    }
    let (hour, minute) = (i8::try_from(hour).ok()?, i8::try_from(minute.unwrap_or(0)).ok()?);
    UtcOffset::from_hms(sign * hour, sign * minute, 0).ok()
}

/// `HH`, `HH:MM`, `HHMM`, `HH:MM:SS` or `HHMMSS`.
fn hours(text: &str) -> Option<(u8, Option<u8>, Option<u8>)> {
    let parts: Vec<&str> = if text.contains(':') {
        text.split(':').collect()
    } else {
        [0, 2, 4]
            .iter()
            .filter_map(|at| text.get(*at..(at + 2).min(text.len())))
            .filter(|part| !part.is_empty())
            .collect()
    };
    if !text.contains(':') && text.len() > 6 {
        return None;
    }
    match parts[..] {
        [hour] => Some((number(hour, 2)?, None, None)),
        [hour, minute] => Some((number(hour, 2)?, Some(number(minute, 2)?), None)),
        [hour, minute, second] => {
            Some((number(hour, 2)?, Some(number(minute, 2)?), Some(number(second, 2)?)))
        }
        _ => None,
    }
}

/// A moment that is told from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Relative {
    since: Since,
    /// In seconds.
    distance: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Now,
    Midnight,
    Monday,
    FirstOfMonth,
}

/// Some hundred thousand years, to either side.
const FARTHEST: i64 = 3_000_000_000_000;

impl Relative {
    /// Reads `now`, `now/d` (midnight), `now/w` (Monday) or `now/m` (the first of the month), and
    /// perhaps a distance such as ` - 3d` in s, m, h, d or w.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("now")?;
        let (since, rest) = match rest.strip_prefix('/') {
            None => (Since::Now, rest),
            Some(rest) => match rest.chars().next()? {
                'd' => (Since::Midnight, rest.get(1..)?),
                'w' => (Since::Monday, rest.get(1..)?),
                'm' => (Since::FirstOfMonth, rest.get(1..)?),
                _ => return None,
            },
        };
        if rest.is_empty() {
            return Some(Self { since, distance: 0 });
        }
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let (sign, rest) = match rest.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, rest.strip_prefix('+')?),
        };
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let (digits, unit) = rest.split_at_checked(rest.len().checked_sub(1)?)?;
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return None,
        };
        let distance = number::<i64>(digits, 0)?.checked_mul(unit)?.checked_mul(sign)?;
        (-FARTHEST..=FARTHEST).contains(&distance).then_some(Self { since, distance })
    }

    /// The moment, when it is `now`.
    pub(super) fn at(self, now: Timestamp) -> Timestamp {
        let date_time: OffsetDateTime = now.into();
        let midnight = date_time.replace_time(Time::MIDNIGHT);
        let since: Timestamp = match self.since {
            Since::Now => now,
            Since::Midnight => midnight.into(),
            Since::Monday => {
                let past = midnight.weekday().number_days_from_monday();
                midnight.checked_sub(Duration::days(past.into())).unwrap_or(midnight).into()
            }
            Since::FirstOfMonth => midnight.replace_day(1).unwrap_or(midnight).into(),
        };
        let distance = self.distance.saturating_mul(1_000_000);
        Timestamp::from_micros(since.as_micros().saturating_add(distance))
    }
}

/// Digits alone, `length` of them unless that is 0.
fn number<T: std::str::FromStr>(text: &str, length: usize) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (length == 0 || text.len() == length)).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(moment: Option<Timestamp>) -> String {
        moment.map_or_else(String::new, |moment| {
            OffsetDateTime::from(moment)
                .format(&time::format_description::well_known::Rfc3339)
                .unwrap()
        })
    }

    #[test]
    fn absolute_moments() {
        for (text, expected) in [
            ("2024", "2024-01-01T00:00:00Z"),
            ("2024-03", "2024-03-01T00:00:00Z"),
            ("20240301", "2024-03-01T00:00:00Z"),
            ("2024-02-29T23:59:59.1234567Z", "2024-02-29T23:59:59.123456Z"),
            ("2024-03-01 09:30", "2024-03-01T09:30:00Z"),
            ("2024-03-01T0930+0900", "2024-03-01T00:30:00Z"),
            ("2024-03-01T09-09:30", "2024-03-01T18:30:00Z"),
            ("2024-03-01T24:00", "2024-03-02T00:00:00Z"),
        ] {
            assert_eq!(shown(absolute(text)), expected, "{text}");
        }
        for bad in [
            "",
            "now",
            "24",
            "2024-13",
            "2024-02-30",
            "2024-03-01T",
            "2024-03-01T25",
            "2024-3-1",
            "2024-03-01T09:30:00.",
            "2024-03-01T24:01",
            "2024-03-01T09:3",
            "2024-03-01T09:30+",
            "2024-03-01T1234567",
            "２０２４",
            "2024-03-01T09.5",
        ] {
            assert_eq!(shown(absolute(bad)), "", "{bad}");
        }
    }

    #[test]
    fn moments_told_from_now() {
        // A Friday.
        let now = absolute("2024-03-15T10:20:30.5Z").unwrap();
        for (text, expected) in [
            ("now", "2024-03-15T10:20:30.5Z"),
            ("now/d", "2024-03-15T00:00:00Z"),
            ("now/w", "2024-03-11T00:00:00Z"),
            ("now/m", "2024-03-01T00:00:00Z"),
            ("now-1d", "2024-03-14T10:20:30.5Z"),
            ("now/d + 36h", "2024-03-16T12:00:00Z"),
            ("now/w -1w", "2024-03-04T00:00:00Z"),
            ("now+ 90s", "2024-03-15T10:22:00.5Z"),
        ] {
            assert_eq!(
                shown(Relative::parse(text).map(|moment| moment.at(now))),
                expected,
                "{text}"
            );
        }
        for bad in [
            "",
            "yesterday",
            "now/y",
            "now/",
            "now 3d",
            "now + 3 w",
            "now-",
            "now-d",
            "now-1",
            "now-1y",
            "now--1d",
            "now- -1d",
            "now-99999999999999999999d",
            "now-999999999999w",
            " now",
            "now ",
        ] {
            assert_eq!(Relative::parse(bad), None, "{bad}");
        }
    }
}
