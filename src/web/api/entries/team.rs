//! A team's own entry: the draft, handing it in, taking it back, showing it.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{EntryDocument, PictureDocument, Place, document};
use crate::ids::{EntryFileId, SubmissionId};
use crate::judging::entries::{self, Change, Content, Picture};
use crate::web::App;
use crate::web::api::ask::{Answer, Body, Here};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(own, write))
        .routes(routes!(submit))
        .routes(routes!(withdraw))
        .routes(routes!(publish))
}

/// A draft to be kept; what is left out is empty.
#[derive(Deserialize, ToSchema)]
pub(in crate::web::api) struct EntryWrite {
    /// The revision that was read; 0 before it is first saved.
    #[schema(example = 3)]
    revision: i64,
    #[serde(default)]
    #[schema(example = "A map of delays")]
    title: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    report: String,
    #[serde(default)]
    pdf: Option<Uuid>,
    #[serde(default)]
    pictures: Vec<PictureDocument>,
    #[serde(default)]
    demo: String,
    #[serde(default)]
    submission: Option<Uuid>,
}

/// The revision that is to be submitted.
#[derive(Deserialize, ToSchema)]
pub(in crate::web::api) struct EntrySubmit {
    /// The revision that was read.
    #[schema(example = 3)]
    revision: i64,
}

/// Whether visitors are to see an entry.
#[derive(Deserialize, ToSchema)]
pub(in crate::web::api) struct EntryShown {
    /// `true`: once the competition is over; `false`: not, or no more.
    shown: bool,
}

/// One's team's entry: the draft, and where it stands.
#[utoipa::path(
    get, path = "/competitions/{slug}/entry", tag = "entries", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = EntryDocument))
)]
async fn own(State(app): State<App>, here: Here) -> Answer<Json<EntryDocument>> {
    let place = Place::of(&app, &here, here.person()?, false).await?;
    document(&app, &here, &place).await
}

/// Replace the draft. 409 when another member has changed it since the revision that was read.
#[utoipa::path(
    put, path = "/competitions/{slug}/entry", tag = "entries", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body = EntryWrite,
    responses((status = 200, body = EntryDocument))
)]
async fn write(
    State(app): State<App>,
    here: Here,
    Body(wanted): Body<EntryWrite>,
) -> Answer<Json<EntryDocument>> {
    let actor = here.participant()?;
    let place = Place::of(&app, &here, actor, true).await?;
    let wanted = wanted?;
    let picture = |p: PictureDocument| Picture { file: p.file.into(), caption: p.caption };
    let content = Content {
        title: wanted.title,
        summary: wanted.summary,
        report: wanted.report,
        pdf: wanted.pdf.map(EntryFileId::from),
        pictures: wanted.pictures.into_iter().map(picture).collect(),
        demo: wanted.demo,
        submission: wanted.submission.map(SubmissionId::from),
    };
    let change = Change { seen: wanted.revision, content, pictures: Vec::new(), pdf: None, asked: true };
    entries::save(&app.house, place.desk(&here), actor.into(), change).await?;
    document(&app, &here, &place).await
}

/// Submit the draft as it stands; judges see that version.
#[utoipa::path(
    post, path = "/competitions/{slug}/entry/submit", tag = "entries", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body = EntrySubmit,
    responses((status = 200, body = EntryDocument))
)]
async fn submit(
    State(app): State<App>,
    here: Here,
    Body(wanted): Body<EntrySubmit>,
) -> Answer<Json<EntryDocument>> {
    let actor = here.participant()?;
    let place = Place::of(&app, &here, actor, false).await?;
    let best = place.best(&app, &here).await?;
    entries::submit(&app.house, place.desk(&here), actor.into(), wanted?.revision, best).await?;
    document(&app, &here, &place).await
}

/// Withdraw the entry: judges see it no more.
#[utoipa::path(
    post, path = "/competitions/{slug}/entry/withdraw", tag = "entries", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = EntryDocument))
)]
async fn withdraw(State(app): State<App>, here: Here) -> Answer<Json<EntryDocument>> {
    let actor = here.participant()?;
    let place = Place::of(&app, &here, actor, false).await?;
    entries::withdraw(&app.house, place.desk(&here), actor.into()).await?;
    document(&app, &here, &place).await
}

/// Show the entry to visitors once the competition is over, or no more.
#[utoipa::path(
    post, path = "/competitions/{slug}/entry/publish", tag = "entries", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body = EntryShown,
    responses((status = 200, body = EntryDocument))
)]
async fn publish(
    State(app): State<App>,
    here: Here,
    Body(wanted): Body<EntryShown>,
) -> Answer<Json<EntryDocument>> {
    let actor = here.participant()?;
    let place = Place::of(&app, &here, actor, false).await?;
    entries::publish(&app.house, place.desk(&here), actor.into(), wanted?.shown).await?;
    document(&app, &here, &place).await
}
