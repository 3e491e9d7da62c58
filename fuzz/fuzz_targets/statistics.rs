//! Statistics: whatever is let through runs to an end, on whatever tags.

#![no_main]

mod drawn;

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use usersecret::{
    clock::Timestamp,
    statistics::{
        Datum, GroupOperator, Meter, Object, ProjectOperator, RawGroupField, RawGroupKey,
        RawNamedKey, RawProjectField, RawStage, RawStatistics, RawUnwind, Statistics,
    },
};

#[derive(Debug, Arbitrary)]
struct Drawn {
    stages: Vec<Stage>,
    distinct: drawn::Key,
    page: Option<(u8, u8)>,
    tags: Vec<drawn::Json>,
}

#[derive(Debug, Arbitrary)]
enum Stage {
    Nothing,
    Group(Vec<(drawn::Key, Name, Option<Format>)>, Vec<Field>),
    Unwind(drawn::Key, Vec<drawn::Condition>),
    Count(Name),
    Sort(Vec<(drawn::Key, bool)>),
    Project(Vec<(drawn::Key, Name, u8)>, bool),
    Skip(i8),
    Limit(i8),
}

#[derive(Debug, Arbitrary)]
struct Field {
    name: Name,
    operator: u8,
    key: drawn::Key,
    fields: Vec<(drawn::Key, Name)>,
    conditions: Vec<drawn::Condition>,
}

/// A name that other stages may use.
#[derive(Debug, Arbitrary)]
enum Name {
    N,
    P,
    Tags,
    Other(String),
}

#[derive(Debug, Arbitrary)]
enum Format {
    Day,
    Date,
    Other(String),
}

impl Name {
    fn text(self) -> String {
        match self {
            Self::N => "n".to_owned(),
            Self::P => "p".to_owned(),
            Self::Tags => "tags".to_owned(),
            Self::Other(text) => text,
        }
    }
}

fn raw(stage: Stage) -> RawStage {
    match stage {
        Stage::Nothing => RawStage::Nothing,
        Stage::Group(keys, fields) => RawStage::Group {
            keys: keys
                .into_iter()
                .map(|(key, name, format)| RawGroupKey {
                    key: key.0,
                    name: name.text(),
                    date_format: match format {
                        None => String::new(),
                        Some(Format::Day) => "day".to_owned(),
                        Some(Format::Date) => "%Y-%m-%d %H:%M:%S.%L %j %G %V %u %U %w".to_owned(),
                        Some(Format::Other(text)) => text,
                    },
                })
                .collect(),
            fields: fields
                .into_iter()
                .map(|field| RawGroupField {
                    name: field.name.text(),
                    operator: GroupOperator::ALL.get(usize::from(field.operator) % 11).copied(),
                    key: field.key.0,
                    fields: field
                        .fields
                        .into_iter()
                        .map(|(key, name)| RawNamedKey { key: key.0, name: name.text() })
                        .collect(),
                    conditions: drawn::conditions(field.conditions),
                })
                .collect(),
        },
        Stage::Unwind(path, filter) => {
            RawStage::Unwind(RawUnwind { path: path.0, filter: drawn::conditions(filter) })
        }
        Stage::Count(name) => RawStage::Count { name: name.text() },
        Stage::Sort(keys) => {
            RawStage::Sort(keys.into_iter().map(|(key, desc)| (key.0, desc)).collect())
        }
        Stage::Project(fields, exclude_keys) => RawStage::Project {
            fields: fields
                .into_iter()
                .map(|(key, name, operator)| RawProjectField {
                    key: key.0,
                    name: name.text(),
                    operator: ProjectOperator::ALL.get(usize::from(operator) % 5).copied(),
                })
                .collect(),
            exclude_keys,
        },
        Stage::Skip(count) => RawStage::Skip(count.into()),
        Stage::Limit(count) => RawStage::Limit(count.into()),
    }
}

fn row((index, tags): (usize, drawn::Json)) -> (Object, u64) {
    let moment = Timestamp::from_micros(1_700_000_000_000_000 + 7_000_000_000 * index as i64);
    let row = [
        ("name", Datum::Text(format!("row {index}"))),
        ("user_secret_id", Datum::Text(format!("user-secret-{index:012x}"))),
        ("created_at", Datum::Time(moment)),
        ("expires_at", Datum::Null),
        ("version", Datum::Number(1.0)),
        ("schema_id", Datum::Null),
        ("tags", tags.0.into()),
    ];
    (row.map(|(name, value)| (name.into(), value)).into(), 1 + index as u64 % 3)
}

fuzz_target!(|drawn: Drawn| {
    let statistics = Statistics::check(RawStatistics {
        aggregate: drawn.stages.into_iter().map(raw).collect(),
        distinct: drawn.distinct.0,
        page: drawn.page.map(|(start, limit)| (start.into(), limit.into())),
        ..RawStatistics::default()
    });
    let Ok(statistics) = statistics else { return };
    let source = statistics.source();
    assert!(!source.merged || source.limit.is_none(), "rows that are cut have an order");
    let rows = drawn.tags.into_iter().enumerate().map(|row_| Ok(row(row_)));
    if let Ok(outcome) = statistics.run(rows, &Meter::start(Duration::from_secs(1))) {
        let results = outcome.results.len() as u64;
        assert!(outcome.total.is_none_or(|total| results <= total));
        for result in outcome.results {
            result.into_json().to_string();
        }
    }
});
