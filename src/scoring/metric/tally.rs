//! One pass over true and predicted classes gives every count the label metrics need.

use std::ops::Range;

use super::MetricError;
use super::parallel::{Sum, each, ranges};

/// Classes up to which the pass counts pairs (truth, prediction) in one table that stays in cache.
const JOINT_CLASSES: usize = 64;
/// Weighted rows added plainly before the compensated totals take them.
const WEIGHTED_BLOCK: usize = 1 << 14;

/// Weight (or number) of rows by class; the vectors are indexed by class code.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tally {
    /// Rows whose true class it is.
    pub(super) truth: Vec<f64>,
    /// Rows predicted to be it.
    pub(super) predicted: Vec<f64>,
    /// Rows where both agree.
    pub(super) hit: Vec<f64>,
    /// Whether any row, whatever its weight, has the class as truth or prediction.
    pub(super) present: Vec<bool>,
    /// Σ |truth - prediction| over the rows, in class codes.
    pub(super) linear: f64,
    /// Σ (truth - prediction)² over the rows, in class codes.
    pub(super) quadratic: f64,
    /// All rows.
    pub(super) total: f64,
}

/// Counts of one range of rows.
struct Counts {
    truth: Vec<Sum>,
    predicted: Vec<Sum>,
    hit: Vec<Sum>,
    present: Vec<bool>,
    linear: Sum,
    quadratic: Sum,
}

impl Counts {
    fn new(classes: usize) -> Self {
        let empty = vec![Sum::default(); classes];
        Self {
            truth: empty.clone(),
            predicted: empty.clone(),
            hit: empty,
            present: vec![false; classes],
            linear: Sum::default(),
            quadratic: Sum::default(),
        }
    }

    fn add(&mut self, truth: usize, predicted: usize, weight: f64) {
        let apart = truth.abs_diff(predicted) as f64;
        self.truth[truth].add(weight);
        self.predicted[predicted].add(weight);
        if truth == predicted {
            self.hit[truth].add(weight);
        }
        self.present[truth] = true;
        self.present[predicted] = true;
        self.linear.add(weight * apart);
        self.quadratic.add(weight * apart * apart);
    }
}

/// Counts rows of the codes `truth` and `predicted`, each below `classes`.
///
/// # Errors
/// When a code is not below `classes`.
pub(super) fn tally(
    classes: usize,
    truth: &[u32],
    predicted: &[u32],
    weights: Option<&[f64]>,
) -> Result<Tally, MetricError> {
    let parts = each(ranges(truth.len(), WEIGHTED_BLOCK), |range| {
        if classes > JOINT_CLASSES {
            return count_rows(classes, truth, predicted, weights, range);
        }
        match weights {
            None => count_pairs(classes, &truth[range.clone()], &predicted[range]),
            Some(weights) => weigh_pairs(classes, truth, predicted, weights, range),
        }
    });
    let mut all = Counts::new(classes);
    for part in parts {
        let part = part.ok_or(MetricError::UnknownCode)?;
        for class in 0..classes {
            all.truth[class].add(part.truth[class].value());
            all.predicted[class].add(part.predicted[class].value());
            all.hit[class].add(part.hit[class].value());
            all.present[class] |= part.present[class];
        }
        all.linear.add(part.linear.value());
        all.quadratic.add(part.quadratic.value());
    }
    let values = |sums: Vec<Sum>| sums.into_iter().map(Sum::value).collect::<Vec<_>>();
    let truth = values(all.truth);
    Ok(Tally {
        total: super::parallel::sum(truth.iter().copied()),
        truth,
        predicted: values(all.predicted),
        hit: values(all.hit),
        present: all.present,
        linear: all.linear.value(),
        quadratic: all.quadratic.value(),
    })
}

/// Many classes: row by row.
fn count_rows(
    classes: usize,
    truth: &[u32],
    predicted: &[u32],
    weights: Option<&[f64]>,
    range: Range<usize>,
) -> Option<Counts> {
    let mut counts = Counts::new(classes);
    for row in range {
        let (t, p) = (truth[row] as usize, predicted[row] as usize);
        if t >= classes || p >= classes {
            return None;
        }
        counts.add(t, p, weights.map_or(1.0, |weights| weights[row]));
    }
    Some(counts)
}

