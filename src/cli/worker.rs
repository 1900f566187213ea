//! `shuyu worker`: takes runs from a queue that other machines fill.

use tokio_util::sync::CancellationToken;

use super::{Common, assembly, block_on, log};
use crate::audit::Sequencer;
use crate::clock::Clock;
use crate::submission::worker::Worker;

pub(super) fn run(common: &Common) -> anyhow::Result<()> {
    let settings = common.settings(&[])?;
    log(&settings.log)?;
    block_on(async {
        let house = assembly::house(&settings, Clock::system()).await?;
        let _lock = assembly::lock(&settings)?;
        let instance = assembly::instance_of(&settings)?;
        let carrier = assembly::carrier(&settings, house.clone(), &instance).await?;
        let (stop, over) = (CancellationToken::new(), CancellationToken::new());
        // it numbers what the worker records until the last run is over or handed back
        let sequencing = tokio::spawn(Sequencer::new(house.db.clone()).run(over.clone()));
        let working = tokio::spawn(
            Worker::new(carrier, &worker_name(&settings.worker.name), settings.slots())
                .keeping_warm(settings.worker.warm)
                .work(stop.clone()),
        );
        super::serve::stopped().await;
        stop.cancel();
        let worked = working.await;
        over.cancel();
        sequencing.await?;
        house.db.close().await;
        Ok(worked?)
    })
}

/// The configured name, or the host's.
pub(super) fn worker_name(configured: &str) -> String {
    if !configured.is_empty() {
        return configured.to_owned();
    }
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
