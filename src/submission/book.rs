//! [`Book`]: what a team may read of its own runs beside their outcome.

use super::model::{Purpose, Run, Submission};
use crate::contest::model::{Phase, Task};
use crate::probing::report::{REPORT_BYTES, Report};
use crate::store::{ObjectError, ObjectKey, Objects};

/// A submission's runs as their team may read them.
#[derive(Clone, Copy, Debug)]
pub struct Book<'a> {
    /// The submission.
    pub submission: &'a Submission,
    /// Its phase.
    pub phase: &'a Phase,
    /// The tasks of the phase.
    pub tasks: &'a [Task],
    /// All its runs.
    pub runs: &'a [Run],
}

impl Book<'_> {
    /// Whether its runs are closed, as they were when they ran: what today's bundle says opens none.
    pub fn is_closed(&self) -> bool {
        match self.runs.is_empty() {
            true => self.tasks.iter().any(|t| self.submission.kind.is_closed_by(&t.definition)),
            false => self.runs.iter().any(|run| run.closed),
        }
    }

    /// Whether a run is an open book to its team. Code on hidden input is not; nor is anything of a
    /// twin that ran after a failure which is still to be told, for it tells of that failure. A file
    /// not yet looked into may turn out to be code.
    pub fn is_open(&self, run: &Run) -> bool {
        match run.purpose {
            Purpose::Trial => true,
            Purpose::Twin => self.submission.disclosed_state.is_final(),
            Purpose::Score | Purpose::Rescore => !self.is_closed(),
            Purpose::DryRun => false,
        }
    }

    /// Whether its team may read what came of the public probes of a run: they were asked before anything
    /// hidden, but that they are there tells that the run has ended.
    pub fn shows_report(&self, run: &Run) -> bool {
        let told = run.closed && run.purpose.may_close() && run.told_at.is_some();
        let told = told && self.submission.disclosed_state.is_final();
        run.report.is_some() && !self.phase.definition.hide_output && (self.is_open(run) || told)
    }
}

/// Why a report could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The store failed.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// It is not the document that a run leaves.
    #[error("the report of a run cannot be read: {0}")]
    Document(#[from] serde_json::Error),
}

impl Run {
    /// What came of its public probes, and the size of that in bytes; none where there is no report. Whether
    /// somebody may read it is for the caller to know ([`Book::shows_report`]).
    ///
    /// # Errors
    /// [`ReportError`].
    pub async fn read_report(&self, objects: &Objects) -> Result<Option<(Report, u64)>, ReportError> {
        let Some(key) = &self.report else { return Ok(None) };
        let key: ObjectKey = key.parse()?;
        let bytes = objects.get_bytes(&key, REPORT_BYTES).await?;
        Ok(Some((serde_json::from_slice(&bytes)?, bytes.len() as u64)))
    }
}
