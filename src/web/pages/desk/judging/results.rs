//! The ranking as it would be, or as it was signed; the marks of one entry; a page to print.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Court;
use super::overview::panel_view;
use crate::contest::definition::judging::{Judging, Tie};
use crate::contest::model::PhaseTime;
use crate::judging::entries;
use crate::judging::result::{self, EntryRow, Outcome, SheetRow, Shown, Signature};
use crate::judging::{Panel, Seat};
use crate::web::App;
use crate::web::error::{FieldFault, PageError};
use crate::web::page::Frame;
use crate::web::pages::competition::hall::{Hall, column_named};
use crate::web::pages::judging::{criteria, number};

/// Entries on a page.
const PAGE: usize = 100;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/desk/judging/{panel}/results", get(page))
        .route("/competitions/{slug}/desk/judging/{panel}/print", get(print))
        .route("/competitions/{slug}/desk/judging/{panel}/entries/{number}", get(entry))
}

/// A ranking that may be shown, with who looks at it.
pub(super) struct Ranking {
    /// The competition.
    pub hall: Hall,
    /// The panel.
    pub panel: Panel,
    /// The visitor on it.
    pub seat: Seat,
    /// What they may see.
    pub shown: Shown,
}

impl Ranking {
    /// The ranking of a panel for who runs it, once no round is open.
    pub async fn of(app: &App, frame: &Frame, slug: &str, id: &str) -> Result<Self, PageError> {
        let Court { hall, panel, seat, .. } = Court::enter(app, frame, slug, id).await?;
        let (Some(panel), Some(seat)) = (panel, seat) else { return Err(PageError::not_found()) };
        let of = (&hall.competition, hall.phases.as_slice());
        let shown = result::shown(&mut *app.db.read().await?, &app.boards, of, (&panel, seat)).await?;
        Ok(Self { hall, panel, seat, shown })
    }
}

/// An entry in the ranking as pages show it.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    row: &'a EntryRow,
    team_shown: Option<&'a str>,
    title: Option<&'a str>,
    /// Places that normalisation moved it by, up being positive.
    moved: i64,
}

fn row<'a>(row: &'a EntryRow, named: bool, titles: &'a [(crate::ids::EntryId, String)]) -> Row<'a> {
    let place = |rank: Option<usize>| rank.and_then(|rank| i64::try_from(rank).ok());
    let moved = place(row.rank_before).zip(place(row.rank)).map_or(0, |(before, after)| before - after);
    let title = titles.iter().find(|(id, _)| *id == row.id).map(|(_, title)| title.as_str());
    Row { team_shown: named.then_some(row.team_name.as_str()), title, moved, row }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    page: usize,
}

fn signature_view(signature: Option<&Signature>) -> Option<serde_json::Value> {
    signature.map(|s| {
        json!({
            "edition": s.edition, "at": s.signed_at.to_string(), "digest": s.digest, "holds": s.holds(),
            "by": s.document["signed"]["name"], "minutes": s.document["minutes"]["number"],
            "published": s.published_at.is_some(),
        })
    })
}

/// What the parts weigh, in percent of the total.
fn weights(outcome: &Outcome) -> serde_json::Value {
    let weights = outcome.judging.weights;
    let all = weights.automatic + weights.judged;
    json!({ "automatic": weights.automatic / all, "judged": weights.judged / all })
}

/// What decides between equals, in order; criteria by their titles.
fn ties(judging: &Judging, locale: &str) -> Vec<serde_json::Value> {
    let view = |tie: &Tie| match tie {
        Tie::Criterion(key) => {
            let title =
                judging.criterion(key).map_or(key.as_str(), |criterion| criterion.title.locale(locale));
            json!({ "criterion": title })
        }
        other => json!({ "kind": other.to_string() }),
    };
    judging.ties.iter().map(view).collect()
}

async fn page(
    frame: Frame,
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let r = Ranking::of(&app, &frame, &slug, &id).await?;
    show(&frame, &app, r, wanted.page, &[]).await
}

/// Entries that count 0 by machine because they stand on no board, and whether the phase of that board goes on.
#[derive(Clone, Copy)]
struct Automatic {
    unscored: usize,
    goes_on: bool,
}

impl Automatic {
    fn of(r: &Ranking) -> Self {
        let source = r.shown.outcome.judging.automatic.as_ref().filter(|_| r.shown.signature.is_none());
        let Some(source) = source else { return Self { unscored: 0, goes_on: false } };
        let phase = source.of_phase(&r.hall.phases);
        Self {
            unscored: r.shown.outcome.entries.iter().filter(|entry| entry.board.is_none()).count(),
            goes_on: phase.is_some_and(|phase| phase.time(r.hall.now) != PhaseTime::Over),
        }
    }
}

/// Whether there is something that the chair has to say they know before they sign.
pub(super) fn to_know(r: &Ranking) -> bool {
    let automatic = Automatic::of(r);
    automatic.unscored > 0 || automatic.goes_on
}

