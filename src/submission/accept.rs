//! Accepting a submission: who may, how many, and the upload itself, streamed to the object store.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::io::AsyncRead;

use super::model::{Aim, Kind, Origin, Purpose, Reason, State, Submission};
use super::queue::{self, NORMAL, NewRun};
use super::quota::{self, Quota, day_of};
use super::unpack::contents::is_pickle_name;
use super::{db, facts};
use crate::audit::{self, Actor, Entry};
use crate::contest::entry::{self, EntryError};
use crate::contest::model::{Competition, Phase, PhaseTime, StoredFile, Team};
use crate::contest::{db as contest_db, packages, terms_digest};
use crate::house::House;
use crate::ids::{PhaseId, RescoreId, SubmissionId, UserId};
use crate::store::{Connection, ObjectError, ObjectKey, StoreError, Stored, Tx};

/// File name endings that are taken.
pub const ENDINGS: [&str; 5] = ["zip", "csv", "parquet", "py", "onnx"];
/// Trial runs of a team that may wait or run at a time.
pub const TRIALS_AT_A_TIME: i64 = 2;
/// Dry runs of a competition that may wait or run at a time.
pub const DRY_RUNS_AT_A_TIME: i64 = 8;
/// Characters of a submission's message.
pub const MESSAGE_LENGTH: usize = 500;
/// Characters kept of a file's name.
const FILE_NAME_LENGTH: usize = 200;

/// Why a submission was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// There is no such phase.
    #[error("this competition has no phase {0}; its phases are counted from 0")]
    NoPhase(i64),
    /// The phase has not begun.
    #[error("the phase begins at {0}; submit then")]
    NotBegun(Timestamp),
    /// The phase is over.
    #[error("the phase ended at {0}; its leaderboard stays open to read")]
    Over(Timestamp),
    /// The person or team may not.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The daily quota is used up.
    #[error("{used} of {limit} submissions of today are used; the next ones can be made from {again}")]
    DailyQuota {
        /// Used today.
        used: i64,
        /// Allowed a day.
        limit: i64,
        /// Midnight UTC.
        again: Timestamp,
    },
    /// The phase's quota is used up.
    #[error("all {limit} submissions of this phase are used")]
    TotalQuota {
        /// Allowed in all.
        limit: i64,
    },
    /// The person has handed in as much as may be in a day.
    #[error("files of {limit} bytes may be handed in by a person in a day; the next ones from {again}")]
    DailyBytes {
        /// Allowed a day, in bytes.
        limit: u64,
        /// Midnight UTC.
        again: Timestamp,
    },
    /// The file's name has no ending we take.
    #[error(
        "{0:?} is not a .zip, .csv, .parquet, .py or .onnx file; pack programs as a zip with metadata.yaml"
    )]
    Ending(String),
    /// A model in a form that is a program in disguise.
    #[error(
        "{0:?} is a model in a format whose loading runs code, and is not taken; export it to ONNX (for scikit-learn: \
         skl2onnx) and submit the .onnx file"
    )]
    Pickle(String),
    /// The phase takes results only.
    #[error("this phase takes results only (.csv, .parquet, or a zip of them), not programs")]
    ResultsOnly,
    /// The file is empty.
    #[error("the file is empty")]
    Empty,
    /// The message is too long.
    #[error("the message has more than {MESSAGE_LENGTH} characters")]
    Message,
    /// A fact sheet question is not answered as asked.
    #[error("the question {title:?} ({key}) {problem}")]
    Facts {
        /// Its key.
        key: String,
        /// Its title.
        title: String,
        /// What is wrong.
        problem: String,
    },
    /// The tasks have no twin.
    #[error("no task of this phase has public or synthetic data for a trial run")]
    NoTwin,
    /// Too many trial runs at a time.
    #[error("{TRIALS_AT_A_TIME} trial runs of your team are under way; wait for one of them to end")]
    TooManyTrials,
    /// Too many dry runs at a time.
    #[error("{DRY_RUNS_AT_A_TIME} dry runs of this competition are under way; wait for one of them to end")]
    TooManyDryRuns,
    /// The upload failed.
    #[error(transparent)]
    Upload(#[from] ObjectError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a person wants to submit, beside the file itself.
#[derive(Clone, Debug)]
pub struct Request {
    /// The person.
    pub user: UserId,
    /// The name others see; a team is named after it when there is none.
    pub display_name: String,
    /// The uploaded file's name.
    pub file_name: String,
    /// The team's own note.
    pub message: String,
    /// Answers to the fact sheet.
    pub facts: BTreeMap<String, serde_json::Value>,
    /// What it is made for.
    pub aim: Aim,
    /// Where the file comes from.
    pub origin: Origin,
    /// When the request began: an upload that began before the phase's end counts.
    pub began: Timestamp,
}

fn check_quota(quota: &Quota, now: Timestamp) -> Result<(), AcceptError> {
    if quota.in_all > 0 && quota.used >= quota.in_all {
        return Err(AcceptError::TotalQuota { limit: quota.in_all });
    }
    if quota.per_day > 0 && quota.used_today >= quota.per_day {
        let (used, limit) = (quota.used_today, quota.per_day);
        return Err(AcceptError::DailyQuota { used, limit, again: day_of(now).1 });
    }
    Ok(())
}

/// How many bytes the person may still hand in today.
async fn bytes_left(
    conn: &mut Connection,
    house: &House,
    competition: &Competition,
    request: &Request,
) -> Result<u64, StoreError> {
    match request.aim {
        Aim::DryRun => Ok(u64::MAX),
        _ => {
            let whose = (competition.id, request.user);
            quota::bytes_left(conn, house.daily_bytes, whose, request.began).await
        }
    }
}

fn too_many_bytes(house: &House, request: &Request) -> AcceptError {
    AcceptError::DailyBytes { limit: house.daily_bytes, again: day_of(request.began).1 }
}

fn check_request(competition: &Competition, phase: &Phase, request: &Request) -> Result<(), AcceptError> {
    let participates = request.aim != Aim::DryRun;
    match phase.time(request.began) {
        _ if !participates => {}
        PhaseTime::Ahead => return Err(AcceptError::NotBegun(phase.starts_at)),
        PhaseTime::Over => return Err(AcceptError::Over(phase.ends_at.unwrap_or(request.began))),
        PhaseTime::Open => {}
    }
    let ending = request.file_name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase()).unwrap_or_default();
    if is_pickle_name(&request.file_name) {
        return Err(AcceptError::Pickle(request.file_name.chars().take(80).collect()));
    }
    if !ENDINGS.contains(&ending.as_str()) {
        return Err(AcceptError::Ending(request.file_name.chars().take(80).collect()));
    }
    if matches!(ending.as_str(), "py" | "onnx") && phase.definition.accepts_only_result_submissions {
        return Err(AcceptError::ResultsOnly);
    }
    if request.message.chars().count() > MESSAGE_LENGTH {
        return Err(AcceptError::Message);
    }
    if !participates {
        return Ok(());
    }
    competition.definition.fact_sheet.iter().try_for_each(|question| facts::check(question, &request.facts))
}

