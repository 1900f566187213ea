//! Metrics of a score or probability by class: roc_auc, average_precision, log_loss. Definitions
//! as in scikit-learn's `sklearn/metrics/_ranking.py` and `_classification.py`.

use super::order::{Run, key, part_of, sort_keys, sorted_with_rows, splitters, tie_end};
use super::parallel::{Sum, each, ranges, sum, sum_blocks};
use super::{Average, MetricError, checked_weights};

/// How far the probabilities of one row may add up to something else than 1.
pub const PROBABILITY_SUM_TOLERANCE: f64 = 1e-3;

/// True classes (codes into as many classes as there are columns, or into two) and, by class, a
/// column of scores. One column alone belongs to the class of code 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scores<'a> {
    pub(super) truth: &'a [u32],
    pub(super) columns: &'a [&'a [f64]],
    pub(super) weights: Option<&'a [f64]>,
}

/// Which area is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Area {
    /// `roc_auc_score`.
    Roc,
    /// `average_precision_score`.
    Precision,
}

/// The area for one column, or the average of one-versus-rest areas for several.
pub(super) fn area(area: Area, scores: Scores<'_>, average: Average) -> Result<f64, MetricError> {
    let total = scores.weights.map(checked_weights).transpose()?;
    let one = |positive: u32, column: &[f64]| match scores.weights {
        None => unweighted(area, scores.truth, positive, column),
        Some(weights) => weighted(area, scores.truth, positive, column, weights),
    };
    if let [column] = scores.columns {
        return one(1, column);
    }
    if average != Average::Weighted {
        let areas = (0u32..).zip(scores.columns).map(|(class, column)| one(class, column));
        let areas = areas.collect::<Result<Vec<_>, _>>()?;
        return Ok(sum(areas.iter().copied()) / areas.len() as f64);
    }
    let mut support = vec![Sum::default(); scores.columns.len()];
    for (row, class) in scores.truth.iter().enumerate() {
        if let Some(support) = support.get_mut(*class as usize) {
            support.add(scores.weights.map_or(1.0, |weights| weights[row]));
        }
    }
    // A class that does not occur has no area and no weight.
    let occurring = (0u32..).zip(scores.columns).zip(support).filter(|(_, support)| support.value() > 0.0);
    let terms = occurring.map(|((class, column), support)| Ok(one(class, column)? * support.value()));
    let terms = terms.collect::<Result<Vec<_>, _>>()?;
    Ok(sum(terms) / total.unwrap_or(scores.truth.len() as f64))
}

/// Sorted scores of one part of the value range, by truth.
#[derive(Default)]
struct Part {
    positive: Vec<u64>,
    negative: Vec<u64>,
}

/// Without weights only the sorted scores of each truth matter; every thread takes its part of the
/// value range.
fn unweighted(area: Area, truth: &[u32], positive: u32, column: &[f64]) -> Result<f64, MetricError> {
    let parts = sorted_parts(truth, positive, column);
    let positives: usize = parts.iter().map(|part| part.positive.len()).sum();
    let negatives: usize = parts.iter().map(|part| part.negative.len()).sum();
    match area {
        Area::Roc if positives == 0 || negatives == 0 => Err(MetricError::OneClass),
        Area::Roc => {
            let mut below = 0u128;
            // Twice the pairs in which the positive has the higher score, ties counting half.
            let mut doubled = 0u128;
            for (part, wins) in parts.iter().zip(each(parts.iter().collect(), doubled_wins)) {
                doubled += wins + 2 * below * part.positive.len() as u128;
                below += part.negative.len() as u128;
            }
            Ok(doubled as f64 / (2.0 * positives as f64 * negatives as f64))
        }
        Area::Precision if positives == 0 => Ok(0.0),
        Area::Precision => {
            // What lies above a part is what all the later parts hold.
            let (mut above_positive, mut above_negative) = (positives, negatives);
            let tasks: Vec<_> = parts
                .iter()
                .map(|part| {
                    above_positive -= part.positive.len();
                    above_negative -= part.negative.len();
                    (part, above_positive, above_negative)
                })
                .collect();
            let sums = each(tasks, |(part, positive, negative)| precision_sum(part, positive, negative));
            Ok(sum(sums) / positives as f64)
        }
    }
}

fn sorted_parts(truth: &[u32], positive: u32, column: &[f64]) -> Vec<Part> {
    let splitters = splitters(column);
    let mut sizes = vec![[0usize; 2]; splitters.len() + 1];
    for (class, score) in truth.iter().zip(column) {
        sizes[part_of(&splitters, key(*score))][usize::from(*class == positive)] += 1;
    }
    let mut parts: Vec<Part> = sizes
        .iter()
        .map(|[n, p]| Part { positive: Vec::with_capacity(*p), negative: Vec::with_capacity(*n) })
        .collect();
    for (class, score) in truth.iter().zip(column) {
        let key = key(*score);
        let part = &mut parts[part_of(&splitters, key)];
        if *class == positive { part.positive.push(key) } else { part.negative.push(key) }
    }
    each(parts, |mut part| {
        sort_keys(&mut part.positive);
        sort_keys(&mut part.negative);
        part
    })
}