/// The page; with what was wrong with a form on it.
pub(super) async fn show(
    frame: &Frame,
    app: &App,
    r: Ranking,
    number_of_page: usize,
    faults: &[FieldFault],
) -> Result<Response, PageError> {
    let titles = entries::blind_titles(&mut *app.db.read().await?, r.hall.competition.id).await?;
    let total = r.shown.outcome.entries.len();
    let first = number_of_page.saturating_mul(PAGE).min(total);
    let shown = &r.shown.outcome.entries[first..total.min(first + PAGE)];
    let rows: Vec<Row<'_>> = shown.iter().map(|entry| row(entry, r.shown.named, &titles)).collect();
    let flagged: Vec<Row<'_>> = r
        .shown
        .outcome
        .entries
        .iter()
        .filter(|e| e.flagged)
        .map(|entry| row(entry, r.shown.named, &titles))
        .collect();
    let judging = &r.shown.outcome.judging;
    let automatic = judging.automatic.as_ref();
    let by_machine = Automatic::of(&r);
    let column = automatic.map(|source| column_named(&r.hall, &source.column));
    let unjudged = r.shown.outcome.entries.iter().filter(|entry| entry.sheets == 0).count();
    let few = r
        .shown
        .outcome
        .entries
        .iter()
        .filter(|e| e.sheets > 0 && e.sheets < judging.per_entry as usize)
        .count();
    r.hall
        .page(app, frame, "desk/judging/results.html", "judging")
        .await?
        .with("panel", &panel_view(&r.panel))
        .with("chair", &r.seat.chair)
        .with("named", &r.shown.named)
        .with("rows", &rows)
        .with("flagged", &flagged)
        .with("judges", &r.shown.outcome.judges())
        .with("normalisation", judging.normalisation.as_str())
        .with("measure", &judging.disagreement.map(|rule| rule.measure.as_str()))
        .with("threshold", &judging.disagreement.map(|rule| number(rule.threshold)))
        .with("weights", &weights(&r.shown.outcome))
        .with("column", &column)
        .with("automatic", &automatic)
        .with("ties", &ties(judging, r.hall.locale))
        .with("rubric", &r.shown.outcome.rubric)
        .with("unjudged", &unjudged)
        .with("few", &few)
        .with("per_entry", &judging.per_entry)
        .with("signature", &signature_view(r.shown.signature.as_ref()))
        .with("total", &total)
        .with("page", &number_of_page)
        .with("unscored", &by_machine.unscored)
        .with("goes_on", &by_machine.goes_on)
        .with("page_size", &PAGE)
        .with("faults", &frame.faults(faults))
        .status(if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY })
        .render()
}

/// One sheet as the page of an entry shows it.
#[derive(Serialize)]
struct SheetView<'a> {
    name: &'a str,
    round: i64,
    marks: Vec<String>,
    score: f64,
    normalised: f64,
    to_team: &'a str,
    to_jury: &'a str,
}

fn sheet_view<'a>(row: &'a SheetRow, outcome: &Outcome) -> SheetView<'a> {
    let mark = |key: &String| row.sheet.marks.get(key).map(|mark| number(*mark)).unwrap_or_default();
    SheetView {
        name: &row.name,
        round: row.round,
        marks: outcome.judging.criteria.iter().map(|criterion| mark(&criterion.key)).collect(),
        score: row.score,
        normalised: row.normalised,
        to_team: &row.sheet.to_team,
        to_jury: &row.sheet.to_jury,
    }
}

async fn entry(
    frame: Frame,
    State(app): State<App>,
    Path((slug, id, wanted)): Path<(String, String, i64)>,
) -> Result<Response, PageError> {
    let r = Ranking::of(&app, &frame, &slug, &id).await?;
    let found = r.shown.outcome.entries.iter().find(|entry| entry.number == wanted);
    let found = found.ok_or_else(PageError::not_found)?;
    let titles = entries::blind_titles(&mut *app.db.read().await?, r.hall.competition.id).await?;
    let sheets: Vec<SheetView<'_>> =
        r.shown.outcome.sheets_of(wanted).map(|sheet| sheet_view(sheet, &r.shown.outcome)).collect();
    let numbers: Vec<i64> = r.shown.outcome.entries.iter().map(|entry| entry.number).collect();
    let at = numbers.iter().position(|number| *number == wanted).unwrap_or(0);
    r.hall
        .page(&app, &frame, "desk/judging/entry.html", "judging")
        .await?
        .with("panel", &panel_view(&r.panel))
        .with("row", &row(found, r.shown.named, &titles))
        .with("sheets", &sheets)
        .with("criteria", &criteria(&r.shown.outcome.judging, None, r.hall.locale))
        .with("normalisation", r.shown.outcome.judging.normalisation.as_str())
        .with("before", &at.checked_sub(1).and_then(|at| numbers.get(at)))
        .with("after", &numbers.get(at + 1))
        .render()
}

async fn print(
    frame: Frame,
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let r = Ranking::of(&app, &frame, &slug, &id).await?;
    let titles = entries::blind_titles(&mut *app.db.read().await?, r.hall.competition.id).await?;
    let rows: Vec<Row<'_>> =
        r.shown.outcome.entries.iter().map(|entry| row(entry, r.shown.named, &titles)).collect();
    let judging = &r.shown.outcome.judging;
    r.hall
        .page(&app, &frame, "desk/judging/print.html", "judging")
        .await?
        .with("panel", &panel_view(&r.panel))
        .with("rows", &rows)
        .with("named", &r.shown.named)
        .with("judges", &r.shown.outcome.judges())
        .with("criteria", &criteria(judging, None, r.hall.locale))
        .with("weights", &weights(&r.shown.outcome))
        .with("normalisation", judging.normalisation.as_str())
        .with("ties", &ties(judging, r.hall.locale))
        .with("rubric", &r.shown.outcome.rubric)
        .with("per_entry", &judging.per_entry)
        .with("signature", &signature_view(r.shown.signature.as_ref()))
        .render()
}
