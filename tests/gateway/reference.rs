//! What conditions mean, said a second time and in the simplest way: over JSON, row by row.

use proptest::{
    prelude::{Just, Strategy, any},
    prop_oneof, sample,
    strategy::ValueTree as _,
    test_runner::{Config, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

/// A secret, as far as conditions see it.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: String,
    pub name: String,
    pub schema_id: Option<String>,
    pub tags: Value,
    pub created_at: String,
}

/// A condition on `key`.
#[derive(Debug, Clone)]
pub struct Condition {
    key: String,
    operator: &'static str,
    value: Value,
}

impl Row {
    /// What stands for `path` in an order: its kind, and the value within it.
    pub fn standing(&self, path: &str, desc: bool) -> (u8, f64, String) {
        let (root, mut ends) = (json!({ "tags": self.tags }), Vec::new());
        reach(&root, &path.split('.').collect::<Vec<_>>(), &mut ends);
        let elements = ends.iter().filter_map(|end| end.as_array()).flatten();
        let all = ends.iter().copied().chain(elements).filter(|value| !value.is_array());
        let standing = all.map(|value| match value {
            Value::Number(number) => (1, number.as_f64().unwrap(), String::new()),
            Value::String(text) => (2, 0.0, text.clone()),
            Value::Object(_) => (3, 0.0, in_order(value)),
            Value::Bool(value) => (4, f64::from(u8::from(*value)), String::new()),
            _ => (0, 0.0, String::new()),
        });
        let by = |a: &(u8, f64, String), b: &(u8, f64, String)| a.partial_cmp(b).unwrap();
        let chosen = if desc { standing.max_by(by) } else { standing.min_by(by) };
        chosen.unwrap_or((0, 0.0, String::new()))
    }
}

/// An object with its keys in order and its numbers as doubles.
fn in_order(value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<_> =
                entries.iter().map(|(k, v)| format!("{}:{}", json!(k), in_order(v))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(in_order).collect::<Vec<_>>().join(","))
        }
        Value::Number(number) => number.as_f64().unwrap().to_string(),
        other => other.to_string(),
    }
}

/// Every value that the steps of a path lead to, as MongoDB takes them.
fn reach<'v>(value: &'v Value, steps: &[&str], found: &mut Vec<&'v Value>) {
    let Some((step, rest)) = steps.split_first() else {
        found.push(value);
        return;
    };
    match value {
        Value::Object(entries) => {
            // A key with a dot in it cannot be written in a path.
            if let Some(next) = entries.get(*step) {
                reach(next, rest, found);
            }
        }
        Value::Array(items) => {
            if let Some(item) = index(step).and_then(|at| items.get(at)) {
                reach(item, rest, found);
            }
            for item in items.iter().filter(|item| item.is_object()) {
                reach(item, steps, found);
            }
        }
        _ => {}
    }
}

fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || !step.starts_with('0');
    step.parse().ok().filter(|_| plain && step.bytes().all(|b| b.is_ascii_digit()))
}

fn moment(text: &str) -> i128 {
    let at = OffsetDateTime::parse(text, &Rfc3339).unwrap();
    at.unix_timestamp_nanos().div_euclid(1_000_000)
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| equal(v, w)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (a, b) => a == b,
    }
}

fn order(operator: &str, a: &Value, b: &Value) -> bool {
    let ordering = match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    };
    ordering.is_some_and(|ordering| match operator {
        "LT" => ordering.is_lt(),
        "LTE" => ordering.is_le(),
        "GT" => ordering.is_gt(),
        _ => ordering.is_ge(),
    })
}

