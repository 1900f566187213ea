//! Entries on the desk: who has submitted what, what in it names its authors, time beyond the deadline.

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::contest::entry::db as entry_db;
use crate::ids::{EntryFileId, TeamId};
use crate::judging::entries::{self, Entry, Judged, Version, Window, db, leaks};
use crate::store::Connection;
use crate::web::App;
use crate::web::entries::{EntryView, LeakView, TeamView, respond};
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::Hall;
use crate::web::pages::competition::stream;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/desk/entries", get(list))
        .route("/competitions/{slug}/desk/entries.csv", get(export))
        .route("/competitions/{slug}/desk/entries.zip", get(archive))
        .route("/competitions/{slug}/desk/entries/{number}", get(one))
        .route("/competitions/{slug}/desk/entries/{number}/files/{id}", get(file))
        .route("/competitions/{slug}/desk/entries/{number}/report.md", get(report))
        .route("/competitions/{slug}/desk/entries/{number}/unsubmit", post(unsubmit))
        .route("/competitions/{slug}/desk/entries/{number}/late", post(late))
        .route("/competitions/{slug}/desk/entries/{number}/showcase", post(showcase))
}

#[derive(Serialize)]
struct Line {
    number: i64,
    team: String,
    title: String,
    state: &'static str,
    versions: i64,
    submitted_at: Option<Timestamp>,
    late_until: Option<Timestamp>,
    published: bool,
    /// Things in what is submitted that name its authors.
    leaks: usize,
    /// Those that judges get to see.
    seen: usize,
}

/// The competition, where it has entries, for its organizers.
async fn enter(app: &App, frame: &Frame, slug: &str) -> Result<Hall, PageError> {
    let hall = Hall::enter_desk(app, frame, slug).await?;
    if hall.entries.is_some() { Ok(hall) } else { Err(PageError::not_found()) }
}

async fn lines(app: &App, conn: &mut Connection, hall: &Hall) -> Result<Vec<Line>, PageError> {
    let id = hall.competition.id;
    let teams = app.boards.teams(conn, id).await?;
    let standing: HashMap<_, Version> = db::standing(conn, id).await?.into_iter().collect();
    let versions = db::version_counts(conn, id).await?;
    let reports = db::reports(conn, id).await?;
    let names = entries::all_names(conn, id).await?;
    let nobody = entries::mask::Names::default();
    let lines = db::all(conn, id).await?.into_iter().map(|entry| {
        let version = standing.get(&entry.id);
        let told = version
            .map(|version| leaks(&version.content, &reports, names.get(&entry.team).unwrap_or(&nobody)));
        let told = told.unwrap_or_default();
        let named: Vec<_> = told.iter().filter(|leak| !matches!(leak.kind, "unread" | "link")).collect();
        Line {
            number: entry.number,
            team: teams.get(&entry.team).map(|label| label.name.clone()).unwrap_or_default(),
            title: version.map(|version| version.content.title.clone()).unwrap_or_default(),
            state: entry.state.as_str(),
            versions: versions.get(&entry.id).copied().unwrap_or(0),
            submitted_at: entry.submitted_at,
            late_until: entry.late_until.filter(|until| hall.now < *until),
            published: entry.published_at.is_some(),
            leaks: named.len(),
            seen: named.iter().filter(|leak| leak.is_seen()).count(),
        }
    });
    Ok(lines.collect())
}

async fn list(frame: Frame, State(app): State<App>, Path(slug): Path<String>) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, &slug).await?;
    let mut conn = app.db.read().await?;
    let lines = lines(&app, &mut conn, &hall).await?;
    drop(conn);
    let window = hall.entries.as_ref().map(|rules| Window::of(rules, &hall.phases));
    let submitted = lines.iter().filter(|line| line.state == "submitted").count();
    hall.page(&app, &frame, "desk/entries.html", "entries")
        .await?
        .with("lines", &lines)
        .with("submitted", &submitted)
        .with("closes", &window.and_then(|window| window.closes))
        .render()
}

async fn export(
    frame: Frame,
    State(app): State<App>,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, &slug).await?;
    let mut conn = app.db.read().await?;
    let lines = lines(&app, &mut conn, &hall).await?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    let write = |writer: &mut csv::Writer<Vec<u8>>| {
        writer.write_record([
            "number",
            "team",
            "title",
            "state",
            "versions",
            "submitted_at",
            "names_found",
        ])?;
        for line in &lines {
            let at = line.submitted_at.map(|at| at.to_string()).unwrap_or_default();
            writer.write_record([
                line.number.to_string(),
                stream::cell(&line.team),
                stream::cell(&line.title),
                line.state.to_owned(),
                line.versions.to_string(),
                at,
                line.leaks.to_string(),
            ])?;
        }
        Ok::<_, csv::Error>(())
    };
    write(&mut writer).map_err(|error| PageError::internal(&error))?;
    let bytes = writer.into_inner().map_err(|error| PageError::internal(&error))?;
    Ok(stream::csv(&format!("{slug}-entries.csv"), &bytes))
}

/// What was submitted, with every file.
async fn archive(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, &slug).await?;
    let zip = entries::archive::all(&app.house, hall.competition.id, (&user.actor).into()).await?;
    Ok(stream::text(&format!("{slug}-entries.zip"), "application/zip", Body::from_stream(zip)))
}

/// An entry of the competition, by its number.
async fn found(conn: &mut Connection, hall: &Hall, number: i64) -> Result<Entry, PageError> {
    db::by_number(conn, hall.competition.id, number).await?.ok_or_else(PageError::not_found)
}

