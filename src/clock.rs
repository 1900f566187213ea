//! Time and randomness, handed in from outside (`clippy.toml` bans the system clock elsewhere), so
//! that a test can move the time across a phase's end without waiting for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use uuid::{Builder, Uuid};

/// Where the service takes the time of day from.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    /// Milliseconds that the test added to the system's time.
    Shifted(Arc<AtomicI64>),
}

impl Clock {
    /// The operating system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that runs like the system's and can be moved forward or back with [`Clock::shift`].
    pub fn movable() -> Self {
        Self(Source::Shifted(Arc::default()))
    }

    /// Moves a [`movable`](Clock::movable) clock, and every clone of it, by `milliseconds`. The
    /// system's clock ignores it.
    pub fn shift(&self, milliseconds: i64) {
        if let Source::Shifted(offset) = &self.0 {
            offset.fetch_add(milliseconds, Ordering::SeqCst);
        }
    }

    /// The current time, to the millisecond: what the databases store.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn now(&self) -> Timestamp {
        let system = Timestamp::now().as_millisecond();
        let offset = match &self.0 {
            Source::System => 0,
            Source::Shifted(offset) => offset.load(Ordering::SeqCst),
        };
        Timestamp::from_millisecond(system + offset).unwrap_or(Timestamp::MAX)
    }

    /// Milliseconds since 1970-01-01T00:00Z.
    pub fn millis(&self) -> i64 {
        self.now().as_millisecond()
    }
}

/// Randomness from the operating system, for identifiers, tokens and keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entropy;

impl Entropy {
    /// Fills an array with random bytes.
    ///
    /// # Panics
    /// When the operating system has no randomness to give: nothing safe can be done then.
    #[expect(clippy::expect_used, reason = "without randomness the process must not go on")]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0u8; N];
        getrandom::fill(&mut bytes).expect("the operating system's random number generator answers");
        bytes
    }

    /// A secret of 32 random bytes as 64 hexadecimal digits, for tokens and links.
    pub fn secret(&self) -> String {
        hex::encode(self.bytes::<32>())
    }

    /// A fresh identifier (UUID version 7) stamped with the clock's time.
    pub fn id<T: From<Uuid>>(&self, clock: &Clock) -> T {
        self.id_at(clock.now())
    }

    /// A fresh identifier stamped with a time that was taken from the clock before.
    pub fn id_at<T: From<Uuid>>(&self, at: Timestamp) -> T {
        let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
        T::from(Builder::from_unix_timestamp_millis(millis, &self.bytes::<10>()).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TeamId;

    #[test]
    fn a_moved_clock_moves_its_clones_and_its_ids() {
        let clock = Clock::movable();
        let earlier: TeamId = Entropy.id(&clock);
        let copy = clock.clone();
        clock.shift(86_400_000);
        let later: TeamId = Entropy.id(&copy);
        assert!(later > earlier);
        assert!(copy.millis() - Clock::system().millis() > 86_000_000);
    }
}
