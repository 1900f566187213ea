//! The leaderboard, from memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};

use super::chart;
use super::hall::{ColumnView, Hall, primary_column};
use super::stream;
use crate::airlock::{Cleared, Organizer, Public};
use crate::contest::definition::FactQuestion;
use crate::contest::model::{Competition, Phase};
use crate::ids::TeamId;
use crate::scoring::board::{Board, Mark, Movement, Spark, Sparks, Teams};
use crate::scoring::leaderboard::{Entry, Scores};
use crate::submission::{board_topic, db};
use crate::web::App;
use crate::web::error::PageError;
use crate::web::page::Frame;

/// Rows on a page.
const PAGE: usize = 50;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/leaderboard", get(show))
        .route("/competitions/{slug}/leaderboard.csv", get(csv_of))
        .route("/competitions/{slug}/leaderboard/live", get(live))
}

/// A row on the page.
#[derive(Serialize)]
struct Row<'a> {
    rank: usize,
    /// How the team moved since the day began; said at its best row alone.
    movement: Option<Movement>,
    spark: Option<&'a Spark>,
    team: &'a str,
    members: String,
    mine: bool,
    scores: &'a Cleared<Scores, Public>,
    /// The hidden columns, on organizers' pages alone.
    hidden: Option<&'a Cleared<Scores, Organizer>>,
    facts: Vec<Option<&'a serde_json::Value>>,
    entries: i64,
    at: jiff::Timestamp,
}

#[derive(Deserialize)]
struct Wanted {
    phase: Option<i64>,
    #[serde(default)]
    q: String,
    #[serde(default)]
    page: usize,
}

/// A phase's board for one visitor.
struct Shown<'a> {
    hall: &'a Hall,
    board: &'a Board,
    teams: &'a Teams,
    questions: &'a [&'a FactQuestion],
    mark: Option<&'a Mark>,
    sparks: &'a Sparks,
}

impl Shown<'_> {
    fn row<'r>(&'r self, rank: usize, entry: &'r Entry<Public>) -> Row<'r> {
        let label = self.teams.get(&entry.team);
        let facts = self.board.facts(entry.submission);
        let best = self.board.best_rank(entry.team) == Some(rank);
        let others = label.map(|l| l.members.join("、")).unwrap_or_default();
        Row {
            rank,
            movement: self.mark.filter(|_| best).map(|mark| mark.movement(entry.team, rank)),
            spark: self.sparks.get(&entry.team).filter(|_| best).map(Arc::as_ref),
            team: label.map_or("", |l| l.name.as_str()),
            members: if label.is_some_and(|l| l.members.len() > 1) { others } else { String::new() },
            mine: self.hall.team.as_ref().is_some_and(|team| team.id == entry.team),
            scores: &entry.scores,
            hidden: if self.hall.organizer { self.board.hidden(entry.submission) } else { None },
            facts: self.questions.iter().map(|q| facts.and_then(|f| f.get(&q.key))).collect(),
            entries: entry.entries,
            at: entry.submitted_at,
        }
    }
}

/// The rows whose team or member has the text in its name, with their ranks.
fn found<'a>(board: &'a Board, teams: &Teams, wanted: &str) -> Vec<(usize, &'a Entry<Public>)> {
    let ranked = board.rows.iter().zip(1..).map(|(entry, rank)| (rank, entry));
    let wanted = wanted.trim().to_lowercase();
    if wanted.is_empty() {
        return ranked.collect();
    }
    let fits = |entry: &Entry<Public>| {
        teams.get(&entry.team).is_some_and(|label| {
            label.name.to_lowercase().contains(&wanted)
                || label.members.iter().any(|name| name.to_lowercase().contains(&wanted))
        })
    };
    ranked.filter(|(_, entry)| fits(entry)).collect()
}

/// What the rows of a page are shown with: the ranks of the morning, unless nobody had one, and the
/// lines of the teams.
async fn beside(
    app: &App,
    hall: &Hall,
    (phase, board): (&Phase, &Board),
    teams: &[TeamId],
) -> Result<(Option<Arc<Mark>>, Sparks), PageError> {
    let mut conn = app.db.read().await?;
    let definition = &hall.competition.definition.leaderboard;
    let mark = app.boards.mark(&mut conn, phase.id, hall.now).await?.filter(|mark| !mark.is_empty());
    let sparks = app.boards.sparks(&mut conn, (phase.id, board), definition, teams).await?;
    Ok((mark, sparks))
}

/// The board of a phase with its teams' names, where this visitor may see it.
async fn read(app: &App, hall: &Hall, phase: &Phase) -> Result<(Arc<Board>, Arc<Teams>), PageError> {
    if !hall.sees_board() {
        return Err(PageError::not_found());
    }
    let mut conn = app.db.read().await?;
    let definition = &hall.competition.definition.leaderboard;
    let board = app.boards.board(&mut conn, phase, definition).await?;
    let teams = app.boards.teams_on(&mut conn, hall.competition.id, (phase.id, &board)).await?;
    Ok((board, teams))
}

/// Whether two phases score against the same hidden data, or are one.
fn asks_the_same(competition: &Competition, one: &Phase, other: &Phase) -> bool {
    let sets = |phase: &Phase| -> BTreeSet<Option<String>> {
        let tasks = competition.definition.tasks.iter();
        let tasks = tasks.filter(|task| phase.definition.tasks.contains(&task.index));
        tasks
            .map(|t| t.hidden_set.clone().or_else(|| t.reference_data.as_ref().map(ToString::to_string)))
            .collect()
    };
    one.position != other.position && sets(one) == sets(other)
}

