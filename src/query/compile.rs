//! From a query to SQL conditions. Values are always bound, never spelled out.

use sea_orm::sea_query::{
    Alias, Condition, Expr, ExprTrait, LikeExpr, NullOrdering, Order, SimpleExpr,
};
use serde_json::Value;

use super::{Context, Cursor, Field, ListQuery, Search, Sort, predicate, sort::Term};

/// What `search` looks for.
pub fn condition(search: &Search, context: Context) -> Condition {
    let mut all = predicate::filter(&search.filter, context);
    for (field, text) in &search.equal {
        all = all.add(column(field.key()).eq(text.as_str()));
    }
    if !search.keyword.is_empty() {
        let any = search.keyword.iter().fold(Condition::any(), |any, word| {
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
    let turned = |Term { value, desc, nullable }: Term| {
        let (order, nulls) = if desc == reverse {
            (Order::Asc, NullOrdering::First)
        } else {
            (Order::Desc, NullOrdering::Last)
        };
        (value, order, nullable.then_some(nulls))
    };
    terms(query).map(turned).collect()
}

/// The rows that come after `cursor`, in the order or, with `reverse`, against it.
///
/// `(a, b, c) > (x, y, z)` spelled out, since keys may be null and may descend:
/// `a > x OR (a = x AND (b > y OR (b = y AND c > z)))`.
pub fn position_after(query: &ListQuery, cursor: &Cursor, reverse: bool) -> Condition {
    let ties = [Value::from(cursor.position), Value::from(cursor.id.as_str())];
    let values = cursor.values.iter().chain(&ties);
    let pairs: Vec<_> = terms(query).zip(values).collect();
    pairs.into_iter().rev().fold(Condition::any(), |rest, (term, value)| {
        let here = Condition::any().add_option(beyond(&term, value, term.desc != reverse));
        if rest.is_empty() {
            here
        } else {
            here.add(Condition::all().add(equals(&term, value)).add(rest))
        }
    })
}

/// The columns of the sort keys, and the tie-breaks.
fn terms(query: &ListQuery) -> impl Iterator<Item = Term> {
    let ties = ["position", Field::UserSecretId.key()].map(|name| Term {
        value: column(name),
        desc: false,
        nullable: false,
    });
    query.sort().iter().flat_map(Sort::terms).chain(ties)
}

/// Behind `value`, where null comes first; nothing comes behind null when descending.
fn beyond(term: &Term, value: &Value, desc: bool) -> Option<Condition> {
    let column = || term.value.clone();
    match (bound(value), desc) {
        (None, false) => Some(Condition::all().add(column().is_not_null())),
        (None, true) => None,
        (Some(value), false) => Some(Condition::all().add(column().gt(value))),
        (Some(value), true) => {
            let less = Condition::any().add(column().lt(value));
            Some(less.add_option(term.nullable.then(|| column().is_null())))
        }
    }
}

fn equals(term: &Term, value: &Value) -> SimpleExpr {
    let column = term.value.clone();
    match bound(value) {
        None => column.is_null(),
        Some(value) => column.eq(value),
    }
}

fn bound(value: &Value) -> Option<sea_orm::Value> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => {
            number.as_i64().map(Into::into).or_else(|| number.as_f64().map(Into::into))
        }
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
