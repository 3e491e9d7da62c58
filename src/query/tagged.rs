//! Lists of what has a tag: they are read from the rows of tags on.
//!
//! The rows of one tag lie in the order of names, each beside what it takes to find its secret. A page
//! costs what it shows, whether few secrets have the tag or half of all.

use ::entity::user_secret_tag::mark;
use sea_orm::sea_query::{Alias, Condition as Sql, Expr, ExprTrait, SimpleExpr};

use super::{
    Condition, Field, ListQuery,
    filter::{Key, Operand, Test},
    predicate::equal,
};

/// The rows of the tag that a list is read from.
pub const TAGGED: &str = "tagged";

/// A condition of a list that a tag equals a value, taken as where the list is read from.
pub struct Tagged {
    /// Its place in `filter.all`.
    pub(super) place: usize,
    /// What holds of the rows of the tag.
    pub holds: Sql,
}

impl Tagged {
    /// The first such condition of `query`. None as well when it is in another order than that of names.
    pub fn of(query: &ListQuery) -> Option<Self> {
        let by_name = matches!(query.sort(), [only] if only.key == Key::Field(Field::Name));
        let mut found =
            query.search.filter.all.iter().enumerate().filter_map(|(place, condition)| {
                rows_of(condition).map(|holds| Self { place, holds })
            });
        found.next().filter(|_| by_name)
    }
}

/// The rows that say of a secret each, and once, that `condition` holds.
fn rows_of(condition: &Condition) -> Option<Sql> {
    let (Key::Tag(path), Test::OneOf(operands), false) =
        (&condition.key, &condition.test, condition.negated)
    else {
        return None;
    };
    let [operand] = operands.as_slice() else { return None };
    let digest = digest(path, operand)?;
    // Equality of the value as well: a digest may be shared.
    let value = column("path").eq(path.as_str());
    Some(Sql::all().add(column("digest").eq(digest)).add(value).add(equal(TAGGED, operand)))
}

fn digest(path: &str, operand: &Operand) -> Option<i64> {
    match operand {
        Operand::Boolean(value) => mark(path, "boolean", None, Some(f64::from(u8::from(*value)))),
        Operand::Number(value) => mark(path, "number", None, Some(*value)),
        Operand::Text(value) => mark(path, "string", Some(value), None),
        Operand::Object(value) => mark(path, "object", Some(value), None),
        // Null is also what is not there; tags hold no moments.
        Operand::Null | Operand::Time(_) | Operand::FromNow(_) => None,
    }
}

fn column(name: &'static str) -> SimpleExpr {
    Expr::col((Alias::new(TAGGED), Alias::new(name)))
}
