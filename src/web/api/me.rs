//! Who the holder of a token is.

use axum::Json;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::web::App;
use crate::web::guard::Bearer;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(me))
}

/// Who the holder of a token is.
#[derive(Serialize, utoipa::ToSchema)]
struct Me {
    /// The user.
    id: String,
    /// The name they log in with.
    login: String,
    /// The name shown to others.
    name: String,
    /// The token's scope: read, submit, organize or admin.
    scope: String,
    /// The roles held in the whole installation.
    roles: Vec<String>,
}

/// Who the holder of the token is.
#[utoipa::path(
    get, path = "/me", tag = "people", security(("token" = [])),
    responses(
        (status = 200, body = Me),
        (status = 401, description = "no token, or not one that stands", content_type = "application/problem+json"),
    )
)]
async fn me(Bearer(actor): Bearer) -> Json<Me> {
    let everywhere = actor.grants.iter().filter(|grant| grant.competition.is_none());
    Json(Me {
        id: actor.user.to_string(),
        roles: everywhere.map(|grant| grant.role.to_string()).collect(),
        scope: actor.scope.to_string(),
        login: actor.login,
        name: actor.name,
    })
}