/// What an organizer may read of an entry: what was submitted, also where it was taken back. A draft is
/// the team's own until then.
async fn readable(conn: &mut Connection, entry: &Entry) -> Result<Option<Version>, PageError> {
    let Some(number) = entry.submitted_version else { return Ok(None) };
    Ok(db::version_of(conn, entry.id, number).await?)
}

async fn team_view(conn: &mut Connection, team: TeamId) -> Result<TeamView, PageError> {
    let found = entry_db::team_by_id(conn, team).await?.ok_or_else(PageError::not_found)?;
    let members = entry_db::members(conn, team).await?;
    let present = members.into_iter().filter(|member| member.left_at.is_none());
    Ok(TeamView { name: found.name, members: present.map(|member| member.name).collect() })
}

async fn one(
    frame: Frame,
    State(app): State<App>,
    Path((slug, number)): Path<(String, i64)>,
) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, &slug).await?;
    let mut conn = app.db.read().await?;
    let entry = found(&mut conn, &hall, number).await?;
    let team = team_view(&mut conn, entry.team).await?;
    let name = team.name.clone();
    let version = readable(&mut conn, &entry).await?;
    let files = db::files(&mut conn, entry.id).await?;
    let names = entries::names(&mut conn, hall.competition.id, entry.team).await?;
    let versions = db::versions(&mut conn, entry.id).await?;
    drop(conn);
    let base = format!("{}/desk/entries/{number}/files", hall.base());
    let told = version.as_ref().map(|version| leaks(&version.content, &files, &names)).unwrap_or_default();
    let told: Vec<LeakView> = told.into_iter().map(LeakView::from).collect();
    let named = version.as_ref().map(|v| EntryView::named(number, &v.content, &files, &base, team));
    let has_text = version.as_ref().is_some_and(|version| !version.content.report.is_empty());
    let blind = version.map(|version| {
        EntryView::blind(&Judged { id: entry.id, number, content: version.content, names }, &files, &base)
    });
    let submissions: Vec<_> = versions
        .iter()
        .filter(|version| version.cause == entries::Cause::Submitted)
        .map(|version| serde_json::json!({ "number": version.number, "at": version.at, "title": version.content.title }))
        .collect();
    hall.page(&app, &frame, "desk/entry.html", "entries")
        .await?
        .with("number", &number)
        .with("team", &name)
        .with("state", &entry.state.as_str())
        .with("submitted_at", &entry.submitted_at)
        .with("withdrawn_reason", &entry.withdrawn_reason)
        .with("late_until", &entry.late_until.filter(|until| hall.now < *until))
        .with("late_reason", &entry.late_reason)
        .with("published", &entry.published_at.is_some())
        .with("hidden_reason", &entry.hidden_reason)
        .with("leaks", &told)
        .with("named", &named)
        .with("blind", &blind)
        .with("has_text", &has_text)
        .with("submissions", &submissions)
        .render()
}

async fn file(
    frame: Frame,
    State(app): State<App>,
    Path((slug, number, id)): Path<(String, i64, String)>,
) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, &slug).await?;
    let id: EntryFileId = id.parse().map_err(|_| PageError::not_found())?;
    let mut conn = app.db.read().await?;
    let entry = found(&mut conn, &hall, number).await?;
    let version = readable(&mut conn, &entry).await?.ok_or_else(PageError::not_found)?;
    let (file, reader) = entries::open(&app.house, &mut conn, entry.id, &version.content, id).await?;
    Ok(respond(number, &file, reader))
}

/// The report written as text, as it was written.
async fn report(
    frame: Frame,
    State(app): State<App>,
    Path((slug, number)): Path<(String, i64)>,
) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, &slug).await?;
    let mut conn = app.db.read().await?;
    let entry = found(&mut conn, &hall, number).await?;
    let version = readable(&mut conn, &entry).await?.ok_or_else(PageError::not_found)?;
    let name = format!("{slug}-entry-{number}.md");
    Ok(stream::text(&name, "text/markdown; charset=utf-8", version.content.report))
}

#[derive(Deserialize)]
struct Decision {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    hours: i64,
}

async fn unsubmit(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, number)): Path<(String, i64)>,
    Form(decision): Form<Decision>,
) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, &slug).await?;
    let entry = found(&mut *app.db.read().await?, &hall, number).await?;
    entries::unsubmit(&app.house, &entry, (&user.actor).into(), &decision.reason).await?;
    Ok(frame.done(&format!("{}/desk/entries/{number}", hall.base()), "flash-entry-unsubmitted"))
}

async fn late(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, number)): Path<(String, i64)>,
    Form(decision): Form<Decision>,
) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, &slug).await?;
    let entry = found(&mut *app.db.read().await?, &hall, number).await?;
    let hours = decision.hours.clamp(0, (entries::LATE_DAYS + 1) * 24);
    let until = hall.now + SignedDuration::from_hours(hours);
    entries::allow_late(&app.house, &entry, (&user.actor).into(), until, &decision.reason).await?;
    Ok(frame.done(&format!("{}/desk/entries/{number}", hall.base()), "flash-entry-late"))
}

async fn showcase(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, number)): Path<(String, i64)>,
    Form(decision): Form<Decision>,
) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, &slug).await?;
    let entry = found(&mut *app.db.read().await?, &hall, number).await?;
    entries::take_down(&app.house, &entry, (&user.actor).into(), &decision.reason).await?;
    Ok(frame.done(&format!("{}/desk/entries/{number}", hall.base()), "flash-saved"))
}
