//! Restarting: a sandbox that ends, and another that begins in its place, for the same person and with
//! the same home.

use super::Keeper;
use crate::audit::{self, Actor, Entry};
use crate::ids::SandboxId;
use crate::lab::ask::announce;
use crate::lab::db::{self, Change};
use crate::lab::model::{Sandbox, State, Used, Wanted};
use crate::store::StoreError;

impl Keeper {
    /// Ends a sandbox that was put away and begins the one that takes its place, in one step: nobody who
    /// waits comes between. The session's end stays: a restart makes no session longer.
    pub(super) async fn come_again(&self, before: &Sandbox) -> Result<(), StoreError> {
        let house = &self.means().house;
        let id = house.entropy.id(&house.clock);
        let _mark = self.busy().mark(id);
        match self.hand_over(before, id).await? {
            Some(next) => self.begin(&next).await,
            // something else was asked of it meanwhile
            None => drop(self.moved(before.id, State::Stopping, State::Stopped, "stopped").await?),
        }
        Ok(())
    }

    async fn hand_over(&self, before: &Sandbox, id: SandboxId) -> Result<Option<Sandbox>, StoreError> {
        let house = &self.means().house;
        let now = house.clock.now();
        let mut tx = house.db.begin().await?;
        let over = Change {
            from: State::Stopping,
            to: State::Stopped,
            host: None,
            deadline_at: None,
            reason: Wanted::Restart.reason().unwrap_or_default(),
        };
        if db::settled_wish(&mut tx, before.id).await? != Some(Wanted::Restart)
            || !db::change(&mut tx, before.id, &over, now).await?
        {
            return Ok(None);
        }
        announce(&mut tx, now, before.id, State::Stopped).await?;
        let next = Sandbox {
            id,
            state: State::Waiting,
            wanted: Wanted::Running,
            requested_at: now,
            started_at: None,
            ready_at: None,
            active_at: None,
            paused_at: None,
            restored_from: None,
            memory_kills: 0,
            used: Used::default(),
            ..before.clone()
        };
        db::insert(&mut tx, &next).await?;
        let begun = Change {
            from: State::Waiting,
            to: State::Starting,
            host: Some(&self.means().host),
            deadline_at: before.deadline_at,
            reason: "",
        };
        db::change(&mut tx, id, &begun, now).await?;
        let entry = Entry::new(now, Actor::User(before.user), "sandbox.restarted", ("sandbox", before.id))
            .competition(before.competition)
            .detail("as", id.to_string());
        audit::record(&mut tx, entry).await?;
        announce(&mut tx, now, id, State::Starting).await?;
        let next = db::by_id(&mut tx, id).await?;
        tx.commit().await?;
        house.ring();
        Ok(next)
    }
}
