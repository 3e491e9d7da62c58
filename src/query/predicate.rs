//! From a condition to SQL. Every part is true or false and never null, so that it can be negated.

use sea_orm::sea_query::{
    Alias, BinOper, Condition as Sql, Expr, ExprTrait, Query, SelectStatement, SimpleExpr,
};

use super::{
    Compare, Condition, Field, FieldKind, Filter, Pattern,
    filter::{Key, Operand, Test},
};
use crate::clock::Timestamp;

/// An engine's own way to write what SQL has no word for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// With the function `regexp`.
    Sqlite,
    /// With the operator `~`.
    Postgres,
}

/// What else a condition needs to become SQL.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The engine's own way.
    pub dialect: Dialect,
    /// The present moment.
    pub now: Timestamp,
}

/// The rows of tags, where a condition looks at them.
pub(super) const TAGS: &str = "user_secret_tags";

/// The same rows, where entries of an element are looked for.
const ENTRIES: &str = "entries";

/// What `filter` asks, but for the condition at place `except` of those that must all hold.
pub(super) fn filter(filter: &Filter, except: Option<usize>, context: Context) -> Sql {
    let all = filter.all.iter().enumerate().filter(|(place, _)| Some(*place) != except);
    let all = all.fold(Sql::all(), |all, (_, one)| all.add(condition(one, context)));
    if filter.any.is_empty() {
        return all;
    }
    all.add(filter.any.iter().fold(Sql::any(), |any, one| any.add(condition(one, context))))
}

fn condition(condition: &Condition, context: Context) -> Sql {
    let holds = match &condition.key {
        Key::Field(field) => of_field(*field, &condition.test, context),
        Key::Tag(path) => of_tag(path, &condition.test, context),
    };
    if condition.negated { holds.not() } else { holds }
}

fn never() -> Sql {
    Sql::all().add(Expr::val(1).eq(0))
}

fn always() -> Sql {
    Sql::all().add(Expr::val(1).eq(1))
}

fn any(parts: impl Iterator<Item = Sql>) -> Sql {
    parts.fold(Sql::any().add(never()), Sql::add)
}

fn column(table: &'static str, name: &'static str) -> SimpleExpr {
    Expr::col((Alias::new(table), Alias::new(name)))
}

fn finds(value: SimpleExpr, pattern: &Pattern, context: Context) -> SimpleExpr {
    match context.dialect {
        Dialect::Sqlite => value.binary(BinOper::Custom("REGEXP"), pattern.rust.as_str()),
        Dialect::Postgres => value.binary(BinOper::Custom("~"), pattern.postgres.as_str()),
    }
}

fn compares<V: Into<SimpleExpr>>(value: SimpleExpr, compare: Compare, with: V) -> SimpleExpr {
    match compare {
        Compare::Less => value.lt(with),
        Compare::LessOrEqual => value.lte(with),
        Compare::Greater => value.gt(with),
        Compare::GreaterOrEqual => value.gte(with),
    }
}

fn of_field(field: Field, test: &Test, context: Context) -> Sql {
    let value = || column("user_secrets", field.key());
    // What compares with null is neither true nor false.
    let there = |holds: SimpleExpr| {
        let all = Sql::all().add_option(field.is_nullable().then(|| value().is_not_null()));
        all.add(holds)
    };
    match (test, field.kind()) {
        (Test::OneOf(operands), _) => any(operands.iter().map(|operand| equal_to(field, operand))),
        (Test::Compares(compare, Operand::Text(text)), FieldKind::Text) => {
            there(compares(value(), *compare, text.as_str()))
        }
        (Test::Compares(compare, Operand::Number(number)), FieldKind::Integer) => {
            there(compares(value(), *compare, *number))
        }
        (Test::Compares(compare, Operand::Time(moment)), FieldKind::Time) => {
            there(is_when(value(), *compare, *moment))
        }
        (Test::Compares(compare, Operand::FromNow(moment)), FieldKind::Time) => {
            there(is_when(value(), *compare, moment.at(context.now)))
        }
        (Test::Matches(patterns), FieldKind::Text) => {
            any(patterns.iter().map(|pattern| there(finds(value(), pattern, context))))
        }
        (Test::Exists, _) => always(),
        (Test::Either(one, other), _) => {
            any([one, other].into_iter().map(|test| of_field(field, test, context)))
        }
        (Test::Compares(..) | Test::Matches(_) | Test::Entries(_), _) => never(),
    }
}

fn is_when(value: SimpleExpr, compare: Compare, moment: Timestamp) -> SimpleExpr {
    let (from, to) = millisecond(moment.as_micros());
    match compare {
        Compare::Less => value.lt(from),
        Compare::LessOrEqual => value.lt(to),
        Compare::Greater => value.gte(to),
        Compare::GreaterOrEqual => value.gte(from),
    }
}

