//! Lane 1, scores: what a run's outcome becomes before anybody is told, and the board made of it.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::db::{self, Context, Payload};
use super::rule::{self, ColumnRule, ENDING_BITS, OUTCOME_BITS, Refusal};
use super::standings::db::{self as standings, Candidate, Standing};
use super::{Cleared, Hidden, Organizer, Team};
use crate::contest::definition::{Leaderboard, SubmissionRule};
use crate::house::House;
use crate::ids::{PhaseId, SubmissionId, TaskId, TeamId};
use crate::scoring::leaderboard::{Scores, compare, join};
use crate::store::{Connection, ObjectError, ObjectKey, Objects, StoreError, Tx};

/// Whether a reply is the submission's own or a rescore's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// The submission's score.
    Score,
    /// A rescore's; the earlier reply stays beside it.
    Rescore,
}

/// Clears a run's exact scores under the phase's rule: writes the reply and charges the ledger in
/// the caller's transaction. A refusal is itself a reply, and charged.
///
/// # Errors
/// When the database fails.
pub async fn reply_scores(
    tx: &mut Tx,
    house: &House,
    context: &Context,
    task: TaskId,
    kind: ReplyKind,
    columns: &[ColumnRule],
    scores: Hidden<Scores>,
) -> Result<Result<(), Refusal>, StoreError> {
    let now = house.clock.now();
    match rule::judge(columns, &scores.into_inner()) {
        Ok(verdict) => {
            let kind = match kind {
                ReplyKind::Score => "score",
                ReplyKind::Rescore => "rescore",
            };
            let payload = Payload { task: Some(task), team: verdict.team, organizer: verdict.organizer };
            db::insert(tx, house.entropy.id(&house.clock), context, kind, &payload, verdict.bits, now)
                .await?;
            Ok(Ok(()))
        }
        Err(refusal) => {
            reply_failure(tx, house, context, task, rule::failure_bits(columns.len())).await?;
            Ok(Err(refusal))
        }
    }
}

