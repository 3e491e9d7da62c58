//! From what a face reads to stages that can run. An error names the path of what is at fault.

use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

use super::{
    Datum, GroupOperator, Page, Plan, RawGroupField, RawGroupKey, RawNamedKey, RawProjectField,
    RawStage, RawStatistics, RawUnwind, Statistics,
    date_format::DateFormat,
    group::{Condition, Group, GroupField, GroupKey, Taken},
    path::Path,
    project::{Project, ProjectField},
    sort::SortKey,
    source::{TAGS, is_known},
    stage::Stage,
    unwind::{Match, Test, Unwind},
};
use crate::{
    error::{Error, Result},
    query::{Field, Filter, Operator, RawCondition, Search, moment, words},
};

/// The most stages, keys or fields of one, conditions, and values of a condition.
const MAX_STAGES: usize = 20;
const MAX_KEYS: usize = 10;
const MAX_FIELDS: usize = 30;
const MAX_CONDITIONS: usize = 10;
const MAX_VALUES: usize = 100;

/// The most bytes of a name.
const MAX_NAME: usize = 100;

impl Statistics {
    /// Checks what is asked.
    pub fn check(raw: RawStatistics) -> Result<Self> {
        let RawStatistics { filter, filter_or, keyword, aggregate, distinct, page } = raw;
        let search = Search {
            equal: Vec::new(),
            filter: Filter::check(filter, filter_or)?,
            keyword: words(&keyword)?,
        };
        let plan = if !aggregate.is_empty() {
            Plan::Stages(stages("query.aggregate", aggregate)?)
        } else if !distinct.is_empty() {
            let path = Path::parse(&distinct);
            let path = path.map_err(|rule| Error::invalid("query.distinct", rule))?;
            // As in the original: what no secret has, has no values.
            Plan::Distinct(Some(path).filter(|path| is_known(path.head())))
        } else {
            // The original's name for it, which its clients know.
            return Err(Error::missing("aggregate", "or distinct"));
        };
        let page = page.filter(|(_, limit)| *limit > 0);
        let page = page.map(|(start, limit)| Page { start: start.max(1), limit });
        Ok(Self { search, plan, page })
    }

    /// The stages that a list with a list in it taken apart is, with the first row and how many.
    pub fn of_list(
        search: Search,
        stages: Vec<RawStage>,
        page: Option<(u64, u64)>,
    ) -> Result<Self> {
        let mut shape = Shape::Secret;
        let plan =
            stages.into_iter().map(|stage| shape.stage("query", stage)).collect::<Result<_>>()?;
        let page = page.map(|(start, limit)| Page { start, limit });
        Ok(Self { search, plan: Plan::Stages(plan), page })
    }
}

fn stages(argument: &str, raw: Vec<RawStage>) -> Result<Vec<Stage>> {
    at_most(argument, raw.len(), MAX_STAGES)?;
    let mut shape = Shape::Secret;
    let one = |(index, stage)| shape.stage(&format!("{argument}.{index}"), stage);
    raw.into_iter().enumerate().map(one).collect()
}

/// What a row has before a stage.
enum Shape {
    /// The fields of a secret, and its tags.
    Secret,
    /// These names, and which of them are keys of groups.
    Names { names: BTreeSet<Arc<str>>, keys: Vec<Arc<str>> },
}

