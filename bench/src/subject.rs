//! What is measured, and what each thing is made of.

use serde::{Deserialize, Serialize};

/// A request to the service, or a floor below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subject {
    /// A system reads the data of one secret.
    Reveal,
    /// A user reads the metadata of one secret.
    Get,
    /// A user lists 20 secrets.
    List,
    /// A user creates a secret.
    Create,
    /// A user replaces the data of a secret.
    UpdateData,
    /// Floor: a bare axum reply to the POST of a reveal.
    Http,
    /// Floor: a prepared SELECT of one row by its primary key.
    Select,
    /// Floor: an INSERT of one row with its commit.
    Insert,
    /// Floor: the three rows of a create, and their commit.
    Transaction,
    /// Floor: `C_Decrypt` on one thread.
    Decrypt,
}

/// What is switched on in the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Variant {
    /// Everything: audit and row-level security.
    On,
    /// No audit trail.
    AuditOff,
    /// No row-level security.
    SecurityOff,
}

/// Where the rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Database {
    /// A file of the service's.
    Sqlite,
    /// A cluster of the bench's.
    Postgres,
}

/// A ratio of its floor that an operation has to reach on PostgreSQL with everything on.
pub(crate) struct Bar {
    pub(crate) subject: Subject,
    pub(crate) connections: u32,
    pub(crate) ratio: f64,
}

/// All bars.
pub(crate) const BARS: [Bar; 6] = [
    Bar { subject: Subject::Reveal, connections: 8, ratio: 0.40 },
    Bar { subject: Subject::Reveal, connections: 32, ratio: 0.50 },
    Bar { subject: Subject::Get, connections: 8, ratio: 0.30 },
    Bar { subject: Subject::Get, connections: 32, ratio: 0.40 },
    Bar { subject: Subject::Create, connections: 8, ratio: 0.35 },
    Bar { subject: Subject::Create, connections: 32, ratio: 0.40 },
];

impl Subject {
    /// What is asked of the service.
    pub(crate) const OPERATIONS: [Self; 5] =
        [Self::Reveal, Self::Get, Self::List, Self::Create, Self::UpdateData];
    /// What is measured beside it.
    pub(crate) const FLOORS: [Self; 5] =
        [Self::Http, Self::Select, Self::Insert, Self::Transaction, Self::Decrypt];

    /// The floors that one operation passes, and how often; nothing where there is no such sum.
    pub(crate) const fn parts(self) -> &'static [(f64, Self)] {
        match self {
            Self::Reveal => {
                &[(1.0, Self::Http), (1.0, Self::Select), (1.0, Self::Insert), (1.0, Self::Decrypt)]
            }
            Self::Get => &[(1.0, Self::Http), (1.0, Self::Select)],
            Self::Create => &[(1.0, Self::Http), (1.0, Self::Transaction), (2.0, Self::Decrypt)],
            _ => &[],
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Reveal => "reveal",
            Self::Get => "get",
            Self::List => "list of 20",
            Self::Create => "create",
            Self::UpdateData => "update_data",
            Self::Http => "bare axum reply",
            Self::Select => "SELECT of one row",
            Self::Insert => "INSERT with commit",
            Self::Transaction => "insert transaction of a create",
            Self::Decrypt => "C_Decrypt",
        }
    }
}

impl Variant {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::On => "everything on",
            Self::AuditOff => "audit off",
            Self::SecurityOff => "security off",
        }
    }

    /// A short name for files and databases.
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::On => "all_on",
            Self::AuditOff => "audit_off",
            Self::SecurityOff => "security_off",
        }
    }
}

impl Database {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// A short name for files.
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// Row-level security is PostgreSQL's.
    pub(crate) const fn has(self, variant: Variant) -> bool {
        matches!((self, variant), (Self::Postgres, _) | (_, Variant::On | Variant::AuditOff))
    }
}
