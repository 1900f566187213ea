//! Latency classes: how long an answer took, in steps that a busy machine does not blur and that tell
//! little when what was asked is hidden.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A class of answers by the time from sending a request to the end of its answer. The order is that of
/// time; as a leaderboard value a class is its number, 0 for the fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum LatencyClass {
    /// Within 10 ms.
    #[serde(rename = "10ms")]
    Ms10,
    /// Within 30 ms.
    #[serde(rename = "30ms")]
    Ms30,
    /// Within 100 ms.
    #[serde(rename = "100ms")]
    Ms100,
    /// Within 300 ms.
    #[serde(rename = "300ms")]
    Ms300,
    /// Within a second.
    #[serde(rename = "1s")]
    S1,
    /// Within three seconds.
    #[serde(rename = "3s")]
    S3,
    /// Longer, or no answer at all.
    #[serde(rename = "slower")]
    Slower,
}

impl LatencyClass {
    /// All of them, the fastest first.
    pub const ALL: [Self; 7] =
        [Self::Ms10, Self::Ms30, Self::Ms100, Self::Ms300, Self::S1, Self::S3, Self::Slower];
    /// The classes that a probe can ask for.
    pub const BOUNDED: [(&str, Self); 6] = [
        ("10ms", Self::Ms10),
        ("30ms", Self::Ms30),
        ("100ms", Self::Ms100),
        ("300ms", Self::Ms300),
        ("1s", Self::S1),
        ("3s", Self::S3),
    ];

    /// The class of an answer that took so long.
    pub fn of(took: Duration) -> Self {
        Self::ALL
            .into_iter()
            .find(|class| class.bound().is_none_or(|bound| took <= bound))
            .unwrap_or(Self::Slower)
    }

    /// The longest time in the class; none for the last.
    pub fn bound(self) -> Option<Duration> {
        let milliseconds = match self {
            Self::Ms10 => 10,
            Self::Ms30 => 30,
            Self::Ms100 => 100,
            Self::Ms300 => 300,
            Self::S1 => 1000,
            Self::S3 => 3000,
            Self::Slower => return None,
        };
        Some(Duration::from_millis(milliseconds))
    }

    /// Its number, from 0 for the fastest to 6.
    pub fn number(self) -> u8 {
        let place = Self::ALL.iter().position(|class| *class == self).unwrap_or(0);
        u8::try_from(place).unwrap_or(u8::MAX)
    }
}

impl fmt::Display for LatencyClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::BOUNDED.iter().find(|(_, class)| class == self).map(|(word, _)| *word);
        f.write_str(word.unwrap_or("slower"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_the_last_of_its_class() {
        for class in LatencyClass::ALL {
            if let Some(bound) = class.bound() {
                assert_eq!(LatencyClass::of(bound), class);
                assert!(LatencyClass::of(bound + Duration::from_nanos(1)) > class);
            }
        }
        assert_eq!(LatencyClass::of(Duration::ZERO).number(), 0);
        assert_eq!(LatencyClass::of(Duration::MAX).number(), 6);
    }
}
