//! What the reader has to say about a bundle: findings, and the report that gathers them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::submission::unpack::shown;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The bundle cannot be imported as it is.
    Error,
    /// It can, but the author most likely wanted something else.
    Warning,
    /// Worth knowing.
    Note,
}

/// One thing found in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// Stable name of the kind of finding, such as `phase-overlap`, for pages that translate it.
    pub code: String,
    /// File in the bundle, most often `competition.yaml`.
    pub file: String,
    /// Key in that file, such as `phases[1].end`; empty where no key is meant.
    pub key: String,
    /// Line in that file, counted from 1.
    pub line: Option<u64>,
    /// What is wrong.
    pub problem: String,
    /// How to mend it.
    pub mend: String,
}

/// All findings about a bundle: errors first, each in the order of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether an error stands in the way of importing the bundle.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many findings weigh this much.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl fmt::Display for Report {
    /// For the terminal: `error[code] file:line key`, then problem and mend, then the counts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            write!(f, "{severity}[{}] {}", finding.code, finding.file)?;
            if let Some(line) = finding.line {
                write!(f, ":{line}")?;
            }
            if !finding.key.is_empty() {
                write!(f, " {}", finding.key)?;
            }
            writeln!(f)?;
            for line in finding.problem.lines() {
                writeln!(f, "    {line}")?;
            }
            writeln!(f, "    mend: {}", finding.mend)?;
        }
        let [errors, warnings, notes] =
            [Severity::Error, Severity::Warning, Severity::Note].map(|severity| self.count(severity));
        writeln!(f, "{errors} errors, {warnings} warnings, {notes} notes")
    }
}

/// Errors of a small file that are told at most.
const TOLD: usize = 8;

/// What is wrong with a small file that a participant wrote, such as `app.yaml`: its first errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faulty(pub Vec<Finding>);

impl fmt::Display for Faulty {
    /// A line for each: where, what, and how to mend it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, finding) in self.0.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", finding.file)?;
            if let Some(line) = finding.line {
                write!(f, " line {line}")?;
            }
            if !finding.key.is_empty() {
                write!(f, " {}", finding.key)?;
            }
            write!(f, ": {}; {}", finding.problem, finding.mend)?;
        }
        Ok(())
    }
}

/// Where findings gather while a bundle, or another file that people write for us, is read.
#[derive(Debug)]
pub(crate) struct Findings {
    found: Vec<Finding>,
    /// The file that is being read.
    file: String,
    /// Whether a key that nobody knows is an error there: where nothing is read of other people's making.
    strict: bool,
}

impl Default for Findings {
    /// For `competition.yaml`.
    fn default() -> Self {
        Self::about(COMPETITION_YAML)
    }
}

/// The file that a competition is declared in.
pub(crate) const COMPETITION_YAML: &str = "competition.yaml";

/// Findings beyond this number are counted, not listed: a page of them helps nobody.
const MOST_FINDINGS: usize = 500;

/// Where in the file that is being read something stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// Key, such as `phases[1].end`.
    pub(crate) key: String,
    /// Line, counted from 1.
    pub(crate) line: Option<u64>,
}

impl Findings {
    /// None yet about a file.
    pub(crate) fn about(file: &str) -> Self {
        Self { found: Vec::new(), file: file.to_owned(), strict: false }
    }

    /// The same, where a key that nobody knows is an error: left out in silence it would be missed.
    pub(crate) fn strictly_about(file: &str) -> Self {
        Self { strict: true, ..Self::about(file) }
    }

    /// Records a key that nobody knows.
    pub(crate) fn unknown_key(&mut self, at: &Place, problem: String, mend: String) {
        match self.strict {
            true => self.error("unknown-key", at, problem, mend),
            false => self.warn("unknown-key", at, problem, mend),
        }
    }

    /// The file that is being read.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Takes those of another file over.
    pub(crate) fn take_over(&mut self, others: Self) {
        self.found.extend(others.found);
    }

    /// Records an error in the file that is being read.
    pub(crate) fn error(
        &mut self,
        code: &str,
        at: &Place,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let file = self.file.clone();
        self.record(Severity::Error, code, &file, at, problem.into(), mend.into());
    }

    /// Records a warning in the file that is being read.
    pub(crate) fn warn(
        &mut self,
        code: &str,
        at: &Place,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let file = self.file.clone();
        self.record(Severity::Warning, code, &file, at, problem.into(), mend.into());
    }

    /// Records a finding about any file of the bundle.
    pub(crate) fn record(
        &mut self,
        severity: Severity,
        code: &str,
        file: &str,
        at: &Place,
        problem: String,
        mend: String,
    ) {
        let clean = |text: String| text.lines().map(shown_line).collect::<Vec<_>>().join("\n");
        self.found.push(Finding {
            severity,
            code: code.to_owned(),
            file: shown(file.as_bytes()),
            key: shown(at.key.as_bytes()),
            line: at.line,
            problem: clean(problem),
            mend: clean(mend),
        });
    }

    /// The first errors, for whoever wrote the file.
    pub(crate) fn into_faulty(self) -> Faulty {
        let mut wrong = self.into_report().findings;
        wrong.retain(|finding| finding.severity == Severity::Error);
        wrong.truncate(TOLD);
        Faulty(wrong)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    /// Whether an error was recorded.
    pub(crate) fn has_errors(&self) -> bool {
        self.found.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Whether an error was recorded about exactly this key.
    pub(crate) fn has_errors_at(&self, key: &str) -> bool {
        self.found.iter().any(|finding| finding.severity == Severity::Error && finding.key == key)
    }

    /// Puts errors first, then warnings, then notes, each in the order of lines.
    pub(crate) fn into_report(mut self) -> Report {
        self.found.sort_by_key(|finding| (finding.severity, finding.line.unwrap_or(u64::MAX)));
        if self.found.len() > MOST_FINDINGS {
            let more = self.found.len() - MOST_FINDINGS;
            self.found.truncate(MOST_FINDINGS);
            let problem = format!("{more} more findings are not listed");
            let mend = "mend the ones above first".to_owned();
            self.record(Severity::Note, "more-findings", COMPETITION_YAML, &Place::default(), problem, mend);
        }
        Report { findings: self.found }
    }
}

/// A line of a message with control characters escaped; long ones are cut.
fn shown_line(line: &str) -> String {
    let mut text = String::new();
    for (count, c) in line.chars().enumerate() {
        if count == 400 {
            text.push('…');
            break;
        }
        if c.is_control() {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    text
}
