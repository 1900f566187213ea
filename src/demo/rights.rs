//! Who may try an app.

use jiff::Timestamp;

use super::db;
use crate::contest::db as contest_db;
use crate::contest::entry::db as entry_db;
use crate::ids::UserId;
use crate::store::{Connection, StoreError};
use crate::submission::model::{Kind, Origin, State, Submission};

/// In what capacity somebody tries an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// A member of its team.
    Team,
    /// An organizer of its competition.
    Organizer,
    /// Anybody, once the competition is over.
    Visitor,
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no app, or was not accepted.
    #[error("this submission has no app that could be tried")]
    NoApp,
    /// The file is gone.
    #[error("the file of this submission is not kept any more; submit the app again")]
    NoFile,
    /// The competition goes on.
    #[error("apps are open to visitors once the competition is over")]
    NotOver,
    /// The team does not let visitors in.
    #[error("its team has not opened this app to visitors")]
    NotOpened,
    /// It may hold data that stays inside.
    #[error("this app was handed in from inside a sandbox; visitors can try it after its release")]
    NotReleased,
}

/// Whether a submission has an app that can be started.
///
/// # Errors
/// [`Refusal::NoApp`], [`Refusal::NoFile`].
pub fn check_app(submission: &Submission) -> Result<(), Refusal> {
    let accepted = !matches!(submission.disclosed_state, State::Rejected | State::Uploaded);
    match submission.kind == Kind::App && accepted {
        false => Err(Refusal::NoApp),
        true if !submission.has_file() => Err(Refusal::NoFile),
        true => Ok(()),
    }
}

/// Whether somebody may try a submission's app, and as whom. `organizes` says whether they organize its
/// competition.
///
/// # Errors
/// When the database fails; the inner error is why they may not.
pub async fn of(
    conn: &mut Connection,
    submission: &Submission,
    (user, organizes): (UserId, bool),
    now: Timestamp,
) -> Result<Result<As, Refusal>, StoreError> {
    if let Err(refusal) = check_app(submission) {
        return Ok(Err(refusal));
    }
    let team = entry_db::team_of(conn, submission.competition, user).await?;
    if team.is_some_and(|team| team.id == submission.team) {
        return Ok(Ok(As::Team));
    }
    if organizes {
        return Ok(Ok(As::Organizer));
    }
    let phases = contest_db::phases(conn, submission.competition).await?;
    let over = phases.iter().all(|phase| phase.ends_at.is_some_and(|end| end <= now));
    Ok(match () {
        () if !over => Err(Refusal::NotOver),
        () if submission.origin == Origin::Sandbox => Err(Refusal::NotReleased),
        () if submission.disqualified_at.is_some() => Err(Refusal::NotOpened),
        () if !db::is_open_to_visitors(conn, submission.id).await? => Err(Refusal::NotOpened),
        () => Ok(As::Visitor),
    })
}
