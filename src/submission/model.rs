//! A submission, its runs and their states.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::contest::bundle::{Faulty, Finding};
use crate::contest::definition::Task;
use crate::contest::model::word;
use crate::ids::{CompetitionId, PhaseId, RunId, SubmissionId, TaskId, TeamId, UserId};

word! {
    /// Where a submission stands. `state` holds what is true, `disclosed_state` what participants are
    /// told.
    State {
        /// Stored, waiting for the organizer to start it.
        Uploaded = "uploaded",
        /// Waiting for a worker.
        Queued = "queued",
        /// At least one run is under way.
        Running = "running",
        /// Scored.
        Finished = "finished",
        /// Refused for reasons that are public facts; costs no quota.
        Rejected = "rejected",
        /// The program, the scorer or the platform failed.
        Failed = "failed",
        /// Stopped by the team or an organizer.
        Cancelled = "cancelled",
        /// Told in place of an outcome when the ledger's budget is spent.
        Received = "received",
    }
}

impl State {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Finished | Self::Rejected | Self::Failed | Self::Cancelled | Self::Received)
    }

    /// The transitions there are: the one place that says so.
    pub fn may_become(self, next: Self) -> bool {
        use State::{Cancelled, Failed, Finished, Queued, Received, Rejected, Running, Uploaded};
        match (self, next) {
            (Uploaded, Queued | Cancelled) => true,
            (Queued, Running | Cancelled | Rejected | Failed) => true,
            // back to the queue when a worker died or handed the run back
            (Running, Queued | Finished | Rejected | Failed | Cancelled | Received) => true,
            // a rescore or rerun by the organizer
            (Finished | Failed | Rejected, Queued) => true,
            _ => false,
        }
    }
}

word! {
    /// What was submitted.
    Kind {
        /// Not looked into yet.
        Unknown = "unknown",
        /// Predictions.
        Result = "result",
        /// A program.
        Code = "code",
        /// A program that answers over HTTP.
        App = "app",
        /// A model without a program: ONNX.
        Model = "model",
    }
}

impl Kind {
    /// Whether nothing may be told of a run of this kind on a task but its outcome at its tick. A file
    /// not yet looked into may turn out to be a program.
    pub fn is_closed_by(self, task: &Task) -> bool {
        match self {
            Self::Result => task.closes_results(),
            _ => task.closes_programs(),
        }
    }
}

word! {
    /// Where a submission came from (DESIGN, the words).
    Origin {
        /// Uploaded.
        Outside = "outside",
        /// Handed in from inside a sandbox; never downloaded again.
        Sandbox = "sandbox",
    }
}

word! {
    /// What a submission is made for.
    Aim {
        /// A place on the board.
        Compete = "compete",
        /// To be tried on the twins alone, without quota or ledger.
        Trial = "trial",
        /// An organizer's own, on the real data: off every board, and an open book to the desk.
        DryRun = "dry_run",
    }
}

impl Aim {
    /// What the submission's first runs are for.
    pub fn purpose(self) -> Purpose {
        match self {
            Self::Compete => Purpose::Score,
            Self::Trial => Purpose::Trial,
            Self::DryRun => Purpose::DryRun,
        }
    }
}

word! {
    /// What a run is for.
    Purpose {
        /// The submission's score.
        Score = "score",
        /// The score of an organizer's dry run.
        DryRun = "dry_run",
        /// The debug twin after a failure on hidden input.
        Twin = "twin",
        /// A trial run on the twin, asked for by the team.
        Trial = "trial",
        /// The organizer's rescore.
        Rescore = "rescore",
    }
}

word! {
    /// Where a run stands.
    RunState {
        /// Waiting.
        Queued = "queued",
        /// Leased by a worker.
        Running = "running",
        /// Scored.
        Finished = "finished",
        /// Refused for public facts.
        Rejected = "rejected",
        /// Failed.
        Failed = "failed",
        /// Stopped.
        Cancelled = "cancelled",
    }
}

word! {
    /// What a run is doing, for pages of runs on public input.
    Step {
        /// Waiting.
        Waiting = "waiting",
        /// Fetching and unpacking.
        Preparing = "preparing",
        /// The prediction step.
        Predicting = "predicting",
        /// The scoring step.
        Scoring = "scoring",
        /// Over.
        Done = "done",
    }
}

impl Purpose {
    /// Whether a run for it sees the twin's data instead of the task's own.
    pub fn is_on_twin(self) -> bool {
        matches!(self, Self::Twin | Self::Trial)
    }

    /// Whether a run for it is closed when a program in it sees hidden input. A dry run is not: it is
    /// the desk's own, and what it prints is sealed.
    pub fn may_close(self) -> bool {
        matches!(self, Self::Score | Self::Rescore)
    }

    /// Whether a run for it is what was submitted for: its state is the submission's, and stopping the
    /// submission stops it.
    pub fn is_asked_for(self) -> bool {
        matches!(self, Self::Score | Self::Trial | Self::DryRun)
    }
}

