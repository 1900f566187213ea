//! The keeper's rounds: each second it looks at what is waiting and what is held, and has done what is
//! due.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use super::{Held, Keeper, METERED, Means, REAPED};
use crate::contest::db as contest_db;
use crate::contest::entry;
use crate::contest::model::ParticipantState;
use crate::lab::ask::announce;
use crate::lab::db::{self, Change};
use crate::lab::model::{Grant, Sandbox, State};
use crate::lab::reports;
use crate::store::StoreError;
use crate::ticket;

impl Keeper {
    /// Gives waiting sandboxes their places, and sees to those that are held.
    pub(super) async fn look_around(&self, tasks: &mut JoinSet<()>, beat: u32) -> Result<(), StoreError> {
        let means = self.means();
        let now = means.house.clock.now();
        for sandbox in db::held_by(&mut *means.house.db.read().await?, &means.host).await? {
            self.see_to(tasks, &sandbox, now).await?;
        }
        self.copy_asked(tasks).await?;
        self.feel_pulses().await;
        self.answer(tasks).await?;
        while let Some(sandbox) = self.give_place().await? {
            let (keeper, mark) = (self.clone(), self.busy().mark(sandbox.id));
            tasks.spawn(async move {
                keeper.begin(&sandbox).await;
                drop(mark);
            });
        }
        if beat % REAPED == REAPED - 1 {
            self.reap().await;
            let mut tx = means.house.db.begin().await?;
            ticket::sweep(&mut tx, now).await?;
            reports::db::sweep(&mut tx, now).await?;
            tx.commit().await?;
            self.look_after_homes().await;
        }
        if beat % METERED == METERED - 1 {
            self.meter().await?;
        }
        self.keep_spares(tasks, beat).await?;
        Ok(())
    }

    /// Takes the next waiting sandbox on, while there is a place.
    async fn give_place(&self) -> Result<Option<Sandbox>, StoreError> {
        let Means { house, host, settings, .. } = self.means();
        // a round takes its time: a session begins when its place is given
        let now = house.clock.now();
        let mut conn = house.db.read().await?;
        if db::places_taken(&mut conn, host).await? >= i64::from(settings.places) {
            return Ok(None);
        }
        let Some(next) = db::next_waiting(&mut conn, host, now).await? else { return Ok(None) };
        drop(conn);
        let mut tx = house.db.begin().await?;
        let competition = contest_db::by_id(&mut tx, next.competition).await?;
        let phases = contest_db::phases(&mut tx, next.competition).await?;
        let grant = Grant::of(competition.and_then(|c| c.definition.sandbox).as_ref());
        let session = SignedDuration::try_from(grant.session).unwrap_or(SignedDuration::from_hours(8));
        let deadline_at = [now.checked_add(session).ok(), phases.last().and_then(|phase| phase.ends_at)];
        let change = Change {
            from: State::Waiting,
            to: State::Starting,
            host: Some(host),
            // one that waited past the end of its competition ends at once
            deadline_at: deadline_at.into_iter().flatten().min(),
            reason: "",
        };
        if !db::change(&mut tx, next.id, &change, now).await? {
            return Ok(None);
        }
        announce(&mut tx, now, next.id, State::Starting).await?;
        let taken = db::by_id(&mut tx, next.id).await?;
        tx.commit().await?;
        house.ring();
        Ok(taken)
    }

    /// What has to be done about one that is held, if anything.
    async fn see_to(
        &self,
        tasks: &mut JoinSet<()>,
        sandbox: &Sandbox,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.busy().has(sandbox.id) || self.copying().has(sandbox.id) {
            return Ok(());
        }
        let held = match (sandbox.state, self.get(sandbox.id)) {
            (State::Ready | State::Paused, Some(held)) => held,
            (state, held) => return self.settle(tasks, sandbox, state, held).await,
        };
        if let Some(reason) = self.reason_to_end(sandbox, &held, now).await? {
            if self.moved(sandbox.id, sandbox.state, State::Stopping, reason).await? {
                self.end_aside(tasks, sandbox, held, reason);
            }
        } else if sandbox.state == State::Paused {
            // typed into a terminal that stayed open: nothing asks for a connection then
            let resting_since = sandbox.paused_at.unwrap_or(Timestamp::MAX);
            if held.gauge.active_after(resting_since)
                && let Err(error) = self.go_on(sandbox.id, &held).await
            {
                tracing::warn!(sandbox = %sandbox.id, %error, "a paused sandbox does not go on");
            }
        } else if passed(now, sandbox.active_at, held.grant.idle) {
            self.rest(sandbox, &held, now).await?;
        }
        Ok(())
    }

    /// Settles one of which the database says what is no longer so, or what nobody is about any more: its
    /// container went, or the task broke off that began or ended it.
    async fn settle(
        &self,
        tasks: &mut JoinSet<()>,
        sandbox: &Sandbox,
        state: State,
        held: Option<Arc<Held>>,
    ) -> Result<(), StoreError> {
        let (to, reason) = match (state, held) {
            (State::Starting, Some(_)) => (State::Ready, ""),
            (State::Stopping, Some(held)) => {
                self.end_aside(tasks, sandbox, held, &sandbox.reason);
                return Ok(());
            }
            (State::Stopping, None) => (State::Stopped, &*sandbox.reason),
            (State::Starting | State::Ready | State::Paused, _) => (State::Failed, "engine"),
            (State::Waiting | State::Stopped | State::Failed, _) => return Ok(()),
        };
        self.moved(sandbox.id, state, to, reason).await.map(drop)
    }

    /// Why a sandbox that is open has to end now, in the stable word of its row.
    async fn reason_to_end(
        &self,
        sandbox: &Sandbox,
        held: &Held,
        now: Timestamp,
    ) -> Result<Option<&'static str>, StoreError> {
        let Means { house, settings, .. } = self.means();
        let stop_paused = Duration::from_secs(u64::from(settings.stop_paused_minutes) * 60);
        let mut conn = house.db.read().await?;
        let registered = entry::db::state(&mut conn, sandbox.competition, sandbox.user).await?;
        drop(conn);
        let reason = if let Some(asked) = sandbox.wanted.reason() {
            asked
        } else if registered != Some(ParticipantState::Approved) {
            "removed"
        } else if sandbox.deadline_at.is_some_and(|deadline| deadline <= now) {
            "session"
        } else if sandbox.state == State::Paused && passed(now, sandbox.paused_at, stop_paused) {
            "idle"
        } else if held.relay.ended().is_some() {
            "lab"
        } else if held.has_gone().await {
            "engine"
        } else {
            return Ok(None);
        };
        Ok(Some(reason))
    }

    fn end_aside(&self, tasks: &mut JoinSet<()>, sandbox: &Sandbox, held: Arc<Held>, reason: &str) {
        let (keeper, sandbox, reason) = (self.clone(), sandbox.clone(), reason.to_owned());
        let mark = self.busy().mark(sandbox.id);
        tasks.spawn(async move {
            keeper.end(&sandbox, held, &reason).await;
            drop(mark);
        });
    }
}

/// Whether so much time has passed since then.
fn passed(now: Timestamp, since: Option<Timestamp>, span: Duration) -> bool {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    since.is_some_and(|since| now.duration_since(since) >= span)
}
