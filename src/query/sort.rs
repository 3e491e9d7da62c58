//! The order of a list: fields, and paths through the tags.
//!
//! As MongoDB sorts: null and what is absent come first, then numbers, texts, objects and
//! truth values. An array counts by the least of its elements, or by the greatest when descending.

use std::{borrow::Cow, cmp::Ordering};

use ::entity::user_secret_tag::{Found, parts, values};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Order, SimpleExpr};
use serde_json::Value;

use super::{
    Field,
    filter::Key,
    predicate::{TAGS as TAG_ROWS, rows as tag_rows},
};
use crate::error::{Error, Result};

/// A sort key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub(super) key: Key,
    /// Descending.
    pub(super) desc: bool,
}

/// A column of the order, which one key may take several of.
pub(super) struct Term {
    pub(super) value: SimpleExpr,
    pub(super) desc: bool,
    /// Whether it may be null.
    pub(super) nullable: bool,
}

/// The most keys of a sort.
const MAX_KEYS: usize = 8;

/// Kinds of values in tags, from the first on; absent is like null.
const RANKS: [(&str, i64); 4] = [("number", 1), ("string", 2), ("object", 3), ("boolean", 4)];

impl Sort {
    /// By `field`, ascending.
    pub const fn by(field: Field) -> Self {
        Self { key: Key::Field(field), desc: false }
    }

    /// Reads the sort keys of a query, each with whether it descends.
    pub fn parse(keys: Vec<(String, bool)>) -> Result<Vec<Self>> {
        if keys.len() > MAX_KEYS {
            return Err(Error::invalid("query.sort", format!("must have at most {MAX_KEYS} keys")));
        }
        let one = |(index, (key, desc)): (usize, (String, bool))| {
            let argument = format!("query.sort.{index}.key");
            if key.is_empty() {
                return Err(Error::missing(&argument, ""));
            }
            let key = Key::parse(&key).map_err(|rule| Error::invalid(&argument, rule))?;
            Ok(Self { key, desc })
        };
        keys.into_iter().enumerate().map(one).collect()
    }

    /// The columns that the key takes.
    pub(super) fn terms(&self) -> Vec<Term> {
        let desc = self.desc;
        match &self.key {
            Key::Field(field) => {
                vec![Term { value: column(field.key()), desc, nullable: field.is_nullable() }]
            }
            Key::Tag(path) => tag_terms(path, desc)
                .into_iter()
                .map(|value| Term { value, desc, nullable: false })
                .collect(),
        }
    }

    /// Whether `value` can be one of the column number `index` of the key.
    pub(super) fn fits(&self, index: usize, value: &Value) -> bool {
        match (&self.key, index) {
            (Key::Field(field), _) if value.is_null() => field.is_nullable(),
            (Key::Field(field), _) if field.kind() == super::FieldKind::Text => value.is_string(),
            (Key::Field(_), _) | (Key::Tag(_), 0) => value.is_i64(),
            (Key::Tag(_), 1) => value.is_number(),
            (Key::Tag(_), _) => value.is_string(),
        }
    }

    /// The values of the columns for a row whose tags are `found`, and whose fields are told by `of`.
    fn values(&self, found: &[Found<'_>], of: impl Fn(Field) -> Value) -> Vec<Value> {
        match &self.key {
            Key::Field(field) => vec![of(*field)],
            Key::Tag(path) => {
                let standing = found
                    .iter()
                    .filter(|found| found.path == *path && !found.value.is_array())
                    .map(|found| standing(found.value));
                let chosen =
                    if self.desc { standing.max_by(compare) } else { standing.min_by(compare) };
                let (rank, number, text) = chosen.unwrap_or((0, 0.0, Cow::Borrowed("")));
                vec![rank.into(), number.into(), text.into_owned().into()]
            }
        }
    }
}

fn column(name: &'static str) -> SimpleExpr {
    Expr::col((Alias::new("user_secrets"), Alias::new(name)))
}

/// The values of the columns of all `keys` for a row with these `tags`, whose fields are told by `of`.
pub fn place(keys: &[Sort], tags: &Value, of: impl Fn(Field) -> Value) -> Vec<Value> {
    let by_tags = keys.iter().any(|sort| matches!(sort.key, Key::Tag(_)));
    let found = if by_tags { values(tags) } else { Vec::new() };
    keys.iter().flat_map(|sort| sort.values(&found, &of)).collect()
}

/// Rank, number and text. An object whose text is not stored sorts as one that has none.
type Standing<'v> = (i64, f64, Cow<'v, str>);

fn standing(value: &Value) -> Standing<'_> {
    let (kind, text, number) = parts(value);
    let rank = RANKS.iter().find(|(name, _)| *name == kind).map_or(0, |(_, rank)| *rank);
    (rank, number.unwrap_or(0.0), text.unwrap_or_default())
}

fn compare(a: &Standing<'_>, b: &Standing<'_>) -> Ordering {
    (a.0.cmp(&b.0)).then(a.1.total_cmp(&b.1)).then_with(|| a.2.cmp(&b.2))
}

/// Rank, number and text of the value that stands for the path, none of them null.
fn tag_terms(path: &str, desc: bool) -> [SimpleExpr; 3] {
    let of = |name: &'static str| Expr::col((Alias::new(TAG_ROWS), Alias::new(name)));
    let rank = || {
        let mut case = sea_orm::sea_query::CaseStatement::new();
        for (kind, rank) in RANKS {
            case = case.case(of("kind").eq(kind), rank);
        }
        SimpleExpr::Case(Box::new(case.finally(0_i64)))
    };
    let number = || Expr::expr(of("number")).if_null(0.0);
    let text = || Expr::expr(of("text")).if_null("");
    let order = if desc { Order::Desc } else { Order::Asc };
    let first = |value: SimpleExpr| {
        let mut rows = tag_rows(TAG_ROWS, value);
        rows.and_where(of("path").eq(path))
            .and_where(of("kind").ne("array"))
            .order_by_expr(rank(), order.clone())
            .order_by_expr(number(), order.clone())
            .order_by_expr(text(), order.clone())
            .limit(1);
        SimpleExpr::from(rows)
    };
    [
        Expr::expr(first(rank())).if_null(0_i64),
        Expr::expr(first(number())).if_null(0.0),
        Expr::expr(first(text())).if_null(""),
    ]
}
