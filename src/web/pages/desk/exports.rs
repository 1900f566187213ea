//! What an organizer takes along: the board, the submissions, the people, the bundle.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use serde::{Deserialize, Serialize};

use crate::airlock::{Cleared, Organizer, lane1};
use crate::contest::{entry, export};
use crate::lab::desk;
use crate::scoring::leaderboard::Scores;
use crate::submission::desk::db::{self, Filter};
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::{ColumnView, Hall};
use crate::web::pages::competition::stream;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/desk/exports", get(page))
        .route("/competitions/{slug}/desk/exports/{what}", get(export))
}

/// Exports that may take long.
pub(super) fn long() -> Router<App> {
    Router::new().route("/competitions/{slug}/desk/bundle.zip", get(bundle))
}

async fn page(frame: Frame, State(app): State<App>, Path(slug): Path<String>) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    hall.page(&app, &frame, "desk/exports.html", "exports").await?.render()
}

#[derive(Deserialize)]
struct Wanted {
    phase: Option<i64>,
}

/// A line of an export: plain cells, and scores by column for organizers.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    cells: serde_json::Map<String, serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scores: Vec<Cleared<Scores, Organizer>>,
}

/// A table: its columns, those that are scores, its lines.
struct Table {
    head: Vec<&'static str>,
    columns: Vec<ColumnView>,
    lines: Vec<Line>,
}

fn line(cells: serde_json::Value, scores: Vec<Cleared<Scores, Organizer>>) -> Line {
    let cells = match cells {
        serde_json::Value::Object(cells) => cells,
        _ => serde_json::Map::new(),
    };
    Line { cells, scores }
}

async fn export(
    frame: Frame,
    State(app): State<App>,
    Path((slug, what)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let (stem, ending) = what.split_once('.').ok_or_else(PageError::not_found)?;
    let table = match stem {
        "board" => board(&app, &hall, wanted.phase).await?,
        "submissions" => submissions(&app, &hall).await?,
        "participants" => participants(&app, &hall).await?,
        "sandboxes" => sandboxes(&app, &hall).await?,
        _ => return Err(PageError::not_found()),
    };
    let name = format!("{slug}-{what}");
    match ending {
        "json" => {
            let document = serde_json::to_vec_pretty(&table.lines).map_err(|e| PageError::internal(&e))?;
            Ok(stream::text(&name, "application/json", document))
        }
        "csv" => {
            let bytes = write(&table).map_err(|e| PageError::internal(&e))?;
            Ok(stream::csv(&name, &bytes))
        }
        _ => Err(PageError::not_found()),
    }
}

fn write(table: &Table) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = table.head.iter().map(|name| (*name).to_owned());
    writer.write_record(head.chain(table.columns.iter().map(|c| stream::cell(&c.key))))?;
    for line in &table.lines {
        let mut row: Vec<String> = Vec::new();
        for name in &table.head {
            row.push(match line.cells.get(*name) {
                Some(serde_json::Value::String(text)) => stream::cell(text),
                Some(serde_json::Value::Null) | None => String::new(),
                Some(value) => value.to_string(),
            });
        }
        for column in &table.columns {
            let value = line.scores.iter().find_map(|scores| scores.get().get(&column.key));
            row.push(value.map(|v| format!("{v:.6}")).unwrap_or_default());
        }
        writer.write_record(row)?;
    }
    Ok(writer.into_inner()?)
}

async fn board(app: &App, hall: &Hall, phase: Option<i64>) -> Result<Table, PageError> {
    let phase = hall.phase_begun(phase)?;
    let mut conn = app.db.read().await?;
    let definition = &hall.competition.definition.leaderboard;
    let board = app.boards.board(&mut conn, phase, definition).await?;
    let teams = app.boards.teams_on(&mut conn, hall.competition.id, (phase.id, &board)).await?;
    let ids: Vec<_> = board.rows.iter().map(|row| row.submission).collect();
    let mut scores = lane1::scores_for_organizer(&mut conn, definition, &ids).await?;
    let mut lines = Vec::new();
    for (row, rank) in board.rows.iter().zip(1_usize..) {
        let label = teams.get(&row.team);
        let cells = serde_json::json!({
            "rank": rank, "team": label.map(|l| &l.name), "members": label.map(|l| l.members.join("; ")),
            "submission": row.submission, "entries": row.entries, "submitted_at": row.submitted_at.to_string(),
        });
        lines.push(line(cells, scores.remove(&row.submission).into_iter().collect()));
    }
    let head = vec!["rank", "team", "members", "submission", "entries", "submitted_at"];
    Ok(Table { head, columns: hall.columns(), lines })
}

