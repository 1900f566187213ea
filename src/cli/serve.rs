//! `shuyu serve`: the pages and the API.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::sandbox_port::SandboxPort;
use super::worker::worker_name;
use super::{Common, assembly, block_on, log};
use crate::audit::Sequencer;
use crate::clock::Clock;
use crate::config::Settings;
use crate::contest::scratch;
use crate::submission::run::Carrier;
use crate::submission::worker::Worker;
use crate::web::health::Check;
use crate::web::limits::Limits;
use crate::web::{self, App};

/// What `shuyu serve` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The address people type, without a slash at the end
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Take no runs from the queue; `shuyu worker` does, here or elsewhere
    #[arg(long)]
    no_worker: bool,
}

pub(super) fn run(common: &Common, args: Args) -> anyhow::Result<()> {
    let listen = args.listen.map(|address| address.to_string());
    let worker = args.no_worker.then(|| "false".to_owned());
    let flags = [("listen", listen), ("public_url", args.public_url), ("worker.enabled", worker)];
    let settings = common.settings(&flags)?;
    log(&settings.log)?;
    block_on(serve(settings))
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    // before anything else is touched: another service may have the address, or the work directory
    let listener = TcpListener::bind(settings.listen).await.with_context(|| {
        let mend = "stop what listens there, or choose another address with --listen";
        format!("cannot listen on {}; {mend}", settings.listen)
    })?;
    let port = match settings.worker.enabled {
        true => SandboxPort::take(&settings).await?,
        // no sandbox is held here
        false => None,
    };
    let _lock = settings.worker.enabled.then(|| assembly::lock(&settings)).transpose()?;
    let house = assembly::house(&settings, Clock::system()).await?;
    let db = house.db.clone();
    let stop = CancellationToken::new();
    let over = CancellationToken::new();
    let sequencing = tokio::spawn(Sequencer::new(db.clone()).run(over.clone()));
    let mut checks = Vec::new();
    let (mut keeping, mut holds) = (None, None);
    let limits = Arc::new(Limits::new(&settings.limits, &house.clock));
    let working = if settings.worker.enabled {
        let instance = assembly::instance_of(&settings)?;
        let carrier = assembly::carrier(&settings, house.clone(), &instance).await?;
        checks.push(docker_check(&carrier));
        let keeper =
            assembly::keeper(&settings, &carrier, &worker_name(&settings.worker.name), &limits).await?;
        keeping = keeper.clone().map(|keeper| tokio::spawn(keeper.work(stop.clone())));
        holds = keeper;
        let worker = Worker::new(carrier, &worker_name(&settings.worker.name), settings.slots())
            .keeping_warm(settings.worker.warm)
            .keeping_rejected(settings.upload.keep_rejected_days);
        let worker = assembly::says_it_holds(worker, &settings, holds.as_ref());
        Some(tokio::spawn(worker.work(stop.clone())))
    } else {
        None
    };
    let app = App::new(settings, house.clone(), checks, holds, limits)?;
    tracing::info!(listen = %listener.local_addr()?, url = app.settings.public_url, "serving");

    let _spool = clear_leftovers(&app.settings.work_dir)?;
    let live = app.live.clone();
    let reading = tokio::spawn({
        let live = live.clone();
        async move { live.run().await }
    });
    // what this process publishes reaches its pages at once, not at their next look
    let bell = house.event_bell.clone();
    let ringing = tokio::spawn({
        let live = live.clone();
        async move {
            loop {
                bell.notified().await;
                live.wake();
            }
        }
    });
    let showing = port.map(|port| tokio::spawn(port.serve(app.clone(), stop.clone())));
    let stopping = stop.clone();
    let service = web::router(app).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(async move {
            stopped().await;
            tracing::info!("stopping: requests and runs under way are finished");
            // the worker takes no new run while requests are waited for
            stopping.cancel();
            live.close();
        })
        .await?;
    ringing.abort();
    reading.await?;
    stop.cancel();
    if let Some(showing) = showing {
        showing.await??;
    }
    if let Some(keeping) = keeping {
        keeping.await?;
    }
    if let Some(working) = working {
        working.await?;
    }
    over.cancel();
    sequencing.await?;
    db.close().await;
    Ok(())
}

/// Clears away what a process that broke off left behind: uploads on their way in, unless another
/// service on this work directory may be taking them, and hidden data laid open on the tmpfs. What it
/// gives says to other services that this one takes uploads, as long as it is held.
fn clear_leftovers(work_dir: &Path) -> anyhow::Result<std::fs::File> {
    let shown = work_dir.display();
    std::fs::create_dir_all(work_dir).with_context(|| format!("cannot make the work directory {shown}"))?;
    let lock = std::fs::File::create(work_dir.join("spool.lock"))
        .with_context(|| format!("cannot write in the work directory {shown}"))?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
        let spool = work_dir.join("spool");
        match std::fs::remove_dir_all(&spool) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot clear {}", spool.display()));
            }
            _ => {}
        }
    }
    flock(&lock, FlockOperation::LockShared).with_context(|| format!("cannot lock {shown}/spool.lock"))?;
    let swept = scratch::sweep().with_context(|| format!("cannot list {}", scratch::TMPFS))?;
    if swept > 0 {
        tracing::warn!(swept, "a process that broke off had left hidden data on the tmpfs; it is gone now");
    }
    Ok(lock)
}

/// Whether the engine answers and has the image that programs run in.
fn docker_check(carrier: &Carrier) -> Check {
    let carrier = carrier.clone();
    Check::new("docker", move || {
        let carrier = carrier.clone();
        async move {
            carrier.engine.ping().await.map_err(|e| e.to_string())?;
            for image in carrier.images.local_images() {
                carrier.engine.check_image(image).await.map_err(|e| e.to_string())?;
            }
            let line = "the engine answers and has the images";
            Ok(match carrier.engine.check_relay() {
                Ok(()) => line.to_owned(),
                Err(without) => format!("{line}; {without}"),
            })
        }
    })
}

/// Returns when the process is asked to end.
pub(super) async fn stopped() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be listened for");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
