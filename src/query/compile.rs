//! From a query to SQL conditions. Values are always bound, never spelled out.

use sea_orm::sea_query::{
    Alias, Condition, Expr, ExprTrait, LikeExpr, NullOrdering, Order, SimpleExpr,
};
use serde_json::Value;

use super::{Context, Cursor, Field, ListQuery, predicate};

/// What `query` looks for, without its window.
pub fn condition(query: &ListQuery, context: Context) -> Condition {
    let mut all = predicate::filter(&query.filter, context);
    for (field, text) in &query.equal {
        all = all.add(column(field.key()).eq(text.as_str()));
    }
    if !query.keyword.is_empty() {
        let any = query.keyword.iter().fold(Condition::any(), |any, word| {
            any.add(column("search_text").like(contains(word)))
        });
        all = all.add(any);
    }
    all
}

/// The columns to order by; `reverse` turns the whole order round.
///
/// Null sorts first when ascending. Every order ends in insertion order, and in
/// the id where two replicas inserted in the same microsecond. Where null goes is
/// said only of what may be null: PostgreSQL's indexes have it at the other end.
pub fn order(query: &ListQuery, reverse: bool) -> Vec<(SimpleExpr, Order, Option<NullOrdering>)> {
    let nullable = |name| Field::named(name).is_some_and(Field::is_nullable);
    keys(query)
        .map(|(name, desc)| {
            let (order, nulls) = if desc == reverse {
                (Order::Asc, NullOrdering::First)
            } else {
                (Order::Desc, NullOrdering::Last)
            };
            (column(name), order, nullable(name).then_some(nulls))
        })
        .collect()
}

/// The rows that come after `cursor`, in the order or, with `reverse`, against it.
///
/// `(a, b, c) > (x, y, z)` spelled out, since keys may be null and may descend:
/// `a > x OR (a = x AND (b > y OR (b = y AND c > z)))`.
pub fn position_after(query: &ListQuery, cursor: &Cursor, reverse: bool) -> Condition {
    let ties = [Value::from(cursor.position), Value::from(cursor.id.as_str())];
    let values = cursor.values.iter().chain(&ties);
    let pairs: Vec<_> = keys(query).zip(values).collect();
    pairs.into_iter().rev().fold(Condition::any(), |rest, ((name, desc), value)| {
        let here = Condition::any().add_option(beyond(name, value, desc != reverse));
        if rest.is_empty() {
            here
        } else {
            here.add(Condition::all().add(equals(name, value)).add(rest))
        }
    })
}

/// The sort keys and the tie-breaks, and whether each descends.
fn keys(query: &ListQuery) -> impl Iterator<Item = (&'static str, bool)> {
    query
        .sort()
        .iter()
        .map(|key| (key.field.key(), key.desc))
        .chain([("position", false), (Field::UserSecretId.key(), false)])
}

/// Behind `value`, where null comes first; nothing comes behind null when descending.
fn beyond(name: &str, value: &Value, desc: bool) -> Option<Condition> {
    match (bound(value), desc) {
        (None, false) => Some(Condition::all().add(column(name).is_not_null())),
        (None, true) => None,
        (Some(value), false) => Some(Condition::all().add(column(name).gt(value))),
        (Some(value), true) => {
            Some(Condition::any().add(column(name).lt(value)).add(column(name).is_null()))
        }
    }
}

fn equals(name: &str, value: &Value) -> SimpleExpr {
    match bound(value) {
        None => column(name).is_null(),
        Some(value) => column(name).eq(value),
    }
}

fn bound(value: &Value) -> Option<sea_orm::Value> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => number.as_i64().map(Into::into),
        _ => None,
    }
}

fn column(name: &str) -> SimpleExpr {
    Expr::col((Alias::new("user_secrets"), Alias::new(name)))
}

/// `%word%`, with the word's own wildcards escaped.
fn contains(word: &str) -> LikeExpr {
    let mut pattern = String::with_capacity(word.len() + 2);
    pattern.push('%');
    for character in word.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    LikeExpr::new(pattern).escape('\\')
}
