//! What a face reads of a request, before any of it is believed. What is empty is not there.

use super::{GroupOperator, ProjectOperator};
use crate::query::RawCondition;

/// What is asked.
#[derive(Debug, Default)]
pub struct RawStatistics {
    /// Conditions that must all hold.
    pub filter: Vec<RawCondition>,
    /// Conditions of which one must hold.
    pub filter_or: Vec<RawCondition>,
    /// Words, one of which must occur.
    pub keyword: String,
    /// Stages, in order.
    pub aggregate: Vec<RawStage>,
    /// A key whose different values are wanted instead.
    pub distinct: String,
    /// The first result, counted from 1, and how many.
    pub page: Option<(u64, u64)>,
}

/// A stage.
#[derive(Debug)]
pub enum RawStage {
    /// Nothing was said.
    Nothing,
    /// A row for all that have the same keys.
    Group {
        /// What they have in common.
        keys: Vec<RawGroupKey>,
        /// What is made of them.
        fields: Vec<RawGroupField>,
    },
    /// A row for each element of a list.
    Unwind(RawUnwind),
    /// The number of rows.
    Count {
        /// Under which name.
        name: String,
    },
    /// The order: keys, each with whether it descends.
    Sort(Vec<(String, bool)>),
    /// Other values.
    Project {
        /// Which.
        fields: Vec<RawProjectField>,
        /// Whether the keys of the groups go.
        exclude_keys: bool,
    },
    /// All but so many.
    Skip(i64),
    /// So many.
    Limit(i64),
}

/// A key of groups.
#[derive(Debug)]
pub struct RawGroupKey {
    /// What is read.
    pub key: String,
    /// What it is called from there on.
    pub name: String,
    /// How a moment is told.
    pub date_format: String,
}

/// A field of groups.
#[derive(Debug)]
pub struct RawGroupField {
    /// What it is called.
    pub name: String,
    /// What is made.
    pub operator: Option<GroupOperator>,
    /// Of what.
    pub key: String,
    /// Of what several, for objects.
    pub fields: Vec<RawNamedKey>,
    /// Of which rows.
    pub conditions: Vec<RawCondition>,
}

/// A key and a name for it.
#[derive(Debug)]
pub struct RawNamedKey {
    /// What is read.
    pub key: String,
    /// What it is called.
    pub name: String,
}

/// A list that is taken apart.
#[derive(Debug)]
pub struct RawUnwind {
    /// Where it is.
    pub path: String,
    /// What must hold of the rows that come of it.
    pub filter: Vec<RawCondition>,
}

/// A value of a row.
#[derive(Debug)]
pub struct RawProjectField {
    /// What is read.
    pub key: String,
    /// What it is called.
    pub name: String,
    /// What is made of it, if it does not stay as it is.
    pub operator: Option<ProjectOperator>,
}