/// Clears the scores of a run on the twin, whose reference data is public: nothing is charged.
///
/// # Errors
/// When the database fails.
pub async fn reply_twin(
    tx: &mut Tx,
    house: &House,
    context: &Context,
    task: TaskId,
    columns: &[ColumnRule],
    scores: Hidden<Scores>,
) -> Result<Result<(), Refusal>, StoreError> {
    match rule::judge(columns, &scores.into_inner()) {
        Ok(verdict) => {
            let payload = Payload { task: Some(task), team: verdict.team, organizer: verdict.organizer };
            db::insert(tx, house.entropy.id(&house.clock), context, "twin", &payload, 0.0, house.clock.now())
                .await?;
            Ok(Ok(()))
        }
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// Keeps a run's exact scores sealed, for final standings and disputes, and gives them back.
///
/// # Errors
/// When the object store fails.
pub async fn keep_exact(
    objects: &Objects,
    key: &ObjectKey,
    scores: Hidden<Scores>,
) -> Result<Hidden<Scores>, ObjectError> {
    let exact = scores.into_inner();
    // as the numbers' bits, which JSON would not keep to the last digit
    let bits: std::collections::BTreeMap<&str, u64> =
        exact.iter().map(|(key, value)| (key.as_str(), value.to_bits())).collect();
    let document = serde_json::to_vec(&bits).unwrap_or_default();
    objects.put_bytes(key, &document).await?;
    Ok(Hidden::new(exact))
}

/// Charges for telling that a run's scoring failed (a scorer's exit code derives from hidden data):
/// [`rule::failure_bits`] where the text says why, [`ENDING_BITS`] where it does not.
///
/// # Errors
/// When the database fails.
pub async fn reply_failure(
    tx: &mut Tx,
    house: &House,
    context: &Context,
    task: TaskId,
    bits: f64,
) -> Result<(), StoreError> {
    let payload = Payload { task: Some(task), ..Payload::default() };
    let now = house.clock.now();
    db::insert(tx, house.entropy.id(&house.clock), context, "failure", &payload, bits, now).await
}

/// Charges for telling that a closed run failed, and nothing more.
///
/// # Errors
/// When the database fails.
pub async fn reply_closed_failure(
    tx: &mut Tx,
    house: &House,
    context: &Context,
    task: TaskId,
) -> Result<(), StoreError> {
    reply_failure(tx, house, context, task, ENDING_BITS).await
}

/// A time at which the outcome of a closed run is told, and what telling it then is charged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick {
    /// The time.
    pub at: Timestamp,
    /// Bits.
    pub bits: f64,
}

/// When the outcome of a closed run is told: the first of 1 s, 10 s, 60 s or the step's limit after
/// its start that has not passed when it ends. A run whose two steps together, or whose tasks one
/// after the other, take longer than the limit is told at the next multiple of it: its exact end is
/// never told.
///
/// The charge is the length of a prefix code: [`OUTCOME_BITS`] for each of the first three ticks,
/// and for the k-th tick after them k bits more, so that the code is complete.
pub fn release_tick(started: Timestamp, ended: Timestamp, limit: Duration) -> Tick {
    let limit = limit.max(Duration::from_secs(60));
    let first = [1, 10, 60].map(Duration::from_secs);
    let after = |tick: Duration| started.checked_add(tick).unwrap_or(Timestamp::MAX);
    if let Some(tick) = first.into_iter().map(after).find(|&tick| tick >= ended) {
        return Tick { at: tick, bits: OUTCOME_BITS };
    }
    let mut multiple: u32 = 1;
    while after(limit.saturating_mul(multiple)) < ended {
        multiple += 1;
    }
    Tick { at: after(limit.saturating_mul(multiple)), bits: OUTCOME_BITS + f64::from(multiple) }
}

/// Charges for telling when a closed run ended: `bits` are those of its [`Tick`].
///
/// # Errors
/// When the database fails.
pub async fn reply_outcome(
    tx: &mut Tx,
    house: &House,
    context: &Context,
    task: TaskId,
    bits: f64,
) -> Result<(), StoreError> {
    let payload = Payload { task: Some(task), ..Payload::default() };
    let now = house.clock.now();
    db::insert(tx, house.entropy.id(&house.clock), context, "outcome", &payload, bits, now).await
}

/// What a team was told of a submission: the row that the leaderboard would show, and each task's
/// scores.
#[derive(Clone, Debug)]
pub struct Row<A: super::Audience> {
    /// The row, with computed columns.
    pub scores: Cleared<Scores, A>,
    /// Scores by task.
    pub tasks: Vec<(Option<TaskId>, Cleared<Scores, A>)>,
}

/// What a team was told of a submission: nothing before its outcome is told. A trial's scores are
/// those on the twin.
///
/// # Errors
/// When the database fails.
pub async fn row_for_team(
    conn: &mut Connection,
    board: &Leaderboard,
    submission: SubmissionId,
) -> Result<Row<Team>, StoreError> {
    Ok(team_row(board, db::newest_told(conn, submission).await?))
}

/// The scores on the twin of a submission whose run on hidden input failed.
///
/// # Errors
/// When the database fails.
pub async fn row_on_twin(
    conn: &mut Connection,
    board: &Leaderboard,
    submission: SubmissionId,
) -> Result<Row<Team>, StoreError> {
    Ok(team_row(board, db::newest_on_twin(conn, submission).await?))
}

fn team_row(board: &Leaderboard, payloads: Vec<Payload>) -> Row<Team> {
    let row = for_team(board, &payloads);
    let shown = visible(board);
    let now_shown = |mut scores: Scores| {
        scores.retain(|key, _| shown.columns.iter().any(|column| column.key == *key));
        Cleared::new(scores)
    };
    let tasks = payloads.into_iter().map(|p| (p.task, now_shown(p.team))).collect();
    Row { scores: Cleared::new(row.team), tasks }
}

/// What organizers may see of a submission: hidden columns too, and before the team is told.
///
/// # Errors
/// When the database fails.
pub async fn row_for_organizer(
    conn: &mut Connection,
    board: &Leaderboard,
    submission: SubmissionId,
) -> Result<Row<Organizer>, StoreError> {
    let payloads = db::newest_scores(conn, submission).await?;
    Ok(whole_row(board, payloads))
}

/// The scores of a submission that was rescored, as they were before and as they are.
///
/// # Errors
/// When the database fails.
pub async fn rescored_for_team(
    conn: &mut Connection,
    board: &Leaderboard,
    submission: SubmissionId,
) -> Result<(Cleared<Scores, Team>, Cleared<Scores, Team>), StoreError> {
    let before = db::scores_before_rescore(conn, submission).await?;
    let now = db::newest_told(conn, submission).await?;
    Ok((team_row(board, before).scores, team_row(board, now).scores))
}

/// The scores of many submissions for organizers, empty where there are none.
///
/// # Errors
/// When the database fails.
pub async fn scores_for_organizer(
    conn: &mut Connection,
    board: &Leaderboard,
    submissions: &[SubmissionId],
) -> Result<HashMap<SubmissionId, Cleared<Scores, Organizer>>, StoreError> {
    /// Bound in one query; PostgreSQL takes 65,535 and SQLite 32,766.
    const AT_ONCE: usize = 1000;
    let mut scores = HashMap::new();
    for part in submissions.chunks(AT_ONCE) {
        let mut found = db::newest_scores_of(conn, part).await?;
        for id in part {
            scores.insert(*id, whole_row(board, found.remove(id).unwrap_or_default()).scores);
        }
    }
    Ok(scores)
}

fn whole_row(board: &Leaderboard, payloads: Vec<db::Payload>) -> Row<Organizer> {
    let row = for_team(board, &payloads);
    let all = |team: Scores, organizer: Scores| Cleared::new(team.into_iter().chain(organizer).collect());
    let tasks = payloads.into_iter().map(|p| (p.task, all(p.team, p.organizer))).collect();
    Row { scores: all(row.team, row.organizer), tasks }
}

/// What a team was told of a trial run, or of the twin that ran after a failure.
///
/// # Errors
/// When the database fails.
pub async fn twin_for_team(
    conn: &mut Connection,
    board: &Leaderboard,
    submission: SubmissionId,
) -> Result<Row<Team>, StoreError> {
    let payloads = db::newest_twin(conn, submission).await?;
    let row = for_team(board, &payloads);
    let tasks = payloads.into_iter().map(|p| (p.task, Cleared::new(p.team))).collect();
    Ok(Row { scores: Cleared::new(row.team), tasks })
}

/// The most of a log that is shown, in bytes.
pub const LOG_SHOWN: u64 = 4 << 20;

/// A sealed log of a run, for the competition's organizers. They may read it because the reference
/// data came in their own bundle, which is the only place it can come from today.
///
/// # Errors
/// When the object store fails, or the log is larger than [`LOG_SHOWN`].
pub async fn scoring_log_for_organizer(
    objects: &Objects,
    key: &ObjectKey,
) -> Result<Cleared<String, Organizer>, ObjectError> {
    let bytes = objects.open_hidden_bytes(key, LOG_SHOWN).await?.into_inner();
    Ok(Cleared::new(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Whether a score of the submission was ever told.
///
/// # Errors
/// When the database fails.
pub async fn was_scored(conn: &mut Connection, submission: SubmissionId) -> Result<bool, StoreError> {
    db::has_scores(conn, submission).await
}

/// Joins tasks and adds computed columns. A computed column that rests on a hidden one, or is itself
/// hidden, goes to organizers alone.
pub(super) fn for_team(board: &Leaderboard, payloads: &[Payload]) -> Payload {
    let team = join(&visible(board), payloads.iter().map(|p| &p.team));
    let whole = |p: &Payload| p.team.clone().into_iter().chain(p.organizer.clone()).collect::<Scores>();
    let whole: Vec<Scores> = payloads.iter().map(whole).collect();
    let everything = join(board, &whole);
    let organizer = everything.into_iter().filter(|(key, _)| !team.contains_key(key)).collect();
    // means have more decimals than what they are made of
    let rounded = |scores: Scores| scores.into_iter().map(|(key, v)| (key, rule::round(v))).collect();
    Payload { task: None, team: rounded(team), organizer: rounded(organizer) }
}

/// The board without its hidden columns and without the computed columns that rest on them: what
/// anybody but an organizer may know of it.
pub fn visible(board: &Leaderboard) -> Leaderboard {
    let mut visible = board.clone();
    loop {
        let before = visible.columns.len();
        let indexes: Vec<i64> = visible.columns.iter().filter(|c| !c.hidden).map(|c| c.index).collect();
        let any_plain_hidden = board.columns.iter().any(|c| c.hidden && c.computation.is_none());
        visible.columns.retain(|c| {
            let rests_on_hidden = c.computation.is_some()
                && match c.computation_indexes.is_empty() {
                    true => any_plain_hidden,
                    false => c.computation_indexes.iter().any(|i| !indexes.contains(i)),
                };
            !c.hidden && !rests_on_hidden
        });
        if visible.columns.len() == before {
            return visible;
        }
    }
}

/// Puts the right submissions of a team on the board of a phase, after one of them was told, chosen,
/// disqualified or rescored. The board is made of replies alone.
///
/// # Errors
/// When the database fails.
pub async fn update_standing(
    tx: &mut Tx,
    board: &Leaderboard,
    phase: PhaseId,
    team: TeamId,
) -> Result<i64, StoreError> {
    let version = standings::next_version(tx, phase).await?;
    let candidates = standings::candidates(tx, phase, &[team]).await?;
    let entries = i64::try_from(candidates.len()).unwrap_or(i64::MAX);
    let rows: Vec<(Candidate, Payload)> = candidates
        .into_iter()
        .map(|c| {
            let payload = for_team(board, &c.payloads);
            (c, payload)
        })
        .collect();
    let standing = standing_rows(board, rows);
    let keep: Vec<SubmissionId> = standing.iter().map(|(c, _)| c.submission).collect();
    standings::remove_standings(tx, phase, team, &keep, version).await?;
    for (candidate, scores) in standing {
        let row = Standing {
            phase,
            submission: candidate.submission,
            team,
            scores,
            submitted_at: candidate.submitted_at,
            entries,
        };
        standings::put_standing(tx, &row, version).await?;
    }
    Ok(version)
}

/// A team's submissions to a phase that improved on all its earlier ones, in order of time.
///
/// # Errors
/// When the database fails.
pub async fn improvements(
    conn: &mut Connection,
    board: &Leaderboard,
    phase: PhaseId,
    team: TeamId,
) -> Result<Vec<SubmissionId>, StoreError> {
    let ranking = board.ranking_columns();
    let mut best: Option<Scores> = None;
    let mut improved = Vec::new();
    for candidate in standings::candidates(conn, phase, &[team]).await? {
        let scores = for_team(board, &candidate.payloads).team;
        if best.as_ref().is_none_or(|b| compare(&ranking, &scores, b).is_lt()) {
            improved.push(candidate.submission);
            best = Some(scores);
        }
    }
    Ok(improved)
}

/// Applies the submission rule to a team's candidates, which come in order of time.
fn standing_rows(board: &Leaderboard, mut rows: Vec<(Candidate, Payload)>) -> Vec<(Candidate, Payload)> {
    let last = |rows: Vec<(Candidate, Payload)>| rows.into_iter().next_back().into_iter().collect();
    match board.submission_rule {
        SubmissionRule::ForceLatestMultiple => rows,
        SubmissionRule::ForceLast => last(rows),
        SubmissionRule::ForceBest => {
            let ranking = board.ranking_columns();
            // a stable sort: of equals, the earlier one stands
            rows.sort_by(|(_, a), (_, b)| compare(&ranking, &a.team, &b.team));
            rows.truncate(1);
            rows
        }
        SubmissionRule::AddAndDeleteMultiple => {
            rows.retain(|(c, _)| c.chosen);
            rows
        }
        SubmissionRule::Add | SubmissionRule::AddAndDelete => {
            rows.retain(|(c, _)| c.chosen);
            last(rows)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_run_is_told_at_the_first_tick_after_its_end() {
        let start = Timestamp::UNIX_EPOCH;
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let limit = Duration::from_secs(600);
        for (ended, told, bits) in [
            (0, 1_000, 2.0),
            (1_000, 1_000, 2.0),
            (1_001, 10_000, 2.0),
            (10_001, 60_000, 2.0),
            (60_001, 600_000, 3.0),
            (600_001, 1_200_000, 4.0),
            (1_200_001, 1_800_000, 5.0),
        ] {
            let tick = Tick { at: at(told), bits };
            assert_eq!(release_tick(start, at(ended), limit), tick, "ended at {ended} ms");
        }
    }

    #[test]
    fn the_ticks_code_is_a_prefix_code() {
        let start = Timestamp::UNIX_EPOCH;
        let limit = Duration::from_secs(100);
        let ends = [1, 10, 60].into_iter().chain((1..40).map(|k| 100 * k));
        let sum: f64 = ends
            .map(|s| release_tick(start, Timestamp::from_second(s).unwrap(), limit))
            .map(|tick| (-tick.bits).exp2())
            .sum();
        assert!((0.999..=1.0).contains(&sum), "{sum}");
    }

    #[test]
    fn a_limit_below_a_minute_adds_no_tick_before_it() {
        let start = Timestamp::UNIX_EPOCH;
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let tick = release_tick(start, at(60_001), Duration::from_secs(5));
        assert_eq!(tick, Tick { at: at(120_000), bits: 4.0 });
    }
}
