//! The audit log, for administrators.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audit::{self, Actor, Filter, Record};
use crate::ids::UserId;
use crate::people::PeopleError;
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::Admin;
use crate::web::page::Frame;

/// Entries on a page.
const PAGE: u32 = 50;

pub(super) fn router() -> Router<App> {
    Router::new().route("/admin/audit", get(show))
}

#[derive(Default, Deserialize, Serialize)]
struct Asked {
    #[serde(default)]
    action: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    page: u32,
}

/// One entry as the page shows it.
#[derive(Serialize)]
struct Shown {
    number: Option<i64>,
    at: Timestamp,
    /// `user`, `worker`, `operator` or `system`.
    kind: &'static str,
    /// The login, or an id.
    who: String,
    by_token: bool,
    action: String,
    object_kind: String,
    object: String,
    detail: String,
}

async fn show(
    frame: Frame,
    State(app): State<App>,
    Admin(admin): Admin,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let by = (&admin.actor).into();
    let user = match asked.user.trim() {
        "" => Some(None),
        login => match app.people.user_named(by, login).await {
            Ok(user) => Some(Some(user.id)),
            Err(PeopleError::Unknown(_)) => None,
            Err(error) => return Err(error.into()),
        },
    };
    let action = Some(asked.action.trim().to_owned()).filter(|action| !action.is_empty());
    let (entries, total) = match user {
        // Nobody has that login, so nobody of that name did anything.
        None => (Vec::new(), 0),
        Some(user) => {
            let filter = Filter { user, action, page: asked.page, per_page: PAGE, ..Filter::default() };
            let page = audit::list(&app.db, &filter).await?;
            (page.entries, page.total)
        }
    };
    let people: Vec<UserId> =
        entries.iter().flat_map(|entry| [entry.actor.user(), about(entry)]).flatten().collect();
    let logins = app.people.logins(&people).await?;
    let entries: Vec<Shown> = entries.into_iter().map(|entry| shown(entry, &logins)).collect();
    frame
        .page("admin/audit.html")
        .with("entries", &entries)
        .with("total", &total)
        .with("query", &asked)
        .with("page_size", &PAGE)
        .render()
}

/// The person an entry is about.
fn about(entry: &Record) -> Option<UserId> {
    (entry.object_kind == "user").then(|| entry.object_id.parse().ok()).flatten()
}

/// A fact without JSON's quotes and brackets.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn shown(entry: Record, logins: &BTreeMap<UserId, String>) -> Shown {
    let login = |user: &UserId| logins.get(user).cloned().unwrap_or_else(|| user.to_string());
    let (kind, who) = match &entry.actor {
        Actor::User(user) | Actor::Token { user, .. } => ("user", login(user)),
        Actor::Worker(worker) => ("worker", worker.to_string()),
        Actor::Operator => ("operator", String::new()),
        Actor::System => ("system", String::new()),
    };
    let user = about(&entry);
    let facts = entry.detail.as_object().into_iter().flatten();
    let detail: Vec<_> = facts
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| format!("{name}: {}", plain(value)))
        .collect();
    Shown {
        number: entry.number,
        at: entry.at,
        kind,
        who,
        by_token: matches!(entry.actor, Actor::Token { .. }),
        action: entry.action,
        object: user.map_or(entry.object_id, |user| login(&user)),
        object_kind: entry.object_kind,
        detail: detail.join(" · "),
    }
}
