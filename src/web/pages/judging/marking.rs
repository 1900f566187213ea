//! What is a judge's to mark in a competition, and the sheet of one entry.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::sheet_view::{criteria, number, read_sheet};
use super::{app, seen};
use crate::contest::definition::judging::Judging;
use crate::judging::panel::{self, With};
use crate::judging::sheet::{self, Desk};
use crate::judging::{Assignment, AssignmentState, JudgingError, PanelState, Seat, Sheet, entries, rubric};
use crate::web::App;
use crate::web::error::{Explain, PageError};
use crate::web::guard::User;
use crate::web::limits::Limited;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::Hall;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/judging", get(list))
        .route("/competitions/{slug}/judging/{number}", get(page))
        .route("/competitions/{slug}/judging/{number}/draft", post(draft))
        .route("/competitions/{slug}/judging/{number}/submit", post(submit))
        .route("/competitions/{slug}/judging/{number}/back", post(back))
        .route("/competitions/{slug}/judging/{number}/conflict", post(conflict))
}

/// One entry in a judge's list.
#[derive(Serialize)]
struct Line {
    number: i64,
    title: String,
    state: &'static str,
    round: i64,
    marked: usize,
    saved_at: Option<Timestamp>,
}

/// Where an assignment stands for its judge.
fn word(assignment: &Assignment) -> &'static str {
    match (assignment.state, assignment.saved_at) {
        (AssignmentState::Submitted, _) => "submitted",
        (_, None) => "new",
        _ => "draft",
    }
}

/// The entry to mark next after a number: the first open one beyond it, else the first of all.
fn next_after(mine: &[Assignment], number: i64) -> Option<i64> {
    let open = || mine.iter().filter(|a| a.state == AssignmentState::Assigned && a.number != number);
    open().find(|a| a.number > number).or_else(|| open().next()).map(|a| a.number)
}

async fn list(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    if !user.actor.may_judge(hall.competition.id) {
        return Err(PageError::forbidden());
    }
    let mut conn = app.db.read().await?;
    let seats = panel::db::seats(&mut conn, user.actor.user).await?;
    let seats: Vec<_> = seats.into_iter().filter(|(p, _)| p.competition == hall.competition.id).collect();
    let force = rubric::in_force(&mut conn, hall.competition.id).await?;
    let judging = force.map(|(_, judging)| judging);
    let mine = sheet::list(&mut conn, hall.competition.id, user.actor.user).await?;
    let titles = titles(&mut conn, &hall, judging.as_ref()).await?;
    let line = |a: &Assignment| Line {
        number: a.number,
        title: titles.iter().find(|(id, _)| *id == a.entry).map(|(_, t)| t.clone()).unwrap_or_default(),
        state: word(a),
        round: a.round,
        marked: a.sheet.marks.len(),
        saved_at: a.saved_at,
    };
    let lines: Vec<Line> = mine.iter().map(line).collect();
    let done = mine.iter().filter(|a| a.state == AssignmentState::Submitted).count();
    let open = seats.iter().any(|(panel, _)| panel.state == PanelState::Open);
    let panels: Vec<_> = seats
        .iter()
        .map(|(p, j)| json!({"id": p.id, "name": p.name, "chair": j.chair, "state": p.state, "invited": j.state.as_str() == "invited"}))
        .collect();
    let changed = changed_rubric(&mut conn, hall.competition.id).await?;
    drop(conn);
    hall.page(&app, &frame, "judging/list.html", "judging")
        .await?
        .with("changed", &changed)
        .with("lines", &lines)
        .with("panels", &panels)
        .with("done", &done)
        .with("open", &open)
        .with("next", &next_after(&mine, 0))
        .with("deadline", &judging.as_ref().and_then(|judging| judging.deadline))
        .with("blind", &judging.as_ref().is_none_or(|judging| judging.blind))
        .with("rubric", &judging.as_ref().map(|judging| criteria(judging, None, hall.locale)))
        .render()
}

/// The change of the rubric that judges have to know of: the last one, and why; none while it is as it was.
async fn changed_rubric(
    conn: &mut crate::store::Connection,
    competition: crate::ids::CompetitionId,
) -> Result<Option<serde_json::Value>, PageError> {
    let last = rubric::db::all(conn, competition).await?.into_iter().next().filter(|last| last.number > 1);
    Ok(last
        .map(|last| json!({"number": last.number, "at": last.adopted_at.to_string(), "reason": last.reason})))
}

/// The entries' titles as judges read them.
async fn titles(
    conn: &mut crate::store::Connection,
    hall: &Hall,
    judging: Option<&Judging>,
) -> Result<Vec<(crate::ids::EntryId, String)>, PageError> {
    if judging.is_none_or(|judging| judging.blind) {
        return Ok(entries::blind_titles(conn, hall.competition.id).await?);
    }
    let standing = entries::db::standing(conn, hall.competition.id).await?;
    Ok(standing.into_iter().map(|(id, version)| (id, version.content.title)).collect())
}

/// A judge at one entry.
pub(super) struct At {
    pub hall: Hall,
    pub desk: Desk,
    mine: Vec<Assignment>,
}

