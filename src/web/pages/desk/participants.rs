//! Who takes part: approve and deny, one or several at once; remove.

use std::collections::BTreeSet;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::{Deserialize, Serialize};

use crate::contest::entry::{self, EntryError};
use crate::contest::model::ParticipantState;
use crate::ids::UserId;
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::page::{Frame, Notice};
use crate::web::pages::competition::hall::Hall;

/// People on a page.
const PAGE: usize = 100;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/desk/participants", get(list).post(decide_several))
        .route("/competitions/{slug}/desk/participants/{user}", post(decide))
}

#[derive(Serialize)]
struct Person {
    id: String,
    login: String,
    name: String,
    organisation: Option<String>,
    state: &'static str,
    at: jiff::Timestamp,
    reason: String,
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    q: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    page: usize,
    /// Whether the boxes of all who wait are ticked.
    #[serde(default)]
    all: String,
}

async fn list(
    frame: Frame,
    State(app): State<App>,
    Path(slug): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let everyone = entry::participants(&mut *app.db.read().await?, &hall.competition).await?;
    let text = wanted.q.trim().to_lowercase();
    let fits = |hay: &str| text.is_empty() || hay.to_lowercase().contains(&text);
    let state: Option<ParticipantState> = wanted.state.parse().ok();
    let found: Vec<_> = everyone
        .into_iter()
        .filter(|p| state.is_none_or(|s| s == p.state))
        .filter(|p| fits(&p.login) || fits(&p.name) || p.organisation.as_deref().is_some_and(fits))
        .collect();
    let total = found.len();
    let people: Vec<Person> = found
        .into_iter()
        .skip(wanted.page.saturating_mul(PAGE))
        .take(PAGE)
        .map(|p| Person {
            id: p.user.to_string(),
            login: p.login,
            name: p.name,
            organisation: p.organisation,
            state: p.state.as_str(),
            at: p.registered_at,
            reason: p.reason,
        })
        .collect();
    let states: Vec<&str> = ParticipantState::ALL.iter().map(|s| s.as_str()).collect();
    hall.page(&app, &frame, "desk/participants.html", "participants")
        .await?
        .with("people", &people)
        .with("states", &states)
        .with("total", &total)
        .with("page", &wanted.page)
        .with("page_size", &PAGE)
        .with("q", &wanted.q)
        .with("state", &wanted.state)
        .with("waiting", &people.iter().filter(|p| p.state == ParticipantState::Pending.as_str()).count())
        .with("all", &(wanted.all == "yes"))
        .render()
}

#[derive(Deserialize)]
struct Decision {
    state: String,
    #[serde(default)]
    reason: String,
}

async fn decide(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, person)): Path<(String, String)>,
    Form(form): Form<Decision>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let person: UserId = person.parse().map_err(|_| PageError::not_found())?;
    let state: ParticipantState = form.state.parse().map_err(|_| EntryError::NoRegistration)?;
    let mut tx = app.db.begin().await?;
    let by = user.actor.user;
    entry::decide(&mut tx, &app.clock, &hall.competition, by, person, state, &form.reason).await?;
    tx.commit().await?;
    Ok(frame.done(&format!("{}/desk/participants", hall.base()), "flash-saved"))
}

/// Admits or refuses everybody whose box is ticked, of those who still wait.
async fn decide_several(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let given = |name: &str| fields.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str());
    let chosen = fields.iter().filter(|(name, _)| name == "user");
    let chosen: BTreeSet<UserId> = chosen.filter_map(|(_, id)| id.parse().ok()).collect();
    let chosen: Vec<UserId> = chosen.into_iter().collect();
    let state: ParticipantState = given("state").parse().map_err(|_| EntryError::NoRegistration)?;
    let (by, reason) = (user.actor.user, given("reason"));
    let mut tx = app.db.begin().await?;
    let decided =
        entry::decide_waiting(&mut tx, &app.clock, &hall.competition, by, &chosen, state, reason).await?;
    tx.commit().await?;
    let (done, left) = (decided.to_string(), (chosen.len() - decided).to_string());
    let (notice, key) = match (chosen.len(), state) {
        (0, _) => (Notice::Bad, "flash-nobody-chosen"),
        (all, _) if decided < all => (Notice::Info, "flash-several-left"),
        (_, ParticipantState::Approved) => (Notice::Good, "flash-several-approved"),
        _ => (Notice::Good, "flash-several-denied"),
    };
    frame.flash(notice, key, &[("count", &done), ("left", &left)]);
    Ok(frame.go(&format!("{}/desk/participants", hall.base())))
}
