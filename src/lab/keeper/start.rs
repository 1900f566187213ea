//! The first minutes of a keeper: what went on, or broke off, while the service was away.

use tokio_util::sync::CancellationToken;

use super::begin::BeginError;
use super::{BEAT, Keeper};
use crate::lab::db;
use crate::lab::model::State;
use crate::sandbox::SandboxError;
use crate::store::StoreError;

/// Why it is not known yet what goes on.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Engine(#[from] SandboxError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Keeper {
    /// Takes up the sandboxes that go on, and puts right what was interrupted. Nothing else is done before
    /// both have succeeded: an engine or a database that does not answer yet ends nobody's work. False
    /// when `stop` fires meanwhile.
    pub(super) async fn start(&self, stop: &CancellationToken) -> bool {
        loop {
            match self.try_to_start().await {
                Ok(()) => return true,
                Err(error) => {
                    tracing::error!(%error, "the sandboxes that go on could not be found; trying again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                () = stop.cancelled() => return false,
            }
        }
    }

    async fn try_to_start(&self) -> Result<(), StartError> {
        for found in self.means().engine.find_sandboxes().await? {
            let container = found.sandbox.id();
            match self.take_up(found).await {
                Ok(true) => tracing::info!(sandbox = %container, "a sandbox goes on"),
                Ok(false) => {}
                Err(BeginError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    tracing::error!(sandbox = %container, %error, "a sandbox could not be taken up again");
                    self.disown(container);
                }
            }
        }
        Ok(self.put_right().await?)
    }

    /// Puts right what the database says of sandboxes that a crash interrupted: one that was being begun
    /// waits again, one that was being ended is over.
    async fn put_right(&self) -> Result<(), StoreError> {
        let means = self.means();
        for sandbox in db::held_by(&mut *means.house.db.read().await?, &means.host).await? {
            match sandbox.state {
                State::Starting => self.moved(sandbox.id, State::Starting, State::Waiting, "").await?,
                State::Stopping => {
                    self.moved(sandbox.id, State::Stopping, State::Stopped, &sandbox.reason).await?
                }
                _ => false,
            };
        }
        Ok(())
    }
}
