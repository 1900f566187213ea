//! [`Cleared`]: what the airlock has let pass, and to whom.

use std::fmt;
use std::marker::PhantomData;

use serde::{Serialize, Serializer};

use crate::scoring::Scores;

mod sealed {
    pub trait Sealed {}
}

/// Who may read a cleared value.
pub trait Audience: sealed::Sealed {}

/// Anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Public {}
/// The members of the team the value is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Team {}
/// The organizers of the competition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Organizer {}

impl sealed::Sealed for Public {}
impl sealed::Sealed for Team {}
impl sealed::Sealed for Organizer {}
impl Audience for Public {}
impl Audience for Team {}
impl Audience for Organizer {}

/// A value that the airlock has cleared for an [`Audience`]. Its field is private, it can be
/// serialized but not deserialized, and only this room makes one: from a run's outcome under the
/// phase's rule, or from a row of `replies` that says it was told already.
///
/// ```compile_fail
/// use shuyu::airlock::{Cleared, Public};
/// let forged: Cleared<f64, Public> = serde_json::from_str("0.5").unwrap();
/// ```
pub struct Cleared<T, A: Audience> {
    value: T,
    audience: PhantomData<A>,
}

impl<T, A: Audience> Cleared<T, A> {
    pub(in crate::airlock) fn new(value: T) -> Self {
        Self { value, audience: PhantomData }
    }

    /// Reads the value, for its audience.
    pub fn get(&self) -> &T {
        &self.value
    }
}

impl<A: Audience> Cleared<Scores, A> {
    /// One column of it, where it has that: a part of what was cleared is cleared.
    pub fn column(&self, key: &str) -> Option<Cleared<f64, A>> {
        self.value.get(key).copied().map(Cleared::new)
    }
}

impl<A: Audience> Cleared<f64, A> {
    /// The value in points, which tell no more than it does: linear from `from` (0 points) to `to` (100), and
    /// no further. 0 where the two are one.
    pub fn points(&self, from: f64, to: f64) -> Self {
        Self::new(points(self.value, from, to))
    }
}

fn points(value: f64, from: f64, to: f64) -> f64 {
    let share = (value - from) / (to - from);
    if share.is_finite() { 100.0 * share.clamp(0.0, 1.0) } else { 0.0 }
}

impl<T: Clone, A: Audience> Clone for Cleared<T, A> {
    fn clone(&self) -> Self {
        Self::new(self.value.clone())
    }
}

impl<T: fmt::Debug, A: Audience> fmt::Debug for Cleared<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: PartialEq, A: Audience> PartialEq for Cleared<T, A> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Serialize, A: Audience> Serialize for Cleared<T, A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_linear_between_their_ends_and_no_further() {
        let near = |value: f64, wanted: f64| assert!((value - wanted).abs() < 1e-9, "{value} {wanted}");
        near(points(0.75, 0.5, 1.0), 50.0);
        near(points(0.2, 0.5, 1.0), 0.0);
        near(points(4.0, 10.0, 2.0), 75.0);
        near(points(1.0, 10.0, 2.0), 100.0);
        near(points(1.0, 1.0, 1.0), 0.0);
    }

    #[test]
    fn a_column_of_what_was_cleared_is_all_that_is_taken() {
        let scores: Cleared<Scores, Public> = Cleared::new([("f1".to_owned(), 0.5)].into());
        assert_eq!(scores.column("f1").map(|value| *value.points(0.0, 1.0).get()), Some(50.0));
        assert!(scores.column("secret").is_none());
    }
}