/// Accepts a submission: checks that it is allowed, streams the file to the object store, checks
/// again and puts its runs in the queue. Nothing is left of an upload that breaks off.
///
/// # Errors
/// [`AcceptError`]; nothing was accepted then, and no quota is used.
pub async fn accept(
    house: &House,
    competition: &Competition,
    phase: &Phase,
    request: Request,
    content: impl AsyncRead + Send + Unpin,
    cap: u64,
) -> Result<Submission, AcceptError> {
    // once before the upload, so that nobody uploads for nothing
    let terms = check(house, competition, phase, &request).await?;
    let id: SubmissionId = house.entropy.id(&house.clock);
    let key = ObjectKey::plain(format!("submissions/{id}"))?;
    let left = bytes_left(&mut *house.db.read().await?, house, competition, &request).await?;
    let stored = match house.objects.put_stream(&key, content, cap.min(left)).await {
        Err(ObjectError::TooLarge { .. }) if left < cap => return Err(too_many_bytes(house, &request)),
        stored => stored?,
    };
    // a task of its own: when the person hangs up now, either all of this is done or none of it
    let upload = Upload { id, key, stored, request, terms };
    let (house, competition, phase) = (house.clone(), competition.clone(), phase.clone());
    let taking = tokio::spawn(async move { upload.take(&house, &competition, &phase).await });
    match taking.await {
        Ok(taken) => taken,
        Err(broken) => match broken.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // the process is going down
            Err(_) => Err(StoreError::Busy { seconds: 0 }.into()),
        },
    }
}

/// Makes a dry run of a solution that the competition's bundle brought along. Its file stays where it is.
///
/// # Errors
/// [`AcceptError`]; nothing was accepted then.
pub async fn dry_run_solution(
    house: &House,
    competition: &Competition,
    phase: &Phase,
    request: Request,
    file: &StoredFile,
) -> Result<Submission, AcceptError> {
    let terms = check(house, competition, phase, &request).await?;
    let mut tx = house.db.begin().await?;
    let team = allowed(&mut tx, house, competition, phase, &request, &terms).await?;
    let id = house.entropy.id(&house.clock);
    let handed_in = HandedIn { object_key: &file.object_key, size: file.size, digest: file.digest.clone() };
    let submission = new_submission(id, competition, phase.id, &team, &request, handed_in);
    enter(&mut tx, house, competition, &submission).await?;
    tx.commit().await?;
    house.ring();
    Ok(submission)
}

