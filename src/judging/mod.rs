//! Judging (评审): what no metric measures. [`entries`] holds what teams show of their work; a [`panel`] of
//! judges marks it by the [`rubric`] in force.
//!
//! Who marks what is drawn by [`draw`] and kept by [`assign`]; a judge writes a [`sheet`]; [`result`] makes
//! the ranking of it by [`arithmetic`], and the chair signs that. Everything a panel does stands in its
//! [`minutes`] and in the audit log. Who may do what is asked of a [`Seat`].
//!
//! May call `contest`, `submission`, `scoring::board`, `airlock` (cleared values alone), `people`, `audit` and
//! `store`; knows no HTTP. A judge never learns from it who made an entry. While a round is open nobody is
//! told others' marks but judges who submitted theirs for the same entry.

mod act;
pub mod arithmetic;
pub mod assign;
pub mod draw;
pub mod entries;
pub mod feedback;
pub mod minutes;
mod model;
pub mod panel;
pub mod result;
pub mod rubric;
mod seat;
pub mod sheet;

pub use model::{
    Assignment, AssignmentState, Conflict, Judge, JudgeState, Panel, PanelState, Sheet, TEXT_CHARACTERS,
};
pub use seat::Seat;

use crate::contest::bundle::judging::Fault;
use crate::store::StoreError;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum JudgingError {
    /// The competition declares no way of judging.
    #[error("no rubric is in force; write one first")]
    NoRubric,
    /// A rubric that cannot be.
    #[error("the rubric cannot be used: {} faults", .0.len())]
    Rubric(Vec<Fault>),
    /// Marks were given by the rubric in force, so that a reason is asked for.
    #[error("marks were given by this rubric; say why it changes, and the judges will be asked again")]
    MarksGiven,
    /// A panel has closed its round, so that the rubric stays.
    #[error("a panel has closed its round; the rubric stays until it is opened again")]
    RubricFixed,
    /// There is no such panel, judge, entry, conflict.
    #[error("there is no such {0}")]
    Unknown(&'static str),
    /// It is not theirs to do.
    #[error("only {0} may do this")]
    NotYours(&'static str),
    /// The panel is not in the state for it.
    #[error("the panel is {state}; this needs another state")]
    WrongState {
        /// Where it stands.
        state: PanelState,
    },
    /// Others' marks of this round are shown to whoever wants to change theirs.
    #[error("marks are given independently: you have seen the others', and yours stay as they are")]
    OthersSeen,
    /// A name that is empty, too long or taken.
    #[error("a panel has a name of 1 to 60 characters that no other has")]
    BadName,
    /// The person takes part.
    #[error("who takes part in a competition, or has, can never judge it")]
    TakesPart,
    /// The person runs the competition and knows who made what.
    #[error("who runs the competition knows who made what, and cannot judge it blind")]
    Runs,
    /// The person judges already.
    #[error("this person is a judge of the panel already")]
    JudgeAlready,
    /// Nobody has accepted.
    #[error("no judge has accepted yet")]
    NoJudges,
    /// Nothing was submitted.
    #[error("no entry is submitted yet")]
    NoEntries,
    /// There is nothing to judge a second time.
    #[error("choose the entries of the second round")]
    NothingChosen,
    /// Signing before anything was marked.
    #[error("no entry has a judged part; there is nothing to sign")]
    NothingMarked,
    /// Somebody else saved meanwhile.
    #[error("this was saved from elsewhere meanwhile (version {version}); look at both and choose")]
    Newer {
        /// The version that stands now.
        version: i64,
        /// What it says.
        sheet: Box<Sheet>,
    },
    /// Marks for an entry that are submitted.
    #[error("these marks are submitted; take them back to change them")]
    Submitted,
    /// Marks that are missing or not on the scale, by criterion.
    #[error("some marks are missing or not on the scale: {0:?}")]
    Marks(Vec<(String, &'static str)>),
    /// A reason is needed.
    #[error("give a reason; it stands in the minutes")]
    NoReason,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A reason as it is kept: trimmed, of at most so many characters.
fn reason_of(text: &str) -> Result<String, JudgingError> {
    let text: String = text.trim().chars().take(500).collect();
    if text.is_empty() { Err(JudgingError::NoReason) } else { Ok(text) }
}