fn matches(pattern: &str, value: &Value) -> bool {
    let pattern = regex::Regex::new(&format!("(?i){pattern}")).unwrap();
    value.as_str().is_some_and(|text| pattern.is_match(text))
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

impl Condition {
    /// As GraphQL writes it.
    pub fn input(&self) -> Value {
        json!({ "key": self.key, "operator": self.operator, "value": self.value })
    }

    /// Whether it holds of `row`, when it is `now`.
    pub fn holds(&self, row: &Row, now: &str) -> bool {
        let complement = |operator| !Self { operator, ..self.clone() }.holds(row, now);
        match self.operator {
            "NOT" => return complement("EQ"),
            "NOT_IN" => return complement("IN"),
            "NOT_CONTAIN" => return complement("CONTAIN"),
            "NOT_CONTAIN_IN" => return complement("CONTAIN_IN"),
            _ => {}
        }
        if self.key == "created_at" {
            return self.holds_of_time(moment(&row.created_at), now);
        }
        let root = match self.key.as_str() {
            "name" => json!({ "name": row.name }),
            "schema_id" => json!({ "schema_id": row.schema_id }),
            _ => json!({ "tags": row.tags }),
        };
        let (steps, mut ends) = (self.key.split('.').collect::<Vec<_>>(), Vec::new());
        reach(&root, &steps, &mut ends);
        // An array has its elements as values besides itself.
        let mut values = ends.clone();
        values.extend(ends.iter().filter_map(|end| end.as_array()).flatten());
        let any = |test: &dyn Fn(&Value) -> bool| values.iter().any(|value| test(value));
        match self.operator {
            "EQ" | "IN" => list(&self.value).iter().any(|wanted| {
                any(&|value| equal(value, wanted)) || (wanted.is_null() && ends.is_empty())
            }),
            "LT" | "LTE" | "GT" | "GTE" => any(&|value| order(self.operator, value, &self.value)),
            "CONTAIN" | "CONTAIN_IN" => list(&self.value).iter().any(|wanted| match wanted {
                Value::String(text) => any(&|value| matches(&regex::escape(text), value)),
                wanted => {
                    any(&|value| equal(value, wanted)) || (wanted.is_null() && ends.is_empty())
                }
            }),
            "REGEX" | "REGEX_IN" => list(&self.value)
                .iter()
                .any(|pattern| any(&|value| matches(pattern.as_str().unwrap(), value))),
            "EXISTS" => ends.is_empty() != self.value.as_bool().unwrap(),
            "MATCH" => ends.iter().filter_map(|end| end.as_array()).flatten().any(|element| {
                let Value::Object(wanted) = &self.value else { return false };
                element.is_object()
                    && wanted.iter().all(|(key, value)| {
                        let inner = Row { tags: element.clone(), ..row.clone() };
                        let key = format!("tags.{key}");
                        Self { key, operator: "EQ", value: value.clone() }.holds(&inner, now)
                    })
            }),
            // Texts and numbers are no moments.
            _ => false,
        }
    }

    fn holds_of_time(&self, at: i128, now: &str) -> bool {
        let text = self.value.as_str();
        let (kind, operator) = self.operator.split_once('_').unwrap_or(("", self.operator));
        let wanted = match (kind, text) {
            ("TIMEDIFF", Some("now")) => moment_exact(now),
            ("TIMEDIFF", Some("now/d")) => moment_exact("2024-03-15T00:00:00Z"),
            ("TIMEDIFF", Some("now/w-1d")) => moment_exact("2024-03-10T00:00:00Z"),
            ("TIMEDIFF", Some("now - 90m")) => moment_exact(now) - 90 * 60 * 1_000_000,
            (_, Some(text)) => moment_exact(text),
            _ => return self.operator == "EXISTS" && self.value == true,
        };
        // Told in whole milliseconds, compared with a moment that may be finer.
        let at = at * 1_000;
        match operator {
            "EQ" => at == wanted,
            "LT" => at < wanted,
            "LTE" => at <= wanted,
            "GT" => at > wanted,
            "GTE" => at >= wanted,
            _ => false,
        }
    }
}

/// In microseconds.
fn moment_exact(text: &str) -> i128 {
    OffsetDateTime::parse(text, &Rfc3339).unwrap().unix_timestamp_nanos() / 1_000
}

const TEXTS: [&str; 20] = [
    "", "a", "A", "b", "ab", "aB c", "é", "É", "σ", "ΟΔΟΣ", "\u{212a}", "1", "10", "a.b", "%", "_",
    "x\ny", "true", "null", "😀z",
];
const KEYS: [&str; 6] = ["a", "b", "0", "1", "env", "a.b"];
const PATTERNS: [&str; 10] =
    ["^a", "b$", "a.b", "[^a-c]", "^$", "(a|é)b?", "x\\sy", "^.{2,3}$", "\\d+", "σ"];
const MOMENTS: [&str; 5] = [
    "2024-03-15T10:00:00Z",
    "2024-03-14T23:59:59.999Z",
    "2024-03-10T00:00:00.001Z",
    "2024-03-10T00:00:00.0005Z",
    "2024-03-15T10:20:30.123Z",
];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        5 => sample::select(&TEXTS[..]).prop_map(|text| json!(text)),
        3 => sample::select(vec![json!(0), json!(1), json!(1.0), json!(1.5), json!(-1), json!(10), json!(9_007_199_254_740_993_i64)]),
        1 => any::<bool>().prop_map(|value| json!(value)),
        1 => Just(Value::Null),
    ]
}

fn tags() -> impl Strategy<Value = Value> {
    let value = scalar().prop_recursive(3, 24, 4, |inner| {
        let entries = proptest::collection::vec((sample::select(&KEYS[..]), inner.clone()), 0..4);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            entries.prop_map(object),
        ]
    });
    proptest::collection::vec((sample::select(&KEYS[..]), value), 0..5).prop_map(object)
}

fn object(entries: Vec<(&str, Value)>) -> Value {
    Value::Object(
        entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>(),
    )
}