/// A file that lies in the object store and is to become a submission.
struct Upload {
    id: SubmissionId,
    key: ObjectKey,
    stored: Stored,
    request: Request,
    terms: String,
}

impl Upload {
    async fn take(
        self,
        house: &House,
        competition: &Competition,
        phase: &Phase,
    ) -> Result<Submission, AcceptError> {
        let error = match self.enter(house, competition, phase).await {
            Ok(submission) => {
                house.ring();
                return Ok(submission);
            }
            Err(error) => error,
        };
        // a commit whose answer was lost may have been made; the file goes only when it was not
        let known = match house.db.read().await {
            Ok(mut conn) => db::by_id(&mut conn, self.id).await,
            Err(unreachable) => Err(unreachable),
        };
        match known {
            Ok(Some(submission)) => {
                house.ring();
                return Ok(submission);
            }
            Ok(None) => {
                if let Err(left) = house.objects.delete(&self.key).await {
                    tracing::warn!(id = %self.id, error = %left, "an upload that was refused could not be removed");
                }
            }
            Err(unknown) => {
                tracing::warn!(id = %self.id, error = %unknown, "an upload may be left without a submission");
            }
        }
        Err(error)
    }

    async fn enter(
        &self,
        house: &House,
        competition: &Competition,
        phase: &Phase,
    ) -> Result<Submission, AcceptError> {
        if self.stored.size == 0 {
            return Err(AcceptError::Empty);
        }
        let mut tx = house.db.begin().await?;
        let team = allowed(&mut tx, house, competition, phase, &self.request, &self.terms).await?;
        // others may have been taken in meanwhile
        if self.stored.size > bytes_left(&mut tx, house, competition, &self.request).await? {
            return Err(too_many_bytes(house, &self.request));
        }
        let handed_in = HandedIn {
            object_key: self.stored.key.as_str(),
            size: self.stored.size,
            digest: self.stored.sm3.to_string(),
        };
        let submission = new_submission(self.id, competition, phase.id, &team, &self.request, handed_in);
        enter(&mut tx, house, competition, &submission).await?;
        tx.commit().await?;
        Ok(submission)
    }
}

/// Whether a submission would be accepted now, as far as can be told without its file; gives the
/// digest of the terms. This may make the person's team.
///
/// # Errors
/// [`AcceptError`] as of [`accept`].
pub async fn check(
    house: &House,
    competition: &Competition,
    phase: &Phase,
    request: &Request,
) -> Result<String, AcceptError> {
    check_request(competition, phase, request)?;
    let terms = terms_digest(&mut *house.db.read().await?, competition).await?;
    let mut tx = house.db.begin().await?;
    allowed(&mut tx, house, competition, phase, request, &terms).await?;
    tx.commit().await?;
    Ok(terms)
}

async fn allowed(
    tx: &mut Tx,
    house: &House,
    competition: &Competition,
    phase: &Phase,
    request: &Request,
    terms: &str,
) -> Result<Team, AcceptError> {
    let now = house.clock.now();
    if request.aim == Aim::DryRun {
        // that the person is an organizer is for the caller to know
        let team = entry::desk_team(tx, &house.clock, house.entropy, competition, request.user).await?;
        entry::db::lock(tx, team.id, now).await?;
        return match db::aimed_under_way(tx, team.id, Aim::DryRun).await? {
            ..DRY_RUNS_AT_A_TIME => Ok(team),
            _ => Err(AcceptError::TooManyDryRuns),
        };
    }
    entry::admitted(tx, competition, request.user, terms).await?;
    if bytes_left(tx, house, competition, request).await? == 0 {
        return Err(too_many_bytes(house, request));
    }
    let name = &request.display_name;
    let team =
        entry::team_for_submitting(tx, &house.clock, house.entropy, competition, request.user, name).await?;
    entry::db::lock(tx, team.id, now).await?;
    // it may have been merged into another while its lock was waited for
    let team = match entry::db::team_of(tx, competition.id, request.user).await? {
        Some(merged) if merged.id != team.id => {
            entry::db::lock(tx, merged.id, now).await?;
            merged
        }
        _ => team,
    };
    if request.aim == Aim::Trial {
        let tasks = contest_db::tasks_of_phase(tx, phase.id).await?;
        if tasks.iter().all(|t| !t.definition.has_trial()) {
            return Err(AcceptError::NoTwin);
        }
        if db::aimed_under_way(tx, team.id, Aim::Trial).await? >= TRIALS_AT_A_TIME {
            return Err(AcceptError::TooManyTrials);
        }
    } else {
        // the day the upload began counts, as it will for the submission: else uploads begun before
        // midnight and ended after it would count on neither day
        check_quota(&quota::quota(tx, phase, team.id, request.began).await?, request.began)?;
    }
    Ok(team)
}

