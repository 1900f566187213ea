//! An app that runs to be tried.

use std::time::Duration;

use jiff::Timestamp;

use crate::contest::model::word;
use crate::ids::{CompetitionId, EntryId, SandboxId, SubmissionId, UserId};

/// How long nobody may do anything before it is stopped.
pub const IDLE: Duration = Duration::from_secs(15 * 60);
/// How long it may run in all.
pub const LONGEST: Duration = Duration::from_secs(2 * 3600);

word! {
    /// Where a demo stands.
    State {
        /// Asked for; all places are taken, or nobody has seen it yet.
        Waiting = "waiting",
        /// Its container is being started, or the app is not ready yet.
        Starting = "starting",
        /// It can be used.
        Ready = "ready",
        /// Over.
        Stopped = "stopped",
        /// It did not start, or ended by itself.
        Failed = "failed",
    }
}

impl State {
    /// Whether nothing more will happen to it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }
}

/// An app that runs to be tried.
#[derive(Clone, Debug)]
pub struct Demo {
    /// Its id, which its container and its origin are named after.
    pub id: SandboxId,
    /// The submission whose app it is.
    pub submission: SubmissionId,
    /// Its competition.
    pub competition: CompetitionId,
    /// Where it stands.
    pub state: State,
    /// The worker that holds it.
    pub host: Option<String>,
    /// Who asked for it.
    pub requested_by: UserId,
    /// The entry that who asked for it judges, where it is theirs alone; none where it is shared by all who may
    /// try it.
    pub entry: Option<EntryId>,
    /// When.
    pub requested_at: Timestamp,
    /// When the app answered first.
    pub ready_at: Option<Timestamp>,
    /// When a person last did something in it.
    pub active_at: Option<Timestamp>,
    /// When it is stopped, whatever is done in it.
    pub deadline_at: Option<Timestamp>,
    /// When somebody asked to stop it.
    pub stop_asked_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// Why it is over, in a stable word: `idle`, `time`, `asked`, `service`, `ended`, or the code of why it did
    /// not start.
    pub reason: String,
    /// The same in words, with what its team may read of the app's output.
    pub detail: String,
}

impl Demo {
    /// The judge whose own it is.
    pub fn judge(&self) -> Option<UserId> {
        self.entry.map(|_| self.requested_by)
    }
}
