//! Freezing a sandbox that nobody uses, and having it go on when somebody comes. Its row and its container
//! change together: whoever freezes or thaws holds its turn.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Held, Keeper, ReachError};
use crate::ids::SandboxId;
use crate::lab::db;
use crate::lab::model::{Sandbox, State};
use crate::sandbox::RelayStream;
use crate::store::StoreError;

impl Keeper {
    /// A connection to a port inside a sandbox, for a person: one that was paused goes on.
    ///
    /// # Errors
    /// [`ReachError`]; [`ReachError::Resting`] while its home is being copied.
    pub async fn dial(&self, id: SandboxId, port: u16) -> Result<RelayStream, ReachError> {
        let held = self.awake(id)?;
        if self.is_paused(id).await? {
            held.gauge.active(self.means().house.clock.now());
            self.go_on(id, &held).await?;
        }
        Ok(held.relay.open(port).await?)
    }

    /// The same for what a page asks by itself: one that is paused stays so.
    ///
    /// # Errors
    /// [`ReachError`]; [`ReachError::Resting`] where it is paused, too.
    pub async fn dial_quietly(&self, id: SandboxId, port: u16) -> Result<RelayStream, ReachError> {
        let held = self.awake(id)?;
        if self.is_paused(id).await? {
            return Err(ReachError::Resting);
        }
        Ok(held.relay.open(port).await?)
    }

    /// Has a sandbox that is paused go on; one that runs is no error.
    ///
    /// # Errors
    /// [`ReachError::NotHere`], [`ReachError::Engine`].
    pub async fn wake(&self, id: SandboxId) -> Result<(), ReachError> {
        let held = self.get(id).ok_or(ReachError::NotHere)?;
        held.gauge.active(self.means().house.clock.now());
        self.go_on(id, &held).await
    }

    /// Whether a sandbox rests for as long as its home is being copied.
    pub fn is_being_copied(&self, id: SandboxId) -> bool {
        self.copying().has(id)
    }

    /// A sandbox that is open here and not being copied: its programs would not answer.
    fn awake(&self, id: SandboxId) -> Result<Arc<Held>, ReachError> {
        let held = self.get(id).ok_or(ReachError::NotHere)?;
        if self.is_being_copied(id) { Err(ReachError::Resting) } else { Ok(held) }
    }

    async fn is_paused(&self, id: SandboxId) -> Result<bool, StoreError> {
        let known = db::by_id(&mut *self.means().house.db.read().await?, id).await?;
        Ok(known.is_some_and(|sandbox| sandbox.state == State::Paused))
    }

    /// Has it go on, if it is paused still. That somebody came is noted before, when they came.
    pub(super) async fn go_on(&self, id: SandboxId, held: &Held) -> Result<(), ReachError> {
        let _turn = held.turn.lock().await;
        if self.is_paused(id).await? {
            held.sandbox.unpause().await?;
            self.moved(id, State::Paused, State::Ready, "").await?;
        }
        Ok(())
    }

    /// Freezes a sandbox that nobody uses.
    pub(super) async fn rest(
        &self,
        sandbox: &Sandbox,
        held: &Held,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // somebody comes at this moment, or its home is being copied
        let Ok(_turn) = held.turn.try_lock() else { return Ok(()) };
        if !held.gauge.idle_since(now, held.grant.idle)
            || !self.moved(sandbox.id, State::Ready, State::Paused, "").await?
        {
            return Ok(());
        }
        if let Err(error) = held.sandbox.pause().await {
            tracing::warn!(sandbox = %sandbox.id, %error, "a sandbox could not be paused");
            self.moved(sandbox.id, State::Paused, State::Ready, "").await?;
        }
        Ok(())
    }
}
