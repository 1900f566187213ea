//! The bundle: uploaded as a zip, shown with everything that is wrong with it and what it would
//! change, and taken in when the organizer says so.

use axum::extract::multipart::Multipart;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::{Deserialize, Serialize};

use crate::contest::bundle::diff::{Change, diff};
use crate::contest::db as contest_db;
use crate::contest::definition::Definition;
use crate::contest::draft;
use crate::contest::import::is_slug;
use crate::ids::UserId;
use crate::sandbox::ImageTable;
use crate::store::ObjectError;
use crate::web::App;
use crate::web::error::{FieldFault, PageError};
use crate::web::findings::FindingView;
use crate::web::guard::User;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::Hall;
use crate::web::pages::competition::upload;

/// The largest bundle taken, in bytes; larger data belongs into the catalogue.
const CAP: u64 = 2 << 30;

pub(super) fn router() -> Router<App> {
    Router::new().route("/desk/new", get(new)).route("/competitions/{slug}/desk/bundle", get(page))
}

pub(super) fn uploads() -> Router<App> {
    Router::new()
        .route("/desk/new/upload", post(upload_new))
        .route("/desk/new/apply", post(apply_new))
        .route("/competitions/{slug}/desk/bundle/upload", post(upload_again))
        .route("/competitions/{slug}/desk/bundle/apply", post(apply_again))
}

/// What a bundle would change.
#[derive(Serialize)]
struct ChangeView {
    path: String,
    old: Option<String>,
    new: Option<String>,
}

impl From<Change> for ChangeView {
    fn from(change: Change) -> Self {
        let shown = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        Self { path: change.path, old: change.old.map(shown), new: change.new.map(shown) }
    }
}

async fn new(frame: Frame, user: User) -> Result<Response, PageError> {
    if !user.actor.may_create_competitions() {
        return Err(PageError::forbidden());
    }
    blank(&frame, &[], "").render()
}

fn blank<'a>(frame: &'a Frame, faults: &[FieldFault], slug: &str) -> crate::web::page::Page<'a> {
    let page = frame.page("desk/new.html").with("slug", slug).with("cap", &CAP).with("shown", &false);
    if faults.is_empty() { page.with("faults", &Vec::<()>::new()) } else { page.faulty(faults) }
}

async fn page(frame: Frame, State(app): State<App>, Path(slug): Path<String>) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    hall.page(&app, &frame, "desk/bundle.html", "bundle")
        .await?
        .with("shown", &false)
        .with("cap", &CAP)
        .with("revision", &hall.competition.revision)
        .with("digest_now", &hall.competition.digest)
        .render()
}

/// Reads the form, keeps the zip as the organizer's draft, and gives the other fields.
async fn keep(app: &App, user: UserId, multipart: &mut Multipart) -> Result<upload::Fields, PageError> {
    upload::receive(multipart, |fields, _, content| async move {
        draft::keep(&app.house, user, content, CAP).await?;
        Ok::<_, ObjectError>(fields)
    })
    .await
}

/// Opens the draft and puts what there is to say about it into the page.
async fn shown<'a>(
    app: &App,
    frame: &Frame,
    user: UserId,
    page: crate::web::page::Page<'a>,
    before: Option<&Definition>,
    digest_before: &str,
) -> Result<crate::web::page::Page<'a>, PageError> {
    let images = ImageTable::with(app.settings.images.clone());
    let draft = draft::open(&app.house, user, move |name| images.local(name).is_ok()).await?;
    let mut changes: Vec<ChangeView> = Vec::new();
    if let (Some(before), Some(bundle)) = (before, &draft.bundle) {
        changes = diff(before, &bundle.definition).into_iter().map(ChangeView::from).collect();
    }
    let findings: Vec<FindingView<'_>> =
        draft.report.findings.iter().map(|finding| FindingView::of(app, frame, finding)).collect();
    let digest = draft.bundle.as_ref().map(|bundle| bundle.digest.clone()).unwrap_or_default();
    let title = draft.bundle.as_ref().map(|bundle| bundle.definition.title.clone());
    Ok(page
        .with("shown", &true)
        .with("findings", &findings)
        .with("good", &draft.bundle.is_some())
        .with("changes", &changes)
        .with("same", &(digest == digest_before))
        .with("title", &title)
        .with("digest", &digest))
}

async fn upload_new(
    frame: Frame,
    State(app): State<App>,
    user: User,
    mut multipart: Multipart,
) -> Result<Response, PageError> {
    if !user.actor.may_create_competitions() {
        return Err(PageError::forbidden());
    }
    let fields = keep(&app, user.actor.user, &mut multipart).await?;
    let slug = fields.get("slug").map(|slug| slug.trim().to_owned()).unwrap_or_default();
    if let Some(fault) = slug_fault(&app, &slug).await? {
        return blank(&frame, &[fault], &slug).render();
    }
    let page = blank(&frame, &[], &slug);
    shown(&app, &frame, user.actor.user, page, None, "").await?.render()
}

async fn slug_fault(app: &App, slug: &str) -> Result<Option<FieldFault>, PageError> {
    if !is_slug(slug) || slug == "new" {
        return Ok(Some(FieldFault::new("slug", "slug-bad")));
    }
    let taken = contest_db::by_slug(&mut *app.db.read().await?, slug).await?.is_some();
    Ok(taken.then(|| FieldFault::new("slug", "slug-taken")))
}

#[derive(Deserialize)]
struct Applying {
    #[serde(default)]
    slug: String,
    digest: String,
}

async fn apply_new(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Form(form): Form<Applying>,
) -> Result<Response, PageError> {
    if !user.actor.may_create_competitions() {
        return Err(PageError::forbidden());
    }
    if let Some(fault) = slug_fault(&app, &form.slug).await? {
        return blank(&frame, &[fault], &form.slug).render();
    }
    draft::apply(&app.house, user.actor.user, (&form.slug, None), &form.digest).await?;
    Ok(frame.done(&format!("/competitions/{}/desk", form.slug), "flash-imported"))
}

async fn upload_again(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    mut multipart: Multipart,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    keep(&app, user.actor.user, &mut multipart).await?;
    let page = hall
        .page(&app, &frame, "desk/bundle.html", "bundle")
        .await?
        .with("cap", &CAP)
        .with("revision", &hall.competition.revision)
        .with("digest_now", &hall.competition.digest);
    let (before, digest) = (&hall.competition.definition, &hall.competition.digest);
    shown(&app, &frame, user.actor.user, page, Some(before), digest).await?.render()
}

async fn apply_again(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(form): Form<Applying>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let target = (hall.competition.slug.as_str(), Some(hall.competition.id));
    draft::apply(&app.house, user.actor.user, target, &form.digest).await?;
    Ok(frame.done(&format!("{}/desk", hall.base()), "flash-imported"))
}
