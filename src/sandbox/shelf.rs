//! The shelf: run containers that wait for their run. A run takes one of its kind where one waits; what
//! was taken is put back while nothing else goes on.
//!
//! Which kinds are kept is learnt from the runs there are: a kind that no run has asked for in
//! [`REMEMBERED`] is not kept. Without [`Engine::keep_warm`] the shelf stays empty, and every run starts
//! a container of its own.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::engine::Engine;
use super::profile::GVISOR;
use super::warm::{Kind, Warm};

/// How long after its last run a kind is kept.
const REMEMBERED: Duration = Duration::from_secs(30 * 60);
/// Kinds that are remembered at a time.
const MOST_KINDS: usize = 64;
/// How long a container waits before a fresh one takes its place.
const FRESH: Duration = Duration::from_secs(6 * 3600);
/// How long after one that did not start the next of its kind is tried.
const REFUSED: Duration = Duration::from_secs(10 * 60);
/// While runs go on, starting another would take their processors: it waits so long.
const UNDER_LOAD: Duration = Duration::from_secs(10);
/// How often is looked whether something waits too long.
const BEAT: Duration = Duration::from_secs(1);

/// Containers that wait, those that exist, and the kinds that are asked for.
#[derive(Default)]
pub(super) struct Shelf {
    kept: Mutex<Kept>,
    /// Containers that this process has, waiting or taken: nothing of theirs is for the reaper.
    existing: Arc<Mutex<HashSet<Uuid>>>,
    /// Rung when one was taken, or a run ended.
    bell: Arc<Notify>,
    going: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Kept {
    /// How many may wait; 0: nobody keeps them.
    most: usize,
    waiting: Vec<(Kind, Warm, Instant)>,
    /// When each kind was last asked for.
    asked: HashMap<Kind, Instant>,
    refused: HashMap<Kind, Instant>,
}

/// Says that a container exists for as long as this does.
pub(super) struct Exists {
    id: Uuid,
    existing: Arc<Mutex<HashSet<Uuid>>>,
}

impl Drop for Exists {
    fn drop(&mut self) {
        self.existing.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// A run that goes on.
pub(super) struct Going {
    going: Arc<AtomicUsize>,
    bell: Arc<Notify>,
}

impl Drop for Going {
    fn drop(&mut self) {
        self.going.fetch_sub(1, Ordering::Relaxed);
        self.bell.notify_one();
    }
}

impl Shelf {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn holds(&self, id: Uuid) -> Exists {
        self.existing.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        Exists { id, existing: Arc::clone(&self.existing) }
    }

    pub(super) fn has(&self, id: Uuid) -> bool {
        self.existing.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    pub(super) fn going(&self) -> Going {
        self.going.fetch_add(1, Ordering::Relaxed);
        Going { going: Arc::clone(&self.going), bell: Arc::clone(&self.bell) }
    }

    /// One of this kind that waits, if there is one; that it was asked for is remembered.
    pub(super) fn take(&self, kind: Kind) -> Option<Warm> {
        let mut kept = self.kept();
        let found = kept.waiting.iter().position(|(waits, warm, _)| *waits == kind && warm.waits());
        kept.asked.insert(kind, Instant::now());
        kept.forget_all_but(MOST_KINDS);
        let taken = found.map(|place| kept.waiting.swap_remove(place).1);
        drop(kept);
        self.bell.notify_one();
        taken
    }

    /// Whether starting another takes nothing from a run.
    fn is_quiet(&self) -> bool {
        self.going.load(Ordering::Relaxed) == 0
    }
}

impl Kept {
    fn forget_all_but(&mut self, most: usize) {
        let oldest = || self.asked.iter().min_by_key(|(_, at)| **at).map(|(kind, _)| kind.clone());
        if let Some(kind) = oldest().filter(|_| self.asked.len() > most) {
            self.asked.remove(&kind);
        }
    }

    /// How many of each kind are to wait: one of each, the latest asked for first, and what is left of
    /// the latest.
    fn wanted(&self, now: Instant) -> Vec<(Kind, usize)> {
        let remembered = |(_, at): &(&Kind, &Instant)| now.duration_since(**at) < REMEMBERED;
        let mut kinds: Vec<_> = self.asked.iter().filter(remembered).collect();
        kinds.retain(|(kind, _)| self.refused.get(*kind).is_none_or(|at| now.duration_since(*at) > REFUSED));
        kinds.sort_by_key(|(_, at)| std::cmp::Reverse(**at));
        kinds.truncate(self.most);
        let mut wanted: Vec<_> = kinds.into_iter().map(|(kind, _)| (kind.clone(), 1)).collect();
        let left = self.most.saturating_sub(wanted.len());
        if let Some((_, latest)) = wanted.first_mut() {
            *latest += left;
        }
        wanted
    }

    /// A kind of which fewer wait than are wanted.
    fn missing(&self, now: Instant) -> Option<Kind> {
        let waiting = |kind: &Kind| self.waiting.iter().filter(|(waits, _, _)| waits == kind).count();
        self.wanted(now).into_iter().find(|(kind, wanted)| waiting(kind) < *wanted).map(|(kind, _)| kind)
    }

    /// Takes out what waits too long, has ended by itself, or is wanted no more.
    fn superfluous(&mut self, now: Instant) -> Vec<Warm> {
        self.asked.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        self.refused.retain(|_, at| now.duration_since(*at) <= REFUSED);
        let mut wanted: HashMap<Kind, usize> = self.wanted(now).into_iter().collect();
        let mut out = Vec::new();
        for (kind, warm, since) in std::mem::take(&mut self.waiting) {
            let place = wanted.get_mut(&kind).filter(|left| **left > 0);
            match place {
                Some(left) if now.duration_since(since) < FRESH && warm.waits() => {
                    *left -= 1;
                    self.waiting.push((kind, warm, since));
                }
                _ => out.push(warm),
            }
        }
        out
    }
}

impl Engine {
    /// Keeps at most so many run containers waiting, until `stop` fires; those that wait then are removed
    /// ([`Engine::settle`] waits for it).
    ///
    /// On gVisor none waits: its kernel takes what appears in a slot for the slot's own files, so that a
    /// read-only mount is read-only on the host alone, and changes there seem to succeed inside.
    pub async fn keep_warm(&self, most: usize, stop: CancellationToken) {
        if self.0.settings.runtime == GVISOR {
            tracing::info!("on gVisor every run starts a container of its own");
            return;
        }
        self.0.shelf.kept().most = most;
        let mut started: Option<Instant> = None;
        while !stop.is_cancelled() {
            let now = Instant::now();
            let (superfluous, missing) = {
                let mut kept = self.0.shelf.kept();
                (kept.superfluous(now), kept.missing(now))
            };
            drop(superfluous);
            let in_turn = started.is_none_or(|at| now.duration_since(at) > UNDER_LOAD);
            if let Some(kind) = missing.filter(|_| in_turn || self.0.shelf.is_quiet()) {
                started = Some(now);
                self.put_on_shelf(kind, &stop).await;
                continue;
            }
            tokio::select! {
                () = self.0.shelf.bell.notified() => {}
                () = tokio::time::sleep(BEAT) => {}
                () = stop.cancelled() => {}
            }
        }
        let mut kept = self.0.shelf.kept();
        *kept = Kept::default();
    }

    async fn put_on_shelf(&self, kind: Kind, stop: &CancellationToken) {
        match self.start_warm(&kind, stop).await {
            Ok(Some(warm)) => self.0.shelf.kept().waiting.push((kind, warm, Instant::now())),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(image = kind.image, %error, "no container waits for the next run of this image");
                self.0.shelf.kept().refused.insert(kind, Instant::now());
            }
        }
    }

    /// How many containers wait for a run.
    pub fn waiting_warm(&self) -> usize {
        self.0.shelf.kept().waiting.len()
    }
}
