//! Entries over the API: a team's own, and on the desk the list of all.

use axum::Json;
use axum::extract::multipart::{Multipart, MultipartRejection};
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Time;
use super::ask::{Answer, Body, Here, Misread, Refusal, in_path};
use super::submit::broken;
use crate::contest::definition::EntryRules;
use crate::contest::entry;
use crate::contest::model::{Phase, PhaseTime, Team};
use crate::contest::{db as contest_db, terms_digest};
use crate::ids::{EntryFileId, SubmissionId};
use crate::judging::entries::{
    self, Change, Content, Desk, Draft, Entry, EntryFile, FileKind, Picture, Window, db, leaks, look_over,
};
use crate::people::Actor;
use crate::store::ObjectError;
use crate::web::App;
use crate::web::entries::respond;
use crate::web::limits::Limited;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(own, write))
        .routes(routes!(submit))
        .routes(routes!(withdraw))
        .routes(routes!(file, remove_file))
        .routes(routes!(list))
}

pub(super) fn uploads() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(add_file))
}

/// A picture of an entry.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct PictureDocument {
    /// The file.
    pub file: Uuid,
    /// What stands under it.
    #[serde(default)]
    #[schema(example = "Delays by hour")]
    pub caption: String,
}

/// What an entry says.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryText {
    /// Title, one line.
    #[schema(example = "A map of delays")]
    pub title: String,
    /// Summary, Markdown.
    pub summary: String,
    /// Report, Markdown.
    pub report: String,
    /// Report as PDF: the file.
    pub pdf: Option<Uuid>,
    /// Pictures in their order.
    pub pictures: Vec<PictureDocument>,
    /// A link, `https://…`, or empty.
    #[schema(example = "https://demo.example.cn")]
    pub demo: String,
    /// The submission it is about; none: the team's best on the board.
    pub submission: Option<Uuid>,
}

/// Something that tells who made an entry.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryLeak {
    /// The part of the entry.
    #[schema(example = "summary")]
    pub part: &'static str,
    /// `named`, `address`, `link`, `file`, `locked` or `unread`.
    #[schema(example = "named")]
    pub kind: &'static str,
    /// The word.
    pub word: String,
    /// Whether judges get to see it.
    pub seen: bool,
}

/// A team's entry.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryDocument {
    /// The number that blind judges know it by; none before it is first saved.
    #[schema(example = 417)]
    pub number: Option<i64>,
    /// `draft`, `submitted` or `withdrawn`.
    #[schema(example = "draft")]
    pub state: &'static str,
    /// Counts the changes of the draft: send back what you read.
    #[schema(example = 3)]
    pub revision: i64,
    /// The draft.
    pub draft: EntryText,
    /// The version that judges see.
    pub submitted_version: Option<i64>,
    /// When it was last submitted.
    pub submitted_at: Option<Time>,
    /// Until when it may be changed; none: without end.
    pub closes: Option<Time>,
    /// Required parts that the draft lacks.
    pub lacks: Vec<&'static str>,
    /// What in the draft tells who made it.
    pub leaks: Vec<EntryLeak>,
    /// Why an organizer gave it back; empty otherwise.
    pub withdrawn_reason: String,
}

/// A draft to be kept; what is left out is empty.
#[derive(Deserialize, ToSchema)]
pub(super) struct EntryWrite {
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
pub(super) struct EntrySubmit {
    /// The revision that was read.
    #[schema(example = 3)]
    revision: i64,
}

/// What is sent to add a file.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form; it is read field by field")]
pub(super) struct EntryFileForm {
    /// The revision that was read.
    revision: i64,
    /// A PNG, JPEG or WebP picture, or a PDF; told apart by its content.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// What stands under a picture.
    caption: Option<String>,
}

/// An entry in the desk's list.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryLine {
    /// The number that judges know it by.
    #[schema(example = 417)]
    pub number: i64,
    /// The team's name.
    pub team: String,
    /// `draft`, `submitted` or `withdrawn`.
    #[schema(example = "submitted")]
    pub state: &'static str,
    /// The title, where it is submitted.
    pub title: Option<String>,
    /// When it was last submitted.
    pub submitted_at: Option<Time>,
}

/// The entries of a competition.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryList {
    /// The entries, by number.
    pub items: Vec<EntryLine>,
    /// How many there are.
    #[schema(example = 12)]
    pub total: usize,
}

/// The competition with what it asks of entries, and the asker's team.
struct Place {
    rules: EntryRules,
    phases: Vec<Phase>,
    team: Team,
}