pub(super) async fn at(
    app: &App,
    frame: &Frame,
    user: &User,
    slug: &str,
    number: i64,
) -> Result<At, PageError> {
    let hall = Hall::enter(app, frame, slug).await?;
    if !user.actor.may_judge(hall.competition.id) {
        return Err(PageError::not_found());
    }
    let mut conn = app.db.read().await?;
    let id = hall.competition.id;
    let desk = sheet::desk(&mut conn, id, user.actor.user, number).await?;
    let desk = desk.ok_or_else(PageError::not_found)?;
    let mine = sheet::list(&mut conn, id, user.actor.user).await?;
    Ok(At { hall, desk, mine })
}

/// A criterion or comment in which what was sent differs from what is kept.
#[derive(Serialize)]
struct Difference {
    /// The criterion's title; none for a comment.
    title: Option<String>,
    /// `to_team` or `to_jury`, for a comment.
    comment: Option<&'static str>,
    kept: String,
    sent: String,
}

fn differences(judging: &Judging, kept: &Sheet, sent: &Sheet, locale: &str) -> Vec<Difference> {
    let mark = |sheet: &Sheet, key: &str| sheet.marks.get(key).map(|mark| number(*mark)).unwrap_or_default();
    let marks = judging.criteria.iter().map(|criterion| Difference {
        title: Some(criterion.title.locale(locale).to_owned()),
        comment: None,
        kept: mark(kept, &criterion.key),
        sent: mark(sent, &criterion.key),
    });
    let comments = [("to_team", &kept.to_team, &sent.to_team), ("to_jury", &kept.to_jury, &sent.to_jury)];
    let comments = comments.map(|(comment, kept, sent)| Difference {
        title: None,
        comment: Some(comment),
        kept: kept.clone(),
        sent: sent.clone(),
    });
    marks.chain(comments).filter(|difference| difference.kept != difference.sent).collect()
}

/// What another judge wrote, as the page shows it.
#[derive(Serialize)]
struct PeerView {
    letter: char,
    round: i64,
    marks: Vec<(String, String, String)>,
    to_team: String,
    to_jury: String,
}

fn peers(desk: &Desk, locale: &str) -> Vec<PeerView> {
    let view = |(peer, letter): (&sheet::Peer, char)| PeerView {
        letter,
        round: peer.round,
        marks: desk
            .judging
            .criteria
            .iter()
            .map(|c| {
                let mark = peer.sheet.marks.get(&c.key).map(|mark| number(*mark)).unwrap_or_default();
                (c.title.locale(locale).to_owned(), mark, number(c.max))
            })
            .collect(),
        to_team: peer.sheet.to_team.clone(),
        to_jury: peer.sheet.to_jury.clone(),
    };
    desk.peers.iter().zip('A'..='Z').map(view).collect()
}

/// The sheet shown: as it is kept, or as it was sent and not taken.
struct Showing {
    sheet: Sheet,
    version: i64,
    faults: Vec<crate::web::error::FieldFault>,
    differs: Vec<Difference>,
    status: StatusCode,
}

impl Showing {
    fn kept(at: &At) -> Self {
        let Assignment { sheet, version, .. } = &at.desk.assignment;
        Self {
            sheet: sheet.clone(),
            version: *version,
            faults: Vec::new(),
            differs: Vec::new(),
            status: StatusCode::OK,
        }
    }
}

async fn render(app: &App, frame: &Frame, at: &At, showing: Showing) -> Result<Response, PageError> {
    let At { hall, desk, mine } = at;
    let a = &desk.assignment;
    let (entry, tried) = app::find(app, at).await?;
    let mut conn = app.db.read().await?;
    let changed = changed_rubric(&mut conn, hall.competition.id).await?;
    let view =
        seen::view(app, &mut conn, hall, &entry, desk.judging.blind).await?.with_app(app::view(at, &tried));
    drop(conn);
    let open = desk.panel.state == PanelState::Open && a.round == desk.panel.round;
    let numbers: Vec<i64> = mine.iter().map(|other| other.number).collect();
    let here = numbers.iter().position(|number| *number == a.number).unwrap_or(0);
    let beside = |place: Option<usize>| place.and_then(|place| numbers.get(place)).copied();
    let done = mine.iter().filter(|other| other.state == AssignmentState::Submitted).count();
    let faults = frame.faults(&showing.faults);
    hall.page(app, frame, "judging/entry.html", "judging")
        .await?
        .with("entry", &view)
        .with("number", &a.number)
        .with("changed", &changed)
        .with("assignment", &a.id)
        .with("state", &word(a))
        .with("round", &a.round)
        .with("open", &open)
        .with("seen", &showing.version)
        .with("saved_at", &a.saved_at)
        .with("submitted_at", &a.submitted_at)
        .with("criteria", &criteria(&desk.judging, Some(&showing.sheet), hall.locale))
        .with("to_team", &showing.sheet.to_team)
        .with("to_jury", &showing.sheet.to_jury)
        .with("most", &crate::judging::TEXT_CHARACTERS)
        .with("faults", &faults)
        .with("differs", &showing.differs)
        .with("peers", &peers(desk, hall.locale))
        .with("fixed", &desk.peers.iter().any(|peer| peer.round == desk.assignment.round))
        .with("peek", &desk.panel.peek)
        .with("others", &desk.others)
        .with("blind", &desk.judging.blind)
        .with("before", &beside(here.checked_sub(1)))
        .with("after", &beside(Some(here + 1)))
        .with("next", &next_after(mine, a.number))
        .with("done", &done)
        .with("all", &mine.len())
        .with("deadline", &desk.judging.deadline)
        .status(showing.status)
        .render()
}