impl Shape {
    fn stage(&mut self, at: &str, raw: RawStage) -> Result<Stage> {
        Ok(match raw {
            RawStage::Nothing => return Err(Error::missing(at, NO_STAGE)),
            RawStage::Unwind(raw) => Stage::Unwind(self.unwind(&format!("{at}.unwind"), raw)?),
            RawStage::Group { keys, fields } => {
                let group = self.group(&format!("{at}.group"), keys, fields)?;
                let keys: Vec<_> = group.keys.iter().map(|key| Arc::clone(&key.name)).collect();
                let fields = group.fields.iter().map(|field| Arc::clone(&field.name));
                let names = keys.iter().cloned().chain(fields).collect();
                *self = Self::Names { names, keys };
                Stage::Group(group)
            }
            RawStage::Count { name } => {
                let name = read_name(&format!("{at}.count.name"), &name, &mut BTreeSet::new())?;
                *self = Self::Names { names: [Arc::clone(&name)].into(), keys: Vec::new() };
                Stage::Count(name)
            }
            RawStage::Sort(keys) => Stage::Sort(self.sort(&format!("{at}.sort"), keys)?),
            RawStage::Project { fields, exclude_keys } => {
                let project = self.project(&format!("{at}.project"), fields, exclude_keys)?;
                let fields = project.fields.iter().map(|field| Arc::clone(&field.name));
                let names = project.kept.iter().cloned().chain(fields).collect();
                *self = Self::Names { names, keys: project.kept.clone() };
                Stage::Project(project)
            }
            RawStage::Skip(count) => {
                let rule = "must not be negative";
                let count = count.try_into();
                Stage::Skip(count.map_err(|_| Error::invalid(&format!("{at}.skip"), rule))?)
            }
            RawStage::Limit(count) => match u64::try_from(count) {
                Ok(count) if count > 0 => Stage::Limit(count),
                _ => return Err(Error::invalid(&format!("{at}.limit"), "must be above 0")),
            },
        })
    }

    /// Reads a key of the rows that come to a stage.
    fn path(&self, argument: &str, text: &str) -> Result<Path> {
        if text.is_empty() {
            return Err(Error::missing(argument, ""));
        }
        let path = Path::parse(text).map_err(|rule| Error::invalid(argument, rule))?;
        let known = match self {
            Self::Secret if is_known(path.head()) => path.head() == TAGS || path.rest().is_empty(),
            Self::Secret => false,
            Self::Names { names, .. } => names.contains(path.head()),
        };
        let rule = match self {
            Self::Secret => "must be a field, tags, or tags. and a path",
            Self::Names { .. } => "must begin with a name that the stages before it give",
        };
        if known { Ok(path) } else { Err(Error::invalid(argument, rule)) }
    }

    fn unwind(&self, at: &str, RawUnwind { path, filter }: RawUnwind) -> Result<Unwind> {
        let path = self.path(&format!("{at}.path"), &path)?;
        at_most(&format!("{at}.filter"), filter.len(), MAX_CONDITIONS)?;
        let one = |(index, raw)| self.matching(&format!("{at}.filter.{index}"), raw);
        let filter = filter.into_iter().enumerate().map(one).collect::<Result<_>>()?;
        Ok(Unwind { path, filter })
    }

    fn matching(&self, at: &str, raw: RawCondition) -> Result<Match> {
        use Operator::{Contain, ContainIn, Eq, In, Not, NotContain, NotContainIn, NotIn};
        let RawCondition { key, value, operator } = raw;
        let path = self.path(&format!("{at}.key"), &key.unwrap_or_default())?;
        let argument = format!("{at}.operator");
        let operator = operator.ok_or_else(|| Error::missing(&argument, ""))?;
        let argument = format!("{at}.value");
        let value = Datum::from(value);
        // As in the original: what counts as nothing is no value.
        let nothing = match &value {
            Datum::Null | Datum::Boolean(false) => true,
            Datum::Number(number) => *number == 0.0,
            Datum::Text(text) => text.is_empty(),
            Datum::List(items) => items.is_empty(),
            _ => false,
        };
        if nothing {
            return Err(Error::missing(&argument, ""));
        }
        let values = match (operator.takes_list(), value) {
            (true, Datum::List(values)) => values,
            (false, value) if !matches!(value, Datum::List(_)) => vec![value],
            (true, _) => return Err(Error::invalid(&argument, "must be a list")),
            (false, _) => return Err(Error::invalid(&argument, "must not be a list")),
        };
        at_most(&argument, values.len(), MAX_VALUES)?;
        let test = match operator {
            Eq | Not | In | NotIn => Test::OneOf(values),
            Contain | NotContain | ContainIn | NotContainIn => {
                let texts = values.into_iter().map(|value| match value {
                    Datum::Text(text) => Ok(text),
                    _ => Err(Error::invalid(&argument, "must be a text")),
                });
                Test::Has(texts.collect::<Result<_>>()?)
            }
            _ => {
                let rule = "must be one of eq, not, in, not_in, contain, not_contain, contain_in, not_contain_in";
                return Err(Error::invalid(&format!("{at}.operator"), rule));
            }
        };
        Ok(Match { path, test, negated: operator.negates() })
    }

