//! What the outcomes of probes are worth: values for leaderboard columns, by key.
//!
//! | key | value | range |
//! |---|---|---|
//! | `pass_rate` | probes passed ÷ probes | 0 to 1 |
//! | `weighted_score` | weights of the probes passed ÷ all weights | 0 to 1 |
//! | `passed` | probes passed | 0 to their number |
//! | `latency_p50`, `latency_p95` | latency class at that percentile of all answers (nearest rank) | 0 to 6 |
//!
//! `pass_rate_GROUP`, `weighted_score_GROUP` and `passed_GROUP` are the same for one group. A probe that is
//! drawn several times counts as often, with its weight shared out among the draws.

use std::collections::BTreeMap;

use super::latency::LatencyClass;
use super::session::{Asked, Outcome};
use super::suite::{Probe, Suite};
use crate::scoring::leaderboard::Scores;

/// The keys that are not of a group.
pub const KEYS: [&str; 5] = ["pass_rate", "weighted_score", "passed", "latency_p50", "latency_p95"];
/// The keys that each group has too, with an underscore and its name.
pub const GROUP_KEYS: [&str; 3] = ["pass_rate", "weighted_score", "passed"];

/// What is known of a column before anything was asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColumnFacts {
    /// Smallest and largest value.
    pub range: [f64; 2],
    /// How many values it can take, where few enough to be counted.
    pub distinct: Option<f64>,
}

/// The weight of one asking: that of its probe, shared out among its draws.
fn weight(asked: &Asked<'_>, all: &[Asked<'_>]) -> f64 {
    let times = all.iter().filter(|other| std::ptr::eq(other.probe, asked.probe)).count();
    asked.probe.weight / count(times.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "probes are a few thousand")]
fn count(number: usize) -> f64 {
    number as f64
}

/// The values of all columns there are, by key.
pub fn scores(asked: &[Asked<'_>], outcomes: &[Outcome]) -> Scores {
    let mut scores = Scores::new();
    let together: Vec<(&Asked<'_>, &Outcome)> = asked.iter().zip(outcomes).collect();
    insert(&mut scores, asked, &together, "");
    let mut groups: BTreeMap<&str, Vec<(&Asked<'_>, &Outcome)>> = BTreeMap::new();
    for one in &together {
        if !one.0.probe.group.is_empty() {
            groups.entry(&one.0.probe.group).or_default().push(*one);
        }
    }
    for (group, of_group) in groups {
        insert(&mut scores, asked, &of_group, &format!("_{group}"));
    }
    let mut classes: Vec<LatencyClass> =
        outcomes.iter().flat_map(|outcome| &outcome.steps).map(|made| made.class).collect();
    classes.sort_unstable();
    for (key, percent) in [("latency_p50", 50), ("latency_p95", 95)] {
        scores.insert(key.to_owned(), f64::from(percentile(&classes, percent).number()));
    }
    scores
}

fn insert(scores: &mut Scores, all: &[Asked<'_>], some: &[(&Asked<'_>, &Outcome)], suffix: &str) {
    let weighed: Vec<(f64, bool)> =
        some.iter().map(|(asked, outcome)| (weight(asked, all), outcome.passed)).collect();
    let passed = weighed.iter().filter(|(_, passed)| *passed).count();
    let sum: f64 = weighed.iter().map(|(weight, _)| weight).sum();
    let earned: f64 = weighed.iter().filter(|(_, passed)| *passed).map(|(weight, _)| weight).sum();
    let share = |part: f64, whole: f64| if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 };
    scores.insert(format!("pass_rate{suffix}"), share(count(passed), count(weighed.len())));
    scores.insert(format!("weighted_score{suffix}"), share(earned, sum));
    scores.insert(format!("passed{suffix}"), count(passed));
}

/// The smallest class that at least so many per cent of the sorted classes do not exceed (nearest rank).
fn percentile(sorted: &[LatencyClass], percent: usize) -> LatencyClass {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(LatencyClass::Slower)
}

/// What is known beforehand of the column with this key; `None` for a key that probes do not fill.
pub fn facts(key: &str, asked: &[Asked<'_>]) -> Option<ColumnFacts> {
    if matches!(key, "latency_p50" | "latency_p95") {
        let classes = LatencyClass::ALL.len();
        return Some(ColumnFacts { range: [0.0, count(classes - 1)], distinct: Some(count(classes)) });
    }
    let kind = GROUP_KEYS.into_iter().find(|kind| key.starts_with(kind))?;
    let group = match key.strip_prefix(kind) {
        Some("") => None,
        Some(rest) => Some(rest.strip_prefix('_')?),
        None => return None,
    };
    let counted: Vec<&Asked<'_>> =
        asked.iter().filter(|asked| group.is_none_or(|group| asked.probe.group == group)).collect();
    if counted.is_empty() {
        return None;
    }
    let number = count(counted.len());
    Some(match kind {
        "passed" => ColumnFacts { range: [0.0, number], distinct: Some(number + 1.0) },
        "pass_rate" => ColumnFacts { range: [0.0, 1.0], distinct: Some(number + 1.0) },
        // any set of probes may have passed: at most two to their number
        _ => ColumnFacts { range: [0.0, 1.0], distinct: (number <= 40.0).then(|| number.exp2()) },
    })
}

/// Whether probes fill the column with this key.
pub fn fills<'a>(key: &str, suites: impl IntoIterator<Item = &'a Suite>) -> bool {
    if KEYS.contains(&key) {
        return true;
    }
    let of_group = |probe: &Probe| {
        let matches = |kind: &str| key.strip_prefix(kind).and_then(|rest| rest.strip_prefix('_'));
        !probe.group.is_empty() && GROUP_KEYS.iter().any(|kind| matches(kind) == Some(&probe.group))
    };
    suites.into_iter().flat_map(|suite| &suite.probes).any(of_group)
}
