//! Dates, the merge lock, who organizes, and whether the competition is public.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::contest::desk::{self, Dates, DeskError};
use crate::contest::import;
use crate::ids::UserId;
use crate::people::{By, Grant, PeopleError, Role};
use crate::web::App;
use crate::web::error::{Explain as _, FieldFault, PageError};
use crate::web::format;
use crate::web::guard::User;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::Hall;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/desk/settings", get(show_page))
        .route("/competitions/{slug}/desk/dates", post(dates))
        .route("/competitions/{slug}/desk/merge-lock", post(merge_lock))
        .route("/competitions/{slug}/desk/organizers/add", post(add_organizer))
        .route("/competitions/{slug}/desk/organizers/remove", post(remove_organizer))
        .route("/competitions/{slug}/desk/publish", post(publish))
        .route("/competitions/{slug}/desk/unpublish", post(unpublish))
}

/// A phase's dates as the form's fields hold them.
#[derive(Serialize)]
struct Line {
    position: i64,
    name: String,
    start: String,
    end: String,
}

/// Somebody who organizes the competition.
#[derive(Serialize)]
struct Organizing {
    login: String,
    name: String,
    me: bool,
}

/// The value of a `datetime-local` field, in the installation's zone.
fn local(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

fn parsed(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let civil: DateTime = text.trim().parse().ok()?;
    zone.to_timestamp(civil).ok()
}

async fn show_page(
    frame: Frame,
    State(app): State<App>,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    show(&frame, &app, &hall, None, &[]).await
}

async fn show(
    frame: &Frame,
    app: &App,
    hall: &Hall,
    filled: Option<&BTreeMap<String, String>>,
    faults: &[FieldFault],
) -> Result<Response, PageError> {
    let zone = format::zone(&app.settings.site.zone);
    let lines: Vec<Line> = hall
        .phases
        .iter()
        .map(|phase| {
            let given =
                |name: &str| filled.and_then(|f| f.get(&format!("{name}-{}", phase.position)).cloned());
            let end = phase.ends_at.map(|at| local(at, &zone)).unwrap_or_default();
            Line {
                position: phase.position,
                name: hall.phase_name(phase).to_owned(),
                start: given("start").unwrap_or_else(|| local(phase.starts_at, &zone)),
                end: given("end").unwrap_or(end),
            }
        })
        .collect();
    let me = frame.actor().map(|actor| actor.user);
    let holders = app.people.holders(Some(hall.competition.id)).await?;
    let organizers: Vec<Organizing> = holders
        .into_iter()
        .filter(|holder| holder.role == Role::Organizer)
        .map(|holder| Organizing { me: Some(holder.user) == me, login: holder.login, name: holder.name })
        .collect();
    let lock = hall.competition.merge_lock_at.map(|at| local(at, &zone)).unwrap_or_default();
    let page = hall.page(app, frame, "desk/settings.html", "settings").await?;
    let page = page
        .with("lines", &lines)
        .with("zone", &app.settings.site.zone)
        .with("lock", &lock)
        .with("organizers", &organizers)
        .with("login", filled.and_then(|f| f.get("login")).map_or("", String::as_str))
        .with("revision", &hall.competition.revision);
    if faults.is_empty() {
        page.with("faults", &Vec::<()>::new()).render()
    } else {
        page.faulty(faults).render()
    }
}

async fn dates(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(form): Form<BTreeMap<String, String>>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let zone = format::zone(&app.settings.site.zone);
    let mut wanted: Vec<Dates> = Vec::new();
    for phase in &hall.phases {
        let field = |name: &str| form.get(&format!("{name}-{}", phase.position)).map_or("", |v| v.trim());
        let unreadable =
            |name: &str| vec![FieldFault::new(format!("{name}-{}", phase.position), "date-unreadable")];
        let Some(start) = parsed(field("start"), &zone) else {
            return show(&frame, &app, &hall, Some(&form), &unreadable("start")).await;
        };
        let end = match field("end") {
            "" => None,
            text => match parsed(text, &zone) {
                Some(at) => Some(at),
                None => return show(&frame, &app, &hall, Some(&form), &unreadable("end")).await,
            },
        };
        wanted.push((start, end));
    }
    match desk::set_dates(&app.house, &hall.competition, user.actor.user, &wanted).await {
        Ok(()) => Ok(frame.done(&format!("{}/desk/settings", hall.base()), "flash-saved")),
        Err(error @ DeskError::Dates { .. }) => show(&frame, &app, &hall, Some(&form), &error.faults()).await,
        Err(error) => Err(error.into()),
    }
}

async fn merge_lock(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(form): Form<BTreeMap<String, String>>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let text = form.get("lock").map_or("", |v| v.trim());
    let at = parsed(text, &format::zone(&app.settings.site.zone));
    if !text.is_empty() && at.is_none() {
        let faults = [FieldFault::new("lock", "date-unreadable")];
        return show(&frame, &app, &hall, Some(&form), &faults).await;
    }
    desk::set_merge_lock(&app.house, &hall.competition, user.actor.user, at).await?;
    Ok(frame.done(&format!("{}/desk/settings", hall.base()), "flash-saved"))
}

/// The account of a login that a form names.
async fn named(app: &App, form: &BTreeMap<String, String>) -> Result<Option<UserId>, PageError> {
    let login = form.get("login").map_or("", |v| v.trim());
    match app.people.user_named(By::Machine, login).await {
        Ok(user) => Ok(Some(user.id)),
        Err(PeopleError::Unknown(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn add_organizer(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(form): Form<BTreeMap<String, String>>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let Some(person) = named(&app, &form).await? else {
        let faults = [FieldFault::new("login", "no-such-login")];
        return show(&frame, &app, &hall, Some(&form), &faults).await;
    };
    let grant = Grant { role: Role::Organizer, competition: Some(hall.competition.id) };
    app.people.give(By::Actor(&user.actor), person, grant).await?;
    Ok(frame.done(&format!("{}/desk/settings", hall.base()), "flash-saved"))
}

/// Nobody takes the role from themselves, so that a competition keeps an organizer.
async fn remove_organizer(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(form): Form<BTreeMap<String, String>>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let person = named(&app, &form).await?.ok_or_else(PageError::not_found)?;
    if person == user.actor.user {
        let faults = [FieldFault::new("login", "not-yourself")];
        return show(&frame, &app, &hall, None, &faults).await;
    }
    let grant = Grant { role: Role::Organizer, competition: Some(hall.competition.id) };
    app.people.take(By::Actor(&user.actor), person, grant).await?;
    Ok(frame.done(&format!("{}/desk/settings", hall.base()), "flash-saved"))
}

async fn publish(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    import::publish(&app.house, &slug, Some(user.actor.user)).await?;
    Ok(frame.done(&format!("{}/desk", hall.base()), "flash-published"))
}

async fn unpublish(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    desk::unpublish(&app.house, &hall.competition, user.actor.user).await?;
    Ok(frame.done(&format!("{}/desk", hall.base()), "flash-unpublished"))
}
