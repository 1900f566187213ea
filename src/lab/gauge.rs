//! What browsers are shown of a sandbox: counted, slowed to a rate, and bounded for a session.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// How much content a person may be shown in a competition within the length of a session, in bytes: one reads
/// far less. A sandbox that is opened anew goes on counting.
pub const BUDGET: u64 = 512 << 20;
/// How fast content may go out in the long run, in bytes a second.
pub const RATE: u64 = 4 << 20;
/// How much may go out at once, in bytes.
pub const BURST: u64 = 32 << 20;
/// How much of the interface's own files a session may load without its counting, in bytes: the whole of
/// it some times over. A home may hold settings that put other files there, so the rest counts as content.
pub const INTERFACE: u64 = 64 << 20;

/// The session has shown as much as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this session has shown {BUDGET} bytes of content, as much as it may; results leave by a release request"
)]
pub struct Spent;

/// The counters of one sandbox on its host. What is counted here is written to the database every few
/// seconds.
#[derive(Debug)]
pub struct Gauge {
    /// Shown in the session.
    shown: AtomicU64,
    /// Of these, what has been taken for the database.
    written: AtomicU64,
    /// Of the interface, loaded in the session.
    interface: AtomicU64,
    /// When a person last did something, in milliseconds since 1970; 0: not yet.
    active: AtomicI64,
    kernels: AtomicI64,
    terminals: AtomicI64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    level: u64,
    at: Timestamp,
}

/// What was counted since it was last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Bytes of content shown.
    pub shown: u64,
    /// Kernels started.
    pub kernels: i64,
    /// Terminals started.
    pub terminals: i64,
    /// When a person last did something.
    pub active_at: Option<Timestamp>,
}

impl Gauge {
    /// The gauge of a session that has shown so many bytes before, in this sandbox or an earlier one.
    pub fn new(shown: u64, now: Timestamp) -> Self {
        Self {
            shown: shown.into(),
            written: shown.into(),
            interface: 0.into(),
            active: 0.into(),
            kernels: 0.into(),
            terminals: 0.into(),
            bucket: Mutex::new(Bucket { level: 0, at: now }),
        }
    }

    /// Counts content that goes to a browser; gives how long to wait before it may.
    ///
    /// # Errors
    /// [`Spent`] once the session's budget is used up: nothing more may go.
    pub fn show(&self, bytes: u64, now: Timestamp) -> Result<Duration, Spent> {
        let before = self.shown.fetch_add(bytes, Ordering::Relaxed);
        if before >= BUDGET {
            return Err(Spent);
        }
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = u64::try_from(now.duration_since(bucket.at).as_millis()).unwrap_or(0);
        bucket.level = bucket.level.saturating_sub(passed.saturating_mul(RATE) / 1000).saturating_add(bytes);
        bucket.at = now;
        let above = bucket.level.saturating_sub(BURST);
        Ok(Duration::from_millis(above.saturating_mul(1000) / RATE))
    }

    /// Counts what goes to a browser of the interface itself, as content once it is more than [`INTERFACE`].
    ///
    /// # Errors
    /// [`Spent`], as of [`Gauge::show`].
    pub fn load(&self, bytes: u64, now: Timestamp) -> Result<Duration, Spent> {
        match self.interface.fetch_add(bytes, Ordering::Relaxed) {
            0..INTERFACE => Ok(Duration::ZERO),
            _ => self.show(bytes, now),
        }
    }

    /// Whether anything more may be shown.
    ///
    /// # Errors
    /// [`Spent`].
    pub fn check(&self) -> Result<(), Spent> {
        if self.shown() < BUDGET { Ok(()) } else { Err(Spent) }
    }

    /// Bytes shown in the session.
    pub fn shown(&self) -> u64 {
        self.shown.load(Ordering::Relaxed)
    }

    /// A person did something.
    pub fn active(&self, now: Timestamp) {
        self.active.fetch_max(now.as_millisecond(), Ordering::Relaxed);
    }

    /// Whether nobody has done anything for so long.
    pub fn idle_since(&self, now: Timestamp, span: Duration) -> bool {
        let active = self.active.load(Ordering::Relaxed);
        let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        now.as_millisecond().saturating_sub(active) >= span
    }

    /// Whether somebody has done something after then.
    pub fn active_after(&self, then: Timestamp) -> bool {
        self.active.load(Ordering::Relaxed) > then.as_millisecond()
    }

    /// A kernel was started.
    pub fn kernel(&self) {
        self.kernels.fetch_add(1, Ordering::Relaxed);
    }

    /// A terminal was started.
    pub fn terminal(&self) {
        self.terminals.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes what was counted since the last time.
    pub fn take(&self) -> Taken {
        let shown = self.shown();
        let written = self.written.swap(shown, Ordering::Relaxed);
        let active = self.active.load(Ordering::Relaxed);
        Taken {
            shown: shown.saturating_sub(written),
            kernels: self.kernels.swap(0, Ordering::Relaxed),
            terminals: self.terminals.swap(0, Ordering::Relaxed),
            active_at: (active > 0).then(|| Timestamp::from_millisecond(active).ok()).flatten(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_slowed_and_then_ends() {
        let at = |second: i64| Timestamp::from_second(1_000 + second).unwrap();
        let gauge = Gauge::new(0, at(0));
        assert_eq!(gauge.show(BURST, at(0)), Ok(Duration::ZERO));
        assert_eq!(gauge.show(RATE, at(0)), Ok(Duration::from_secs(1)));
        // the bucket has emptied meanwhile
        assert_eq!(gauge.show(1, at(60)), Ok(Duration::ZERO));
        assert_eq!(gauge.take().shown, BURST + RATE + 1);
        assert_eq!(gauge.take().shown, 0);
        assert!(gauge.show(BUDGET, at(61)).is_ok(), "what has begun is finished");
        assert_eq!(gauge.show(1, at(3600)), Err(Spent));
        // a service that was restarted goes on counting
        assert_eq!(Gauge::new(BUDGET, at(0)).show(1, at(0)), Err(Spent));
    }

    #[test]
    fn the_interface_is_free_as_often_as_a_person_needs_it() {
        let now = Timestamp::UNIX_EPOCH;
        let gauge = Gauge::new(0, now);
        assert_eq!(gauge.load(INTERFACE, now), Ok(Duration::ZERO));
        assert_eq!(gauge.shown(), 0);
        assert_eq!(gauge.load(BURST + RATE, now), Ok(Duration::from_secs(1)));
        assert_eq!(gauge.shown(), BURST + RATE);
        assert_eq!(Gauge::new(BUDGET, now).load(1, now), Ok(Duration::ZERO), "a page that says why");
        gauge.show(BUDGET, now).unwrap();
        assert_eq!(gauge.load(1, now), Err(Spent));
    }

    #[test]
    fn activity_is_the_latest_of_all() {
        let gauge = Gauge::new(0, Timestamp::UNIX_EPOCH);
        assert_eq!(gauge.take(), Taken::default());
        for second in [20, 10] {
            gauge.active(Timestamp::from_second(second).unwrap());
        }
        gauge.kernel();
        gauge.terminal();
        let taken = gauge.take();
        assert_eq!((taken.kernels, taken.terminals), (1, 1));
        assert_eq!(taken.active_at.unwrap().as_second(), 20);
    }
}
