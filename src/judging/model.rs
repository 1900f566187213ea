//! The rows of this room: panels, judges, conflicts, assignments, sheets.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::arithmetic::Marks;
use crate::contest::model::word;
use crate::ids::{AssignmentId, CompetitionId, ConflictId, EntryId, OrganisationId, PanelId, UserId};

/// Characters that a comment may have.
pub const TEXT_CHARACTERS: usize = 5000;

word! {
    /// Where a panel stands.
    PanelState {
        /// Judges are appointed; nothing was drawn.
        Preparing = "preparing",
        /// A round is under way.
        Open = "open",
        /// The round is closed; the chair decides what follows.
        Closed = "closed",
        /// The chair has signed: nothing changes any more.
        Signed = "signed",
    }
}

word! {
    /// Where a judge stands.
    JudgeState {
        /// Asked, and has not answered.
        Invited = "invited",
        /// Judges.
        Accepted = "accepted",
        /// Will not.
        Declined = "declined",
        /// Did, and does no more; what they submitted stays.
        Resigned = "resigned",
        /// Was taken off by an organizer; what they submitted stays.
        Removed = "removed",
    }
}

impl JudgeState {
    /// Whether they may yet judge.
    pub fn stands(self) -> bool {
        matches!(self, Self::Invited | Self::Accepted)
    }
}

word! {
    /// Where an assignment stands.
    AssignmentState {
        /// To be marked.
        Assigned = "assigned",
        /// Marked and submitted.
        Submitted = "submitted",
        /// Taken away: the entry was withdrawn, the judge went, or it was given to another.
        Ended = "ended",
    }
}

/// Several judges who judge together.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Its id.
    pub id: PanelId,
    /// Its competition.
    pub competition: CompetitionId,
    /// Its name.
    pub name: String,
    /// Whether it judges every entry that no other panel was given.
    pub main: bool,
    /// Where it stands.
    pub state: PanelState,
    /// The round that is open or was the last: 1 or 2.
    pub round: i64,
    /// Counts the rankings to be signed, from 1.
    pub edition: i64,
    /// What the draw was mixed with; empty before the first.
    pub seed: String,
    /// Whether judges see each other's marks for an entry once they submitted theirs.
    pub peek: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Somebody on a panel.
#[derive(Clone, Debug)]
pub struct Judge {
    /// Who.
    pub user: UserId,
    /// The panel.
    pub panel: PanelId,
    /// The name they log in with.
    pub login: String,
    /// The name shown.
    pub name: String,
    /// Their organisation, by id and name.
    pub organisation: Option<(OrganisationId, String)>,
    /// Whether they are in the chair.
    pub chair: bool,
    /// Where they stand.
    pub state: JudgeState,
    /// When that came to be.
    pub changed_at: Timestamp,
    /// Why, where they said.
    pub reason: String,
}

/// A conflict of interest that was declared.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// Its id.
    pub id: ConflictId,
    /// Whose.
    pub user: UserId,
    /// With one entry.
    pub entry: Option<EntryId>,
    /// With everything of an organisation's people: its id and name.
    pub organisation: Option<(OrganisationId, String)>,
    /// What was said of it.
    pub reason: String,
    /// When.
    pub declared_at: Timestamp,
}

/// What a judge writes about an entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sheet {
    /// Marks by the key of their criterion.
    pub marks: Marks,
    /// For the team, once the results are published.
    pub to_team: String,
    /// For the other judges.
    pub to_jury: String,
}

/// One entry that one judge marks in one round.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Its id.
    pub id: AssignmentId,
    /// The competition.
    pub competition: CompetitionId,
    /// The panel.
    pub panel: PanelId,
    /// The entry.
    pub entry: EntryId,
    /// The entry's number, which is all that a blind judge is told.
    pub number: i64,
    /// The judge.
    pub judge: UserId,
    /// The round.
    pub round: i64,
    /// Where it stands.
    pub state: AssignmentState,
    /// The version of the rubric that the sheet is by.
    pub rubric: i64,
    /// What is written so far.
    pub sheet: Sheet,
    /// Counts the saves, from 0.
    pub version: i64,
    /// When it was last saved.
    pub saved_at: Option<Timestamp>,
    /// When it was submitted, if it is.
    pub submitted_at: Option<Timestamp>,
    /// Why it ended.
    pub ended_why: String,
}
