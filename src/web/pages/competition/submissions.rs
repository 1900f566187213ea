//! My submissions: the team's list with its history as a chart, and what a submission looks like to
//! those it belongs to.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use serde::{Deserialize, Serialize};

use super::chart::{self, Chart};
use super::hall::Hall;
use crate::airlock::{Cleared, Team as ForTeam, lane1};
use crate::contest::definition::SubmissionRule;
use crate::contest::entry;
use crate::contest::model::{Membership, Phase};
use crate::scoring::leaderboard::Scores;
use crate::store::{Connection, StoreError};
use crate::submission::db;
use crate::submission::model::{Aim, State as Told, Submission};
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::page::Frame;

/// Submissions on a page.
const PAGE: i64 = 50;

pub(super) fn router() -> Router<App> {
    Router::new().route("/competitions/{slug}/submissions", get(list))
}

/// A submission as its team sees it: the disclosed state alone.
#[derive(Serialize)]
pub(super) struct Item {
    pub id: String,
    pub file_name: String,
    pub size: u64,
    pub digest: String,
    pub message: String,
    pub kind: &'static str,
    pub trial: bool,
    pub created_at: jiff::Timestamp,
    pub state: &'static str,
    pub is_final: bool,
    pub code: String,
    pub text: String,
    pub counts: bool,
    pub disqualified: Option<String>,
    pub nominated: bool,
    pub chosen: bool,
    pub is_public: bool,
    pub migrated: bool,
    /// Whether its file is still there.
    pub kept: bool,
    pub outside: bool,
    pub by: String,
    pub scores: Option<Cleared<Scores, ForTeam>>,
    pub rank: Option<usize>,
}

/// What a team may be told of one of its submissions. Scores are read only once their telling is due.
pub(super) async fn item(
    conn: &mut Connection,
    hall: &Hall,
    submission: &Submission,
    members: &[Membership],
) -> Result<Item, StoreError> {
    let board = &hall.competition.definition.leaderboard;
    let finished = submission.disclosed_state == Told::Finished;
    let scores = match (finished, submission.aim == Aim::Trial) {
        (false, _) => None,
        (true, true) => Some(lane1::twin_for_team(conn, board, submission.id).await?.scores),
        (true, false) => Some(lane1::row_for_team(conn, board, submission.id).await?.scores),
    };
    let by = members.iter().find(|m| m.user == submission.user).map(|m| m.name.clone());
    let disqualified = submission.disqualified_at.map(|_| submission.disqualified_reason.clone());
    let told = submission.disclosed_state.is_final();
    Ok(Item {
        id: submission.id.to_string(),
        file_name: submission.file_name.clone(),
        size: submission.size,
        digest: submission.digest.clone(),
        message: submission.message.clone(),
        // both are found out when a run ends: of a closed one that is not told before its time
        kind: if told { submission.kind.as_str() } else { "unknown" },
        trial: submission.aim == Aim::Trial,
        created_at: submission.created_at,
        state: submission.shown_state().as_str(),
        is_final: submission.disclosed_state.is_final(),
        code: submission.disclosed_reason.code.clone(),
        text: submission.disclosed_reason.text.clone(),
        counts: submission.counts || !told,
        disqualified,
        nominated: submission.nominated_at.is_some(),
        chosen: submission.chosen,
        is_public: submission.is_public,
        migrated: submission.migrated_from.is_some(),
        kept: submission.has_file(),
        outside: submission.origin == crate::submission::model::Origin::Outside,
        by: by.unwrap_or_default(),
        scores,
        rank: None,
    })
}

/// Whether the competition's rule leaves it to the team what stands on the board.
pub(super) fn team_chooses(rule: SubmissionRule) -> bool {
    matches!(rule, SubmissionRule::Add | SubmissionRule::AddAndDelete | SubmissionRule::AddAndDeleteMultiple)
}

/// Whether a team may say which submissions to a phase go on: the next phase takes them over, and has
/// not done so yet.
pub(super) fn team_nominates(hall: &Hall, phase: &Phase) -> bool {
    let next = hall.phases.iter().find(|p| p.position == phase.position + 1);
    next.is_some_and(|p| p.definition.auto_migrate_to_this_phase && p.migrated_at.is_none())
}

#[derive(Deserialize)]
struct Wanted {
    phase: Option<i64>,
    #[serde(default)]
    page: i64,
}

async fn list(
    frame: Frame,
    State(app): State<App>,
    _: User,
    Path(slug): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let phase = hall.phase_begun(wanted.phase)?;
    let number = wanted.page.max(0);
    let (mut items, mut total, mut history): (Vec<Item>, i64, Option<Chart>) = (Vec::new(), 0, None);
    if let Some(team) = &hall.team {
        let mut conn = app.db.read().await?;
        let members = entry::db::members(&mut conn, team.id).await?;
        let span = (number.saturating_mul(PAGE), PAGE);
        let (submissions, all) = db::page_of_team(&mut conn, phase.id, team.id, span).await?;
        total = all;
        for submission in &submissions {
            items.push(item(&mut conn, &hall, submission, &members).await?);
        }
        history = chart::of_team(&mut conn, &hall, phase, team.id).await?;
        if hall.sees_board() {
            let definition = &hall.competition.definition.leaderboard;
            let board = app.boards.board(&mut conn, phase, definition).await?;
            for (item, submission) in items.iter_mut().zip(&submissions) {
                item.rank = board.rank(submission.id);
            }
        }
    }
    let d = &hall.competition.definition;
    hall.page(&app, &frame, "competition/submissions.html", "submissions")
        .await?
        .with("items", &items)
        .with("total", &total)
        .with("page", &number)
        .with("page_size", &PAGE)
        .with("phase", &phase.position)
        .with("columns", &hall.public_columns())
        .with("chart", &history)
        .with("chooses", &team_chooses(d.leaderboard.submission_rule))
        .with("finals", &d.finals_choose)
        .with("nominates", &team_nominates(&hall, phase))
        .with("most", &d.finals_choose.unwrap_or(1))
        .render()
}