async fn submissions(app: &App, hall: &Hall) -> Result<Table, PageError> {
    let mut conn = app.db.read().await?;
    let teams = app.boards.teams(&mut conn, hall.competition.id).await?;
    let filter = Filter { limit: i64::from(u32::MAX), ..Filter::default() };
    let (found, _) = db::filtered(&mut conn, hall.competition.id, &filter).await?;
    let definition = &hall.competition.definition.leaderboard;
    let ids: Vec<_> = found.iter().map(|s| s.id).collect();
    let mut scores = lane1::scores_for_organizer(&mut conn, definition, &ids).await?;
    let mut lines = Vec::new();
    for s in found {
        let phase = hall.phases.iter().find(|p| p.id == s.phase).map(|p| p.position);
        let cells = serde_json::json!({
            "id": s.id, "phase": phase, "team": teams.get(&s.team).map(|l| &l.name), "user": s.user,
            "kind": s.kind, "aim": s.aim, "origin": s.origin, "file_name": s.file_name, "size": s.size, "digest": s.digest,
            "created_at": s.created_at.to_string(), "state": s.state, "reason": s.reason.code,
            "counts": s.counts, "disqualified": s.disqualified_reason,
            "nominated": s.nominated_at.is_some(),
        });
        lines.push(line(cells, scores.remove(&s.id).into_iter().collect()));
    }
    let head = vec![
        "id",
        "phase",
        "team",
        "user",
        "kind",
        "aim",
        "origin",
        "file_name",
        "size",
        "digest",
        "created_at",
        "state",
        "reason",
        "counts",
        "disqualified",
        "nominated",
    ];
    Ok(Table { head, columns: hall.columns(), lines })
}

async fn participants(app: &App, hall: &Hall) -> Result<Table, PageError> {
    let people = entry::participants(&mut *app.db.read().await?, &hall.competition).await?;
    let lines = people
        .into_iter()
        .map(|p| {
            let cells = serde_json::json!({
                "login": p.login, "name": p.name, "organisation": p.organisation, "state": p.state,
                "registered_at": p.registered_at.to_string(), "reason": p.reason,
            });
            line(cells, Vec::new())
        })
        .collect();
    let head = vec!["login", "name", "organisation", "state", "registered_at", "reason"];
    Ok(Table { head, columns: Vec::new(), lines })
}

/// What every sandbox has used (计量).
async fn sandboxes(app: &App, hall: &Hall) -> Result<Table, PageError> {
    let all = desk::all(&mut *app.db.read().await?, hall.competition.id).await?;
    let time = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string());
    let lines = all.into_iter().map(|found| {
        let s = found.sandbox;
        let cells = serde_json::json!({
            "id": s.id, "login": found.login, "name": found.name, "team": found.team, "state": s.state,
            "reason": s.reason, "requested_at": s.requested_at.to_string(), "started_at": time(s.started_at),
            "ready_at": time(s.ready_at), "ended_at": time(s.ended_at),
            "cpu_seconds": s.used.cpu_ms as f64 / 1000.0, "memory_gib_hours": s.used.memory_gib_hours(),
            "shown_bytes": s.used.shown_bytes, "kernels": s.used.kernels, "terminals": s.used.terminals,
            "memory_kills": s.memory_kills,
        });
        line(cells, Vec::new())
    });
    let head = vec![
        "id",
        "login",
        "name",
        "team",
        "state",
        "reason",
        "requested_at",
        "started_at",
        "ready_at",
        "ended_at",
        "cpu_seconds",
        "memory_gib_hours",
        "shown_bytes",
        "kernels",
        "terminals",
        "memory_kills",
    ];
    Ok(Table { head, columns: Vec::new(), lines: lines.collect() })
}

/// The bundle with the hidden data in it: it is made on a tmpfs, and gone when it was sent.
async fn bundle(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let (file, _) = export::export_to_send(&app.house, &hall.competition.slug, (&user.actor).into()).await?;
    let body = axum::body::Body::from_stream(tokio_util::io::ReaderStream::new(file));
    Ok(stream::text(&format!("{slug}.zip"), "application/zip", body))
}
