//! The operators of conditions, after the original's.

/// What a condition asks of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal; an absent value is not.
    Not,
    /// Less, among values of one type.
    Lt,
    /// Less or equal.
    Lte,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// One of a list.
    In,
    /// None of a list.
    NotIn,
    /// Has a text in it, in whatever case.
    Contain,
    /// Has it not.
    NotContain,
    /// Has one of a list of texts in it.
    ContainIn,
    /// Has none of them.
    NotContainIn,
    /// A regular expression finds something.
    Regex,
    /// One of a list of them does.
    RegexIn,
    /// Is there, null included.
    Exists,
    /// An object of the list has these entries.
    Match,
    /// Before a moment.
    DatetimeLt,
    /// Not after it.
    DatetimeLte,
    /// After it.
    DatetimeGt,
    /// Not before it.
    DatetimeGte,
    /// Before a moment that is told from now.
    TimediffLt,
    /// Not after it.
    TimediffLte,
    /// After it.
    TimediffGt,
    /// Not before it.
    TimediffGte,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Operator {
    /// Every operator.
    pub const ALL: [Self; 24] = [
        Self::Eq,
        Self::Not,
        Self::Lt,
        Self::Lte,
        Self::Gt,
        Self::Gte,
        Self::In,
        Self::NotIn,
        Self::Contain,
        Self::NotContain,
        Self::ContainIn,
        Self::NotContainIn,
        Self::Regex,
        Self::RegexIn,
        Self::Exists,
        Self::Match,
        Self::DatetimeLt,
        Self::DatetimeLte,
        Self::DatetimeGt,
        Self::DatetimeGte,
        Self::TimediffLt,
        Self::TimediffLte,
        Self::TimediffGt,
        Self::TimediffGte,
    ];

    /// The operator called `name` on the wire.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.as_str() == name)
    }

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Not => "not",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::Contain => "contain",
            Self::NotContain => "not_contain",
            Self::ContainIn => "contain_in",
            Self::NotContainIn => "not_contain_in",
            Self::Regex => "regex",
            Self::RegexIn => "regex_in",
            Self::Exists => "exists",
            Self::Match => "match",
            Self::DatetimeLt => "datetime_lt",
            Self::DatetimeLte => "datetime_lte",
            Self::DatetimeGt => "datetime_gt",
            Self::DatetimeGte => "datetime_gte",
            Self::TimediffLt => "timediff_lt",
            Self::TimediffLte => "timediff_lte",
            Self::TimediffGt => "timediff_gt",
            Self::TimediffGte => "timediff_gte",
        }
    }

    /// Whether it takes a list.
    pub const fn takes_list(self) -> bool {
        matches!(
            self,
            Self::In | Self::NotIn | Self::ContainIn | Self::NotContainIn | Self::RegexIn
        )
    }

    /// Whether it is the complement of another.
    pub const fn negates(self) -> bool {
        matches!(self, Self::Not | Self::NotIn | Self::NotContain | Self::NotContainIn)
    }

    /// The comparison that it makes, if it makes one.
    pub const fn compare(self) -> Option<Compare> {
        match self {
            Self::Lt | Self::DatetimeLt | Self::TimediffLt => Some(Compare::Less),
            Self::Lte | Self::DatetimeLte | Self::TimediffLte => Some(Compare::LessOrEqual),
            Self::Gt | Self::DatetimeGt | Self::TimediffGt => Some(Compare::Greater),
            Self::Gte | Self::DatetimeGte | Self::TimediffGte => Some(Compare::GreaterOrEqual),
            _ => None,
        }
    }
}
