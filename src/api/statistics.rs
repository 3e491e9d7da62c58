//! The original's query of statistics. [`statistics`] is the one place where it becomes [`Statistics`].

use serde_json::Value;

use super::{
    list::conditions,
    messages::{
        AggregateGroup, AggregateGroupField, AggregateGroupKey, AggregateGroupSubField,
        AggregateProject, AggregateProjectField, AggregateSubCondition, Filter, Page,
        StatisticsAggregate, StatisticsQuery, Unwind, aggregate_group_field, aggregate_group_key,
        aggregate_group_sub_field, aggregate_project_field, aggregate_sub_condition, filter,
        statistics_aggregate::AggregateAlias,
    },
    structure::from_proto,
};
use crate::{
    error::{Error, Flaw, Result},
    statistics::{
        GroupOperator, ProjectOperator, RawGroupField, RawGroupKey, RawNamedKey, RawProjectField,
        RawStage, RawStatistics, RawUnwind, Statistics,
    },
};

/// The text that stands under either of two names.
macro_rules! either {
    ($alias:expr, $long:path, $short:path) => {
        $alias.map(|($long(text) | $short(text))| text).unwrap_or_default()
    };
}

/// What `query` asks.
pub(super) fn statistics(query: StatisticsQuery) -> Result<Statistics> {
    let stage = |(index, stage): (usize, StatisticsAggregate)| {
        read_stage(&format!("query.aggregate.{index}"), stage)
    };
    Statistics::check(RawStatistics {
        filter: conditions("query.filter", query.filter)?,
        filter_or: conditions("query.filterOr", query.filter_or)?,
        keyword: query.keyword,
        aggregate: query.aggregate.into_iter().enumerate().map(stage).collect::<Result<_>>()?,
        distinct: query.distinct,
        page: query.page.map(|Page { start, limit }| (start.into(), limit.into())),
    })
}

fn read_stage(at: &str, stage: StatisticsAggregate) -> Result<RawStage> {
    Ok(match stage.aggregate_alias {
        None => RawStage::Nothing,
        Some(AggregateAlias::Unwind(unwind)) => {
            RawStage::Unwind(read_unwind(&format!("{at}.unwind"), unwind)?)
        }
        Some(AggregateAlias::Group(AggregateGroup { keys, fields })) => {
            let field = |(index, field)| group_field(&format!("{at}.group.fields.{index}"), field);
            RawStage::Group {
                keys: keys.into_iter().map(group_key).collect(),
                fields: fields.into_iter().enumerate().map(field).collect::<Result<_>>()?,
            }
        }
        Some(AggregateAlias::Count(count)) => RawStage::Count { name: count.name },
        Some(AggregateAlias::Sort(keys)) => {
            let one = |(index, key)| sort_key(&format!("{at}.sort.{index}"), key);
            RawStage::Sort(keys.values.into_iter().enumerate().map(one).collect::<Result<_>>()?)
        }
        Some(AggregateAlias::Project(AggregateProject { fields, exclude_keys })) => {
            let field =
                |(index, field)| project_field(&format!("{at}.project.fields.{index}"), field);
            let fields = fields.into_iter().enumerate().map(field).collect::<Result<_>>()?;
            RawStage::Project { fields, exclude_keys }
        }
        Some(AggregateAlias::Limit(count)) => RawStage::Limit(count.into()),
        Some(AggregateAlias::Skip(count)) => RawStage::Skip(count.into()),
    })
}

/// Reads a list that is taken apart, which lists have as well.
pub(super) fn read_unwind(at: &str, Unwind { path, filter }: Unwind) -> Result<RawUnwind> {
    Ok(RawUnwind { path, filter: conditions(&format!("{at}.filter"), filter)? })
}

