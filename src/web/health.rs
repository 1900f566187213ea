//! `/healthz` (the process answers), `/readyz` (it can do its work), `/metrics` (Prometheus).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::Serialize;

use super::{App, hosts};
use crate::contest::db as contest_db;
use crate::lab::desk;
use crate::lab::keeper::Keeper;
use crate::store::{Db, Engine, StoreError};
use crate::submission::queue;

/// Free space below which the disk is not well, in bytes.
const LEAST_FREE: u64 = 1 << 30;

/// A worker that was not heard of for so long counts as dead.
const HEARD_OF: SignedDuration = SignedDuration::from_secs(60);

type Asked = dyn Fn() -> BoxFuture<'static, Result<String, String>> + Send + Sync;

/// One thing the service needs. It answers with a line on its state, or on what is wrong and how to
/// mend it.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    ask: Arc<Asked>,
}

/// What a check answered.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// What was asked about.
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// A line on its state; for administrators alone.
    #[serde(skip)]
    pub line: String,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

impl Check {
    /// A check by a name in kebab case.
    pub fn new<F, A>(name: &'static str, ask: A) -> Self
    where
        A: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<String, String>> + Send + 'static,
    {
        Self { name, ask: Arc::new(move || ask().boxed()) }
    }

    pub(super) fn database(db: &Db) -> Self {
        let db = db.clone();
        Self::new("database", move || {
            let db = db.clone();
            async move {
                db.ping().await.map_err(|error| error.to_string())?;
                Ok(match db.engine() {
                    Engine::Sqlite => "SQLite answers".to_owned(),
                    Engine::Postgres => "PostgreSQL answers".to_owned(),
                })
            }
        })
    }

    pub(super) fn disk(directory: &Path) -> Self {
        let directory = directory.to_owned();
        Self::new("disk", move || {
            let directory = directory.clone();
            async move { free_space(directory).await }
        })
    }

    /// Asks.
    pub async fn answer(&self) -> Answer {
        match (self.ask)().await {
            Ok(line) => Answer { name: self.name, ok: true, line },
            Err(line) => Answer { name: self.name, ok: false, line },
        }
    }
}

/// The bytes that may still be written under a directory.
fn free_bytes(directory: &Path) -> Result<u64, rustix::io::Errno> {
    let stat = rustix::fs::statvfs(directory)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

async fn free_space(directory: PathBuf) -> Result<String, String> {
    let shown = directory.display().to_string();
    let found = tokio::task::spawn_blocking(move || free_bytes(&directory)).await;
    let free = found.map_err(|e| e.to_string())?.map_err(|e| format!("{shown}: {e}"))?;
    let line = format!("{} free under {shown}", super::format::size(i64::try_from(free).unwrap_or(i64::MAX)));
    if free < LEAST_FREE { Err(format!("{line}: make room, at least 1 GiB")) } else { Ok(line) }
}

pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

pub(super) async fn readyz(State(app): State<App>) -> Response {
    let answers = futures_util::future::join_all(app.checks.iter().map(Check::answer)).await;
    for answer in answers.iter().filter(|answer| !answer.ok) {
        tracing::warn!(check = answer.name, problem = answer.line, "not ready");
    }
    let ok = answers.iter().all(|answer| answer.ok);
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(serde_json::json!({ "ready": ok, "checks": answers }))).into_response()
}

/// The recorder of this process, installed when first asked for.
fn recorder() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
        let builder = PrometheusBuilder::new();
        let builder = builder.set_buckets(&seconds).unwrap_or_else(|error| {
            tracing::error!(%error, "metrics: the buckets cannot be set");
            PrometheusBuilder::new()
        });
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("metrics: another recorder is installed already");
        }
        handle
    })
}

pub(super) async fn metrics(State(app): State<App>) -> Response {
    let handle = recorder();
    if let Err(error) = gauge_queue(&app).await {
        tracing::warn!(%error, "metrics: the queue could not be counted");
    }
    if let Err(error) = gauge_sandboxes(&app).await {
        tracing::warn!(%error, "metrics: the sandboxes could not be counted");
    }
    let directory = app.settings.data_dir.clone();
    if let Ok(Ok(free)) = tokio::task::spawn_blocking(move || free_bytes(&directory)).await {
        metrics::gauge!("shuyu_disk_free_bytes").set(free as f64);
    }
    handle.run_upkeep();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render()).into_response()
}

/// Sets the gauges of the queue and its workers to what holds now.
async fn gauge_queue(app: &App) -> Result<(), StoreError> {
    let now = app.clock.now();
    let mut conn = app.db.read().await?;
    let mut queued = 0;
    for competition in contest_db::ids(&mut conn).await? {
        queued += queue::db::load_of(&mut conn, competition).await?.0;
    }
    let running = queue::db::under_way(&mut conn).await?;
    let lapsed = i64::try_from(queue::db::lapsed(&mut conn, now).await?.len()).unwrap_or(running);
    let alive = |worker: &queue::db::Worker| {
        worker.stopped_at.is_none() && now.duration_since(worker.seen_at) < HEARD_OF
    };
    let workers = queue::db::workers(&mut conn, now).await?.iter().filter(|w| alive(w)).count();
    metrics::gauge!("shuyu_runs_queued").set(queued as f64);
    metrics::gauge!("shuyu_runs_running").set(running as f64);
    metrics::gauge!("shuyu_leases_open").set((running - lapsed).max(0) as f64);
    metrics::gauge!("shuyu_workers_alive").set(workers as f64);
    Ok(())
}

/// Sets the gauges of interactive sandboxes.
async fn gauge_sandboxes(app: &App) -> Result<(), StoreError> {
    let mut conn = app.db.read().await?;
    let numbers = desk::numbers(&mut conn, None).await?;
    let places = hosts::places(&hosts::alive(app, &mut conn).await?);
    metrics::gauge!("shuyu_sandboxes_held").set(numbers.held as f64);
    metrics::gauge!("shuyu_sandboxes_waiting").set(numbers.waiting as f64);
    metrics::gauge!("shuyu_sandbox_places").set(places as f64);
    let spares = app.keeper.as_ref().map_or(0, Keeper::waiting_spares);
    metrics::gauge!("shuyu_sandbox_spares").set(spares as f64);
    Ok(())
}

/// The method as a label: anybody may send any word as a method, and each label is kept for good.
fn method_label(method: &Method) -> &'static str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    let words = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known.iter().zip(words).find(|(known, _)| *known == method).map_or("OTHER", |(_, word)| word)
}

/// Counts and times requests by the route that took them.
pub(super) async fn measured(request: Request, next: Next) -> Response {
    recorder();
    let begun = Instant::now();
    let method = method_label(request.method()).to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    let labels = [("method", method), ("route", route), ("status", status)];
    metrics::counter!("shuyu_http_requests_total", &labels).increment(1);
    metrics::histogram!("shuyu_http_request_seconds", &labels).record(begun.elapsed().as_secs_f64());
    response
}