async fn page(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, number)): Path<(String, i64)>,
) -> Result<Response, PageError> {
    let at = at(&app, &frame, &user, &slug, number).await?;
    let showing = Showing::kept(&at);
    render(&app, &frame, &at, showing).await
}

fn revision(fields: &[(String, String)]) -> i64 {
    let found = fields.iter().find(|(name, _)| name == "seen");
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or(-1)
}

/// What was sent and not taken, in the form again: with what differs, where somebody else saved meanwhile.
async fn not_taken(
    app: &App,
    frame: &Frame,
    at: At,
    sent: Sheet,
    error: JudgingError,
) -> Result<Response, PageError> {
    let wants_json = frame.visit().wants_json();
    let faults = error.faults();
    match error {
        JudgingError::Newer { version, sheet } if wants_json => {
            let body = json!({ "code": "marks-newer", "version": version, "sheet": *sheet });
            Ok((StatusCode::CONFLICT, Json(body)).into_response())
        }
        JudgingError::Newer { version, sheet } => {
            let differs = differences(&at.desk.judging, &sheet, &sent, at.hall.locale);
            let status = StatusCode::CONFLICT;
            render(app, frame, &at, Showing { sheet: sent, version, faults, differs, status }).await
        }
        JudgingError::Marks(_) if !wants_json => {
            let (version, status) = (at.desk.assignment.version, StatusCode::UNPROCESSABLE_ENTITY);
            let differs = Vec::new();
            render(app, frame, &at, Showing { sheet: sent, version, faults, differs, status }).await
        }
        other => Err(other.into()),
    }
}

async fn draft(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, number)): Path<(String, i64)>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    app.limits.check(Limited::Api, &user.actor.user.to_string())?;
    let at = at(&app, &frame, &user, &slug, number).await?;
    let sent = read_sheet(&fields);
    let id = at.desk.assignment.id;
    match sheet::save(&app.house, user.actor.user, id, (revision(&fields), sent.clone())).await {
        Ok(version) if frame.visit().wants_json() => {
            let body = json!({ "version": version, "saved_at": app.clock.now().to_string() });
            Ok(Json(body).into_response())
        }
        Ok(_) => Ok(frame.done(&format!("{}/judging/{number}", at.hall.base()), "flash-draft-saved")),
        Err(error) => not_taken(&app, &frame, at, sent, error).await,
    }
}

async fn submit(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, number)): Path<(String, i64)>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    app.limits.check(Limited::Api, &user.actor.user.to_string())?;
    let at = at(&app, &frame, &user, &slug, number).await?;
    let sent = read_sheet(&fields);
    let by = (user.actor.user, (&user.actor).into());
    let id = at.desk.assignment.id;
    match sheet::submit(&app.house, by, id, (revision(&fields), sent.clone())).await {
        Ok(()) => {
            let (base, next) = (at.hall.base(), next_after(&at.mine, number));
            let shown = number.to_string();
            let key = if next.is_some() { "flash-marks-submitted" } else { "flash-marks-last" };
            frame.flash(crate::web::page::Notice::Good, key, &[("number", &shown)]);
            Ok(frame.go(&match next {
                Some(next) => format!("{base}/judging/{next}"),
                None => format!("{base}/judging"),
            }))
        }
        Err(error) => not_taken(&app, &frame, at, sent, error).await,
    }
}

async fn back(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, number)): Path<(String, i64)>,
) -> Result<Response, PageError> {
    app.limits.check(Limited::Api, &user.actor.user.to_string())?;
    let at = at(&app, &frame, &user, &slug, number).await?;
    let by = (user.actor.user, (&user.actor).into());
    sheet::take_back(&app.house, by, at.desk.assignment.id).await?;
    Ok(frame.done(&format!("{}/judging/{number}", at.hall.base()), "flash-marks-back"))
}

async fn conflict(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, number)): Path<(String, i64)>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    app.limits.check(Limited::Api, &user.actor.user.to_string())?;
    let at = at(&app, &frame, &user, &slug, number).await?;
    let reason = fields.iter().find(|(name, _)| name == "reason").map_or("", |(_, value)| value.as_str());
    let mut conn = app.db.read().await?;
    let by = ((&user.actor).into(), user.actor.user);
    let seat = Seat::of(&mut conn, &at.desk.panel, by, false).await?;
    drop(conn);
    let with = With::Entry(at.desk.assignment.entry);
    let what = (user.actor.user, with, reason);
    panel::declare(&app.house, &at.hall.competition, at.desk.panel.id, seat, what).await?;
    Ok(frame.done(&format!("{}/judging", at.hall.base()), "flash-conflict-declared"))
}
