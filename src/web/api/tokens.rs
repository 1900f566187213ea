//! API tokens: made with login and password, so that a program can log in by itself; listed and
//! revoked by their owner.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Time;
use super::ask::{Answer, Body, Refusal, in_path};
use crate::ids::TokenId;
use crate::people::{NewToken, PeopleError, Scope, TokenRow};
use crate::web::App;
use crate::web::guard::Bearer;
use crate::web::limits::Limited;
use crate::web::visit::Visit;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(make, list)).routes(routes!(revoke))
}

/// What is sent to log in.
#[derive(Deserialize, ToSchema)]
pub(super) struct Credentials {
    /// The name to log in with.
    #[schema(example = "alice")]
    pub login: String,
    /// The password.
    #[schema(format = Password)]
    pub password: String,
    /// What the token is for, 1 to 60 characters.
    #[serde(default = "default_name")]
    #[schema(example = "laptop")]
    pub name: String,
    /// `read`, `submit`, `organize` or `admin`; each includes those before it.
    #[serde(default = "default_scope")]
    #[schema(example = "submit")]
    pub scope: String,
    /// Days until it ends, 1 to 365.
    #[serde(default = "default_days")]
    #[schema(example = 90)]
    pub days: u32,
}

fn default_name() -> String {
    "API".to_owned()
}

fn default_scope() -> String {
    Scope::Submit.to_string()
}

fn default_days() -> u32 {
    90
}

/// A token.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenView {
    /// Its id.
    pub id: Uuid,
    /// What it is for.
    pub name: String,
    /// `read`, `submit`, `organize` or `admin`.
    #[schema(value_type = String, example = "submit")]
    pub scope: Scope,
    /// When it was made.
    pub created_at: Time,
    /// When it ends.
    pub expires_at: Time,
    /// When it was last used, to the minute.
    pub used_at: Option<Time>,
}

/// A new token. Its secret is told this once.
#[derive(Serialize, ToSchema)]
pub(super) struct FreshToken {
    /// The secret: send it as `Authorization: Bearer`.
    #[schema(example = "shy_0f3c…")]
    pub token: String,
    /// What is known of it.
    #[serde(flatten)]
    pub about: TokenView,
}

fn view(row: TokenRow) -> TokenView {
    TokenView {
        id: row.id.0,
        name: row.name,
        scope: row.scope,
        created_at: Time(row.created_at),
        expires_at: Time(row.expires_at),
        used_at: row.used_at.map(Time),
    }
}

/// Make a token with login and password.
#[utoipa::path(
    post, path = "/tokens", tag = "people", request_body = Credentials,
    responses((status = 201, body = FreshToken))
)]
async fn make(
    State(app): State<App>,
    Extension(visit): Extension<Arc<Visit>>,
    Body(sent): Body<Credentials>,
) -> Answer<(StatusCode, Json<FreshToken>)> {
    app.limits.check(Limited::Login, &visit.address)?;
    let visitor = visit.visitor();
    let opened = app.people.login(&sent.login, sent.password, &visitor).await?;
    let signed = app.people.signed_in(&opened.secret, &visitor).await?.ok_or(PeopleError::WrongLogin)?;
    let new = NewToken { name: sent.name, scope: sent.scope, days: sent.days };
    let made = app.people.make_token(&signed.actor, &new).await;
    // the session served to make the token alone
    app.people.end_session(&signed.actor, signed.session).await?;
    let (row, token) = made?;
    Ok((StatusCode::CREATED, Json(FreshToken { token, about: view(row) })))
}

/// The asker's tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenList {
    /// The tokens that were not revoked, the newest first.
    pub items: Vec<TokenView>,
    /// How many there are.
    pub total: usize,
}

/// The asker's tokens.
#[utoipa::path(
    get, path = "/tokens", tag = "people", security(("token" = [])),
    responses((status = 200, body = TokenList))
)]
async fn list(State(app): State<App>, Bearer(actor): Bearer) -> Answer<Json<TokenList>> {
    let items: Vec<TokenView> = app.people.tokens(&actor).await?.into_iter().map(view).collect();
    Ok(Json(TokenList { total: items.len(), items }))
}

/// The token that a path names.
struct Named(TokenId);

impl FromRequestParts<App> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let id = in_path(parts, app, "id").await?;
        id.parse().map(Self).map_err(|_| Refusal::not_found())
    }
}

/// Revoke a token of the asker's own.
#[utoipa::path(
    delete, path = "/tokens/{id}", tag = "people", security(("token" = [])),
    params(("id" = Uuid, Path, description = "the token")),
    responses((status = 204, description = "revoked"))
)]
async fn revoke(State(app): State<App>, Bearer(actor): Bearer, Named(token): Named) -> Answer<StatusCode> {
    app.people.revoke_token(&actor, token).await?;
    Ok(StatusCode::NO_CONTENT)
}
