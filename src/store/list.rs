//! A page of a list.

use ::entity::user_secret;
use sea_orm::{
    DatabaseTransaction, PaginatorTrait as _, QueryFilter as _, QuerySelect, QueryTrait as _,
    Select,
};
use serde_json::Value;

use super::{Store, UserSecret, tagged, user_secret::select_in};
use crate::{
    auth::Scope,
    database::{Admits, Planning, failed},
    error::{Error, Result},
    query::{self, Context, Cursor, Field, Fingerprint, ListQuery, Tagged, Window},
};

/// A secret and its place in the list.
#[derive(Debug)]
pub struct Place {
    /// The secret.
    pub secret: UserSecret,
    /// The opaque cursor of its place, if that was asked.
    pub cursor: Option<String>,
}

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    /// The rows, in order.
    pub places: Vec<Place>,
    /// Whether there are rows before them.
    pub has_previous: bool,
    /// Whether there are rows behind them.
    pub has_next: bool,
    /// How many rows match in all, if that was asked.
    pub total: Option<u64>,
}

impl Store {
    /// The page of `query` among the secrets of `scope`.
    pub async fn page(&self, scope: &Scope, query: ListQuery) -> Result<Page> {
        let tagged = Tagged::of(&query);
        let planning = match (&tagged, query.is_in_order(tagged.as_ref())) {
            (None, true) => Planning::Usual,
            (None, false) => Planning::Search,
            (Some(_), true) => Planning::Walk,
            (Some(_), false) => Planning::SearchAlong,
        };
        let (within, context) = (scope.clone(), self.context());
        self.read(scope, Admits::Living, planning, move |snapshot| {
            Box::pin(async move { read_page(snapshot, &within, &query, tagged, context).await })
        })
        .await
    }
}

async fn read_page(
    snapshot: &DatabaseTransaction,
    scope: &Scope,
    query: &ListQuery,
    tagged: Option<Tagged>,
    context: Context,
) -> Result<Page> {
    let condition = query::condition(&query.search, tagged.as_ref(), context);
    let matching = select_in(scope).filter(condition);
    let total = if query.with_total {
        let all = match &tagged {
            Some(tagged) => tagged::all_of(tagged, scope, &matching),
            None => matching.clone(),
        };
        Some(all.count(snapshot).await.map_err(failed)?)
    } else {
        None
    };
    let matching = match &tagged {
        Some(tagged) => tagged::page_of(tagged, scope, context.dialect, &matching),
        None => matching,
    };
    let walker = Walker { snapshot, matching, query, tagged };
    let fingerprint = Fingerprint::of(scope, query);
    let mut page = match &query.window {
        Window::After { limit, cursor } => {
            let cursor = read_cursor("after", cursor.as_deref(), &fingerprint, query)?;
            let (rows, more) = walker.walk(cursor.as_ref(), *limit, false).await?;
            page_of(rows, cursor.is_some(), more, &fingerprint, query)?
        }
        Window::Before { limit, cursor } => {
            let cursor = read_cursor("before", cursor.as_deref(), &fingerprint, query)?;
            let (mut rows, more) = walker.walk(cursor.as_ref(), *limit, true).await?;
            rows.reverse();
            page_of(rows, more, cursor.is_some(), &fingerprint, query)?
        }
        Window::Numbered { start, limit } => {
            let skipped = start.saturating_sub(1);
            let (rows, more) = walker.skip(skipped, *limit).await?;
            page_of(rows, skipped > 0, more, &fingerprint, query)?
        }
    };
    page.total = total;
    Ok(page)
}

/// What a page is taken from.
struct Walker<'q> {
    snapshot: &'q DatabaseTransaction,
    matching: Select<user_secret::Entity>,
    query: &'q ListQuery,
    tagged: Option<Tagged>,
}

impl Walker<'_> {
    /// Up to `limit` rows from `cursor` on, and whether there are more.
    async fn walk(
        self,
        cursor: Option<&Cursor>,
        limit: u64,
        reverse: bool,
    ) -> Result<(Vec<user_secret::Model>, bool)> {
        let (query, tagged) = (self.query, self.tagged.as_ref());
        let rest = cursor.map(|cursor| query::position_after(query, tagged, cursor, reverse));
        let rows = self.ordered(reverse).apply_if(rest, |select, rest| select.filter(rest));
        self.take(rows, limit).await
    }

    /// Up to `limit` rows after the first `skipped`, and whether there are more.
    async fn skip(self, skipped: u64, limit: u64) -> Result<(Vec<user_secret::Model>, bool)> {
        let rows = self.ordered(false).offset(skipped);
        self.take(rows, limit).await
    }

    async fn take(
        &self,
        rows: Select<user_secret::Entity>,
        limit: u64,
    ) -> Result<(Vec<user_secret::Model>, bool)> {
        let mut rows = rows.limit(limit + 1).all(self.snapshot).await.map_err(failed)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        Ok((rows, more))
    }

    fn ordered(&self, reverse: bool) -> Select<user_secret::Entity> {
        let mut rows = self.matching.clone();
        for (expression, order, nulls) in query::order(self.query, self.tagged.as_ref(), reverse) {
            let select = QuerySelect::query(&mut rows);
            match nulls {
                Some(nulls) => select.order_by_expr_with_nulls(expression, order, nulls),
                None => select.order_by_expr(expression, order),
            };
        }
        rows
    }
}

fn page_of(
    rows: Vec<user_secret::Model>,
    has_previous: bool,
    has_next: bool,
    fingerprint: &Fingerprint,
    query: &ListQuery,
) -> Result<Page> {
    let places = rows
        .into_iter()
        .map(|row| {
            let cursor = query.with_cursors.then(|| cursor_of(&row, fingerprint, query));
            Ok(Place { secret: row.try_into()?, cursor })
        })
        .collect::<Result<_>>()?;
    Ok(Page { places, has_previous, has_next, total: None })
}

fn read_cursor(
    argument: &str,
    text: Option<&str>,
    fingerprint: &Fingerprint,
    query: &ListQuery,
) -> Result<Option<Cursor>> {
    let rule = "must be a cursor of this very query, by the same caller";
    text.map(|text| {
        Cursor::decode(text, fingerprint, query).ok_or_else(|| Error::invalid(argument, rule))
    })
    .transpose()
}

fn cursor_of(row: &user_secret::Model, fingerprint: &Fingerprint, query: &ListQuery) -> String {
    let values = query::place(query.sort(), &row.tags, |field| value_of(row, field));
    Cursor::new(fingerprint.clone(), values, row.position, row.user_secret_id.clone()).encode()
}

fn value_of(row: &user_secret::Model, field: Field) -> Value {
    match field {
        Field::UserSecretId => row.user_secret_id.as_str().into(),
        Field::DomainId => row.domain_id.as_str().into(),
        Field::UserId => row.user_id.as_str().into(),
        Field::Name => row.name.as_str().into(),
        Field::SchemaId => row.schema_id.as_deref().into(),
        Field::Provider => row.provider.as_deref().into(),
        Field::Version => row.version.into(),
        Field::Revision => row.revision.into(),
        Field::ExpiresAt => row.expires_at.into(),
        Field::CreatedAt => row.created_at.into(),
        Field::UpdatedAt => row.updated_at.into(),
    }
}
