//! What stages mean, said a second time and in the simplest way: over lists of JSON objects.

use std::cmp::Ordering;

use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any},
    prop_oneof, sample,
    strategy::ValueTree as _,
};
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::reference::{Row, runner};

/// A secret as stages see it.
pub fn document(row: &Row) -> Value {
    // Told in whole milliseconds, which sort as text does.
    let moment = OffsetDateTime::parse(&row.created_at, &Rfc3339).unwrap();
    let created_at = format!("{}.{:03}Z", &row.created_at[..19], moment.millisecond());
    json!({ "user_secret_id": row.id, "name": row.name, "schema_id": row.schema_id,
        "tags": row.tags, "created_at": created_at })
}

/// What comes of `rows` in the stages, which are as GraphQL writes them.
pub fn run(rows: Vec<Value>, stages: &[Value]) -> Vec<Value> {
    stages.iter().fold(rows, |rows, stage| {
        let (name, stage) = stage.as_object().unwrap().iter().next().unwrap();
        match name.as_str() {
            "unwind" => rows.iter().flat_map(|row| unwind(row, stage)).collect(),
            "group" => group(&rows, stage),
            "count" if rows.is_empty() => Vec::new(),
            "count" => vec![json!({ stage["name"].as_str().unwrap(): rows.len() })],
            "sort" => sort(rows, stage),
            "project" => rows.iter().map(|row| project(row, stage)).collect(),
            "skip" => rows.into_iter().skip(count(stage)).collect(),
            _ => rows.into_iter().take(count(stage)).collect(),
        }
    })
}

/// The different values of `path`, in order.
pub fn distinct(rows: &[Value], path: &str) -> Vec<Value> {
    let mut values: Vec<Value> =
        rows.iter().filter_map(|row| get(row, path)).flat_map(|value| elements(&value)).collect();
    values.sort_by(compare);
    values.dedup_by(|a, b| compare(a, b).is_eq());
    values
}

fn count(stage: &Value) -> usize {
    stage.as_u64().unwrap().try_into().unwrap()
}

