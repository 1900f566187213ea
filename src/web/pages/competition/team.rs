//! The team: make, name, invite, join, leave.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::{Deserialize, Serialize};

use super::hall::Hall;
use crate::contest::entry::{self, EntryError, TEAM_LIMIT};
use crate::contest::model::Membership;
use crate::submission::merge;
use crate::web::App;
use crate::web::error::{Explain as _, FieldFault, PageError};
use crate::web::guard::User;
use crate::web::page::Frame;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/team", get(team))
        .route("/competitions/{slug}/team/create", post(create))
        .route("/competitions/{slug}/team/rename", post(rename))
        .route("/competitions/{slug}/team/invite", post(invite))
        .route("/competitions/{slug}/team/leave", post(leave))
        .route("/competitions/{slug}/join/{secret}", get(invitation).post(join))
}

/// A member as the page shows them.
#[derive(Serialize)]
struct Member {
    name: String,
    me: bool,
    joined_at: jiff::Timestamp,
    left_at: Option<jiff::Timestamp>,
}

fn members(list: Vec<Membership>, user: &User) -> Vec<Member> {
    let view = |m: Membership| Member {
        me: m.user == user.actor.user,
        name: m.name,
        joined_at: m.joined_at,
        left_at: m.left_at,
    };
    list.into_iter().map(view).collect()
}

async fn show(
    frame: &Frame,
    app: &App,
    user: &User,
    hall: &Hall,
    link: Option<String>,
    faults: &[FieldFault],
) -> Result<Response, PageError> {
    let list = match &hall.team {
        Some(team) => entry::db::members(&mut *app.db.read().await?, team.id).await?,
        None => Vec::new(),
    };
    let lock = hall.competition.merge_lock_at;
    let page = hall.page(app, frame, "competition/team.html", "team").await?;
    let page = page
        .with("members", &members(list, user))
        .with("limit", &TEAM_LIMIT)
        .with("lock", &lock)
        .with("locked", &lock.is_some_and(|at| hall.now >= at))
        .with("link", &link);
    if faults.is_empty() {
        page.with("faults", &Vec::<()>::new()).render()
    } else {
        page.faulty(faults).render()
    }
}

async fn team(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    show(&frame, &app, &user, &hall, None, &[]).await
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

async fn create(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(form): Form<Named>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let mut tx = app.db.begin().await?;
    entry::admitted(&mut tx, &hall.competition, user.actor.user, &hall.terms).await?;
    let made =
        entry::create_team(&mut tx, &app.clock, app.entropy, &hall.competition, user.actor.user, &form.name)
            .await;
    match made {
        Ok(_) => {
            tx.commit().await?;
            Ok(frame.done(&format!("{}/team", hall.base()), "flash-team-created"))
        }
        Err(error) => again(&frame, &app, &user, &hall, error).await,
    }
}

/// The page again with what was wrong with the name; other errors have a page of their own.
async fn again(
    frame: &Frame,
    app: &App,
    user: &User,
    hall: &Hall,
    error: EntryError,
) -> Result<Response, PageError> {
    let faults = error.faults();
    if faults.is_empty() { Err(error.into()) } else { show(frame, app, user, hall, None, &faults).await }
}

async fn rename(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(form): Form<Named>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let mut tx = app.db.begin().await?;
    match entry::rename_team(&mut tx, &app.clock, &hall.competition, user.actor.user, &form.name).await {
        Ok(_) => {
            tx.commit().await?;
            Ok(frame.done(&format!("{}/team", hall.base()), "flash-saved"))
        }
        Err(error) => again(&frame, &app, &user, &hall, error).await,
    }
}

async fn invite(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let mut tx = app.db.begin().await?;
    let secret = entry::invite(&mut tx, &app.clock, app.entropy, &hall.competition, user.actor.user).await?;
    tx.commit().await?;
    let link = format!("{}{}/join/{secret}", app.settings.public_url, hall.base());
    show(&frame, &app, &user, &hall, Some(link), &[]).await
}

async fn leave(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let mut tx = app.db.begin().await?;
    entry::leave(&mut tx, &app.clock, &hall.competition, user.actor.user).await?;
    tx.commit().await?;
    Ok(frame.done(&format!("{}/team", hall.base()), "flash-team-left"))
}

/// The team before one joins it.
async fn invitation(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, secret)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let mut conn = app.db.read().await?;
    let (team, list) = entry::invited_to(&mut conn, &hall.competition, &secret).await?;
    let merges = match &hall.team {
        Some(own) => entry::holds_its_last_member(&mut conn, own.id).await?,
        None => false,
    };
    drop(conn);
    let mine = hall.team.as_ref().is_some_and(|t| t.id == team.id);
    let mut list = members(list, &user);
    list.retain(|member| member.left_at.is_none());
    hall.page(&app, &frame, "competition/join.html", "team")
        .await?
        .with("team", &team.name)
        .with("members", &list)
        .with("mine", &mine)
        .with("merges", &merges)
        .with("action", &format!("{}/join/{secret}", hall.base()))
        .render()
}

async fn join(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, secret)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    merge::join(&app.house, &hall.competition, user.actor.user, &hall.terms, &secret).await?;
    Ok(frame.done(&format!("{}/team", hall.base()), "flash-team-joined"))
}
