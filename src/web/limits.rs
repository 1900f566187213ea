//! Rate limits, on our own clock.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::StatusCode;
use governor::clock::{Clock as _, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::error::Explain;
use super::words::Args;
use crate::clock::Clock;
use crate::config::RateLimits;

/// Keys remembered before those that have recovered are forgotten.
const REMEMBERED: usize = 10_000;

#[derive(Clone, Debug)]
struct Ours(Clock);

impl governor::clock::Clock for Ours {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(Duration::from_millis(u64::try_from(self.0.millis()).unwrap_or(0)))
    }
}

type Limiter = RateLimiter<String, DashMapStateStore<String>, Ours, NoOpMiddleware<Nanos>>;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Login attempts, by address.
    Login,
    /// Registrations, by address.
    Registration,
    /// Uploads, by person.
    Upload,
    /// API requests, by person or address.
    Api,
    /// What is asked of sandboxes, by person.
    Sandbox,
}

/// The limits of this process.
pub struct Limits {
    clock: Ours,
    limiters: [Option<Limiter>; 5],
}

/// Somebody did something too often.
#[derive(Debug, thiserror::Error)]
#[error("too many requests; try again in {seconds} s")]
pub struct TooMany {
    /// When to try again, in seconds.
    pub seconds: u64,
}

impl Explain for TooMany {
    fn status(&self) -> StatusCode {
        StatusCode::TOO_MANY_REQUESTS
    }

    fn code(&self) -> &'static str {
        "too-many-requests"
    }

    fn args(&self) -> Args {
        vec![("seconds", i64::try_from(self.seconds).unwrap_or(i64::MAX).into())]
    }

    fn retry_after(&self) -> Option<u64> {
        Some(self.seconds)
    }
}

impl Limits {
    /// As the settings say.
    pub fn new(settings: &RateLimits, clock: &Clock) -> Self {
        let clock = Ours(clock.clone());
        let limiter = |a_minute: u32| {
            let quota = Quota::per_minute(NonZeroU32::new(a_minute)?);
            Some(RateLimiter::dashmap_with_clock(quota, clock.clone()))
        };
        let RateLimits { login, registration, upload, api, sandbox, .. } = settings;
        let limiters = [login, registration, upload, api, sandbox].map(|a_minute| limiter(*a_minute));
        Self { clock, limiters }
    }

    /// Counts one more by `key`.
    ///
    /// # Errors
    /// [`TooMany`] when it is one too many.
    pub fn check(&self, what: Limited, key: &str) -> Result<(), TooMany> {
        let Some(limiter) = &self.limiters[what as usize] else { return Ok(()) };
        if limiter.len() > REMEMBERED {
            limiter.retain_recent();
        }
        limiter.check_key(&key.to_owned()).map_err(|until| {
            let wait: Duration = until.earliest_possible().duration_since(self.clock.now()).into();
            TooMany { seconds: wait.as_secs() + 1 }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_fills_up_and_recovers_with_the_clock_while_another_goes_on() {
        let clock = Clock::movable();
        let limits = Limits::new(&RateLimits { login: 3, ..RateLimits::default() }, &clock);
        for _ in 0..3 {
            limits.check(Limited::Login, "a").unwrap();
        }
        let refused = limits.check(Limited::Login, "a").unwrap_err();
        assert!((1..=21).contains(&refused.seconds), "{}", refused.seconds);
        limits.check(Limited::Login, "b").unwrap();
        clock.shift(21_000);
        limits.check(Limited::Login, "a").unwrap();
    }

    #[test]
    fn zero_turns_a_limit_off() {
        let limits = Limits::new(&RateLimits { api: 0, ..RateLimits::default() }, &Clock::system());
        for _ in 0..10_000 {
            limits.check(Limited::Api, "a").unwrap();
        }
    }
}
