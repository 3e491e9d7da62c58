//! Parts of a moment, in UTC.

use std::fmt::Write as _;

use time::OffsetDateTime;

use super::Datum;
use crate::clock::Timestamp;

/// What a moment is told as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DateFormat {
    /// The year, as a number.
    Year,
    /// The month, 1 to 12.
    Month,
    /// The day of the month.
    Day,
    /// A text of these pieces.
    Pattern(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Letter(char),
    Part(Part),
}

/// A part, after MongoDB's `$dateToString`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    /// The day of the year.
    Ordinal,
    /// The year of the ISO week.
    IsoYear,
    IsoWeek,
    /// Monday is 1.
    IsoWeekday,
    /// The week of the year; weeks begin on Sunday, and what is before the first is week 0.
    SundayWeek,
    /// Sunday is 1.
    Weekday,
    /// The distance from UTC.
    Offset,
    /// The same in minutes.
    OffsetMinutes,
}

const PARTS: [(char, Part); 15] = [
    ('Y', Part::Year),
    ('m', Part::Month),
    ('d', Part::Day),
    ('H', Part::Hour),
    ('M', Part::Minute),
    ('S', Part::Second),
    ('L', Part::Millisecond),
    ('j', Part::Ordinal),
    ('G', Part::IsoYear),
    ('V', Part::IsoWeek),
    ('u', Part::IsoWeekday),
    ('U', Part::SundayWeek),
    ('w', Part::Weekday),
    ('z', Part::Offset),
    ('Z', Part::OffsetMinutes),
];

/// The most characters of a pattern.
const MAX_PATTERN: usize = 100;

impl DateFormat {
    /// Reads a format; the error is the rule that it breaks.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "year" => return Ok(Self::Year),
            "month" => return Ok(Self::Month),
            "day" => return Ok(Self::Day),
            _ => {}
        }
        if text.chars().count() > MAX_PATTERN {
            return Err(format!("must have at most {MAX_PATTERN} characters"));
        }
        let (mut pieces, mut letters) = (Vec::new(), text.chars());
        while let Some(letter) = letters.next() {
            pieces.push(match letter {
                '%' => match letters.next() {
                    Some('%') => Piece::Letter('%'),
                    Some(letter) => match PARTS.iter().find(|(name, _)| *name == letter) {
                        Some((_, part)) => Piece::Part(*part),
                        None => return Err(RULE.to_owned()),
                    },
                    None => return Err(RULE.to_owned()),
                },
                letter => Piece::Letter(letter),
            });
        }
        Ok(Self::Pattern(pieces))
    }

    /// Whether all moments of a day are told alike.
    pub(super) fn tells_days(&self) -> bool {
        let Self::Pattern(pieces) = self else { return true };
        let within = [Part::Hour, Part::Minute, Part::Second, Part::Millisecond];
        !pieces.iter().any(|piece| matches!(piece, Piece::Part(part) if within.contains(part)))
    }

    /// What is told of `value`: null of what is no moment.
    pub(super) fn of(&self, value: &Datum) -> Datum {
        let Datum::Time(moment) = value else { return Datum::Null };
        let moment = utc(*moment);
        match self {
            Self::Year => Datum::Number(moment.year().into()),
            Self::Month => Datum::Number(u8::from(moment.month()).into()),
            Self::Day => Datum::Number(moment.day().into()),
            Self::Pattern(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Letter(letter) => text.push(*letter),
                        Piece::Part(part) => part.write(moment, &mut text),
                    }
                }
                Datum::Text(text)
            }
        }
    }
}

const RULE: &str =
    "must be year, month, day, or a text in which % stands before one of YmdHMSLjGVuUwzZ%";

/// As it is told inside a pushed object: to the second.
pub(super) fn to_the_second(moment: Timestamp) -> Datum {
    let mut text = String::new();
    let moment = utc(moment);
    let date = [(Part::Year, '-'), (Part::Month, '-'), (Part::Day, 'T')];
    for (part, behind) in
        date.into_iter().chain([(Part::Hour, ':'), (Part::Minute, ':'), (Part::Second, 'Z')])
    {
        part.write(moment, &mut text);
        text.push(behind);
    }
    Datum::Text(text)
}

fn utc(moment: Timestamp) -> OffsetDateTime {
    moment.into()
}

impl Part {
    fn write(self, moment: OffsetDateTime, text: &mut String) {
        let sunday = moment.weekday().number_days_from_sunday();
        let _ = match self {
            Self::Year => write!(text, "{:04}", moment.year()),
            Self::Month => write!(text, "{:02}", u8::from(moment.month())),
            Self::Day => write!(text, "{:02}", moment.day()),
            Self::Hour => write!(text, "{:02}", moment.hour()),
            Self::Minute => write!(text, "{:02}", moment.minute()),
            Self::Second => write!(text, "{:02}", moment.second()),
            Self::Millisecond => write!(text, "{:03}", moment.millisecond()),
            Self::Ordinal => write!(text, "{:03}", moment.ordinal()),
            Self::IsoYear => write!(text, "{:04}", moment.to_iso_week_date().0),
            Self::IsoWeek => write!(text, "{:02}", moment.iso_week()),
            Self::IsoWeekday => write!(text, "{}", moment.weekday().number_from_monday()),
            Self::SundayWeek => write!(text, "{:02}", moment.sunday_based_week()),
            Self::Weekday => write!(text, "{}", sunday + 1),
            Self::Offset => write!(text, "+0000"),
            Self::OffsetMinutes => write!(text, "+0"),
        };
    }
}

#[cfg(test)]
mod tests {
    use time::{format_description::well_known::Rfc3339, macros::datetime};

    use super::*;

    #[test]
    fn patterns() {
        let all = "%Y-%m-%d %H:%M:%S.%L j%j G%G V%V u%u U%U w%w z%z Z%Z %%";
        let cases = [
            (
                datetime!(2024-12-31 23:04:05.678999 UTC),
                "2024-12-31 23:04:05.678 j366 G2025 V01 u2 U52 w3 z+0000 Z+0 %",
            ),
            (
                datetime!(2023-01-01 00:00:00 UTC),
                "2023-01-01 00:00:00.000 j001 G2022 V52 u7 U01 w1 z+0000 Z+0 %",
            ),
        ];
        for (moment, told) in cases {
            let value = Datum::Time(moment.into());
            let format = DateFormat::parse(all).unwrap();
            assert_eq!(format.of(&value), Datum::Text(told.to_owned()), "{moment}");
            let seconds = moment.replace_millisecond(0).unwrap().format(&Rfc3339).unwrap();
            assert_eq!(to_the_second(moment.into()), Datum::Text(seconds));
        }
        assert!(DateFormat::parse("%Y-%j %V").unwrap().tells_days());
        assert!(!DateFormat::parse("%Y %H").unwrap().tells_days());
        for wrong in ["%", "%q", "%Y-%"] {
            assert!(DateFormat::parse(wrong).is_err(), "{wrong}");
        }
    }
}