fn doubled_wins(part: &Part) -> u128 {
    let Part { positive, negative } = part;
    let (mut doubled, mut below, mut start) = (0u128, 0, 0);
    while start < positive.len() {
        let end = tie_end(positive, start);
        let score = positive[start];
        below += negative[below..].iter().take_while(|key| **key < score).count();
        let tied = negative[below..].iter().take_while(|key| **key == score).count();
        doubled += (end - start) as u128 * (2 * below + tied) as u128;
        start = end;
    }
    doubled
}

/// `Σ tp(s)/(tp(s) + fp(s))` over the positives of a part, `tp` and `fp` counting scores ≥ `s`.
fn precision_sum(part: &Part, above_positive: usize, above_negative: usize) -> f64 {
    let Part { positive, negative } = part;
    let (mut sum, mut end, mut negatives) = (Sum::default(), positive.len(), negative.len());
    while end > 0 {
        let score = positive[end - 1];
        let tied = positive[..end].iter().rev().take_while(|key| **key == score).count();
        negatives -= negative[..negatives].iter().rev().take_while(|key| **key >= score).count();
        end -= tied;
        let hits = (above_positive + positive.len() - end) as f64;
        let misses = (above_negative + negative.len() - negatives) as f64;
        sum.add(tied as f64 * (hits / (hits + misses)));
    }
    sum.value()
}

/// With weights: one walk down the sorted scores.
fn weighted(
    area: Area,
    truth: &[u32],
    positive: u32,
    column: &[f64],
    weights: &[f64],
) -> Result<f64, MetricError> {
    let (mut hits, mut misses, mut total) = (Sum::default(), Sum::default(), Sum::default());
    for Run { keys, rows } in sorted_with_rows(column).into_iter().rev() {
        let mut end = keys.len();
        while end > 0 {
            let tied = keys[..end].iter().rev().take_while(|key| **key == keys[end - 1]).count();
            let (before_hits, before_misses) = (hits.value(), misses.value());
            for row in &rows[end - tied..end] {
                let row = *row as usize;
                if truth[row] == positive { hits.add(weights[row]) } else { misses.add(weights[row]) }
            }
            let new_hits = hits.value() - before_hits;
            match area {
                // A trapezoid of the curve (misses, hits).
                Area::Roc => {
                    total.add((misses.value() - before_misses) * (before_hits + hits.value()) / 2.0);
                }
                Area::Precision if new_hits > 0.0 => {
                    total.add(new_hits * (hits.value() / (hits.value() + misses.value())));
                }
                Area::Precision => {}
            }
            end -= tied;
        }
    }
    let (hits, misses) = (hits.value(), misses.value());
    match area {
        Area::Roc if hits == 0.0 || misses == 0.0 => Err(MetricError::OneClass),
        Area::Roc => Ok(total.value() / (hits * misses)),
        Area::Precision if hits == 0.0 => Ok(0.0),
        Area::Precision => Ok(total.value() / hits),
    }
}

/// `log_loss`, natural logarithm; probabilities are clipped to `[floor, 1 - floor]`.
///
/// # Errors
/// When a probability lies outside [0, 1], or the columns of a row do not add up to 1 (to within
/// [`PROBABILITY_SUM_TOLERANCE`]; scikit-learn only warns, which would let ones everywhere win).
pub(super) fn log_loss(scores: Scores<'_>, floor: f64) -> Result<f64, MetricError> {
    check_probabilities(scores.columns)?;
    let total = scores.weights.map(checked_weights).transpose()?;
    let (truth, ceiling) = (scores.truth, 1.0 - floor);
    let loss = |row: usize| -> f64 {
        let probability = match scores.columns {
            [column] if truth[row] == 1 => column[row],
            [column] => 1.0 - column[row],
            columns => columns.get(truth[row] as usize).map_or(0.0, |column| column[row]),
        };
        let loss = -probability.clamp(floor, ceiling).ln();
        scores.weights.map_or(loss, |weights| weights[row] * loss)
    };
    let [sum] = sum_blocks(truth.len(), |rows| [rows.map(loss).sum::<f64>()]);
    Ok(sum / total.unwrap_or(truth.len() as f64))
}

/// Refuses what is no probability, and rows of several columns that do not add up to 1.
pub(super) fn check_probabilities(columns: &[&[f64]]) -> Result<(), MetricError> {
    let rows = columns.first().map_or(0, |column| column.len());
    let faults = each(ranges(rows, 1), |range| {
        let outside = columns
            .iter()
            .any(|column| !column[range.clone()].iter().fold(true, |ok, p| ok & (0.0..=1.0).contains(p)));
        let unbalanced = columns.len() > 1
            && range.into_iter().any(|row| {
                let sum: f64 = columns.iter().map(|column| column[row]).sum();
                (sum - 1.0).abs() > PROBABILITY_SUM_TOLERANCE
            });
        if outside {
            Some(MetricError::Domain("a probability must lie between 0 and 1".into()))
        } else {
            unbalanced.then_some(MetricError::Domain("the probabilities of a row must add up to 1".into()))
        }
    });
    faults.into_iter().flatten().next().map_or(Ok(()), Err)
}