    fn sort(&self, at: &str, keys: Vec<(String, bool)>) -> Result<Vec<SortKey>> {
        if keys.is_empty() {
            return Err(Error::missing(at, ""));
        }
        at_most(at, keys.len(), MAX_KEYS)?;
        let one = |(index, (key, desc)): (usize, (String, bool))| {
            Ok(SortKey { path: self.path(&format!("{at}.{index}.key"), &key)?, desc })
        };
        keys.into_iter().enumerate().map(one).collect()
    }

    fn group(&self, at: &str, keys: Vec<RawGroupKey>, fields: Vec<RawGroupField>) -> Result<Group> {
        if keys.is_empty() && fields.is_empty() {
            return Err(Error::missing(at, "keys or fields"));
        }
        at_most(&format!("{at}.keys"), keys.len(), MAX_KEYS)?;
        at_most(&format!("{at}.fields"), fields.len(), MAX_FIELDS)?;
        let mut names = BTreeSet::new();
        let mut key = |(index, raw): (usize, RawGroupKey)| {
            let at = format!("{at}.keys.{index}");
            let path = self.path(&format!("{at}.key"), &raw.key)?;
            let name = read_name(&format!("{at}.name"), &raw.name, &mut names)?;
            let format = (!raw.date_format.is_empty())
                .then(|| self.date_format(&format!("{at}.dateFormat"), &path, &raw.date_format))
                .transpose()?;
            Ok(GroupKey { name, path, format })
        };
        let keys = keys.into_iter().enumerate().map(&mut key).collect::<Result<_>>()?;
        let mut field = |(index, raw)| self.field(&format!("{at}.fields.{index}"), raw, &mut names);
        let fields = fields.into_iter().enumerate().map(&mut field).collect::<Result<_>>()?;
        Ok(Group { keys, fields })
    }

    fn date_format(&self, argument: &str, path: &Path, text: &str) -> Result<DateFormat> {
        let moments = [Field::CreatedAt, Field::UpdatedAt, Field::ExpiresAt];
        let told = moments.iter().any(|field| field.key() == path.head());
        if matches!(self, Self::Secret) && !told {
            let rule = "fits created_at, updated_at and expires_at only";
            return Err(Error::invalid(argument, rule));
        }
        DateFormat::parse(text).map_err(|rule| Error::invalid(argument, rule))
    }

    fn field(
        &self,
        at: &str,
        raw: RawGroupField,
        names: &mut BTreeSet<Arc<str>>,
    ) -> Result<GroupField> {
        let RawGroupField { name, operator, key, fields, conditions } = raw;
        let name = read_name(&format!("{at}.name"), &name, names)?;
        let operator = operator.ok_or_else(|| Error::missing(&format!("{at}.operator"), ""))?;
        let taken = match operator {
            GroupOperator::Count => Taken::Nothing,
            GroupOperator::Push if key.is_empty() => {
                Taken::Object(self.named(&format!("{at}.fields"), fields)?)
            }
            _ => Taken::Value(self.path(&format!("{at}.key"), &key)?),
        };
        at_most(&format!("{at}.conditions"), conditions.len(), MAX_CONDITIONS)?;
        let counts =
            matches!(operator, GroupOperator::Count | GroupOperator::Sum | GroupOperator::Average);
        if !counts && !conditions.is_empty() {
            let rule = "fit count, sum and average only";
            return Err(Error::invalid(&format!("{at}.conditions"), rule));
        }
        let one = |(index, raw)| self.condition(&format!("{at}.conditions.{index}"), raw);
        let conditions = conditions.into_iter().enumerate().map(one).collect::<Result<_>>()?;
        Ok(GroupField { name, operator, taken, conditions })
    }

