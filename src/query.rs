//! The language of lists: what is looked for, in which order, and which page.
//!
//! It knows the fields of a user secret and no table. [`ListQuery`] is what
//! every face makes of its own request; `compile` turns it into conditions, and
//! the store joins those to the caller's scope as the outer AND.

mod compile;
mod cursor;
mod field;
mod filter;
mod moment;
mod operator;
mod pattern;
mod predicate;
mod sort;
mod tagged;

pub use compile::{condition, order, position_after};
pub use cursor::{Cursor, Fingerprint};
pub use field::{Field, FieldKind};
pub use filter::{Condition, Filter, RawCondition, check_key, check_tags};
pub use moment::absolute as moment;
pub use operator::{Compare, Operator};
pub use pattern::Pattern;
pub use predicate::{Context, Dialect};
pub use sort::Sort;
pub use tagged::{TAGGED, Tagged};

use crate::error::{Error, Result};

/// The most rows of one page.
pub const MAX_PAGE: u64 = 100;

/// The most rows of one answer of REST and gRPC, whose clients count on getting all.
pub const MAX_ROWS: u64 = 1_000;

/// The rows of a page that says nothing about its size.
pub const DEFAULT_PAGE: u64 = 20;

/// What is looked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Search {
    /// Fields that must equal a text.
    pub equal: Vec<(Field, String)>,
    /// Conditions.
    pub filter: Filter,
    /// Words in lower case, one of which must occur in id, name, schema or provider; none: no condition.
    pub keyword: Vec<String>,
}

/// What a list shows.
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    /// Which rows.
    pub search: Search,
    /// The order, most significant first; empty: by name.
    pub sort: Vec<Sort>,
    /// Which part of it.
    pub window: Window,
    /// Whether to count all that match.
    pub with_total: bool,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// The first rows after `cursor`.
    After {
        /// How many.
        limit: u64,
        /// Where to go on; none: from the start.
        cursor: Option<String>,
    },
    /// The last rows before `cursor`.
    Before {
        /// How many.
        limit: u64,
        /// Where to stop; none: at the end.
        cursor: Option<String>,
    },
    /// Rows `start` to `start + limit - 1`, counted from 1.
    Numbered {
        /// The first row; 0 is taken as 1.
        start: u64,
        /// How many.
        limit: u64,
    },
}

impl ListQuery {
    /// The order that is in force, without the tie-breaks.
    pub fn sort(&self) -> &[Sort] {
        static BY_NAME: [Sort; 1] = [Sort::by(Field::Name)];
        if self.sort.is_empty() { &BY_NAME } else { &self.sort }
    }
}

/// The most words of a keyword, and the most bytes of each.
const MAX_WORDS: usize = 16;
const MAX_WORD_BYTES: usize = 1024;

/// Splits `text` into the words of a keyword search.
pub fn words(text: &str) -> Result<Vec<String>> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    if words.len() > MAX_WORDS || words.iter().any(|word| word.len() > MAX_WORD_BYTES) {
        let rule = format!("must have at most {MAX_WORDS} words of {MAX_WORD_BYTES} bytes");
        return Err(Error::invalid("query.keyword", rule));
    }
    Ok(words)
}

impl Window {
    /// The page that the arguments of a GraphQL connection ask for, or a numbered `(start, limit)` one.
    pub fn from_arguments(
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        page: Option<(Option<i32>, Option<i32>)>,
    ) -> Result<Self> {
        if let Some((start, limit)) = page {
            if first.is_some() || after.is_some() || last.is_some() || before.is_some() {
                let rule = "must not stand beside first, after, last or before";
                return Err(Error::invalid("query.page", rule));
            }
            return Ok(Self::Numbered {
                start: page_number("query.page.start", start)?.unwrap_or(1).max(1),
                limit: match count("query.page.limit", limit, MAX_PAGE)? {
                    None | Some(0) => MAX_PAGE,
                    Some(limit) => limit,
                },
            });
        }
        let forward = first.is_some() || after.is_some();
        let backward = last.is_some() || before.is_some();
        if forward && backward {
            return Err(Error::invalid("first", "must not stand beside last or before"));
        }
        if backward {
            let limit = count("last", last, MAX_PAGE)?.unwrap_or(DEFAULT_PAGE);
            return Ok(Self::Before { limit, cursor: before });
        }
        let limit = count("first", first, MAX_PAGE)?.unwrap_or(DEFAULT_PAGE);
        Ok(Self::After { limit, cursor: after })
    }
}

/// A number of a page that has no other bound than that it is none below 0.
pub fn page_number(argument: &str, value: Option<i32>) -> Result<Option<u64>> {
    count(argument, value, u64::MAX)
}

fn count(argument: &str, value: Option<i32>, most: u64) -> Result<Option<u64>> {
    value
        .map(|value| match u64::try_from(value) {
            Ok(value) if value <= most => Ok(value),
            _ if most == u64::MAX => Err(Error::invalid(argument, "must not be negative")),
            _ => Err(Error::invalid(argument, format!("must be 0 to {most}"))),
        })
        .transpose()
}
