//! What the server sends, as far as the client looks at it. Fields it does not know are passed over,
//! so a newer server can be talked to.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;

use super::show::clean;

/// An error (RFC 9457).
#[derive(Debug, Default, Deserialize)]
pub(super) struct Problem {
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub detail: String,
    #[serde(default)]
    pub mend: String,
    #[serde(default)]
    pub errors: Vec<Fault>,
}

/// A field that cannot be taken.
#[derive(Debug, Deserialize)]
pub(super) struct Fault {
    pub field: String,
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", clean(&self.title))?;
        for fault in &self.errors {
            write!(f, "\n  {}: {}", clean(&fault.field), clean(&fault.text))?;
        }
        for text in [&self.detail, &self.mend] {
            if !text.is_empty() {
                write!(f, "\n  {}", clean(text))?;
            }
        }
        Ok(())
    }
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    pub items: Vec<T>,
    pub total: usize,
}

#[derive(Debug, Deserialize)]
pub(super) struct CompetitionLine {
    pub slug: String,
    pub title: String,
    pub organiser: Option<String>,
    pub open_phase: Option<i64>,
    pub ends_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Competition {
    pub upload_cap_bytes: u64,
    pub phases: Vec<Phase>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Phase {
    pub index: i64,
    pub name: String,
    pub state: String,
    pub starts_at: Timestamp,
    pub ends_at: Option<Timestamp>,
    pub quota: Option<Quota>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Quota {
    pub per_day: i64,
    pub used_today: i64,
    pub in_all: i64,
    pub used: i64,
    pub left_today: Option<i64>,
    pub renewed_at: Timestamp,
}

#[derive(Debug, Deserialize)]
pub(super) struct File {
    pub name: String,
    pub path: String,
    pub kind: String,
    pub phase: i64,
    pub size: u64,
    pub digest: String,
    pub url: String,
}

/// Scores by column.
pub(super) type Scores = BTreeMap<String, f64>;

#[derive(Debug, Deserialize)]
pub(super) struct Submission {
    pub id: String,
    pub phase: i64,
    pub status: String,
    pub scores: Scores,
    pub improved: Option<bool>,
    pub reason: Option<Reason>,
    pub queue: Option<Place>,
    pub file_name: String,
    pub message: String,
    pub trial: bool,
    pub created_at: Timestamp,
}

impl Submission {
    /// Whether nothing more will happen without somebody acting.
    pub fn is_over(&self) -> bool {
        !matches!(self.status.as_str(), "queued" | "running")
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Reason {
    pub text: String,
    pub faults: Option<FaultReport>,
}

/// The faults of a result file: how many, and the first ten.
#[derive(Debug, Deserialize)]
pub(super) struct FaultReport {
    pub total: u64,
    pub first: Vec<FileFault>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FileFault {
    pub line: Option<u64>,
    pub column: Option<String>,
    pub found: Option<String>,
    pub expected: String,
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(column) = &self.column {
            write!(f, "column `{}`: ", clean(column))?;
        }
        if let Some(found) = &self.found {
            write!(f, "found `{}`, ", clean(found))?;
        }
        write!(f, "expected {}", clean(&self.expected))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Place {
    pub ahead: i64,
    pub expected_seconds: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Board {
    pub columns: Vec<Column>,
    pub entries: Vec<Row>,
    pub mine: Option<Row>,
    pub total: usize,
}

#[derive(Debug, Deserialize)]
pub(super) struct Column {
    pub key: String,
    pub title: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Row {
    pub rank: usize,
    pub team: Team,
    pub scores: Scores,
    pub entries: i64,
    pub last_improved: Timestamp,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Team {
    pub name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct FreshToken {
    pub id: String,
    pub token: String,
    pub expires_at: Timestamp,
}
