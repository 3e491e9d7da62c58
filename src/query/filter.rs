//! Conditions: what a caller asks of the rows of a list.

use ::entity::user_secret_tag::{MAX_DEPTH, MAX_PATH, MAX_VALUES as TAG_VALUES, canonical, values};
use serde_json::{Map, Value};

use super::{
    Compare, Field, FieldKind, Operator, Pattern,
    moment::{self, Relative},
};
use crate::{
    clock::Timestamp,
    error::{Error, Flaw, Result},
};

/// All of these conditions, and one of those if there are any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Every one must hold.
    pub all: Vec<Condition>,
    /// One must hold, unless there is none.
    pub any: Vec<Condition>,
}

/// A condition as a face reads it, before any of it is believed.
#[derive(Debug, Clone, Default)]
pub struct RawCondition {
    /// What it is about: a field, or a path through the tags.
    pub key: Option<String>,
    /// What the value is compared with; null when absent.
    pub value: Value,
    /// How.
    pub operator: Option<Operator>,
}

/// A condition on a value, or its complement.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What it is about.
    pub(super) key: Key,
    /// What must hold.
    pub(super) test: Test,
    /// Whether it must not.
    pub(super) negated: bool,
}

/// What a condition is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// A field.
    Field(Field),
    /// A path through the tags.
    Tag(String),
}

/// What must hold of one of the values that the key leads to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// It is one of these.
    OneOf(Vec<Operand>),
    /// It compares so, with one of its own type.
    Compares(Compare, Operand),
    /// It is a text in which one of these finds something.
    Matches(Vec<Pattern>),
    /// It is there.
    Exists,
    /// It is an element of an array, an object with all of these entries.
    Entries(Vec<(String, Operand)>),
    /// One of these holds.
    Either(Box<Self>, Box<Self>),
}

/// A value to compare with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    /// Null, and what is absent.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// An object, as its canonical text.
    Object(String),
    /// A moment.
    Time(Timestamp),
    /// A moment that is told from now.
    FromNow(Relative),
}

/// The most conditions of a list, of values in a condition, of texts to be found, of entries.
const MAX_CONDITIONS: usize = 50;
const MAX_VALUES: usize = 100;
const MAX_TEXTS: usize = 20;
const MAX_ENTRIES: usize = 10;

/// The most bytes of a value.
const MAX_VALUE: usize = 4096;

/// Refuses tags in which there is more than can be searched for.
pub fn check_tags(tags: &Value) -> Result<()> {
    if values(tags).len() > TAG_VALUES {
        let rule = format!("must lead to at most {TAG_VALUES} values, counted along every path");
        return Err(Error::invalid("tags", rule));
    }
    Ok(())
}

/// Whether `text` is a key: a field, or a path through the tags. The error is the rule that it breaks.
pub fn check_key(text: &str) -> Result<(), String> {
    Key::parse(text).map(|_| ())
}

impl Filter {
    /// Checks the conditions of `filter` and `filterOr`.
    ///
    /// The error names the path of what is at fault.
    pub fn check(all: Vec<RawCondition>, any: Vec<RawCondition>) -> Result<Self> {
        let check = |name: &str, conditions: Vec<RawCondition>| {
            if conditions.len() > MAX_CONDITIONS {
                let rule = format!("must have at most {MAX_CONDITIONS} conditions");
                return Err(Error::invalid(name, rule));
            }
            let conditions = conditions.into_iter().enumerate();
            conditions
                .map(|(index, raw)| raw.check().map_err(|fault| fault.at(name, index)))
                .collect::<Result<Vec<_>>>()
        };
        Ok(Self { all: check("query.filter", all)?, any: check("query.filterOr", any)? })
    }
}

