//! What came of the public probes of an app, as its team and organizers read it.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::ask::{Answer, Theirs};
use crate::contest::db as contest_db;
use crate::lab::shown;
use crate::probing::report::ProbeReport;
use crate::submission::book::Book;
use crate::submission::queue;
use crate::web::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(probes))
}

/// What came of the public probes of a run.
#[derive(Serialize, ToSchema)]
pub(super) struct RunProbes {
    /// The run.
    pub run: Uuid,
    /// The task's index.
    #[schema(example = 0)]
    pub task: i64,
    /// `score`, `rescore`, `trial`, `twin` or, for organizers, `dry_run`.
    #[schema(example = "score")]
    pub purpose: &'static str,
    /// The public probes, in the order in which they were asked.
    pub probes: Vec<ProbeReport>,
    /// How many hidden probes there are beside them, of which nothing is told one by one.
    #[schema(example = 10)]
    pub hidden: usize,
}

/// The reports of a submission's runs.
#[derive(Serialize, ToSchema)]
pub(super) struct ProbesView {
    /// One for each run that left a report.
    pub runs: Vec<RunProbes>,
}

/// What came of an app's public probes.
///
/// Each with its requests and in what the answers were not as expected. Where there are hidden probes too, it
/// is told with the outcome; nothing is told of an app that read hidden input. Empty for anything but an app.
#[utoipa::path(
    get, path = "/submissions/{id}/probes", tag = "submissions", security(("token" = [])),
    params(("id" = Uuid, Path, description = "the submission")),
    responses((status = 200, body = ProbesView))
)]
async fn probes(State(app): State<App>, theirs: Theirs) -> Answer<Json<ProbesView>> {
    let Theirs { here, phase, submission } = &theirs;
    let mut conn = app.db.read().await?;
    let tasks = contest_db::tasks_of_phase(&mut conn, phase.id).await?;
    let runs = queue::db::of_submission(&mut conn, submission.id).await?;
    drop(conn);
    let book = Book { submission, phase, tasks: &tasks, runs: &runs };
    let (mut views, mut shown) = (Vec::new(), 0);
    for run in runs.iter().filter(|run| here.is_organizer() || book.shows_report(run)) {
        let Some((report, size)) = run.read_report(&app.house.objects).await? else { continue };
        let task = tasks.iter().find(|task| task.id == run.task);
        shown += size;
        views.push(RunProbes {
            run: run.id.0,
            task: task.map_or(-1, |task| task.definition.index),
            purpose: run.purpose.as_str(),
            probes: report.probes,
            hidden: report.hidden,
        });
    }
    if !here.is_organizer() {
        shown::count(&app.house, app.keeper.as_ref(), submission, shown).await?;
    }
    Ok(Json(ProbesView { runs: views }))
}