async fn show(
    frame: Frame,
    State(app): State<App>,
    Path(slug): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let phase = hall.phase_begun(wanted.phase)?;
    let (board, teams) = read(&app, &hall, phase).await?;
    let questions = hall.board_questions();
    let found = found(&board, &teams, &wanted.q);
    let on_page: Vec<_> = found.iter().skip(wanted.page.saturating_mul(PAGE)).take(PAGE).copied().collect();
    let mine =
        hall.team.as_ref().and_then(|team| Some((board.best_rank(team.id)?, board.best_row(team.id)?)));
    let mine = mine.filter(|(rank, _)| !on_page.iter().any(|(other, _)| other == rank));
    let whose: Vec<TeamId> = on_page.iter().chain(&mine).map(|(_, entry)| entry.team).collect();
    let (mark, sparks) = beside(&app, &hall, (phase, &board), &whose).await?;
    let shown = Shown {
        hall: &hall,
        board: &board,
        teams: &teams,
        questions: &questions,
        mark: mark.as_deref(),
        sparks: &sparks,
    };
    let rows: Vec<_> = on_page.iter().map(|(rank, entry)| shown.row(*rank, entry)).collect();
    let pinned = mine.map(|(rank, entry)| shown.row(rank, entry));
    let (history, public) = {
        let mut conn = app.db.read().await?;
        let history = match &hall.team {
            Some(team) => chart::of_team(&mut conn, &hall, phase, team.id).await?,
            None => None,
        };
        (history, db::public_of_phase(&mut conn, phase.id).await?)
    };
    let public: Vec<PublicFile> = public
        .iter()
        .filter_map(|s| {
            Some(PublicFile {
                id: s.id.to_string(),
                team: teams.get(&s.team)?.name.clone(),
                file_name: s.file_name.clone(),
                at: s.created_at,
            })
        })
        .collect();
    let final_set = phase.position > 0 && hall.phases.last().is_some_and(|last| last.id == phase.id);
    let same_as_last = hall.phases.last().is_some_and(|last| asks_the_same(&hall.competition, phase, last));
    let only_set = hall.phases.len() == 1 || same_as_last;
    hall.page(&app, &frame, "competition/leaderboard.html", "leaderboard")
        .await?
        .with("phase", &phase.position)
        .with("phase_name", hall.phase_name(phase))
        .with("final_set", &final_set)
        .with("only_phase", &only_set)
        .with("rows", &rows)
        .with("pinned", &pinned)
        .with("marked_at", &mark.as_ref().map(|mark| mark.taken_at))
        .with("lines", &!sparks.is_empty())
        .with("primary", &primary_column(&hall.competition, hall.locale))
        .with("columns", &hall.columns())
        .with("questions", &questions.iter().map(|q| q.title.as_str()).collect::<Vec<_>>())
        .with("total", &found.len())
        .with("all", &board.rows.len())
        .with("page", &wanted.page)
        .with("page_size", &PAGE)
        .with("q", &wanted.q)
        .with("chart", &history)
        .with("public", &public)
        .with("rule", &hall.competition.definition.leaderboard.submission_rule)
        .render()
}

/// A submission that its team made public.
#[derive(Serialize)]
struct PublicFile {
    id: String,
    team: String,
    file_name: String,
    at: jiff::Timestamp,
}

/// The whole board with six decimals.
async fn csv_of(
    frame: Frame,
    State(app): State<App>,
    Path(slug): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let phase = hall.phase_begun(wanted.phase)?;
    let (board, teams) = read(&app, &hall, phase).await?;
    let bytes =
        write_csv(&hall, &board, &teams, &hall.public_columns()).map_err(|e| PageError::internal(&e))?;
    let name = format!("{slug}-{}-leaderboard.csv", phase.position);
    Ok(stream::csv(&name, &bytes))
}

/// A board as CSV: the columns given, of those that anybody may read.
fn write_csv(
    hall: &Hall,
    board: &Board,
    teams: &Teams,
    columns: &[ColumnView],
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let questions = hall.board_questions();
    let head = ["rank", "team"].into_iter().map(str::to_owned);
    let head = head.chain(columns.iter().map(|c| stream::cell(&c.key)));
    let head = head.chain(questions.iter().map(|q| stream::cell(&q.key)));
    writer.write_record(head.chain(["entries", "submitted_at"].map(str::to_owned)))?;
    for (entry, rank) in board.rows.iter().zip(1_usize..) {
        let name = teams.get(&entry.team).map_or("", |label| label.name.as_str());
        let mut row = vec![rank.to_string(), stream::cell(name)];
        let number = |value: &f64| format!("{value:.6}");
        row.extend(columns.iter().map(|c| entry.scores.get().get(&c.key).map(number).unwrap_or_default()));
        let facts = board.facts(entry.submission);
        row.extend(questions.iter().map(|q| match facts.and_then(|f| f.get(&q.key)) {
            Some(serde_json::Value::String(text)) => stream::cell(text),
            Some(value) => value.to_string(),
            None => String::new(),
        }));
        row.push(entry.entries.to_string());
        row.push(entry.submitted_at.to_string());
        writer.write_record(row)?;
    }
    Ok(writer.into_inner()?)
}

async fn live(
    frame: Frame,
    State(app): State<App>,
    headers: HeaderMap,
    Path(slug): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    if !hall.sees_board() {
        return Err(PageError::not_found());
    }
    let phase = hall.phase_begun(wanted.phase)?;
    let who = match frame.actor() {
        Some(actor) => actor.user.to_string(),
        None => frame.visit().address.clone(),
    };
    Ok(app.live.stream(&who, vec![board_topic(phase.id)], &headers).await?.into_response())
}
