//! What came of the public probes of an app, as its team reads it.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::stream;
use super::submission::Seen;
use crate::probing::report::{ProbeReport, REPORT_BYTES, Report, StepReport};
use crate::store::ObjectKey;
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
pub(super) struct ProbesView {
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
    for run in seen.runs.iter().filter(|run| seen.shows_report(run)) {
        let Some((report, shown)) = read(app, run).await? else { continue };
        let groups = groups(&report);
        let Report { probes, hidden } = report;
        views.push(ProbesView {
            task: seen.task_name(run),
            purpose: run.purpose.as_str(),
            href: format!("{}/probes/{}", seen.address(), run.id),
            passed: probes.iter().filter(|probe| probe.passed).count(),
            total: probes.len(),
            hidden,
            groups,
            probes: probes.into_iter().map(|probe| probe_view(probe, lang)).collect(),
            shown,
        });
    }
    Ok(views)
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
    let Some(key) = &run.report else { return Ok(None) };
    let key: ObjectKey = key.parse().map_err(|e| PageError::internal(&e))?;
    let bytes = app.house.objects.get_bytes(&key, REPORT_BYTES).await?;
    let report = serde_json::from_slice(&bytes).map_err(|e| PageError::internal(&e))?;
    Ok(Some((report, bytes.len() as u64)))
}

/// The report to be taken along.
async fn json(
    frame: Frame,
    State(app): State<App>,
    _: User,
    Path((slug, id, run)): Path<(String, String, String)>,
) -> Result<Response, PageError> {
    let seen = Seen::own(&app, &frame, &slug, &id).await?;
    let run = seen.runs.iter().find(|known| known.id.to_string() == run && seen.shows_report(known));
    let (report, size) = match run {
        Some(run) => read(&app, run).await?.ok_or_else(PageError::not_found)?,
        None => return Err(PageError::not_found()),
    };
    seen.count(&app, size).await?;
    let document = serde_json::to_vec_pretty(&report).map_err(|e| PageError::internal(&e))?;
    Ok(stream::text("probes.json", "application/json", document))
}