fn elements(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

pub fn get(value: &Value, path: &str) -> Option<Value> {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let behind = |next: &Value| rest.map_or(Some(next.clone()), |rest| get(next, rest));
    match value {
        Value::Object(entries) => behind(entries.get(step)?),
        Value::Array(items) => match step.parse::<usize>().ok().and_then(|at| items.get(at)) {
            Some(item) => behind(item),
            None => {
                let found: Vec<Value> = items
                    .iter()
                    .filter(|item| item.is_object())
                    .filter_map(|item| get(item, path))
                    .collect();
                (!found.is_empty()).then_some(Value::Array(found))
            }
        },
        _ => None,
    }
}

fn unwind(row: &Value, stage: &Value) -> Vec<Value> {
    let pointer = format!("/{}", stage["path"].as_str().unwrap().replace('.', "/"));
    let Some(value) = row.pointer(&pointer).filter(|value| !value.is_null()) else {
        return Vec::new();
    };
    let each = elements(value).into_iter().map(|element| {
        let mut row = row.clone();
        *row.pointer_mut(&pointer).unwrap() = element;
        row
    });
    let conditions = stage["filter"].as_array().cloned().unwrap_or_default();
    each.filter(|row| conditions.iter().all(|condition| matches(row, condition))).collect()
}

fn matches(row: &Value, condition: &Value) -> bool {
    let found = get(row, condition["key"].as_str().unwrap());
    let mut standing: Vec<Value> = found.iter().cloned().collect();
    standing.extend(found.iter().filter_map(Value::as_array).flatten().cloned());
    let wanted = elements(&condition["value"]);
    let (negated, operator) = match condition["operator"].as_str().unwrap() {
        "NOT" => (true, "EQ"),
        operator => operator.strip_prefix("NOT_").map_or((false, operator), |rest| (true, rest)),
    };
    let holds = wanted.iter().any(|wanted| match operator {
        "EQ" | "IN" => {
            standing.iter().any(|value| compare(value, wanted).is_eq())
                || (wanted.is_null() && found.is_none())
        }
        _ => standing.iter().any(|value| {
            value.as_str().is_some_and(|text| text.contains(wanted.as_str().unwrap()))
        }),
    });
    holds != negated
}

fn group(rows: &[Value], stage: &Value) -> Vec<Value> {
    let (keys, fields) = (elements(&stage["keys"]), elements(&stage["fields"]));
    let key_of = |row: &Value| -> Vec<Option<Value>> {
        let one = |key: &Value| {
            let value = get(row, key["key"].as_str().unwrap())?;
            Some(match key["dateFormat"].as_str() {
                Some("day") => json!(value.as_str().unwrap()[8..10].parse::<u32>().unwrap()),
                Some("%Y-%m-%d %H") => json!(value.as_str().unwrap()[..13].replace('T', " ")),
                _ => value,
            })
        };
        keys.iter().map(one).collect()
    };
    let mut groups: Vec<(Vec<Option<Value>>, Vec<Value>)> = Vec::new();
    for row in rows {
        let key = key_of(row);
        match groups.iter_mut().find(|(known, _)| compare_keys(known, &key).is_eq()) {
            Some((_, members)) => members.push(row.clone()),
            None => groups.push((key, vec![row.clone()])),
        }
    }
    groups.sort_by(|(a, _), (b, _)| compare_keys(a, b));
    let told = |(key, members): (Vec<Option<Value>>, Vec<Value>)| {
        let named = keys.iter().zip(key);
        let mut row: Map<_, _> = named
            .filter_map(|(named, value)| Some((named["name"].as_str()?.to_owned(), value?)))
            .collect();
        for field in &fields {
            row.insert(field["name"].as_str().unwrap().to_owned(), fold(&members, field));
        }
        Value::Object(row)
    };
    groups.into_iter().map(told).collect()
}

fn fold(members: &[Value], field: &Value) -> Value {
    let of = |row: &Value| get(row, field["key"].as_str().unwrap_or("name"));
    let holds = |row: &&Value| {
        elements(&field["conditions"]).iter().all(|condition| {
            condition.is_null() || {
                let ordering = match get(row, condition["key"].as_str().unwrap()) {
                    None => Ordering::Less,
                    Some(value) => compare(&value, &condition["value"]),
                };
                match condition["operator"].as_str().unwrap() {
                    "EQ" => ordering.is_eq(),
                    "NOT" => ordering.is_ne(),
                    "GT" => ordering.is_gt(),
                    "GTE" => ordering.is_ge(),
                    "LT" => ordering.is_lt(),
                    _ => ordering.is_le(),
                }
            }
        })
    };
    let counted: Vec<&Value> = members.iter().filter(holds).collect();
    let values = || members.iter().filter_map(of);
    let numbers: Vec<f64> = counted.iter().filter_map(|row| of(row)?.as_f64()).collect();
    match field["operator"].as_str().unwrap() {
        "COUNT" => json!(counted.len()),
        "SUM" => json!(numbers.iter().sum::<f64>()),
        "AVERAGE" => match numbers.len() + (members.len() - counted.len()) {
            0 => Value::Null,
            count => json!(numbers.iter().sum::<f64>() / f64::from(u32::try_from(count).unwrap())),
        },
        "MAX" => values().filter(|value| !value.is_null()).max_by(compare).unwrap_or_default(),
        "MIN" => values().filter(|value| !value.is_null()).min_by(compare).unwrap_or_default(),
        "FIRST" => members.first().and_then(of).unwrap_or_default(),
        "LAST" => members.last().and_then(of).unwrap_or_default(),
        "PUSH" => values().collect(),
        "ADD_TO_SET" => {
            let mut values: Vec<Value> = values().collect();
            values.sort_by(compare);
            values.dedup_by(|a, b| compare(a, b).is_eq());
            values.into()
        }
        _ => {
            let objects = values().filter_map(|value| value.as_object().cloned());
            Value::Object(objects.flatten().collect())
        }
    }
}

fn sort(mut rows: Vec<Value>, stage: &Value) -> Vec<Value> {
    for key in elements(stage).iter().rev() {
        let desc = key["desc"] == true;
        let standing = |row: &Value| {
            let values = get(row, key["key"].as_str().unwrap()).unwrap_or_default();
            let values = elements(&values).into_iter().filter(|value| !value.is_array());
            let chosen = if desc { values.max_by(compare) } else { values.min_by(compare) };
            chosen.unwrap_or_default()
        };
        rows.sort_by(|a, b| {
            let ordering = compare(&standing(a), &standing(b));
            if desc { ordering.reverse() } else { ordering }
        });
    }
    rows
}

fn project(row: &Value, stage: &Value) -> Value {
    let mut made = Map::new();
    if stage["excludeKeys"] == false {
        made.extend(
            row.as_object().unwrap().clone().into_iter().filter(|(name, _)| name.starts_with('k')),
        );
    }
    for field in elements(&stage["fields"]) {
        let value = get(row, field["key"].as_str().unwrap());
        let value = match field["operator"].as_str() {
            None => value,
            Some("SIZE") => Some(
                value.and_then(|value| Some(json!(value.as_array()?.len()))).unwrap_or_default(),
            ),
            _ => {
                let numbers = value.iter().flat_map(elements).filter_map(|value| value.as_f64());
                Some(json!(numbers.sum::<f64>()))
            }
        };
        if let Some(value) = value {
            made.insert(field["name"].as_str().unwrap().to_owned(), value);
        }
    }
    Value::Object(made)
}

fn compare_keys(a: &Vec<Option<Value>>, b: &Vec<Option<Value>>) -> Ordering {
    a.iter().zip(b).fold(Ordering::Equal, |ordering, pair| {
        ordering.then_with(|| match pair {
            (Some(a), Some(b)) => compare(a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        })
    })
}

/// The one order of all values.
pub fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Number(_) => 1,
        Value::String(_) => 2,
        Value::Object(_) => 3,
        Value::Array(_) => 4,
        Value::Bool(_) => 5,
    };
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).unwrap(),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let both =
                a.iter().zip(b).fold(Ordering::Equal, |o, (a, b)| o.then_with(|| compare(a, b)));
            both.then(a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => {
            let both = a.iter().zip(b).fold(Ordering::Equal, |o, (a, b)| {
                o.then_with(|| a.0.cmp(b.0)).then_with(|| compare(a.1, b.1))
            });
            both.then(a.len().cmp(&b.len()))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

const PATHS: [&str; 9] = [
    "tags.a",
    "tags.b",
    "tags.env",
    "tags.a.b",
    "tags.b.0",
    "tags.a.0.b",
    "tags",
    "schema_id",
    "name",
];

fn path() -> impl Strategy<Value = &'static str> {
    sample::select(&PATHS[..])
}

fn scalar() -> impl Strategy<Value = Value> {
    sample::select(vec![
        json!("a"),
        json!("b"),
        json!("é"),
        json!(1),
        json!(1.5),
        json!(10),
        json!(true),
    ])
}

fn unwinds() -> impl Strategy<Value = Value> {
    let condition = prop_oneof![
        (sample::select(vec!["EQ", "NOT"]), scalar()),
        (sample::select(vec!["IN", "NOT_IN"]), vec(scalar(), 1..4).prop_map(Value::from)),
        (
            sample::select(vec!["CONTAIN", "NOT_CONTAIN"]),
            sample::select(vec![json!("a"), json!("B")])
        ),
    ];
    let filter = vec((path(), condition), 0..2).prop_map(|conditions| {
        let one =
            |(key, (operator, value))| json!({ "key": key, "operator": operator, "value": value });
        conditions.into_iter().map(one).collect::<Value>()
    });
    (sample::select(vec!["tags.a", "tags.b", "tags.env", "tags.a.b", "name"]), filter)
        .prop_map(|(path, filter)| json!({ "unwind": { "path": path, "filter": filter } }))
}

/// Groups by keys `k0`, `k1`, … with fields `f0`, `f1`, ….
fn groups(paths: &'static [&'static str], of_secrets: bool) -> impl Strategy<Value = Value> {
    let key = move || {
        let plain = sample::select(paths).prop_map(|path| json!({ "key": path }));
        let dated = sample::select(vec!["day", "%Y-%m-%d %H"])
            .prop_map(|format| json!({ "key": "created_at", "dateFormat": format }));
        let whole = Just(json!({ "key": "created_at" }));
        if of_secrets {
            prop_oneof![4 => plain, 1 => dated, 1 => whole].boxed()
        } else {
            plain.boxed()
        }
    };
    let operator = prop_oneof![
        3 => sample::select(vec!["COUNT", "SUM", "AVERAGE"]),
        4 => sample::select(vec!["MAX", "MIN", "ADD_TO_SET"]),
        2 => sample::select(vec!["FIRST", "LAST", "PUSH", "MERGE_OBJECTS"]),
    ];
    let compared = sample::select(vec!["EQ", "NOT", "GT", "GTE", "LT", "LTE"]);
    let condition = option::weighted(0.4, (sample::select(paths), compared, scalar()));
    let field =
        (operator, sample::select(paths), condition).prop_map(|(operator, key, condition)| {
            let mut field = json!({ "operator": operator, "key": key });
            if let Some((key, compared, value)) = condition
                && ["COUNT", "SUM", "AVERAGE"].contains(&operator)
            {
                field["conditions"] = json!([{ "key": key, "operator": compared, "value": value }]);
            }
            field
        });
    (vec(key(), 0..3), vec(field, 1..4)).prop_map(|(keys, fields)| {
        let name = |letter: char, entries: Vec<Value>| -> Value {
            let named = |(index, mut entry): (usize, Value)| {
                entry["name"] = format!("{letter}{index}").into();
                entry
            };
            entries.into_iter().enumerate().map(named).collect()
        };
        json!({ "group": { "keys": name('k', keys), "fields": name('f', fields) } })
    })
}

