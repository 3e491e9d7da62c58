//! From a query to SQL conditions. Values are always bound, never spelled out.

use sea_orm::sea_query::{
    Alias, Condition, Expr, ExprTrait, LikeExpr, NullOrdering, Order, SimpleExpr,
};
use serde_json::Value;

use super::{
    Context, Cursor, Field, ListQuery, Search, Sort, TAGGED, Tagged, predicate, sort::Term,
};

/// What `search` looks for, without what `tagged` finds.
pub fn condition(search: &Search, tagged: Option<&Tagged>, context: Context) -> Condition {
    let mut all = predicate::filter(&search.filter, tagged.map(|tagged| tagged.place), context);
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
pub fn order(
    query: &ListQuery,
    tagged: Option<&Tagged>,
    reverse: bool,
) -> Vec<(SimpleExpr, Order, Option<NullOrdering>)> {
    let turned = |Term { value, desc, nullable }: Term| {
        let (order, nulls) = if desc == reverse {
            (Order::Asc, NullOrdering::First)
        } else {
            (Order::Desc, NullOrdering::Last)
        };
        (value, order, nullable.then_some(nulls))
    };
    terms(query, tagged).into_iter().map(turned).collect()
}

/// The rows that come after `cursor`, in the order or, with `reverse`, against it.
///
/// `(a, b, c) > (x, y, z)`, where an index finds its way by. Where keys may be null, or go different ways,
/// it is spelled out: `a > x OR (a = x AND (b > y OR (b = y AND c > z)))`, of which an index knows nothing, so that
/// `a >= x` is said once more.
pub fn position_after(
    query: &ListQuery,
    tagged: Option<&Tagged>,
    cursor: &Cursor,
    reverse: bool,
) -> Condition {
    let ties = [Value::from(cursor.position), Value::from(cursor.id.as_str())];
    let values = cursor.values.iter().chain(&ties);
    let pairs: Vec<_> = terms(query, tagged).into_iter().zip(values).collect();
    if let Some(behind) = behind_at_once(&pairs, reverse) {
        return Condition::all().add(behind);
    }
    let bound = pairs.first().and_then(|(term, value)| not_before(term, value, reverse));
    let behind = pairs.into_iter().rev().fold(Condition::any(), |rest, (term, value)| {
        let here = Condition::any().add_option(beyond(&term, value, term.desc != reverse));
        if rest.is_empty() {
            here
        } else {
            here.add(Condition::all().add(equals(&term, value)).add(rest))
        }
    });
    Condition::all().add_option(bound).add(behind)
}

/// One comparison of all columns, when none may be null and all go one way.
fn behind_at_once(pairs: &[(Term, &Value)], reverse: bool) -> Option<SimpleExpr> {
    let desc = pairs.first()?.0.desc;
    if pairs.iter().any(|(term, _)| term.nullable || term.desc != desc) {
        return None;
    }
    let columns = Expr::tuple(pairs.iter().map(|(term, _)| term.value.clone()));
    let values = pairs.iter().map(|(_, value)| bound(value).map(Expr::val));
    let values = Expr::tuple(values.collect::<Option<Vec<_>>>()?);
    Some(if desc == reverse { columns.gt(values) } else { columns.lt(values) })
}

/// What holds of the first column of all rows behind; nothing where it may be null.
fn not_before(term: &Term, value: &Value, reverse: bool) -> Option<SimpleExpr> {
    let value = bound(value).filter(|_| !term.nullable)?;
    let column = term.value.clone();
    Some(if term.desc == reverse { column.gte(value) } else { column.lte(value) })
}

/// The columns of the sort keys, and the tie-breaks: of the secrets, or beside a tag.
fn terms(query: &ListQuery, tagged: Option<&Tagged>) -> Vec<Term> {
    let beside = |name| Expr::col((Alias::new(TAGGED), Alias::new(name)));
    let own = if tagged.is_some() { beside } else { column };
    let tie = |name| Term { value: own(name), desc: false, nullable: false };
    let ties = ["position", Field::UserSecretId.key()].map(tie);
    let keys: Vec<Term> = match (tagged, query.sort()) {
        // The only order that there is beside a tag.
        (Some(_), keys) => keys.iter().map(|key| Term { desc: key.desc, ..tie("name") }).collect(),
        (None, keys) => keys.iter().flat_map(Sort::terms).collect(),
    };
    keys.into_iter().chain(ties).collect()
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
