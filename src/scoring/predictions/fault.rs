//! What is wrong with a table of predictions, as data that a page or a client can show.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Faults listed in full; all are counted.
pub const LISTED_FAULTS: usize = 10;
/// Faults listed of one kind, before others of that kind, when there are several kinds.
const LISTED_OF_A_KIND: usize = 3;
/// Characters of a file shown in a fault at most.
const EXCERPT_CHARS: usize = 80;

/// What kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The file cannot be read as CSV or Parquet.
    Unreadable,
    /// The file, or what it unpacks to, is larger than allowed.
    TooLarge,
    /// The file has no row.
    NoRows,
    /// A column that is needed does not exist.
    MissingColumn,
    /// A column that is needed exists twice.
    DuplicateColumn,
    /// A column is of a type that cannot be read as what is needed.
    ColumnType,
    /// A line has another number of cells than the header.
    CellCount,
    /// A cell is longer than allowed.
    CellTooLong,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A cell that has to hold a number is empty or holds NaN.
    NotANumber,
    /// A cell that has to hold a number holds text.
    NotNumeric,
    /// A number that is infinite.
    Infinite,
    /// A number outside what the metric is defined for.
    OutOfRange,
    /// Probabilities of a row that do not add up to 1.
    ProbabilitySum,
    /// An empty class.
    EmptyClass,
    /// A class that is not one of the declared ones.
    UnknownClass,
    /// More different classes than allowed.
    TooManyClasses,
    /// An empty id.
    EmptyId,
    /// An id that occurs again.
    DuplicateId,
    /// An id that is not asked for.
    UnknownId,
    /// An id that is asked for and does not occur.
    MissingId,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// Line of a CSV file (the header is line 1), or row of a Parquet file (the first is 1).
    pub line: Option<u64>,
    /// Column it is about.
    pub column: Option<String>,
    /// What is there: at most 80 characters, without control characters.
    pub found: Option<String>,
    /// What should be there, in English.
    pub expected: String,
    /// The name or number that `expected` speaks of, for other languages: the id that is missing, the
    /// line of an id's first time, the declared classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What kind of fault.
    pub kind: FaultKind,
}

/// All faults of a file: how many, and the first ten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FaultReport {
    /// Number of faults; 0 means the file is in order.
    pub total: u64,
    /// Number of faults by kind.
    pub counts: BTreeMap<FaultKind, u64>,
    /// Up to ten of them, by line; of several kinds the first three each come before others.
    pub first: Vec<Fault>,
}

impl fmt::Display for FaultKind {
    /// Its stable word, as in JSON.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(formatter, "line {line}: ")?;
        }
        if let Some(column) = &self.column {
            write!(formatter, "column `{column}`: ")?;
        }
        match &self.found {
            Some(found) => write!(formatter, "found `{found}`, expected {}", self.expected),
            None => write!(formatter, "expected {}", self.expected),
        }
    }
}

impl fmt::Display for FaultReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} faults", self.total)?;
        for fault in &self.first {
            write!(formatter, "\n{fault}")?;
        }
        Ok(())
    }
}

/// Counts faults while a file is read and keeps the ones worth showing.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    kept: BTreeMap<FaultKind, Vec<Fault>>,
    counts: BTreeMap<FaultKind, u64>,
}

impl Faults {
    /// Counts a fault; `describe` is called only when it is kept.
    pub(crate) fn add(&mut self, kind: FaultKind, describe: impl FnOnce() -> Fault) {
        *self.counts.entry(kind).or_default() += 1;
        let kept = self.kept.entry(kind).or_default();
        if kept.len() < LISTED_FAULTS {
            kept.push(describe());
        }
    }

    /// Counts a fault that is about the file as a whole.
    pub(crate) fn about_file(&mut self, kind: FaultKind, found: Option<&str>, expected: impl Into<String>) {
        self.add(kind, || Fault {
            line: None,
            column: None,
            found: found.map(excerpt),
            expected: expected.into(),
            about: None,
            kind,
        });
    }

    /// Whether nothing was wrong so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The report.
    pub(crate) fn report(self) -> FaultReport {
        let total = self.counts.values().sum();
        let mut first = Vec::new();
        let mut later = Vec::new();
        for faults in self.kept.into_values() {
            for (place, fault) in faults.into_iter().enumerate() {
                if place < LISTED_OF_A_KIND { first.push(fault) } else { later.push(fault) }
            }
        }
        let by_line = |fault: &Fault| fault.line.unwrap_or(0);
        later.sort_by_key(by_line);
        first.extend(later);
        first.truncate(LISTED_FAULTS);
        first.sort_by_key(by_line);
        FaultReport { total, counts: self.counts, first }
    }
}

/// Text of a file as it may be shown: cut, and without characters that steer a terminal or turn
/// the direction of writing.
pub(crate) fn excerpt(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown: String =
        text.chars().take(EXCERPT_CHARS).map(|c| if steers(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(EXCERPT_CHARS).is_some() {
        shown.pop();
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: FaultKind, line: u64) -> Fault {
        Fault { line: Some(line), column: None, found: None, expected: String::new(), about: None, kind }
    }

    #[test]
    fn ten_are_listed_and_every_kind_is_among_them() {
        let mut faults = Faults::default();
        for line in 2..40 {
            faults.add(FaultKind::NotNumeric, || fault(FaultKind::NotNumeric, line));
        }
        faults.add(FaultKind::MissingId, || fault(FaultKind::MissingId, 99));
        let report = faults.report();
        assert_eq!(report.total, 39);
        assert_eq!(report.counts[&FaultKind::NotNumeric], 38);
        let lines: Vec<_> = report.first.iter().filter_map(|fault| fault.line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8, 9, 10, 99]);
    }

    #[test]
    fn an_excerpt_is_short_and_plain() {
        assert_eq!(excerpt("\u{1b}[31m红\u{202e}"), "\u{fffd}[31m红\u{fffd}");
        assert_eq!(excerpt(&"x".repeat(1000)).chars().count(), EXCERPT_CHARS);
        assert_eq!(excerpt(&"x".repeat(EXCERPT_CHARS)), "x".repeat(EXCERPT_CHARS));
    }
}
