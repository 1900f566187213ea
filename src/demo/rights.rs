//! Who may try an app.

use jiff::Timestamp;

use super::db;
use crate::contest::db as contest_db;
use crate::contest::entry::db as entry_db;
use crate::contest::model::Phase;
use crate::ids::{CompetitionId, SubmissionId, UserId};
use crate::judging::entries::{Entry, db as entries_db};
use crate::judging::panel;
use crate::store::{Connection, StoreError};
use crate::submission::db as submission_db;
use crate::submission::model::{Kind, Origin, State, Submission};

/// In what capacity somebody tries an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// A member of its team.
    Team,
    /// An organizer of its competition.
    Organizer,
    /// Who is to mark an entry that is about it. They know neither whose it is nor which submission.
    Judge,
    /// Anybody, once the competition is over.
    Visitor,
}

impl As {
    /// Whether they may read what the app printed.
    pub fn reads_output(self) -> bool {
        matches!(self, Self::Team | Self::Organizer)
    }
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no app.
    #[error("this submission has no app that could be tried")]
    NoApp,
    /// It is an app that was not accepted.
    #[error("this app was not accepted, so that it cannot be started")]
    NotAccepted,
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
    /// It is not theirs to mark, or not now.
    #[error("judges can try an app while its entry is theirs to mark and the round is open")]
    NotMarking,
}

/// Whether a competition is over, so that visitors may come.
pub fn is_over(phases: &[Phase], now: Timestamp) -> bool {
    phases.iter().all(|phase| phase.ends_at.is_some_and(|end| end <= now))
}

/// Whether a submission has an app that can be started.
///
/// # Errors
/// [`Refusal::NoApp`], [`Refusal::NotAccepted`], [`Refusal::NoFile`].
pub fn check_app(submission: &Submission) -> Result<(), Refusal> {
    match submission {
        s if s.kind != Kind::App => Err(Refusal::NoApp),
        s if matches!(s.disclosed_state, State::Rejected | State::Uploaded) => Err(Refusal::NotAccepted),
        s if !s.has_file() => Err(Refusal::NoFile),
        _ => Ok(()),
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
    Ok(match () {
        () if !is_over(&phases, now) => Err(Refusal::NotOver),
        () if !db::is_open_to_visitors(conn, submission.id).await? => Err(Refusal::NotOpened),
        () => for_visitors(submission).map(|()| As::Visitor),
    })
}

/// Whether an app that its team has opened is one for visitors.
fn for_visitors(submission: &Submission) -> Result<(), Refusal> {
    check_app(submission)?;
    match submission {
        s if s.origin == Origin::Sandbox => Err(Refusal::NotReleased),
        s if s.disqualified_at.is_some() => Err(Refusal::NotOpened),
        _ => Ok(()),
    }
}

/// The apps of a competition that visitors may try: none before it is over.
///
/// # Errors
/// When the database fails.
pub async fn opened(
    conn: &mut Connection,
    competition: CompetitionId,
    (phases, now): (&[Phase], Timestamp),
) -> Result<Vec<Submission>, StoreError> {
    if !is_over(phases, now) {
        return Ok(Vec::new());
    }
    let opened = submission_db::opened(conn, competition).await?;
    Ok(opened.into_iter().filter(|submission| for_visitors(submission).is_ok()).collect())
}

/// The app of an entry, for somebody who judges it: that of the submission that its standing version chose.
///
/// # Errors
/// When the database fails; the inner error is why they may not, or why there is none.
pub async fn of_judge(
    conn: &mut Connection,
    entry: &Entry,
    judge: UserId,
) -> Result<Result<Submission, Refusal>, StoreError> {
    if !panel::marks_now(conn, entry.id, judge).await? {
        return Ok(Err(Refusal::NotMarking));
    }
    let Some(version) = entry.standing_version() else { return Ok(Err(Refusal::NoApp)) };
    let version = entries_db::version_of(conn, entry.id, version).await?;
    let chosen = version.and_then(|version| version.content.submission);
    of_entry(conn, entry, chosen).await
}

/// The app of the submission that an entry is about, where it can be started.
///
/// # Errors
/// When the database fails; the inner error is why there is none.
pub async fn of_entry(
    conn: &mut Connection,
    entry: &Entry,
    chosen: Option<SubmissionId>,
) -> Result<Result<Submission, Refusal>, StoreError> {
    let Some(chosen) = chosen else { return Ok(Err(Refusal::NoApp)) };
    let submission = submission_db::by_id(conn, chosen).await?;
    let submission = submission.filter(|s| s.competition == entry.competition);
    Ok(match submission {
        Some(submission) => check_app(&submission).map(|()| submission),
        None => Err(Refusal::NoApp),
    })
}