fn equal_to(field: Field, operand: &Operand) -> Sql {
    let value = || column("user_secrets", field.key());
    let there = |holds: SimpleExpr| {
        let all = Sql::all().add_option(field.is_nullable().then(|| value().is_not_null()));
        all.add(holds)
    };
    match (operand, field.kind()) {
        (Operand::Null, _) if field.is_nullable() => Sql::all().add(value().is_null()),
        (Operand::Text(text), FieldKind::Text) => there(value().eq(text.as_str())),
        (Operand::Number(number), FieldKind::Integer) => there(value().eq(*number)),
        (Operand::Time(moment), FieldKind::Time) => match millisecond(moment.as_micros()) {
            (from, to) if from < to && from == moment.as_micros() => {
                there(value().gte(from)).add(value().lt(to))
            }
            _ => never(),
        },
        _ => never(),
    }
}

/// The first whole millisecond that is not before `micros`, and the first that is after it.
///
/// A stored moment counts as the whole millisecond that it is told as.
fn millisecond(micros: i64) -> (i64, i64) {
    let begun = micros.div_euclid(1_000);
    let from = if micros.rem_euclid(1_000) == 0 { begun } else { begun.saturating_add(1) };
    (from.saturating_mul(1_000), begun.saturating_add(1).saturating_mul(1_000))
}

fn of_tag(path: &str, test: &Test, context: Context) -> Sql {
    let some = |holds: Sql| {
        let rows = rows(TAGS, Expr::val(1))
            .and_where(column(TAGS, "path").eq(path))
            .cond_where(holds)
            .take();
        Sql::all().add(Expr::exists(rows))
    };
    match test {
        Test::OneOf(operands) => {
            let found = some(any(operands.iter().map(|operand| equal(TAGS, operand))));
            // Null is also what is not there at all.
            if operands.contains(&Operand::Null) {
                Sql::any().add(found).add(some(always()).not())
            } else {
                found
            }
        }
        Test::Compares(compare, operand) => some(compared(*compare, operand)),
        Test::Matches(patterns) => some(any(patterns.iter().map(|pattern| {
            of_kind(TAGS, "string").add(finds(column(TAGS, "text"), pattern, context))
        }))),
        Test::Exists => some(always()),
        Test::Entries(entries) => {
            let element = of_kind(TAGS, "object").add(column(TAGS, "element").is_not_null());
            some(entries.iter().fold(element, |all, (name, operand)| all.add(entry(name, operand))))
        }
        Test::Either(one, other) => {
            any([one, other].into_iter().map(|test| of_tag(path, test, context)))
        }
    }
}

/// `value` of the rows of tags of the secret that is looked at.
pub(super) fn rows(name: &'static str, value: SimpleExpr) -> SelectStatement {
    let mut select = Query::select();
    select.expr(value).from_as(Alias::new(TAGS), Alias::new(name));
    for key in ["domain_id", "user_secret_id"] {
        select.and_where(column(name, key).eq(column("user_secrets", key)));
    }
    select
}

/// That the element at hand has `operand` at `name`.
fn entry(name: &str, operand: &Operand) -> Sql {
    let index = column(TAGS, "element").cast_as(Alias::new("text"));
    let join = |left: SimpleExpr, right: SimpleExpr| left.binary(BinOper::Custom("||"), right);
    let element = join(join(column(TAGS, "path"), Expr::val(".")), index);
    let path = join(element, Expr::val(format!(".{name}")));
    let found = |holds: Sql| {
        let mut rows = rows(ENTRIES, Expr::val(1));
        rows.and_where(column(ENTRIES, "path").eq(path.clone())).cond_where(holds);
        Sql::all().add(Expr::exists(rows))
    };
    match operand {
        Operand::Null => Sql::any().add(found(equal(ENTRIES, operand))).add(found(always()).not()),
        _ => found(equal(ENTRIES, operand)),
    }
}

fn of_kind(table: &'static str, kind: &'static str) -> Sql {
    Sql::all().add(column(table, "kind").eq(kind))
}

pub(super) fn equal(table: &'static str, operand: &Operand) -> Sql {
    let (text, number) = (column(table, "text"), column(table, "number"));
    match operand {
        Operand::Null => of_kind(table, "null"),
        Operand::Boolean(value) => {
            of_kind(table, "boolean").add(number.eq(f64::from(u8::from(*value))))
        }
        Operand::Number(value) => of_kind(table, "number").add(number.eq(*value)),
        Operand::Text(value) => of_kind(table, "string").add(text.eq(value.as_str())),
        Operand::Object(value) => of_kind(table, "object").add(text.eq(value.as_str())),
        // Tags hold no moments.
        Operand::Time(_) | Operand::FromNow(_) => never(),
    }
}

fn compared(compare: Compare, operand: &Operand) -> Sql {
    let (text, number) = (column(TAGS, "text"), column(TAGS, "number"));
    match operand {
        Operand::Number(value) => of_kind(TAGS, "number").add(compares(number, compare, *value)),
        Operand::Boolean(value) => {
            let value = f64::from(u8::from(*value));
            of_kind(TAGS, "boolean").add(compares(number, compare, value))
        }
        Operand::Text(value) => {
            of_kind(TAGS, "string").add(compares(text, compare, value.as_str()))
        }
        Operand::Null | Operand::Object(_) | Operand::Time(_) | Operand::FromNow(_) => never(),
    }
}
