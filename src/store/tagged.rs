//! A list read from the rows of a tag on: see [`Tagged`].

use ::entity::{user_secret, user_secret_tag};
use sea_orm::{
    Iden as _, QueryFilter as _, QuerySelect, Select,
    sea_query::{Alias, Asterisk, Condition, Expr, ExprTrait as _, JoinType, Query, SimpleExpr},
};

use crate::{
    auth::Scope,
    query::{Dialect, TAGGED, Tagged},
};

/// `matching`, read from the rows of `tagged` on, one secret for each.
///
/// The order of reading is spelled out: where PostgreSQL takes a tag for rare, or has a plan that fits any tag, it
/// would rather begin with all secrets; and SQLite keeps no statistics. [`Planning::Walk`] is the other half.
///
/// [`Planning::Walk`]: crate::database::Planning::Walk
pub(super) fn page_of(
    tagged: &Tagged,
    scope: &Scope,
    dialect: Dialect,
    matching: &Select<user_secret::Entity>,
) -> Select<user_secret::Entity> {
    if dialect == Dialect::Sqlite {
        return all_of(tagged, scope, matching);
    }
    let mut one = Query::select();
    // With a limit it stays a look-up of its own.
    one.column(Asterisk)
        .from_as(user_secret::Entity, Alias::new("secret"))
        .cond_where(same("secret"))
        .limit(1);
    let mut matching = rows_of(tagged, scope, matching);
    QuerySelect::query(&mut matching).join_lateral(
        JoinType::InnerJoin,
        one,
        user_secret::Entity,
        Expr::val(true),
    );
    matching
}

/// The same for counting: PostgreSQL reads in whatever order it likes; SQLite keeps to that of a cross join.
pub(super) fn all_of(
    tagged: &Tagged,
    scope: &Scope,
    matching: &Select<user_secret::Entity>,
) -> Select<user_secret::Entity> {
    let mut matching = rows_of(tagged, scope, matching);
    QuerySelect::query(&mut matching).cross_join(user_secret::Entity);
    matching.filter(same(&user_secret::Entity.to_string()))
}

/// `matching` with the rows of the tag in place of the secrets.
fn rows_of(
    tagged: &Tagged,
    scope: &Scope,
    matching: &Select<user_secret::Entity>,
) -> Select<user_secret::Entity> {
    // True of every row with a digest, and said to have the index of the domain, which holds for no owner.
    let whole = || column(TAGGED, "position").is_not_null();
    let owner = scope.owner().map(|owner| column(TAGGED, "user_id").eq(owner.as_str()));
    let mut matching = matching
        .clone()
        .filter(column(TAGGED, "domain_id").eq(scope.domain().as_str()))
        .filter(owner.unwrap_or_else(whole))
        .filter(tagged.holds.clone());
    QuerySelect::query(&mut matching)
        .from_clear()
        .from_as(user_secret_tag::Entity, Alias::new(TAGGED));
    matching
}

/// That `table` has the secret that the row of the tag belongs to.
fn same(table: &str) -> Condition {
    ["domain_id", "user_secret_id"]
        .into_iter()
        .fold(Condition::all(), |all, key| all.add(column(table, key).eq(column(TAGGED, key))))
}

fn column(table: &str, name: &'static str) -> SimpleExpr {
    Expr::col((Alias::new(table), Alias::new(name)))
}