fn condition() -> impl Strategy<Value = Condition> {
    let step = sample::select(vec!["a", "b", "0", "1", "env"]);
    let path =
        proptest::collection::vec(step, 1..4).prop_map(|steps| format!("tags.{}", steps.join(".")));
    let key =
        prop_oneof![6 => path, 1 => Just("name".to_owned()), 1 => Just("schema_id".to_owned())];
    let text = || sample::select(&TEXTS[..]).prop_map(|text| json!(text));
    let texts = || proptest::collection::vec(text(), 0..3).prop_map(Value::from);
    let moment = || sample::select(&MOMENTS[..]).prop_map(|text| json!(text));
    let relative =
        sample::select(vec!["now", "now/d", "now/w-1d", "now - 90m"]).prop_map(|text| json!(text));
    let entries = proptest::collection::vec((sample::select(vec!["a", "b", "0"]), scalar()), 1..3);
    let of = |operators: &'static [&'static str]| sample::select(operators);
    let asked = prop_oneof![
        4 => (of(&["EQ", "NOT", "LT", "LTE", "GT", "GTE"]), scalar()),
        2 => (of(&["IN", "NOT_IN"]), proptest::collection::vec(scalar(), 0..4).prop_map(Value::from)),
        2 => (of(&["CONTAIN", "NOT_CONTAIN"]), text()),
        1 => (of(&["CONTAIN_IN", "NOT_CONTAIN_IN"]), texts()),
        2 => (of(&["REGEX"]), sample::select(&PATTERNS[..]).prop_map(|text| json!(text))),
        1 => (of(&["REGEX_IN"]), proptest::collection::vec(sample::select(&PATTERNS[..]), 0..3).prop_map(|list| json!(list))),
        1 => (of(&["EXISTS"]), any::<bool>().prop_map(|value| json!(value))),
        1 => (of(&["MATCH"]), entries.prop_map(object)),
        1 => (of(&["DATETIME_LT", "DATETIME_GTE"]), moment()),
    ];
    let of_tags =
        (key, asked).prop_map(|(key, (operator, value))| Condition { key, operator, value });
    let whole = (sample::select(vec!["tags.a", "tags.b"]), tags())
        .prop_map(|(key, value)| Condition { key: key.to_owned(), operator: "EQ", value });
    let times = prop_oneof![
        (
            of(&[
                "EQ",
                "LT",
                "LTE",
                "GT",
                "GTE",
                "DATETIME_LT",
                "DATETIME_LTE",
                "DATETIME_GT",
                "DATETIME_GTE"
            ]),
            moment()
        ),
        (of(&["TIMEDIFF_LT", "TIMEDIFF_LTE", "TIMEDIFF_GT", "TIMEDIFF_GTE"]), relative),
    ];
    let of_time = times.prop_map(|(operator, value)| Condition {
        key: "created_at".to_owned(),
        operator,
        value,
    });
    // What a list is read from the rows of tags for: a tag that many have.
    let value = prop_oneof![3 => text(), 1 => Just(json!(1)), 1 => Just(json!(1.0))];
    let one = (sample::select(vec!["tags.a", "tags.b", "tags.env"]), value, any::<bool>());
    let equal = one.prop_map(|(key, value, listed)| {
        let (operator, value) = if listed { ("IN", json!([value])) } else { ("EQ", value) };
        Condition { key: key.to_owned(), operator, value }
    });
    prop_oneof![12 => of_tags, 1 => whole, 1 => of_time, 4 => equal]
}

pub fn runner() -> TestRunner {
    let config = Config { failure_persistence: None, ..Config::default() };
    let seed = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, seed)
}

/// Sixty secrets, always the same.
pub fn draw_rows() -> Vec<Row> {
    let mut runner = runner();
    let mut begin = OffsetDateTime::parse("2024-03-10T00:00:00.0004Z", &Rfc3339).unwrap();
    (1..=60)
        .map(|n| {
            let names =
                sample::select(&TEXTS[1..]).prop_filter("blank", |text| !text.trim().is_empty());
            let draw = (names, proptest::option::of(sample::select(&["a", "aB", "é"][..])), tags());
            let (name, schema_id, tags) = draw.new_tree(&mut runner).unwrap().current();
            let created_at = begin.format(&Rfc3339).unwrap();
            begin += Duration::minutes(149) + Duration::microseconds(300);
            let schema_id = schema_id.map(str::to_owned);
            Row {
                id: format!("user-secret-{n:012x}"),
                name: name.to_owned(),
                schema_id,
                tags,
                created_at,
            }
        })
        .collect()
}

/// Filters, always the same ones first: what must all hold, and of what one must.
pub fn draw_conditions(count: usize) -> Vec<(Vec<Condition>, Vec<Condition>)> {
    let mut runner = runner();
    let draw = (
        proptest::collection::vec(condition(), 0..3),
        proptest::collection::vec(condition(), 0..3),
    );
    (0..count).map(|_| draw.new_tree(&mut runner).unwrap().current()).collect()
}
