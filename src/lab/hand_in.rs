//! Handing in from inside a sandbox, as its owner sees it: what they are told ([`Said`]), why nothing
//! was taken ([`Refusal`]), and where a submission stands as far as that is disclosed ([`Standing`]).
//! The words are a [`Clerk`]'s; the keeper carries them.

use crate::airlock::{Cleared, Team, lane1};
use crate::clock::Clock;
use crate::contest::model::{Competition, Phase};
use crate::ids::{SubmissionId, UserId};
use crate::scoring::leaderboard::Scores;
use crate::store::{Connection, StoreError};
use crate::submission::accept::AcceptError;
use crate::submission::model::{Aim, Reason, State, Submission};
use crate::submission::{db as submission_db, queue};

/// Why nothing was taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// What came first was not from the command `submit`.
    #[error("this was not said by the command submit; use it as: submit FILE [-m MESSAGE] [--phase N]")]
    Header,
    /// There is no such phase.
    #[error("this competition has no phase {0}; /submit/README.md lists its phases")]
    NoPhase(i64),
    /// Too many in a short time.
    #[error("too many files were handed in; try again in {0} s")]
    TooOften(u64),
    /// The sandbox, the competition or the account is closed by now.
    #[error("this sandbox is closed; open it again from the competition's page")]
    Closed,
    /// The service is going down.
    #[error("the service is about to restart; try again in a minute")]
    Leaving,
    /// It was not accepted.
    #[error(transparent)]
    NotAccepted(#[from] AcceptError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A refusal in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// A stable word.
    pub code: &'static str,
    /// What happened, why, and how to mend it: one line or several.
    pub text: String,
}

/// What a participant is told while they wait.
#[derive(Debug)]
pub enum Said<'a> {
    /// It was accepted.
    Accepted {
        /// The submission.
        submission: &'a Submission,
        /// Where it was submitted to.
        phase: &'a Phase,
        /// The path of its page.
        page: &'a str,
        /// How many more may follow today; `None` without a limit.
        left: Option<i64>,
    },
    /// Where it stands by now.
    Stands(&'a Standing),
    /// It goes on, and nobody waits here for it any more.
    GoesOn {
        /// The path of its page.
        page: &'a str,
    },
}

/// Who answers at the counter: knows the words in each language, and who was here too often.
pub trait Clerk: Send + Sync {
    /// Counts one more file of a person.
    ///
    /// # Errors
    /// The seconds to wait when it is one too many.
    fn admit(&self, user: UserId) -> Result<(), u64>;

    /// A line or several, without the end of the last. `locale` is a language tag as of the person's
    /// account.
    fn say(&self, locale: &str, competition: &Competition, said: &Said<'_>) -> String;

    /// A refusal in words.
    fn refuse(&self, locale: &str, refusal: &Refusal) -> Refused;
}

/// Where a submission stands, as far as its team is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It waits for the organizer to start it.
    Uploaded,
    /// It waits for a worker.
    Queued {
        /// Runs that are ahead.
        ahead: i64,
        /// The expected wait in seconds.
        expected_seconds: i64,
    },
    /// It runs.
    Running {
        /// Whether nothing but its outcome is told, at set times.
        closed: bool,
    },
    /// It has its score.
    Scored(Cleared<Scores, Team>),
    /// It has ended otherwise.
    Ended(State, Reason),
}

impl Standing {
    /// Where a submission stands now; `None` when it is gone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of(
        conn: &mut Connection,
        clock: &Clock,
        competition: &Competition,
        id: SubmissionId,
    ) -> Result<Option<Self>, StoreError> {
        let Some(submission) = submission_db::by_id(conn, id).await? else { return Ok(None) };
        let board = &competition.definition.leaderboard;
        Ok(Some(match submission.shown_state() {
            State::Uploaded => Self::Uploaded,
            State::Queued => match queue::place(conn, clock, id).await? {
                Some(place) => Self::Queued { ahead: place.ahead, expected_seconds: place.expected_seconds },
                // between its place and its start
                None => Self::Queued { ahead: 0, expected_seconds: 1 },
            },
            State::Running => {
                let runs = queue::db::of_submission(conn, id).await?;
                Self::Running { closed: runs.iter().any(|run| run.closed) }
            }
            State::Finished if submission.aim == Aim::Compete => {
                Self::Scored(lane1::row_for_team(conn, board, id).await?.scores)
            }
            other => Self::Ended(other, submission.disclosed_reason),
        }))
    }

    /// Whether nothing more will be told of it.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Scored(_) | Self::Ended(..))
    }

    /// Whether somebody who was told the one has to be told the other. The expected wait changes all
    /// the time.
    pub fn differs_from(&self, told: &Self) -> bool {
        match (self, told) {
            (Self::Queued { ahead: now, .. }, Self::Queued { ahead: then, .. }) => now != then,
            _ => self != told,
        }
    }

    /// The state's word, as in the API.
    pub fn state(&self) -> State {
        match self {
            Self::Uploaded => State::Uploaded,
            Self::Queued { .. } => State::Queued,
            Self::Running { .. } => State::Running,
            Self::Scored(_) => State::Finished,
            Self::Ended(state, _) => *state,
        }
    }
}

/// The end of an id, which tells submissions apart: ids begin with the time.
pub(crate) fn short(id: &str) -> &str {
    id.get(id.len().saturating_sub(8)..).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_queue_is_told_anew_when_it_changes_and_not_when_the_guess_does() {
        let queued = |ahead, expected_seconds| Standing::Queued { ahead, expected_seconds };
        assert!(!queued(2, 9).differs_from(&queued(2, 7)));
        assert!(queued(1, 7).differs_from(&queued(2, 7)));
        assert!(Standing::Running { closed: false }.differs_from(&queued(0, 1)));
        assert!(!Standing::Uploaded.differs_from(&Standing::Uploaded));
        let ended = Standing::Ended(State::Failed, Reason::new("exit-code", "1"));
        assert!(ended.is_final() && ended.state() == State::Failed);
        assert!(!Standing::Uploaded.is_final() && !queued(0, 1).is_final());
    }

    #[test]
    fn ids_are_told_apart_by_their_ends() {
        assert_eq!(short("0190f5c2-7b1e-7000-8000-00000000abcd"), "0000abcd");
        assert_eq!(short("abc"), "abc");
    }
}
