//! A sandbox's end, and what is written down of where one stands.

use std::sync::Arc;

use super::{GRACE, Held, Keeper};
use crate::audit::{self, Actor, Entry};
use crate::ids::SandboxId;
use crate::lab::ask::announce;
use crate::lab::db::{self, Change};
use crate::lab::homes;
use crate::lab::model::{Sandbox, State, Wanted};
use crate::sandbox;
use crate::store::{StoreError, Tx};

impl Keeper {
    /// Notes where a sandbox stands and tells whoever listens; false when it stands elsewhere by now. When it
    /// is over, and was to be emptied until the last moment, its home goes too.
    pub(super) async fn moved(
        &self,
        id: SandboxId,
        from: State,
        to: State,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let house = &self.means().house;
        let now = house.clock.now();
        let mut tx = house.db.begin().await?;
        let wanted = db::settled_wish(&mut tx, id).await?;
        // what was asked last, also while it was being stopped for another reason
        let asked = wanted.and_then(Wanted::reason).filter(|_| to == State::Stopped);
        let reason = asked.unwrap_or(reason);
        let change = Change { from, to, host: None, deadline_at: None, reason };
        if !db::change(&mut tx, id, &change, now).await? {
            return Ok(false);
        }
        announce(&mut tx, now, id, to).await?;
        if to.is_over() {
            self.put_on_record(&mut tx, id, wanted).await?;
        }
        tx.commit().await?;
        house.ring();
        Ok(true)
    }

    /// Puts on record that a sandbox is over.
    async fn put_on_record(
        &self,
        tx: &mut Tx,
        id: SandboxId,
        wanted: Option<Wanted>,
    ) -> Result<(), StoreError> {
        let now = self.means().house.clock.now();
        let Some(sandbox) = db::by_id(tx, id).await? else { return Ok(()) };
        let entry = Entry::new(now, Actor::System, "sandbox.over", ("sandbox", id))
            .competition(sandbox.competition)
            .detail("state", sandbox.state.as_str())
            .detail("reason", sandbox.reason.clone());
        audit::record(tx, entry).await?;
        if wanted == Some(Wanted::Reset) {
            let about = (sandbox.home, sandbox.competition, sandbox.user);
            homes::remove_in(tx, about, (Actor::User(sandbox.user), "asked"), now).await?;
        }
        Ok(())
    }

    /// Ends a sandbox that is being stopped: its programs, its container, and, when that was asked for,
    /// its home. One that is to come again keeps its place.
    pub(super) async fn end(&self, sandbox: &Sandbox, held: Arc<Held>, reason: &str) {
        if let Err(error) = self.meter_one(sandbox.id, &held).await {
            tracing::warn!(sandbox = %sandbox.id, %error, "its last use was not written down");
        }
        self.held().remove(&sandbox.id);
        if reason == "lab" {
            self.keep_log(sandbox.id, &held.sandbox).await;
        }
        let put_away = self.put_away(sandbox, &held).await;
        let (state, reason) = match &put_away {
            Ok(()) => (State::Stopped, reason),
            Err(error) => {
                tracing::error!(sandbox = %sandbox.id, %error, "a sandbox was not put away; the reaper will");
                (State::Failed, "engine")
            }
        };
        self.disown(held.sandbox.id());
        let again = state == State::Stopped && sandbox.wanted == Wanted::Restart;
        let over = match again {
            true => self.come_again(sandbox).await,
            false => self.moved(sandbox.id, State::Stopping, state, reason).await.map(drop),
        };
        if let Err(error) = over {
            // the next round settles it
            tracing::error!(sandbox = %sandbox.id, %error, "that a sandbox is over was not written down");
        }
        if sandbox.wanted == Wanted::Reset {
            self.clear_homes().await;
        }
    }

    async fn put_away(&self, sandbox: &Sandbox, held: &Held) -> Result<(), sandbox::SandboxError> {
        held.sandbox.stop(GRACE).await?;
        held.sandbox.release().await?;
        held.sandbox.remove().await?;
        self.put_home_away(sandbox, &held.home).await
    }
}