impl Place {
    /// For somebody who takes part; one without a team gets one of their own where `writes`.
    async fn of(app: &App, here: &Here, actor: &Actor, writes: bool) -> Answer<Self> {
        let mut conn = app.db.read().await?;
        let rules = entries::rules(&mut conn, &here.competition).await?.ok_or_else(Refusal::not_found)?;
        let phases = contest_db::phases(&mut conn, here.competition.id).await?;
        let terms = terms_digest(&mut conn, &here.competition).await?;
        entry::admitted(&mut conn, &here.competition, actor.user, &terms).await?;
        let team = entry::db::team_of(&mut conn, here.competition.id, actor.user).await?;
        drop(conn);
        let team = match team {
            Some(team) => team,
            None if !writes => return Err(Refusal::not_found()),
            None => {
                let mut tx = app.db.begin().await?;
                let (clock, entropy, name) = (&app.clock, app.entropy, &actor.name);
                let made =
                    entry::team_for_submitting(&mut tx, clock, entropy, &here.competition, actor.user, name);
                let team = made.await?;
                tx.commit().await?;
                team
            }
        };
        Ok(Self { rules, phases, team })
    }

    fn desk<'a>(&'a self, here: &'a Here) -> Desk<'a> {
        let window = Window::of(&self.rules, &self.phases);
        Desk { competition: &here.competition, rules: &self.rules, window, team: &self.team }
    }

    async fn best(&self, app: &App, here: &Here) -> Answer<Option<SubmissionId>> {
        let now = app.clock.now();
        let open = self.phases.iter().find(|phase| phase.time(now) == PhaseTime::Open);
        let begun = self.phases.iter().rev().find(|phase| phase.time(now) != PhaseTime::Ahead);
        let Some(phase) = open.or(begun) else { return Ok(None) };
        let board = &here.competition.definition.leaderboard;
        let board = app.boards.board(&mut *app.db.read().await?, phase, board).await?;
        Ok(board.best_row(self.team.id).map(|row| row.submission))
    }
}

fn text(content: &Content) -> EntryText {
    let picture = |p: &Picture| PictureDocument { file: p.file.0, caption: p.caption.clone() };
    EntryText {
        title: content.title.clone(),
        summary: content.summary.clone(),
        report: content.report.clone(),
        pdf: content.pdf.map(|id| id.0),
        pictures: content.pictures.iter().map(picture).collect(),
        demo: content.demo.clone(),
        submission: content.submission.map(|id| id.0),
    }
}

async fn document(app: &App, here: &Here, place: &Place) -> Answer<Json<EntryDocument>> {
    let best = place.best(app, here).await?;
    let mut conn = app.db.read().await?;
    let found = db::of_team(&mut conn, place.team.id).await?;
    let window = Window::of(&place.rules, &place.phases);
    let mut content = Content::default();
    let (mut revision, mut told) = (0, Vec::new());
    if let Some(entry) = &found {
        let Draft { content: draft, revision: number, .. } = db::draft(&mut conn, entry.id).await?;
        let files: Vec<EntryFile> = db::files(&mut conn, entry.id).await?;
        let names = entries::names(&mut conn, here.competition.id, place.team.id).await?;
        told = leaks(&draft, &files, &names);
        (content, revision) = (draft, number);
    }
    let lacks = entries::lacking(&content, &place.rules, best);
    let leaks = told.into_iter().map(|leak| EntryLeak {
        part: leak.part,
        kind: leak.kind,
        seen: leak.is_seen(),
        word: leak.word,
    });
    Ok(Json(EntryDocument {
        number: found.as_ref().map(|e| e.number),
        state: found.as_ref().map_or("draft", |e| e.state.as_str()),
        revision,
        draft: text(&content),
        submitted_version: found.as_ref().and_then(Entry::standing_version),
        submitted_at: found.as_ref().and_then(|e| e.submitted_at).map(Time),
        closes: window.until(found.as_ref()).map(Time),
        lacks: lacks.iter().map(|part| part.as_str()).collect(),
        leaks: leaks.collect(),
        withdrawn_reason: found.map(|e| e.withdrawn_reason).unwrap_or_default(),
    }))
}

/// The file that a path names.
struct Named(EntryFileId);

impl FromRequestParts<App> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let id = in_path(parts, app, "id").await?;
        id.parse().map(Self).map_err(|_| Refusal::not_found())
    }
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

/// A file that was sent, whole.
struct Sent {
    revision: i64,
    bytes: Vec<u8>,
    caption: String,
}

async fn sent(multipart: Result<Multipart, MultipartRejection>, cap: u64) -> Answer<Sent> {
    let mut fields = multipart.map_err(|_| Misread::media_type("multipart/form-data"))?;
    let mut sent = Sent { revision: 0, bytes: Vec::new(), caption: String::new() };
    while let Some(mut field) = fields.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        let cap = if name == "file" { cap } else { 4096 };
        let mut bytes = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > cap {
                return Err(ObjectError::TooLarge { object: name, cap }.into());
            }
        }
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        match name.as_str() {
            "file" if !sent.bytes.is_empty() => return Err(Misread::field("file", "one-file").into()),
            "revision" => {
                let number = text().trim().parse();
                sent.revision = number.map_err(|_| Misread::field("revision", "required"))?;
            }
            "caption" => sent.caption = text(),
            "file" => sent.bytes = bytes,
            _ => {}
        }
    }
    match sent.bytes.is_empty() {
        true => Err(Misread::field("file", "required").into()),
        false => Ok(sent),
    }
}