/// Which part of a condition breaks which rule, and how.
struct Fault(&'static str, Flaw, String);

impl Fault {
    fn at(self, name: &str, index: usize) -> Error {
        let Self(part, flaw, rule) = self;
        let argument = format!("{name}.{index}.{part}");
        if flaw == Flaw::Missing {
            Error::missing(&argument, "")
        } else {
            Error::flawed(flaw, &argument, &rule)
        }
    }

    const fn missing(part: &'static str) -> Self {
        Self(part, Flaw::Missing, String::new())
    }
}

fn value_fault<T>(rule: impl Into<String>) -> Result<T, Fault> {
    Err(Fault("value", Flaw::Invalid, rule.into()))
}

impl RawCondition {
    fn check(self) -> Result<Condition, Fault> {
        let operator = self.operator.ok_or(Fault::missing("operator"))?;
        let key = self.key.filter(|key| !key.is_empty()).ok_or(Fault::missing("key"))?;
        let key = Key::parse(&key).map_err(|rule| Fault("key", Flaw::Invalid, rule))?;
        if self.value.is_array() != operator.takes_list() {
            let (flaw, takes) =
                if operator.takes_list() { (Flaw::NoList, "a") } else { (Flaw::List, "no") };
            let rule = format!("the operator {} takes {takes} list", operator.as_str());
            return Err(Fault("value", flaw, rule));
        }
        let absence = operator == Operator::Exists && self.value == Value::Bool(false);
        let test = key.test(operator, self.value)?;
        Ok(Condition { key, test, negated: operator.negates() || absence })
    }
}

impl Key {
    /// Reads a key; the error is the rule that it breaks.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let fault = |rule: &str| Err(rule.to_owned());
        let Some(path) = text.strip_prefix("tags.") else {
            return match Field::named(text) {
                Some(field) => Ok(Self::Field(field)),
                None => fault("must be a field, or tags. and a path"),
            };
        };
        let steps = path.split('.');
        if steps.clone().any(|step| step.is_empty() || step.contains('\0')) {
            return fault("must have a name between its dots, without NUL");
        }
        if steps.count() > MAX_DEPTH || path.len() > MAX_PATH {
            return Err(format!("must have at most {MAX_DEPTH} steps and {MAX_PATH} bytes"));
        }
        Ok(Self::Tag(path.to_owned()))
    }

    fn test(&self, operator: Operator, value: Value) -> Result<Test, Fault> {
        use Operator::{
            Contain, ContainIn, DatetimeGt, DatetimeGte, DatetimeLt, DatetimeLte, Eq, Exists, Gt,
            Gte, In, Lt, Lte, Match, Not, NotContain, NotContainIn, NotIn, Regex, RegexIn,
            TimediffGt, TimediffGte, TimediffLt, TimediffLte,
        };
        match operator {
            Eq | Not => Ok(Test::OneOf(vec![self.operand(value)?])),
            In | NotIn => {
                let values = list(value, MAX_VALUES)?;
                let values = values.into_iter().map(|value| self.operand(value));
                Ok(Test::OneOf(values.collect::<Result<_, _>>()?))
            }
            Lt | Lte | Gt | Gte => self.compares(operator, self.operand(value)?),
            Contain | ContainIn => self.contains(list_of(value, MAX_TEXTS)?, true),
            NotContain | NotContainIn => self.contains(list_of(value, MAX_TEXTS)?, false),
            Regex | RegexIn => {
                let patterns = list_of(value, MAX_TEXTS)?.into_iter().map(|value| match value {
                    Value::String(text) => Pattern::parse(&text).or_else(value_fault),
                    _ => value_fault("must be a text"),
                });
                Ok(Test::Matches(patterns.collect::<Result<_, _>>()?))
            }
            Exists if value.is_boolean() => Ok(Test::Exists),
            Exists => Err(Fault("value", Flaw::NoBoolean, "must be true or false".to_owned())),
            Match => match (self, value) {
                (Self::Tag(path), Value::Object(entries)) => self.entries(path, entries),
                (Self::Field(_), Value::Object(_)) => Ok(Test::OneOf(Vec::new())),
                _ => Err(Fault("value", Flaw::NoObject, "must be an object".to_owned())),
            },
            DatetimeLt | DatetimeLte | DatetimeGt | DatetimeGte => {
                let Value::String(text) = value else { return Ok(Test::OneOf(Vec::new())) };
                let moment = moment::absolute(&text).map(Ok).unwrap_or_else(|| value_fault(ISO))?;
                self.compares(operator, Operand::Time(moment))
            }
            TimediffLt | TimediffLte | TimediffGt | TimediffGte => {
                let moment = value.as_str().and_then(Relative::parse);
                let moment = moment.map(Ok).unwrap_or_else(|| value_fault(RELATIVE))?;
                self.compares(operator, Operand::FromNow(moment))
            }
        }
    }

    /// A value that this key may be compared with.
    fn operand(&self, value: Value) -> Result<Operand, Fault> {
        let time = matches!(self, Self::Field(field) if field.kind() == FieldKind::Time);
        Ok(match value {
            Value::Null => Operand::Null,
            Value::Bool(value) => Operand::Boolean(value),
            Value::Number(number) => Operand::Number(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) if time => {
                let moment = moment::absolute(&text).map(Ok).unwrap_or_else(|| value_fault(ISO))?;
                Operand::Time(moment)
            }
            Value::String(text) if text.len() > MAX_VALUE => {
                return value_fault(format!("must have at most {MAX_VALUE} bytes"));
            }
            // Nothing that is stored has one, and PostgreSQL takes none.
            Value::String(text) if text.contains('\0') => {
                return value_fault("must not contain NUL");
            }
            Value::String(text) => Operand::Text(text),
            Value::Object(_) if matches!(self, Self::Tag(_)) => {
                let text = canonical(&value);
                if text.len() > MAX_VALUE || text.contains("\\u0000") {
                    return value_fault(format!("must have at most {MAX_VALUE} bytes, and no NUL"));
                }
                Operand::Object(text)
            }
            Value::Object(_) | Value::Array(_) => {
                return value_fault("must be a text, a number, true, false or null");
            }
        })
    }

    fn compares(&self, operator: Operator, operand: Operand) -> Result<Test, Fault> {
        match (operator.compare(), operand) {
            (Some(_), Operand::Object(_)) => value_fault("must be a text, a number, true or false"),
            (Some(compare), operand) => Ok(Test::Compares(compare, operand)),
            (None, _) => Err(Fault("operator", Flaw::Invalid, "does not compare".to_owned())),
        }
    }

    /// Texts are looked for within texts; in tags any other value is looked for as it is.
    fn contains(&self, values: Vec<Value>, any_value: bool) -> Result<Test, Fault> {
        let (mut patterns, mut operands) = (Vec::new(), Vec::new());
        for value in values {
            match value {
                Value::String(text) => {
                    patterns.push(Pattern::literal(&text).or_else(value_fault)?);
                }
                value if any_value && matches!(self, Self::Tag(_)) => {
                    operands.push(self.operand(value)?);
                }
                _ => return value_fault("must be a text"),
            }
        }
        let matches = Test::Matches(patterns);
        Ok(if operands.is_empty() {
            matches
        } else {
            Test::Either(Box::new(matches), Box::new(Test::OneOf(operands)))
        })
    }

    fn entries(&self, path: &str, entries: Map<String, Value>) -> Result<Test, Fault> {
        if entries.is_empty() || entries.len() > MAX_ENTRIES {
            return value_fault(format!("must have 1 to {MAX_ENTRIES} entries"));
        }
        let entries = entries.into_iter().map(|(name, value)| {
            let fits = Self::parse(&format!("tags.{path}.{name}")).is_ok();
            match (fits, &value) {
                (true, Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                    Ok((name, self.operand(value)?))
                }
                _ => value_fault("must have paths with texts, numbers, true, false or null"),
            }
        });
        Ok(Test::Entries(entries.collect::<Result<_, _>>()?))
    }
}

const ISO: &str = "must be a moment in ISO 8601, such as 2024-03-01T09:30:00Z";
const RELATIVE: &str = "must be now, now/d, now/w or now/m, and perhaps a distance such as -3d";

fn list(value: Value, most: usize) -> Result<Vec<Value>, Fault> {
    match value {
        Value::Array(values) if values.len() <= most => Ok(values),
        Value::Array(_) => value_fault(format!("must have at most {most} entries")),
        _ => value_fault("must be a list"),
    }
}

/// The entries of a list, or the one value.
fn list_of(value: Value, most: usize) -> Result<Vec<Value>, Fault> {
    if value.is_array() { list(value, most) } else { Ok(vec![value]) }
}
