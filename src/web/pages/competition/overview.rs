//! The overview with the bundle's pages, the rules and registering, and the logo.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::{Deserialize, Serialize};

use super::apps;
use super::hall::Hall;
use super::stream::{self, As};
use crate::contest::announcements::{self, Announcement};
use crate::contest::db as contest_db;
use crate::contest::definition::BundlePath;
use crate::contest::entry;
use crate::contest::model::ParticipantState;
use crate::store::ObjectKey;
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::markdown;
use crate::web::page::Frame;

/// The largest page that is rendered, in bytes.
const PAGE_BYTES: u64 = 4 << 20;

/// Apps to try that the overview lists; the showcase has them all.
const APPS: usize = 5;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}", get(overview))
        .route("/competitions/{slug}/pages/{number}", get(page))
        .route("/competitions/{slug}/logo", get(logo))
        .route("/competitions/{slug}/rules", get(rules))
        .route("/competitions/{slug}/register", post(register))
}

/// The entry of one of the bundle's pages in the list beside it.
#[derive(Serialize)]
struct PageLink {
    number: usize,
    title: String,
}

/// An announcement as pages show it.
#[derive(Serialize)]
struct News {
    id: String,
    title: String,
    html: String,
    at: jiff::Timestamp,
}

impl From<Announcement> for News {
    fn from(a: Announcement) -> Self {
        Self { id: a.id.to_string(), html: markdown::render(&a.body), title: a.title, at: a.created_at }
    }
}

async fn overview(
    frame: Frame,
    State(app): State<App>,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    show(&frame, &app, &hall, 0).await
}

async fn page(
    frame: Frame,
    State(app): State<App>,
    Path((slug, number)): Path<(String, usize)>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    if number >= hall.competition.definition.pages.len() {
        return Err(PageError::not_found());
    }
    show(&frame, &app, &hall, number).await
}

async fn show(frame: &Frame, app: &App, hall: &Hall, number: usize) -> Result<Response, PageError> {
    let d = &hall.competition.definition;
    let links: Vec<_> = d
        .pages
        .iter()
        .enumerate()
        .map(|(n, p)| PageLink { number: n, title: title(hall, &p.title, &p.file) })
        .collect();
    let html = match d.pages.get(number) {
        Some(page) => text_of(app, hall, &localised(hall, &page.title, &page.file)).await?,
        None => String::new(),
    };
    let news: Vec<News> = if number == 0 {
        let standing = announcements::db::standing(&mut *app.db.read().await?, hall.competition.id).await?;
        standing.into_iter().map(News::from).collect()
    } else {
        Vec::new()
    };
    let mut conn = app.db.read().await?;
    let entrants = entry::db::admitted_count(&mut conn, hall.competition.id).await?;
    let mut tried = if number == 0 { apps::lines(app, &mut conn, hall).await? } else { Vec::new() };
    let all_apps = tried.len();
    tried.truncate(APPS);
    drop(conn);
    hall.page(app, frame, "competition/overview.html", "overview")
        .await?
        .with("description", &markdown::render(hall.competition.description(hall.locale)))
        .with("links", &links)
        .with("number", &number)
        .with("html", &html)
        .with("news", &news)
        .with("entrants", &entrants)
        .with("apps", &tried)
        .with("apps_all", &all_apps)
        .with("reward", &d.reward)
        .with("contact", &d.contact_email)
        .render()
}

/// A page's title: as the bundle translates it; those that bundles use again and again are known in both
/// languages, as in `概览 Overview`.
fn title(hall: &Hall, own: &str, file: &BundlePath) -> String {
    let names = hall.competition.definition.locale.get(hall.locale).map(|locale| &locale.names);
    if let Some(translated) = names.and_then(|names| names.get(&format!("pages.{}", stem(file)))) {
        return translated.clone();
    }
    let known = [("概览", "Overview"), ("评测", "Evaluation"), ("数据", "Data"), ("规则", "Rules")];
    let zh = hall.locale == "zh";
    for (chinese, english) in known {
        let both = format!("{chinese} {english}");
        if own == both || own == chinese || own.eq_ignore_ascii_case(english) {
            return if zh { chinese.to_owned() } else { english.to_owned() };
        }
    }
    own.to_owned()
}

/// A file's name without its ending.
fn stem(file: &BundlePath) -> &str {
    file.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or(file)
}

/// The file of a page in the page's language: translations are by file stem or title, in lower case.
fn localised(hall: &Hall, title: &str, file: &BundlePath) -> BundlePath {
    let stem = stem(file);
    let translations = hall.competition.definition.locale.get(hall.locale).map(|l| &l.pages);
    let found = translations
        .and_then(|pages| pages.get(&stem.to_lowercase()).or_else(|| pages.get(&title.to_lowercase())));
    found.unwrap_or(file).clone()
}

/// A page of the bundle as clean HTML; empty when its file is gone.
async fn text_of(app: &App, hall: &Hall, path: &BundlePath) -> Result<String, PageError> {
    let file = contest_db::file(&mut *app.db.read().await?, hall.competition.id, path).await?;
    let Some(file) = file else { return Ok(String::new()) };
    let key: ObjectKey = file.object_key.parse()?;
    let bytes = app.house.objects.get_bytes(&key, PAGE_BYTES).await?;
    let text = String::from_utf8_lossy(&bytes);
    let html = path.to_ascii_lowercase().ends_with(".html") || path.to_ascii_lowercase().ends_with(".htm");
    Ok(if html { markdown::clean(&text) } else { markdown::render(&text) })
}

async fn logo(frame: Frame, State(app): State<App>, Path(slug): Path<String>) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let path = &hall.competition.definition.image;
    let file = contest_db::file(&mut *app.db.read().await?, hall.competition.id, path).await?;
    let file = file.ok_or_else(PageError::not_found)?;
    // no SVG: it may hold scripts
    let kind = match path.rsplit('.').next().unwrap_or("").to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        _ => return Err(PageError::not_found()),
    };
    stream::object(&app, &file.object_key, As::Shown(kind)).await
}

async fn rules(
    frame: Frame,
    State(app): State<App>,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let d = &hall.competition.definition;
    let translated = d.locale.get(hall.locale).and_then(|l| l.terms.as_ref());
    let html = text_of(&app, &hall, translated.unwrap_or(&d.terms)).await?;
    hall.page(&app, &frame, "competition/rules.html", "rules")
        .await?
        .with("html", &html)
        .with("digest", &hall.terms)
        .with("automatic", &d.registration_auto_approve)
        .with("rule", &d.leaderboard.submission_rule)
        .with("finals", &d.finals_choose)
        .render()
}

#[derive(Deserialize)]
struct Registering {
    terms: String,
    #[serde(default)]
    accept: String,
}

async fn register(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(form): Form<Registering>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    if form.accept != "yes" || form.terms != hall.terms {
        return Err(entry::EntryError::TermsNotAccepted.into());
    }
    let mut tx = app.db.begin().await?;
    let state = entry::register(&mut tx, &app.clock, &hall.competition, user.actor.user, &hall.terms).await?;
    tx.commit().await?;
    let (path, key) = match state {
        ParticipantState::Approved => {
            let sandboxes = hall.has_sandboxes(&app, &mut *app.db.read().await?).await?;
            let key = if sandboxes { "flash-entered-sandbox" } else { "flash-entered" };
            (format!("{}/submit", hall.base()), key)
        }
        _ => (hall.base(), "flash-registration-waits"),
    };
    Ok(frame.done(&path, key))
}