/// Few classes, no weights: whole numbers in a table of pairs. Two tables take turns, so that rows
/// of one pair do not wait for each other.
fn count_pairs(classes: usize, truth: &[u32], predicted: &[u32]) -> Option<Counts> {
    let cells = classes * classes;
    let mut tables = [vec![0u64; cells], vec![0u64; cells]];
    let [even, odd] = &mut tables;
    let limit = classes as u32;
    let mut fits = true;
    let mut count = |table: &mut Vec<u64>, t: u32, p: u32| {
        fits &= t < limit && p < limit;
        if let Some(cell) = table.get_mut(t as usize * classes + p as usize) {
            *cell += 1;
        }
    };
    let (truths, predictions) = (truth.chunks_exact(2), predicted.chunks_exact(2));
    for (t, p) in truths.remainder().iter().zip(predictions.remainder()) {
        count(even, *t, *p);
    }
    for (t, p) in truths.zip(predictions) {
        count(even, t[0], p[0]);
        count(odd, t[1], p[1]);
    }
    if !fits {
        return None;
    }
    let mut counts = Counts::new(classes);
    for (cell, (even, odd)) in even.iter().zip(odd.iter()).enumerate() {
        if even + odd > 0 {
            counts.add(cell / classes, cell % classes, (even + odd) as f64);
        }
    }
    Some(counts)
}

/// Few classes with weights: a table of pairs, emptied into compensated sums block by block.
fn weigh_pairs(
    classes: usize,
    truth: &[u32],
    predicted: &[u32],
    weights: &[f64],
    range: Range<usize>,
) -> Option<Counts> {
    let cells = classes * classes;
    let mut seen = vec![false; cells];
    let mut sums = vec![Sum::default(); cells];
    let mut block = vec![0.0; cells];
    for start in range.clone().step_by(WEIGHTED_BLOCK) {
        let rows = start..range.end.min(start + WEIGHTED_BLOCK);
        let pairs = truth[rows.clone()].iter().zip(&predicted[rows.clone()]);
        for ((t, p), weight) in pairs.zip(&weights[rows]) {
            let (t, p) = (*t as usize, *p as usize);
            if t >= classes || p >= classes {
                return None;
            }
            block[t * classes + p] += weight;
            seen[t * classes + p] = true;
        }
        for (sum, block) in sums.iter_mut().zip(&mut block) {
            sum.add(std::mem::take(block));
        }
    }
    let mut counts = Counts::new(classes);
    for cell in (0..cells).filter(|cell| seen[*cell]) {
        counts.add(cell / classes, cell % classes, sums[cell].value());
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_classes_count_alike() {
        let truth: Vec<u32> = (0..100_003u32).map(|n| n * 31 % 7).collect();
        let predicted: Vec<u32> = (0..100_003u32).map(|n| n * 17 % 5).collect();
        let ones = vec![1.0; truth.len()];
        let few = tally(7, &truth, &predicted, None).unwrap();
        assert_eq!(few, tally(7, &truth, &predicted, Some(&ones)).unwrap());
        let mut many = tally(100, &truth, &predicted, None).unwrap();
        assert!(many.truth[7..].iter().all(|n| *n == 0.0));
        for list in [&mut many.truth, &mut many.predicted, &mut many.hit] {
            list.truncate(7);
        }
        many.present.truncate(7);
        assert_eq!(few, many);
    }

    #[test]
    fn a_code_outside_is_an_error() {
        assert_eq!(tally(2, &[0, 2], &[0, 1], None), Err(MetricError::UnknownCode));
        assert_eq!(tally(2, &[0, 1], &[7, 1], Some(&[1.0, 1.0])), Err(MetricError::UnknownCode));
        assert_eq!(tally(100, &[0, 100], &[7, 1], None), Err(MetricError::UnknownCode));
    }
}