/// Add a picture behind those there are, or the report as PDF in place of the one there is.
#[utoipa::path(
    post, path = "/competitions/{slug}/entry/files", tag = "entries", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body(content = EntryFileForm, content_type = "multipart/form-data"),
    responses((status = 201, body = EntryDocument, description = "checked and added"))
)]
async fn add_file(
    State(app): State<App>,
    here: Here,
    multipart: Result<Multipart, MultipartRejection>,
) -> Answer<(StatusCode, Json<EntryDocument>)> {
    let actor = here.participant()?;
    app.limits.check(Limited::Upload, &actor.user.to_string())?;
    let place = Place::of(&app, &here, actor, true).await?;
    let cap = place.rules.picture_bytes.max(place.rules.report_bytes);
    let Sent { revision, bytes, caption } = sent(multipart, cap).await?;
    let is_report = bytes.starts_with(b"%PDF-");
    let cap = if is_report { place.rules.report_bytes } else { place.rules.picture_bytes };
    if bytes.len() as u64 > cap {
        return Err(ObjectError::TooLarge { object: "file".to_owned(), cap }.into());
    }
    let kind = if is_report { FileKind::Report } else { FileKind::Picture };
    let incoming = look_over(kind, bytes, &caption).await?;
    let content = draft_of(&app, &place).await?;
    let (pictures, pdf) = if is_report { (Vec::new(), Some(incoming)) } else { (vec![incoming], None) };
    let change = Change { seen: revision, content, pictures, pdf, asked: true };
    entries::save(&app.house, place.desk(&here), actor.into(), change).await?;
    Ok((StatusCode::CREATED, document(&app, &here, &place).await?))
}

async fn draft_of(app: &App, place: &Place) -> Answer<Content> {
    let mut conn = app.db.read().await?;
    let Some(entry) = db::of_team(&mut conn, place.team.id).await? else { return Ok(Content::default()) };
    Ok(db::draft(&mut conn, entry.id).await?.content)
}

/// A file of one's team's entry.
#[utoipa::path(
    get, path = "/competitions/{slug}/entry/files/{id}", tag = "entries", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("id" = Uuid, Path, description = "the file"),
    ),
    responses((status = 200, description = "the file, as it is kept", content_type = "application/octet-stream"))
)]
async fn file(State(app): State<App>, here: Here, Named(id): Named) -> Answer<Response> {
    let place = Place::of(&app, &here, here.person()?, false).await?;
    let mut conn = app.db.read().await?;
    let entry = db::of_team(&mut conn, place.team.id).await?.ok_or_else(Refusal::not_found)?;
    let (file, reader) = entries::open_any(&app.house, &mut conn, entry.id, id).await?;
    Ok(respond(entry.number, &file, reader))
}

/// Take a file out of the draft; versions that have it keep it.
#[utoipa::path(
    delete, path = "/competitions/{slug}/entry/files/{id}", tag = "entries", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("id" = Uuid, Path, description = "the file"),
    ),
    responses((status = 200, body = EntryDocument))
)]
async fn remove_file(State(app): State<App>, here: Here, Named(id): Named) -> Answer<Json<EntryDocument>> {
    let actor = here.participant()?;
    let place = Place::of(&app, &here, actor, false).await?;
    let mut conn = app.db.read().await?;
    let entry = db::of_team(&mut conn, place.team.id).await?.ok_or_else(Refusal::not_found)?;
    let Draft { mut content, revision, .. } = db::draft(&mut conn, entry.id).await?;
    drop(conn);
    if !content.files().any(|named| named == id) {
        return Err(Refusal::not_found());
    }
    content.pictures.retain(|picture| picture.file != id);
    content.pdf = content.pdf.filter(|pdf| *pdf != id);
    let change = Change { seen: revision, content, pictures: Vec::new(), pdf: None, asked: true };
    entries::save(&app.house, place.desk(&here), actor.into(), change).await?;
    document(&app, &here, &place).await
}

/// Every team's entry. What a draft says is for its team alone.
#[utoipa::path(
    get, path = "/competitions/{slug}/desk/entries", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = EntryList))
)]
async fn list(State(app): State<App>, here: Here) -> Answer<Json<EntryList>> {
    here.organizer()?;
    let id = here.competition.id;
    let mut conn = app.db.read().await?;
    entries::rules(&mut conn, &here.competition).await?.ok_or_else(Refusal::not_found)?;
    let teams = app.boards.teams(&mut conn, id).await?;
    let standing = db::standing(&mut conn, id).await?;
    let line = |entry: Entry| EntryLine {
        number: entry.number,
        team: teams.get(&entry.team).map(|label| label.name.clone()).unwrap_or_default(),
        state: entry.state.as_str(),
        title: standing
            .iter()
            .find(|(id, _)| *id == entry.id)
            .map(|(_, version)| version.content.title.clone()),
        submitted_at: entry.submitted_at.map(Time),
    };
    let items: Vec<EntryLine> = db::all(&mut conn, id).await?.into_iter().map(line).collect();
    Ok(Json(EntryList { total: items.len(), items }))
}
