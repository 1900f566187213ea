//! The administrator's pages: users, organisations, the state of the service.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::{Deserialize, Serialize};

use crate::ids::OrganisationId;
use crate::people::{Grant, Role, UserFilter};
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::Admin;
use crate::web::health::Check;
use crate::web::page::{Frame, Notice};

/// Users on a page of the list.
const PAGE: u32 = 50;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/admin", get(async |frame: Frame, _: Admin| frame.go("/admin/users")))
        .route("/admin/users", get(users))
        .route("/admin/users/{login}", get(user))
        .route("/admin/users/{login}/disable", post(disable))
        .route("/admin/users/{login}/enable", post(enable))
        .route("/admin/users/{login}/roles", post(roles))
        .route("/admin/users/{login}/organisation", post(set_organisation))
        .route("/admin/users/{login}/reset-link", post(reset_link))
        .route("/admin/organisations", get(organisations))
        .route("/admin/organisations/{id}/verify", post(verify))
        .route("/admin/organisations/{id}/unverify", post(unverify))
        .route("/admin/status", get(status))
}

#[derive(Default, Deserialize, Serialize)]
struct Filter {
    #[serde(default)]
    q: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    page: u32,
}

async fn users(
    frame: Frame,
    State(app): State<App>,
    Admin(admin): Admin,
    Query(query): Query<Filter>,
) -> Result<Response, PageError> {
    let filter = UserFilter {
        search: query.q.trim().to_owned(),
        role: query.role.parse().ok(),
        state: query.state.clone(),
    };
    let page = app.people.users((&admin.actor).into(), &filter, (query.page, PAGE)).await?;
    frame
        .page("admin/users.html")
        .with("users", &page.users)
        .with("total", &page.total)
        .with("query", &query)
        .with("page_size", &PAGE)
        .with("roles", &Role::ALL)
        .render()
}

async fn user(
    frame: Frame,
    State(app): State<App>,
    Admin(admin): Admin,
    Path(login): Path<String>,
) -> Result<Response, PageError> {
    show(&frame, &app, &admin.actor, &login, None).await
}

async fn show(
    frame: &Frame,
    app: &App,
    admin: &crate::people::Actor,
    login: &str,
    reset_link: Option<String>,
) -> Result<Response, PageError> {
    let user = app.people.user_named(admin.into(), login).await?;
    let held: Vec<Role> =
        user.roles.iter().filter(|grant| grant.competition.is_none()).map(|grant| grant.role).collect();
    frame
        .page("admin/user.html")
        .with("user", &user)
        .with("held", &held)
        .with("roles", &Role::ALL)
        .with("reset_link", &reset_link)
        .render()
}

async fn disable(
    frame: Frame,
    State(app): State<App>,
    Admin(admin): Admin,
    Path(login): Path<String>,
) -> Result<Response, PageError> {
    set_disabled(&frame, &app, &admin.actor, &login, true).await
}

async fn enable(
    frame: Frame,
    State(app): State<App>,
    Admin(admin): Admin,
    Path(login): Path<String>,
) -> Result<Response, PageError> {
    set_disabled(&frame, &app, &admin.actor, &login, false).await
}

async fn set_disabled(
    frame: &Frame,
    app: &App,
    admin: &crate::people::Actor,
    login: &str,
    disabled: bool,
) -> Result<Response, PageError> {
    let user = app.people.user_named(admin.into(), login).await?;
    app.people.set_disabled(admin.into(), user.id, disabled).await?;
    let key = if disabled { "flash-user-disabled" } else { "flash-user-enabled" };
    frame.flash(Notice::Good, key, &[("login", &user.login)]);
    Ok(frame.go(&format!("/admin/users/{}", user.login)))
}

/// The roles ticked; an unticked box sends nothing, so each known role has a field of its own.
#[derive(Deserialize)]
struct Ticked {
    administrator: Option<String>,
    organizer: Option<String>,
    steward: Option<String>,
    checker: Option<String>,
    judge: Option<String>,
}

async fn roles(
    frame: Frame,
    State(app): State<App>,
    Admin(admin): Admin,
    Path(login): Path<String>,
    Form(form): Form<Ticked>,
) -> Result<Response, PageError> {
    let by = (&admin.actor).into();
    let user = app.people.user_named(by, &login).await?;
    let ticked = [
        (Role::Administrator, form.administrator.is_some()),
        (Role::Organizer, form.organizer.is_some()),
        (Role::Steward, form.steward.is_some()),
        (Role::Checker, form.checker.is_some()),
        (Role::Judge, form.judge.is_some()),
    ];
    for (role, ticked) in ticked {
        let grant = Grant { role, competition: None };
        match (ticked, user.roles.contains(&grant)) {
            (true, false) => app.people.give(by, user.id, grant).await?,
            (false, true) => app.people.take(by, user.id, grant).await?,
            _ => {}
        }
    }
    Ok(frame.done(&format!("/admin/users/{}", user.login), "flash-saved"))
}

#[derive(Deserialize)]
struct Belonging {
    #[serde(default)]
    organisation: String,
}

/// Whoever named a verified organisation belongs to it once an administrator says so.
async fn set_organisation(
    frame: Frame,
    State(app): State<App>,
    Admin(admin): Admin,
    Path(login): Path<String>,
    Form(form): Form<Belonging>,
) -> Result<Response, PageError> {
    let by = (&admin.actor).into();
    let user = app.people.user_named(by, &login).await?;
    app.people.set_organisation(by, user.id, &form.organisation).await?;
    Ok(frame.done(&format!("/admin/users/{}", user.login), "flash-saved"))
}

async fn reset_link(
    frame: Frame,
    State(app): State<App>,
    Admin(admin): Admin,
    Path(login): Path<String>,
) -> Result<Response, PageError> {
    let user = app.people.user_named((&admin.actor).into(), &login).await?;
    let secret = app.people.make_reset((&admin.actor).into(), user.id).await?;
    let link = format!("{}/reset/{secret}", app.settings.public_url);
    show(&frame, &app, &admin.actor, &login, Some(link)).await
}

async fn organisations(
    frame: Frame,
    State(app): State<App>,
    Admin(admin): Admin,
) -> Result<Response, PageError> {
    let organisations = app.people.organisations((&admin.actor).into()).await?;
    frame.page("admin/organisations.html").with("organisations", &organisations).render()
}

async fn verify(
    frame: Frame,
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<OrganisationId>,
) -> Result<Response, PageError> {
    app.people.set_verified((&admin.actor).into(), id, true).await?;
    Ok(frame.done("/admin/organisations", "flash-saved"))
}

async fn unverify(
    frame: Frame,
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<OrganisationId>,
) -> Result<Response, PageError> {
    app.people.set_verified((&admin.actor).into(), id, false).await?;
    Ok(frame.done("/admin/organisations", "flash-saved"))
}

/// One line of the status page.
#[derive(Serialize)]
struct StatusLine {
    name: &'static str,
    ok: bool,
    line: String,
}

async fn status(frame: Frame, State(app): State<App>, _: Admin) -> Result<Response, PageError> {
    let answers = futures_util::future::join_all(app.checks.iter().map(Check::answer)).await;
    let lines: Vec<_> = answers
        .into_iter()
        .map(|answer| StatusLine { name: answer.name, ok: answer.ok, line: answer.line })
        .collect();
    frame.page("admin/status.html").with("checks", &lines).render()
}
