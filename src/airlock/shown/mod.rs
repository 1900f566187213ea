//! What boards have shown to anybody: how a team came to where it stands, and the latest rows of all
//! boards, and what signed rankings took from them. A score that never stood on a board is no part of it, though its team was told.

mod db;

use std::collections::HashMap;

use super::lane1::{for_team, visible};
use super::standings::db::{self as standings, Candidate};
use super::{Cleared, Public};
use crate::contest::definition::{Leaderboard, SubmissionRule};
use crate::ids::{PhaseId, TeamId};
use crate::scoring::leaderboard::{Scores, compare};
use crate::store::{Connection, StoreError};

pub use db::{Latest, SignedPart, latest, signed_parts};

/// What each of some teams had in the primary column of a phase's board after each of its scored
/// submissions, in order of time: the best so far, the last, or those the team put there, as the
/// board's rule says. Nothing for a team without a value, nor where the primary column is hidden.
///
/// # Errors
/// When the database fails.
pub async fn courses(
    conn: &mut Connection,
    board: &Leaderboard,
    phase: PhaseId,
    teams: &[TeamId],
) -> Result<HashMap<TeamId, Cleared<Vec<f64>, Public>>, StoreError> {
    let shown = visible(board);
    let column = board.primary().and_then(|primary| shown.columns.iter().find(|c| c.key == primary.key));
    let (Some(column), false) = (column, teams.is_empty()) else { return Ok(HashMap::new()) };
    let mut by_team: HashMap<TeamId, Vec<Candidate>> = HashMap::new();
    for candidate in standings::candidates(conn, phase, teams).await? {
        by_team.entry(candidate.team).or_default().push(candidate);
    }
    let course = |candidates: Vec<Candidate>| {
        let stood = stood(board, candidates);
        stood.iter().filter_map(|scores| scores.get(&column.key).copied()).collect::<Vec<f64>>()
    };
    let courses = by_team.into_iter().map(|(team, candidates)| (team, course(candidates)));
    Ok(courses.filter(|(_, c)| !c.is_empty()).map(|(team, c)| (team, Cleared::new(c))).collect())
}

/// The row that stood after each of a team's submissions.
fn stood(board: &Leaderboard, candidates: Vec<Candidate>) -> Vec<Scores> {
    let scored = candidates.into_iter().map(|c| (c.chosen, for_team(board, &c.payloads).team));
    match board.submission_rule {
        SubmissionRule::ForceBest => {
            let ranking = board.ranking_columns();
            let mut best: Option<Scores> = None;
            let so_far = scored.filter_map(|(_, scores)| {
                if best.as_ref().is_none_or(|b| compare(&ranking, &scores, b).is_lt()) {
                    best = Some(scores);
                }
                best.clone()
            });
            so_far.collect()
        }
        SubmissionRule::ForceLast | SubmissionRule::ForceLatestMultiple => scored.map(|(_, s)| s).collect(),
        SubmissionRule::Add | SubmissionRule::AddAndDelete | SubmissionRule::AddAndDeleteMultiple => {
            scored.filter(|(chosen, _)| *chosen).map(|(_, s)| s).collect()
        }
    }
}