/// The file of a submission: where it lies, its size in bytes and its SM3.
struct HandedIn<'a> {
    object_key: &'a str,
    size: u64,
    digest: String,
}

fn new_submission(
    id: SubmissionId,
    competition: &Competition,
    phase: PhaseId,
    team: &Team,
    request: &Request,
    file: HandedIn<'_>,
) -> Submission {
    let state = match competition.definition.auto_run_submissions || request.aim != Aim::Compete {
        true => State::Queued,
        false => State::Uploaded,
    };
    let known: Vec<&str> = competition.definition.fact_sheet.iter().map(|q| q.key.as_str()).collect();
    Submission {
        id,
        competition: competition.id,
        phase,
        team: team.id,
        user: request.user,
        kind: Kind::Unknown,
        origin: request.origin,
        aim: request.aim,
        file_name: kept_name(&request.file_name),
        object_key: file.object_key.to_owned(),
        size: file.size,
        digest: file.digest,
        message: request.message.clone(),
        facts: request
            .facts
            .iter()
            .filter(|(key, _)| known.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        created_at: request.began,
        state,
        reason: Reason::default(),
        disclosed_state: state,
        disclosed_reason: Reason::default(),
        release_at: None,
        counts: request.aim == Aim::Compete,
        started_at: None,
        finished_at: None,
        cancel_requested_at: None,
        disqualified_at: None,
        disqualified_reason: String::new(),
        nominated_at: None,
        migrated_from: None,
        chosen: false,
        is_public: false,
    }
}

/// A file's name as it is kept: a longer one is cut before its ending, which says what the file is.
fn kept_name(name: &str) -> String {
    let length = name.chars().count();
    if length <= FILE_NAME_LENGTH {
        return name.to_owned();
    }
    let ending = name.rsplit_once('.').map_or(0, |(_, ending)| ending.chars().count() + 1);
    let ending = ending.min(FILE_NAME_LENGTH);
    let start = name.chars().take(FILE_NAME_LENGTH - ending);
    start.chain(name.chars().skip(length - ending)).collect()
}

/// Writes a new submission, its runs when it starts at once, its audit row and its event.
pub(super) async fn enter(
    tx: &mut Tx,
    house: &House,
    competition: &Competition,
    submission: &Submission,
) -> Result<(), StoreError> {
    db::insert(tx, submission).await?;
    let whose = (competition.id, submission.user);
    packages::freeze(tx, house.db.engine(), whose, submission.id, submission.migrated_from).await?;
    if submission.state == State::Queued {
        start(tx, house, submission, (submission.aim.purpose(), None), NORMAL).await?;
    }
    let entry = Entry::new(
        house.clock.now(),
        Actor::User(submission.user),
        "submission.accepted",
        ("submission", submission.id),
    )
    .competition(competition.id)
    .detail("digest", submission.digest.as_str())
    .detail("size", submission.size)
    .detail("aim", submission.aim.as_str())
    .detail("origin", submission.origin.as_str());
    audit::record(tx, entry).await?;
    super::announce(tx, house, submission, submission.disclosed_state).await
}

/// Puts a submission's runs in the queue: one for each task of its phase; a trial only where a task
/// has a twin. `rescore` is what they are part of.
///
/// # Errors
/// When the database fails.
pub(super) async fn start(
    tx: &mut Tx,
    house: &House,
    submission: &Submission,
    (purpose, rescore): (Purpose, Option<RescoreId>),
    priority: i64,
) -> Result<(), StoreError> {
    let tasks = contest_db::tasks_of_phase(tx, submission.phase).await?;
    // one closed run closes its siblings: which of them still wait tells when it ended
    let closed = purpose.may_close() && tasks.iter().any(|t| submission.kind.is_closed_by(&t.definition));
    for task in tasks {
        if purpose == Purpose::Trial && !task.definition.has_trial() {
            continue;
        }
        let run = NewRun {
            submission: submission.id,
            competition: submission.competition,
            team: submission.team,
            task: task.id,
            purpose,
            closed,
            rescore,
            priority,
        };
        queue::enqueue(tx, &house.clock, house.entropy, run).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::kept_name;

    #[test]
    fn a_long_name_keeps_its_ending() {
        assert_eq!(kept_name("预测.csv"), "预测.csv");
        let kept = kept_name(&format!("{}.parquet", "长".repeat(300)));
        assert_eq!((kept.chars().count(), kept.ends_with("长.parquet")), (200, true));
        assert_eq!(kept_name(&"x".repeat(300)).len(), 200);
    }
}