/// Why a submission was refused, failed or stopped, in a form that pages translate: a stable code,
/// a text in English, and the faults of a result file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable word, empty when there is nothing to say.
    #[serde(default)]
    pub code: String,
    /// What happened and how to mend it.
    #[serde(default)]
    pub text: String,
    /// The report on a result file's faults, as the scoring room wrote it (public facts only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<serde_json::Value>,
    /// What is wrong with a file that its author wrote for us, such as `app.yaml`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

impl Reason {
    /// A reason with a code and a text.
    pub fn new(code: &str, text: impl Into<String>) -> Self {
        Self { code: code.to_owned(), text: text.into(), faults: None, findings: Vec::new() }
    }

    /// A file that its author wrote for us is refused.
    pub fn faulty(code: &str, faulty: Faulty) -> Self {
        Self { findings: faulty.0.clone(), ..Self::new(code, faulty.to_string()) }
    }
}

/// A submission.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its id.
    pub id: SubmissionId,
    /// Its competition.
    pub competition: CompetitionId,
    /// Its phase.
    pub phase: PhaseId,
    /// Its team.
    pub team: TeamId,
    /// Who handed it in.
    pub user: UserId,
    /// What it is.
    pub kind: Kind,
    /// Where it came from.
    pub origin: Origin,
    /// What it is made for.
    pub aim: Aim,
    /// The name of the uploaded file.
    pub file_name: String,
    /// Where the object store holds it; empty once it was removed, as those of refused ones are.
    pub object_key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SM3, in hexadecimal.
    pub digest: String,
    /// The team's own note.
    pub message: String,
    /// Answers to the fact sheet.
    pub facts: BTreeMap<String, serde_json::Value>,
    /// When the upload began.
    pub created_at: Timestamp,
    /// What is true.
    pub state: State,
    /// Why, in truth: for organizers, where the diode allows.
    pub reason: Reason,
    /// What participants are told.
    pub disclosed_state: State,
    /// Why, as told to participants.
    pub disclosed_reason: Reason,
    /// When what is true will be told, while that is still to come.
    pub release_at: Option<Timestamp>,
    /// Whether it counts against the quota.
    pub counts: bool,
    /// When its first run began.
    pub started_at: Option<Timestamp>,
    /// When its last run ended.
    pub finished_at: Option<Timestamp>,
    /// When somebody asked to stop it.
    pub cancel_requested_at: Option<Timestamp>,
    /// When an organizer took it off the board.
    pub disqualified_at: Option<Timestamp>,
    /// Why.
    pub disqualified_reason: String,
    /// When the team nominated it for the next phase.
    pub nominated_at: Option<Timestamp>,
    /// The submission of an earlier phase it was migrated from.
    pub migrated_from: Option<SubmissionId>,
    /// Whether the team put it on the board (rules Add…).
    pub chosen: bool,
    /// Whether the team made it public.
    pub is_public: bool,
}

impl Submission {
    /// Whether it is for a place on the board.
    pub fn competes(&self) -> bool {
        self.aim == Aim::Compete
    }

    /// Whether its file is still kept.
    pub fn has_file(&self) -> bool {
        !self.object_key.is_empty()
    }

    /// The disclosed state, in which a begun run is told at once: its start derives from nothing hidden.
    pub fn shown_state(&self) -> State {
        match self.disclosed_state {
            State::Queued if self.started_at.is_some() => State::Running,
            state => state,
        }
    }
}

/// A submission's run on one task.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its submission.
    pub submission: SubmissionId,
    /// Its competition.
    pub competition: CompetitionId,
    /// Its team.
    pub team: TeamId,
    /// Its task.
    pub task: TaskId,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether nothing may be told of it but its outcome at its tick.
    pub closed: bool,
    /// Where it stands.
    pub state: RunState,
    /// What it is doing.
    pub step: Step,
    /// Smaller goes first.
    pub priority: i64,
    /// When it was queued.
    pub created_at: Timestamp,
    /// How often it was begun.
    pub attempt: i64,
    /// Counts the leases; a result is taken only from the holder of the newest.
    pub fence: i64,
    /// When it began: at the latest attempt, a closed one at its first.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When its outcome was told.
    pub told_at: Option<Timestamp>,
    /// How the prediction step ended.
    pub prediction_end: Option<String>,
    /// How the scoring step ended.
    pub scoring_end: Option<String>,
    /// Object with the prediction step's log.
    pub prediction_log: Option<String>,
    /// Object with the scoring step's log.
    pub scoring_log: Option<String>,
    /// Object with what came of the public probes.
    pub report: Option<String>,
    /// Our own fault that ended it or made it start again.
    pub fault: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn final_states_lead_nowhere_but_back_to_the_queue() {
        for &from in State::ALL {
            for &to in State::ALL {
                if from.is_final() && from.may_become(to) {
                    assert_eq!(to, State::Queued, "{from} → {to}");
                }
            }
        }
    }

    #[test]
    fn every_state_but_the_first_can_be_reached() {
        for &to in State::ALL {
            let reached = State::ALL.iter().any(|from| from.may_become(to));
            assert_eq!(reached, to != State::Uploaded, "{to}");
        }
    }
}