/// In the original a sort is a list of objects with `key` and `desc`.
fn sort_key(at: &str, proto: prost_types::Value) -> Result<(String, bool)> {
    let Value::Object(mut entry) = from_proto(at, proto)? else {
        return Err(Error::mistyped(at, "object"));
    };
    let key = match entry.remove("key") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(key)) => key,
        Some(_) => return Err(Error::mistyped(&format!("{at}.key"), "str")),
    };
    let desc = match entry.remove("desc") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(desc)) => desc,
        Some(_) => return Err(Error::mistyped(&format!("{at}.desc"), "bool")),
    };
    match entry.keys().next() {
        Some(_) => Err(Error::flawed(Flaw::Invalid, at, "must have key and desc only")),
        None => Ok((key, desc)),
    }
}

fn group_key(group_key: AggregateGroupKey) -> RawGroupKey {
    use aggregate_group_key::{KeyAlias, NameAlias};
    RawGroupKey {
        key: either!(group_key.key_alias, KeyAlias::Key, KeyAlias::K),
        name: either!(group_key.name_alias, NameAlias::Name, NameAlias::N),
        date_format: group_key.date_format,
    }
}

fn group_field(at: &str, field: AggregateGroupField) -> Result<RawGroupField> {
    use aggregate_group_field::{KeyAlias, NameAlias, OperatorAlias};
    let operator = either!(field.operator_alias, OperatorAlias::Operator, OperatorAlias::O);
    let compared = field.conditions.into_iter().map(condition).collect();
    Ok(RawGroupField {
        name: either!(field.name_alias, NameAlias::Name, NameAlias::N),
        operator: named(
            at,
            operator,
            GroupOperator::named,
            &GroupOperator::ALL.map(GroupOperator::as_str),
        )?,
        key: either!(field.key_alias, KeyAlias::Key, KeyAlias::K),
        fields: field.fields.into_iter().map(named_key).collect(),
        conditions: conditions(&format!("{at}.conditions"), compared)?,
    })
}

fn named_key(field: AggregateGroupSubField) -> RawNamedKey {
    use aggregate_group_sub_field::{KeyAlias, NameAlias};
    RawNamedKey {
        key: either!(field.key_alias, KeyAlias::Key, KeyAlias::K),
        name: either!(field.name_alias, NameAlias::Name, NameAlias::N),
    }
}

/// A condition of a field, which has the form of any other.
fn condition(condition: AggregateSubCondition) -> Filter {
    use aggregate_sub_condition::{KeyAlias, OperatorAlias, ValueAlias};
    let AggregateSubCondition { key_alias, value_alias, operator_alias } = condition;
    Filter {
        key_alias: Some(filter::KeyAlias::Key(either!(key_alias, KeyAlias::Key, KeyAlias::K))),
        value_alias: value_alias.map(|(ValueAlias::Value(value) | ValueAlias::V(value))| {
            filter::ValueAlias::Value(value)
        }),
        operator_alias: Some(filter::OperatorAlias::Operator(either!(
            operator_alias,
            OperatorAlias::Operator,
            OperatorAlias::O
        ))),
    }
}

fn project_field(at: &str, field: AggregateProjectField) -> Result<RawProjectField> {
    use aggregate_project_field::{KeyAlias, NameAlias, OperatorAlias};
    let operator = either!(field.operator_alias, OperatorAlias::Operator, OperatorAlias::O);
    Ok(RawProjectField {
        key: either!(field.key_alias, KeyAlias::Key, KeyAlias::K),
        name: either!(field.name_alias, NameAlias::Name, NameAlias::N),
        operator: named(
            at,
            operator,
            ProjectOperator::named,
            &ProjectOperator::ALL.map(ProjectOperator::as_str),
        )?,
    })
}

/// The operator called so; none where nothing is said.
fn named<O>(
    at: &str,
    text: String,
    named: impl Fn(&str) -> Option<O>,
    all: &[&str],
) -> Result<Option<O>> {
    if text.is_empty() {
        return Ok(None);
    }
    let rule = || format!("must be one of {}", all.join(", "));
    let found = named(&text).ok_or_else(|| Error::invalid(&format!("{at}.operator"), rule()));
    found.map(Some)
}
