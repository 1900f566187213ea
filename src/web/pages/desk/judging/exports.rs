//! A ranking to take along: as a table, or the whole document that was signed.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;

use super::results::Ranking;
use crate::judging::result::Points;
use crate::web::App;
use crate::web::error::PageError;
use crate::web::page::Frame;
use crate::web::pages::competition::stream;
use crate::web::pages::judging::number;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/desk/judging/{panel}/ranking.csv", get(ranking))
        .route("/competitions/{slug}/desk/judging/{panel}/marks.csv", get(marks))
        .route("/competitions/{slug}/desk/judging/{panel}/ranking.json", get(document))
}

fn table(lines: Vec<Vec<String>>) -> Result<Vec<u8>, PageError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer
            .write_record(line.iter().map(|text| stream::cell(text)))
            .map_err(|e| PageError::internal(&e))?;
    }
    writer.into_inner().map_err(|error| PageError::internal(&error))
}

fn csv(name: &str, lines: Vec<Vec<String>>) -> Result<Response, PageError> {
    Ok(stream::csv(name, &table(lines)?))
}

async fn ranking(
    frame: Frame,
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let r = Ranking::of(&app, &frame, &slug, &id).await?;
    let keys: Vec<&String> =
        r.shown.outcome.judging.criteria.iter().map(|criterion| &criterion.key).collect();
    let points = |value: Option<f64>| value.map(|value| format!("{value:.4}")).unwrap_or_default();
    let place = |rank: Option<usize>| rank.map(|rank| rank.to_string()).unwrap_or_default();
    let fixed = [
        "rank",
        "rank_before_normalisation",
        "entry",
        "team",
        "total",
        "judged",
        "judged_before_normalisation",
        "automatic",
        "board",
        "spread",
        "flagged",
        "sheets",
    ];
    let head = fixed.into_iter().map(str::to_owned).chain(keys.iter().map(|key| format!("criterion:{key}")));
    let mut lines: Vec<Vec<String>> = vec![head.collect()];
    for entry in &r.shown.outcome.entries {
        let mut line = vec![
            place(entry.rank),
            place(entry.rank_before),
            entry.number.to_string(),
            if r.shown.named { entry.team_name.clone() } else { String::new() },
            points(entry.total),
            points(entry.judged),
            points(entry.judged_before),
            points(entry.automatic.as_ref().map(Points::get)),
            entry.board.as_ref().map(|value| value.get().to_string()).unwrap_or_default(),
            points(entry.spread),
            entry.flagged.to_string(),
            entry.sheets.to_string(),
        ];
        line.extend(keys.iter().map(|key| points(entry.criteria.get(*key).copied())));
        lines.push(line);
    }
    csv(&format!("{slug}-ranking.csv"), lines)
}

async fn marks(
    frame: Frame,
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let r = Ranking::of(&app, &frame, &slug, &id).await?;
    let keys: Vec<&String> =
        r.shown.outcome.judging.criteria.iter().map(|criterion| &criterion.key).collect();
    let fixed = ["entry", "judge", "round", "points", "points_normalised", "to_team", "to_jury"];
    let head = fixed.into_iter().map(str::to_owned).chain(keys.iter().map(|key| format!("mark:{key}")));
    let mut lines: Vec<Vec<String>> = vec![head.collect()];
    for row in &r.shown.outcome.sheets {
        let mut line = vec![
            row.entry.to_string(),
            row.name.clone(),
            row.round.to_string(),
            format!("{:.4}", row.score),
            format!("{:.4}", row.normalised),
            row.sheet.to_team.clone(),
            row.sheet.to_jury.clone(),
        ];
        let mark = |key: &&String| row.sheet.marks.get(*key).map(|mark| number(*mark)).unwrap_or_default();
        line.extend(keys.iter().map(mark));
        lines.push(line);
    }
    csv(&format!("{slug}-marks.csv"), lines)
}

/// The signed document; before that, the ranking as it is now. Without names for who may not know them.
async fn document(
    frame: Frame,
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let r = Ranking::of(&app, &frame, &slug, &id).await?;
    let document = r.shown.document();
    let bytes = serde_json::to_vec_pretty(&document).map_err(|error| PageError::internal(&error))?;
    Ok(stream::text(&format!("{slug}-ranking.json"), "application/json", bytes))
}
