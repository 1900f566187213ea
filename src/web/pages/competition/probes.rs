//! What came of the public probes of an app, as its team and organizers read it.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::stream;
use super::submission::Seen;
use crate::probing::report::{ProbeReport, Report, StepReport};
use crate::submission::model::Run;
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::page::Frame;

pub(super) fn router() -> Router<App> {
    Router::new().route("/competitions/{slug}/submissions/{id}/probes/{run}", get(json))
}

/// The probes of one run on the page.
#[derive(Serialize)]
pub(in crate::web::pages) struct ProbesView {
    task: String,
    purpose: &'static str,
    href: String,
    passed: usize,
    total: usize,
    hidden: usize,
    groups: Vec<GroupView>,
    probes: Vec<ProbeView>,
    /// Bytes of what apps answered that are on the page.
    #[serde(skip)]
    pub(super) shown: u64,
}

#[derive(Serialize)]
struct GroupView {
    name: String,
    passed: usize,
    total: usize,
}

#[derive(Serialize)]
struct ProbeView {
    name: String,
    title: String,
    group: String,
    weight: f64,
    passed: bool,
    steps: Vec<StepReport>,
    left: usize,
}

/// What may be shown of the runs' reports: of a run that is an open book at once, of a closed one when its
/// outcome is told. What they say was fixed before anything hidden was asked.
pub(super) async fn views(app: &App, seen: &Seen, lang: &str) -> Result<Vec<ProbesView>, PageError> {
    let mut views = Vec::new();
    for run in seen.runs.iter().filter(|run| seen.book().shows_report(run)) {
        views.extend(view(app, run, (seen.task_name(run), &seen.address(), lang)).await?);
    }
    Ok(views)
}

/// What came of the probes of one run; none where there is no report. `address` is that of the submission's page.
pub(in crate::web::pages) async fn view(
    app: &App,
    run: &Run,
    (task, address, lang): (String, &str, &str),
) -> Result<Option<ProbesView>, PageError> {
    let Some((report, shown)) = read(app, run).await? else { return Ok(None) };
    let groups = groups(&report);
    let Report { probes, hidden } = report;
    Ok(Some(ProbesView {
        task,
        purpose: run.purpose.as_str(),
        href: format!("{address}/probes/{}", run.id),
        passed: probes.iter().filter(|probe| probe.passed).count(),
        total: probes.len(),
        hidden,
        groups,
        probes: probes.into_iter().map(|probe| probe_view(probe, lang)).collect(),
        shown,
    }))
}

fn groups(report: &Report) -> Vec<GroupView> {
    let mut groups: Vec<GroupView> = Vec::new();
    for probe in report.probes.iter().filter(|probe| !probe.group.is_empty()) {
        let place = match groups.iter().position(|group| group.name == probe.group) {
            Some(place) => place,
            None => {
                groups.push(GroupView { name: probe.group.clone(), passed: 0, total: 0 });
                groups.len() - 1
            }
        };
        groups[place].total += 1;
        groups[place].passed += usize::from(probe.passed);
    }
    groups
}

fn probe_view(probe: ProbeReport, lang: &str) -> ProbeView {
    let short = lang.split('-').next().unwrap_or(lang);
    let title =
        [lang, short, ""].iter().find_map(|tag| probe.title.get(*tag)).or(probe.title.values().next());
    ProbeView {
        title: title.cloned().unwrap_or_default(),
        name: probe.name,
        group: probe.group,
        weight: probe.weight,
        passed: probe.passed,
        steps: probe.steps,
        left: probe.left,
    }
}

/// A run's report and its size.
async fn read(app: &App, run: &Run) -> Result<Option<(Report, u64)>, PageError> {
    Ok(run.read_report(&app.house.objects).await?)
}

/// A run's report as a file to be taken along, and its size.
pub(in crate::web::pages) async fn document(app: &App, run: &Run) -> Result<(Response, u64), PageError> {
    let (report, size) = read(app, run).await?.ok_or_else(PageError::not_found)?;
    let document = serde_json::to_vec_pretty(&report).map_err(|e| PageError::internal(&e))?;
    Ok((stream::text("probes.json", "application/json", document), size))
}

/// The report to be taken along.
async fn json(
    frame: Frame,
    State(app): State<App>,
    _: User,
    Path((slug, id, run)): Path<(String, String, String)>,
) -> Result<Response, PageError> {
    let seen = Seen::own(&app, &frame, &slug, &id).await?;
    let shown = |known: &&Run| known.id.to_string() == run && seen.book().shows_report(known);
    let run = seen.runs.iter().find(shown).ok_or_else(PageError::not_found)?;
    let (document, size) = document(&app, run).await?;
    seen.count(&app, size).await?;
    Ok(document)
}