fn sorts(paths: &'static [&'static str]) -> impl Strategy<Value = Value> {
    vec((sample::select(paths), any::<bool>()), 1..3).prop_map(|keys| {
        let one = |(key, desc)| json!({ "key": key, "desc": desc });
        json!({ "sort": keys.into_iter().map(one).collect::<Value>() })
    })
}

fn parts() -> impl Strategy<Value = Vec<Value>> {
    let skip = (0..4_u32).prop_map(|count| json!({ "skip": count }));
    let limit = (1..6_u32).prop_map(|count| json!({ "limit": count }));
    vec(prop_oneof![skip, limit], 0..2)
}

/// What every group has.
const GROUPED: [&str; 1] = ["f0"];

fn pipelines() -> impl Strategy<Value = Vec<Value>> {
    let project = (option::of(sample::select(vec!["SIZE", "SUM"])), any::<bool>()).prop_map(
        |(operator, exclude)| {
            let mut field = json!({ "key": "f0", "name": "f0" });
            if let Some(operator) = operator {
                field["operator"] = operator.into();
            }
            json!({ "project": { "fields": [field], "excludeKeys": exclude } })
        },
    );
    let behind = prop_oneof![
        sorts(&GROUPED),
        groups(&GROUPED, false),
        project,
        Just(json!({ "count": { "name": "f0" } })),
    ];
    (
        vec(unwinds(), 0..3),
        option::weighted(0.2, sorts(&PATHS)),
        parts(),
        groups(&PATHS, true),
        vec(behind, 0..3),
        parts(),
    )
        .prop_map(|(unwinds, sort, before, group, behind, after)| {
            let parts = [unwinds, sort.into_iter().collect(), before, vec![group], behind, after];
            parts.into_iter().flatten().collect()
        })
}

/// Pipelines, always the same ones first.
pub fn draw_pipelines(count: usize) -> Vec<Vec<Value>> {
    let (mut runner, draw) = (runner(), pipelines());
    (0..count).map(|_| draw.new_tree(&mut runner).unwrap().current()).collect()
}
