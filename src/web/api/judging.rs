//! Judging over the API, for judges: what is theirs to mark, their sheets.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Time;
use super::ask::{Answer, Body, Here, Refusal, in_path};
use crate::judging::sheet::{self, Desk};
use crate::judging::{Assignment, JudgingError, Sheet, entries};
use crate::people::Actor;
use crate::web::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(save))
        .routes(routes!(take_back))
}

/// What a judge wrote about an entry.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct SheetDocument {
    /// Marks by the key of their criterion.
    #[serde(default)]
    #[schema(example = json!({"usefulness": 7.5}))]
    pub marks: BTreeMap<String, f64>,
    /// For the team, once the results are published.
    #[serde(default)]
    pub to_team: String,
    /// For the other judges.
    #[serde(default)]
    pub to_jury: String,
}

impl From<Sheet> for SheetDocument {
    fn from(sheet: Sheet) -> Self {
        Self { marks: sheet.marks, to_team: sheet.to_team, to_jury: sheet.to_jury }
    }
}

impl From<SheetDocument> for Sheet {
    fn from(sheet: SheetDocument) -> Self {
        Self { marks: sheet.marks, to_team: sheet.to_team, to_jury: sheet.to_jury }
    }
}

/// An entry that is the asker's to mark.
#[derive(Serialize, ToSchema)]
pub(super) struct ToMark {
    /// The entry's number.
    #[schema(example = 417)]
    pub number: i64,
    /// The round: 1, or 2 for an entry that was judged too differently.
    pub round: i64,
    /// `assigned` or `submitted`.
    pub state: &'static str,
    /// Counts the saves; to be sent with the next one.
    pub version: i64,
    /// When it was last saved.
    pub saved_at: Option<Time>,
    /// What is written so far.
    pub sheet: SheetDocument,
}

fn to_mark(a: &Assignment) -> ToMark {
    ToMark {
        number: a.number,
        round: a.round,
        state: a.state.as_str(),
        version: a.version,
        saved_at: a.saved_at.map(Time),
        sheet: a.sheet.clone().into(),
    }
}

/// An entry as the asker may see it, and their sheet for it.
#[derive(Serialize, ToSchema)]
pub(super) struct AtEntry {
    /// What is theirs to mark.
    pub own: ToMark,
    /// The entry's title; blind where the judging is.
    pub title: String,
    /// Its summary, Markdown; blind where the judging is.
    pub summary: String,
    /// Its report, Markdown; blind where the judging is.
    pub report: String,
    /// What the other judges wrote, where the asker may see that.
    pub peers: Vec<SheetDocument>,
}

/// What is sent to save a sheet.
#[derive(Deserialize, ToSchema)]
pub(super) struct SheetSent {
    /// The version it was made from.
    pub version: i64,
    /// What it says.
    #[serde(flatten)]
    pub sheet: SheetDocument,
    /// Whether it is submitted: then every mark is needed.
    #[serde(default)]
    pub submit: bool,
}

/// A judge of the competition, with a token that reaches so far.
fn judge(here: &Here) -> Answer<&Actor> {
    let actor = here.person()?;
    if actor.may_judge(here.competition.id) { Ok(actor) } else { Err(Refusal::forbidden()) }
}

/// The entry that a path names.
struct Number(i64);

impl FromRequestParts<App> for Number {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let number = in_path(parts, app, "number").await?;
        // what is no number is no entry either
        Ok(Self(number.parse().unwrap_or(0)))
    }
}

async fn desk(app: &App, here: &Here, number: i64) -> Answer<Desk> {
    let user = judge(here)?.user;
    let found = sheet::desk(&mut *app.db.read().await?, here.competition.id, user, number).await?;
    found.ok_or_else(Refusal::not_found)
}

/// What is yours to mark.
#[utoipa::path(
    get, path = "/competitions/{slug}/judging", tag = "judging", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = Vec<ToMark>))
)]
async fn list(State(app): State<App>, here: Here) -> Answer<Json<Vec<ToMark>>> {
    let user = judge(&here)?.user;
    let mine = sheet::list(&mut *app.db.read().await?, here.competition.id, user).await?;
    Ok(Json(mine.iter().map(to_mark).collect()))
}

/// An entry that is yours to mark, and what you wrote about it.
#[utoipa::path(
    get, path = "/competitions/{slug}/judging/{number}", tag = "judging", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("number" = i64, Path, description = "the entry's number"),
    ),
    responses((status = 200, body = AtEntry))
)]
async fn show(State(app): State<App>, here: Here, Number(number): Number) -> Answer<Json<AtEntry>> {
    let desk = desk(&app, &here, number).await?;
    let mut conn = app.db.read().await?;
    let entry = entries::by_id(&mut conn, desk.assignment.entry).await?.ok_or_else(Refusal::not_found)?;
    let judged = entries::for_judge(&mut conn, &entry).await?.ok_or_else(Refusal::not_found)?;
    let read = |text: &str| match desk.judging.blind {
        true => judged.names.mask(text),
        false => text.to_owned(),
    };
    Ok(Json(AtEntry {
        title: read(&judged.content.title),
        summary: read(&judged.content.summary),
        report: read(&judged.content.report),
        own: to_mark(&desk.assignment),
        peers: desk.peers.into_iter().map(|peer| peer.sheet.into()).collect(),
    }))
}

/// Save your sheet for an entry, or submit it. A version that is not the last is refused with what is kept.
#[utoipa::path(
    put, path = "/competitions/{slug}/judging/{number}", tag = "judging", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("number" = i64, Path, description = "the entry's number"),
    ),
    request_body = SheetSent,
    responses(
        (status = 200, body = ToMark),
        (status = 409, body = ToMark, description = "another was saved meanwhile: this is what is kept"),
    )
)]
async fn save(
    State(app): State<App>,
    here: Here,
    Number(number): Number,
    Body(sent): Body<SheetSent>,
) -> Answer<Response> {
    let actor = judge(&here)?;
    let at = desk(&app, &here, number).await?;
    let SheetSent { version, sheet: wanted, submit } = sent?;
    let id = at.assignment.id;
    let done = match submit {
        true => {
            let by = (actor.user, actor.into());
            sheet::submit(&app.house, by, id, (version, wanted.into())).await
        }
        false => sheet::save(&app.house, actor.user, id, (version, wanted.into())).await.map(drop),
    };
    let status = match done {
        Ok(()) => StatusCode::OK,
        Err(JudgingError::Newer { .. }) => StatusCode::CONFLICT,
        Err(error) => return Err(error.into()),
    };
    let now = desk(&app, &here, number).await?;
    Ok((status, Json(to_mark(&now.assignment))).into_response())
}

/// Take submitted marks back to change them, as long as the round is open.
#[utoipa::path(
    post, path = "/competitions/{slug}/judging/{number}/back", tag = "judging", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("number" = i64, Path, description = "the entry's number"),
    ),
    responses((status = 200, body = ToMark))
)]
async fn take_back(State(app): State<App>, here: Here, Number(number): Number) -> Answer<Json<ToMark>> {
    let actor = judge(&here)?;
    let at = desk(&app, &here, number).await?;
    sheet::take_back(&app.house, (actor.user, actor.into()), at.assignment.id).await?;
    Ok(Json(to_mark(&desk(&app, &here, number).await?.assignment)))
}
