//! [`Cleared`]: what the airlock has let pass, and to whom.

use std::fmt;
use std::marker::PhantomData;

use serde::{Serialize, Serializer};

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