    fn named(&self, at: &str, fields: Vec<RawNamedKey>) -> Result<Vec<(Arc<str>, Path)>> {
        if fields.is_empty() {
            return Err(Error::missing(at, "or a key"));
        }
        at_most(at, fields.len(), MAX_FIELDS)?;
        let mut names = BTreeSet::new();
        let mut one = |(index, raw): (usize, RawNamedKey)| {
            let path = self.path(&format!("{at}.{index}.key"), &raw.key)?;
            Ok((read_name(&format!("{at}.{index}.name"), &raw.name, &mut names)?, path))
        };
        fields.into_iter().enumerate().map(&mut one).collect()
    }

    fn condition(&self, at: &str, raw: RawCondition) -> Result<Condition> {
        use Ordering::{Equal, Greater, Less};
        let RawCondition { key, value, operator } = raw;
        let path = self.path(&format!("{at}.key"), &key.unwrap_or_default())?;
        let argument = format!("{at}.operator");
        let fits: &[Ordering] = match operator.ok_or_else(|| Error::missing(&argument, ""))? {
            Operator::Eq => &[Equal],
            Operator::Not => &[Less, Greater],
            Operator::Gt => &[Greater],
            Operator::Gte => &[Greater, Equal],
            Operator::Lt => &[Less],
            Operator::Lte => &[Less, Equal],
            _ => {
                return Err(Error::invalid(&argument, "must be one of eq, not, gt, gte, lt, lte"));
            }
        };
        let operand = Datum::from(value);
        let moment = match &operand {
            Datum::Text(text) => moment(text),
            _ => None,
        };
        Ok(Condition { path, fits, operand, moment })
    }

    fn project(
        &self,
        at: &str,
        fields: Vec<RawProjectField>,
        exclude_keys: bool,
    ) -> Result<Project> {
        if fields.is_empty() {
            return Err(Error::missing(&format!("{at}.fields"), ""));
        }
        at_most(&format!("{at}.fields"), fields.len(), MAX_FIELDS)?;
        let kept = match self {
            Self::Names { keys, .. } if !exclude_keys => keys.clone(),
            _ => Vec::new(),
        };
        let mut names = BTreeSet::new();
        let mut one = |(index, raw): (usize, RawProjectField)| {
            let at = format!("{at}.fields.{index}");
            let path = self.path(&format!("{at}.key"), &raw.key)?;
            let name = read_name(&format!("{at}.name"), &raw.name, &mut names)?;
            Ok(ProjectField { name, path, operator: raw.operator })
        };
        let fields = fields.into_iter().enumerate().map(&mut one).collect::<Result<_>>()?;
        Ok(Project { kept, fields })
    }
}

const NO_STAGE: &str = "one of unwind, group, count, sort, project, skip, limit";

/// Reads a name for results, which none of `taken` is.
fn read_name(argument: &str, text: &str, taken: &mut BTreeSet<Arc<str>>) -> Result<Arc<str>> {
    if text.is_empty() {
        return Err(Error::missing(argument, ""));
    }
    if text.len() > MAX_NAME || text.starts_with('$') || text.contains(['.', '\0']) {
        let rule = format!("must have at most {MAX_NAME} bytes, no dot, no NUL, and no $ in front");
        return Err(Error::invalid(argument, rule));
    }
    let name = Arc::from(text);
    if !taken.insert(Arc::clone(&name)) {
        return Err(Error::invalid(argument, "must differ from the other names"));
    }
    Ok(name)
}

fn at_most(argument: &str, count: usize, most: usize) -> Result<()> {
    if count > most {
        return Err(Error::invalid(argument, format!("must have at most {most} entries")));
    }
    Ok(())
}
