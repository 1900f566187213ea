//! The rubric editor: the same that a bundle's `shuyu.judging` says, as a form.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::{Form, Router};
use serde_json::json;

use super::Court;
use super::rubric_form::{Fields, field_of};
use crate::judging::{JudgingError, assign, rubric};
use crate::web::App;
use crate::web::error::{FieldFault, PageError};
use crate::web::format;
use crate::web::guard::User;
use crate::web::page::Frame;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/desk/judging/rubric", get(page).post(save))
        .route("/competitions/{slug}/desk/judging/rubric/adopt", axum::routing::post(adopt))
}

async fn page(frame: Frame, State(app): State<App>, Path(slug): Path<String>) -> Result<Response, PageError> {
    let court = Court::enter(&app, &frame, &slug, "").await?;
    let zone = format::zone(&app.settings.site.zone);
    let fields = Fields::of(court.force.as_ref().map(|(_, judging)| judging), &zone);
    show(&app, &frame, &court, fields, (&[], StatusCode::OK)).await
}

async fn show(
    app: &App,
    frame: &Frame,
    court: &Court,
    fields: Fields,
    (faults, status): (&[FieldFault], StatusCode),
) -> Result<Response, PageError> {
    let mut conn = app.db.read().await?;
    let id = court.hall.competition.id;
    let marked = assign::begun(&mut conn, id).await?;
    let versions = rubric::db::all(&mut conn, id).await?;
    drop(conn);
    let versions: Vec<_> = versions
        .into_iter()
        .map(|v| json!({"number": v.number, "at": v.adopted_at.to_string(), "reason": v.reason, "criteria": v.judging.criteria.len()}))
        .collect();
    let phases: Vec<_> = court
        .hall
        .phases
        .iter()
        .map(|p| json!({"value": p.position.to_string(), "text": court.hall.phase_name(p)}))
        .collect();
    court
        .hall
        .page(app, frame, "desk/judging/rubric.html", "judging")
        .await?
        .with("f", &fields)
        .with("marked", &marked)
        .with("versions", &versions)
        .with("columns", &court.hall.public_columns())
        .with("phases", &phases)
        .with("zone", &app.settings.site.zone)
        .with("faults", &frame.faults(faults))
        .status(status)
        .render()
}

async fn save(
    frame: Frame,
    State(app): State<App>,
    _user: User,
    Path(slug): Path<String>,
    Form(sent): Form<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let court = Court::enter(&app, &frame, &slug, "").await?;
    let zone = format::zone(&app.settings.site.zone);
    let fields = Fields::sent(&sent);
    if sent.iter().any(|(name, _)| name == "more") {
        return show(&app, &frame, &court, fields.with_blank(), (&[], StatusCode::OK)).await;
    }
    let wrong = StatusCode::UNPROCESSABLE_ENTITY;
    let judging = match fields.read(&zone) {
        Ok(judging) => judging,
        Err(faults) => return show(&app, &frame, &court, fields, (&faults, wrong)).await,
    };
    let competition = court.hall.competition.clone();
    let (_, _, seat) = Court::enter(&app, &frame, &slug, "").await?.at(&app, &frame).await?;
    match rubric::change(&app.house, &competition, seat, judging, &fields.reason).await {
        Ok(_) => Ok(frame.done(&format!("{}/desk/judging/rubric", court.hall.base()), "flash-rubric-saved")),
        Err(JudgingError::Rubric(found)) => {
            let faults: Vec<FieldFault> = found
                .into_iter()
                .map(|fault| {
                    let key = format!("finding-{}", fault.code);
                    let mut told = FieldFault::new(field_of(&fault.key), "rubric");
                    told.text = Some(frame.say(&key, &vec![]));
                    told
                })
                .collect();
            show(&app, &frame, &court, fields, (&faults, wrong)).await
        }
        Err(JudgingError::MarksGiven) => {
            let faults = [FieldFault::new("reason", "rubric-reason")];
            show(&app, &frame, &court, fields, (&faults, wrong)).await
        }
        Err(other) => Err(other.into()),
    }
}

/// Takes over what a later import of the bundle declares.
async fn adopt(
    frame: Frame,
    State(app): State<App>,
    _user: User,
    Path(slug): Path<String>,
    Form(sent): Form<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let (hall, _, seat) = Court::enter(&app, &frame, &slug, "").await?.at(&app, &frame).await?;
    let declared = hall.competition.definition.judging.clone().ok_or_else(PageError::not_found)?;
    let reason = sent.iter().find(|(name, _)| name == "reason").map_or("", |(_, value)| value.as_str());
    rubric::change(&app.house, &hall.competition, seat, declared, reason).await?;
    Ok(frame.done(&format!("{}/desk/judging", hall.base()), "flash-rubric-saved"))
}
