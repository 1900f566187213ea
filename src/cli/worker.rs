//! `shuyu worker`: takes runs from a queue that other machines fill, and holds sandboxes where it has a
//! port for them.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::sandbox_port::SandboxPort;
use super::{Common, assembly, block_on, log};
use crate::audit::Sequencer;
use crate::clock::Clock;
use crate::config::Settings;
use crate::lab::keeper::Keeper;
use crate::submission::worker::Worker;
use crate::web::App;
use crate::web::limits::Limits;

/// What serves sandboxes, and what looks after them.
type Holding = (JoinHandle<anyhow::Result<()>>, JoinHandle<()>);

/// What `shuyu worker` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address and port where the sandboxes that it holds are served; without one it holds none
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

pub(super) fn run(common: &Common, args: Args) -> anyhow::Result<()> {
    let listen = args.listen.map(|address| address.to_string());
    let settings = common.settings(&[("sandboxes.listen", listen)])?;
    log(&settings.log)?;
    block_on(work(settings))
}

async fn work(settings: Settings) -> anyhow::Result<()> {
    // before anything else is touched: another process may have the port, or the work directory
    let port = SandboxPort::take(&settings).await?;
    let house = assembly::house(&settings, Clock::system()).await?;
    let _lock = assembly::lock(&settings)?;
    let instance = assembly::instance_of(&settings)?;
    let carrier = assembly::carrier(&settings, house.clone(), &instance).await?;
    let (stop, over) = (CancellationToken::new(), CancellationToken::new());
    // it numbers what the worker records until the last run is over or handed back
    let sequencing = tokio::spawn(Sequencer::new(house.db.clone()).run(over.clone()));
    let name = worker_name(&settings.worker.name);
    let mut holding = None;
    let mut worker = Worker::new(carrier.clone(), &name, settings.slots())
        .keeping_warm(settings.worker.warm)
        .keeping_rejected(settings.upload.keep_rejected_days);
    let limits = Arc::new(Limits::new(&settings.limits, &house.clock));
    if let Some(port) = port
        && let Some(keeper) = assembly::keeper(&settings, &carrier, &name, &limits).await?
    {
        worker = assembly::says_it_holds(worker, &settings, Some(&keeper));
        let app = App::new(settings, house.clone(), Vec::new(), Some(keeper.clone()), limits)?;
        holding = Some(hold(port, app, keeper, &stop));
    }
    let working = tokio::spawn(worker.work(stop.clone()));
    super::serve::stopped().await;
    stop.cancel();
    if let Some((showing, keeping)) = holding {
        showing.await??;
        keeping.await?;
    }
    let worked = working.await;
    over.cancel();
    sequencing.await?;
    house.db.close().await;
    Ok(worked?)
}

/// Looks after sandboxes, and serves them on their port.
fn hold(port: SandboxPort, app: App, keeper: Keeper, stop: &CancellationToken) -> Holding {
    let showing = tokio::spawn(port.serve(app, stop.clone()));
    (showing, tokio::spawn(keeper.work(stop.clone())))
}

/// The configured name, or the host's.
pub(super) fn worker_name(configured: &str) -> String {
    if !configured.is_empty() {
        return configured.to_owned();
    }
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
