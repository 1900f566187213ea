//! From marks to a ranking: pure functions, so that what decides can be read in one place. Scores are
//! points of 100 throughout. docs/judging.md gives the formulae with their sources.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::contest::definition::judging::{Criterion, Normalisation, Spread, Tie, Weights};

/// Marks by the key of their criterion.
pub type Marks = BTreeMap<String, f64>;

/// Totals that differ by less are equal: what is left of binary fractions decides nothing.
const EQUAL: f64 = 1e-6;

/// The score of one sheet, 0–100: the mean of its marks, each as a share of the best one, weighted by the
/// criteria's weights. `None` while a mark is missing, or for a rubric without criteria.
pub fn sheet_score(criteria: &[Criterion], marks: &Marks) -> Option<f64> {
    let (mut sum, mut weight) = (0.0, 0.0);
    for criterion in criteria {
        sum += criterion.weight * marks.get(&criterion.key)? / criterion.max;
        weight += criterion.weight;
    }
    (weight > 0.0).then(|| 100.0 * sum / weight)
}

/// Makes scores of strict and mild judges comparable: one for each given, in the same order. A score is
/// given with a number for its judge.
///
/// - *zscore*: (x − mean of the judge) / standard deviation of the judge, brought back to the mean and the
///   standard deviation of all scores. Deviations are those of a population. It may leave 0–100.
/// - *rank*: the entry's place in the judge's order, equal scores sharing the mean of their places, mapped
///   to 0 for the last and 100 for the first.
///
/// A judge who gives all entries the same score, or marks only one, tells nothing apart: their scores become
/// the mean of all (zscore) or 50 (rank).
pub fn normalise(method: Normalisation, scores: &[(usize, f64)]) -> Vec<f64> {
    let mut of_judge: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (judge, score) in scores {
        of_judge.entry(*judge).or_default().push(*score);
    }
    match method {
        Normalisation::None => scores.iter().map(|(_, score)| *score).collect(),
        Normalisation::Zscore => {
            let all: Vec<f64> = scores.iter().map(|(_, score)| *score).collect();
            let (mean, deviation) = moments(&all);
            let by: BTreeMap<usize, (f64, f64)> =
                of_judge.iter().map(|(judge, own)| (*judge, moments(own))).collect();
            let z = |(judge, score): &(usize, f64)| {
                let (own_mean, own_deviation) = by[judge];
                match own_deviation < EQUAL {
                    true => mean,
                    false => mean + deviation * (score - own_mean) / own_deviation,
                }
            };
            scores.iter().map(z).collect()
        }
        Normalisation::Rank => {
            scores.iter().map(|(judge, score)| place_of(*score, &of_judge[judge])).collect()
        }
    }
}

/// Mean, and standard deviation of a population; zeros of nothing.
pub fn moments(values: &[f64]) -> (f64, f64) {
    if values.is_empty() {
        return (0.0, 0.0);
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// Where a score stands among all of one judge, 100 for the best; equal scores share their mean place.
fn place_of(score: f64, own: &[f64]) -> f64 {
    if own.len() < 2 {
        return 50.0;
    }
    let worse = own.iter().filter(|other| **other < score - EQUAL).count() as f64;
    let equal = own.iter().filter(|other| (**other - score).abs() <= EQUAL).count() as f64;
    100.0 * (worse + (equal - 1.0) / 2.0) / (own.len() as f64 - 1.0)
}

/// How far apart an entry's scores are; `None` for fewer than two.
pub fn spread(measure: Spread, scores: &[f64]) -> Option<f64> {
    if scores.len() < 2 {
        return None;
    }
    Some(match measure {
        Spread::Range => {
            let high = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            high - scores.iter().copied().fold(f64::INFINITY, f64::min)
        }
        Spread::Deviation => {
            let count = scores.len() as f64;
            let (_, deviation) = moments(scores);
            deviation * (count / (count - 1.0)).sqrt()
        }
    })
}

/// The arithmetic mean; `None` of nothing.
pub fn mean(scores: &[f64]) -> Option<f64> {
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

/// The two parts together, by their weights. Without a judged part there is no total where it weighs
/// something; a team that stands on no board has 0 points for the automatic part.
pub fn total(weights: Weights, automatic: Option<f64>, judged: Option<f64>) -> Option<f64> {
    let judged = if weights.judged > 0.0 { judged? } else { judged.unwrap_or(0.0) };
    let all = weights.automatic + weights.judged;
    Some((weights.automatic * automatic.unwrap_or(0.0) + weights.judged * judged) / all)
}

/// What an entry is ranked by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Its total; without one it has no rank.
    pub total: Option<f64>,
    /// Its judged part.
    pub judged: Option<f64>,
    /// Its automatic part.
    pub automatic: Option<f64>,
    /// The mean share of each criterion's best mark, by key.
    pub criteria: Marks,
    /// When it was submitted, in milliseconds since 1970.
    pub submitted_at: i64,
}

fn higher(a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if (a - b).abs() < EQUAL => Ordering::Equal,
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// Which of two comes first: by total, then by the rules for ties.
pub fn compare(ties: &[Tie], a: &Standing, b: &Standing) -> Ordering {
    let by_tie = |tie: &Tie| match tie {
        Tie::Judged => higher(a.judged, b.judged),
        Tie::Automatic => higher(a.automatic, b.automatic),
        Tie::Criterion(key) => higher(a.criteria.get(key).copied(), b.criteria.get(key).copied()),
        Tie::Earlier => a.submitted_at.cmp(&b.submitted_at),
    };
    let first = higher(a.total, b.total);
    ties.iter().fold(first, |order, tie| order.then_with(|| by_tie(tie)))
}

/// The entries in order, as places in `standings`, each with its rank: equal ones share the best rank they
/// reach together (1, 2, 2, 4). One without a total comes last and has none.
pub fn rank(ties: &[Tie], standings: &[Standing]) -> Vec<(usize, Option<usize>)> {
    // to whole millionths: with a mere tolerance, "equal" would not carry over from pair to pair
    let whole = |value: f64| (value / EQUAL).round() * EQUAL;
    let rounded: Vec<Standing> = standings
        .iter()
        .map(|s| Standing {
            total: s.total.map(whole),
            judged: s.judged.map(whole),
            automatic: s.automatic.map(whole),
            criteria: s.criteria.iter().map(|(key, value)| (key.clone(), whole(*value))).collect(),
            ..*s
        })
        .collect();
    let mut order: Vec<usize> = (0..rounded.len()).collect();
    order.sort_by(|a, b| compare(ties, &rounded[*a], &rounded[*b]).then(a.cmp(b)));
    let mut ranked: Vec<(usize, Option<usize>)> = Vec::new();
    for (place, index) in order.into_iter().enumerate() {
        let rank = match ranked.last() {
            _ if rounded[index].total.is_none() => None,
            Some((before, rank)) if compare(ties, &rounded[*before], &rounded[index]).is_eq() => *rank,
            _ => Some(place + 1),
        };
        ranked.push((index, rank));
    }
    ranked
}

#[cfg(test)]
#[path = "arithmetic_tests.rs"]
mod tests;
