//! The published ranking of a jury, and to a team what the judges wrote to it.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use serde_json::json;

use super::hall::{Hall, Season};
use crate::ids::EntryId;
use crate::judging::entries;
use crate::judging::feedback::{self, Published};
use crate::web::App;
use crate::web::error::PageError;
use crate::web::page::Frame;
use crate::web::pages::judging::{criteria, number};

pub(super) fn router() -> Router<App> {
    Router::new().route("/competitions/{slug}/judged", get(page))
}

/// A criterion with a team's mean mark.
#[derive(Serialize)]
struct Mean {
    title: String,
    mean: Option<f64>,
    max: String,
}

fn view(published: &Published, shown: &Shown, locale: &str) -> serde_json::Value {
    let weights = published.judging.weights;
    let all = weights.automatic + weights.judged;
    let rows: Vec<_> = published
        .entries
        .iter()
        .enumerate()
        .map(|(place, row)| {
            let mine = published.feedback.as_ref().is_some_and(|feedback| feedback.place == place);
            json!({"rank": row.rank, "team": row.team_name, "number": row.number, "title": shown.get(&row.id), "total": row.total, "judged": row.judged, "automatic": row.automatic, "mine": mine})
        })
        .collect();
    let own = published.feedback.as_ref().and_then(|feedback| {
        let row = published.entries.get(feedback.place)?;
        let mean = |criterion: &crate::contest::definition::judging::Criterion| Mean {
            title: criterion.title.locale(locale).to_owned(),
            mean: row.criteria.get(&criterion.key).copied(),
            max: number(criterion.max),
        };
        let means: Vec<Mean> = published.judging.criteria.iter().map(mean).collect();
        Some(json!({"number": row.number, "sheets": row.sheets, "means": means, "comments": feedback.comments}))
    });
    json!({
        "panel": published.panel, "at": published.signed_at.to_string(), "digest": published.digest, "rows": rows,
        "own": own, "automatic": weights.automatic / all, "judged": weights.judged / all,
        "criteria": criteria(&published.judging, None, locale),
    })
}

/// The titles of the entries that the showcase has, by entry.
type Shown = BTreeMap<EntryId, String>;

async fn shown(app: &App, hall: &Hall) -> Result<Shown, PageError> {
    if !matches!(hall.season(), Season::Over(_)) {
        return Ok(Shown::new());
    }
    let mut conn = app.db.read().await?;
    let open: BTreeSet<EntryId> =
        entries::db::shown(&mut conn, hall.competition.id).await?.iter().map(|entry| entry.id).collect();
    let standing = entries::db::standing(&mut conn, hall.competition.id).await?;
    let titles = standing.into_iter().filter(|(id, _)| open.contains(id));
    Ok(titles.map(|(id, version)| (id, version.content.title)).collect())
}

async fn page(frame: Frame, State(app): State<App>, Path(slug): Path<String>) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let team = hall.team.as_ref().map(|team| team.id);
    let all = feedback::published(&mut *app.db.read().await?, hall.competition.id, team).await?;
    if all.is_empty() {
        return Err(PageError::not_found());
    }
    let shown = shown(&app, &hall).await?;
    let panels: Vec<_> = all.iter().map(|published| view(published, &shown, hall.locale)).collect();
    hall.page(&app, &frame, "competition/judged.html", "judged").await?.with("panels", &panels).render()
}
