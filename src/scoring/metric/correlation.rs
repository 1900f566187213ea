//! Spearman's rank correlation.

use super::MetricError;
use super::order::doubled_ranks;
use super::parallel::{each, ranges};

/// Rows whose products of rank differences fit a 64-bit sum: each product is below 2⁵⁰.
const BLOCK: usize = 4096;
/// Rows at most, so that the products above fit.
const MOST_ROWS: usize = 1 << 25;

/// `scipy.stats.spearmanr(a, b).statistic`: Pearson's correlation of the average ranks, in whole
/// numbers up to the last division.
///
/// # Errors
/// For fewer than two rows, more than 2²⁵, and where one side is constant.
pub(super) fn spearman(a: &[f64], b: &[f64]) -> Result<f64, MetricError> {
    if a.len() < 2 {
        return Err(MetricError::Undefined("spearman needs at least two rows".into()));
    }
    if a.len() > MOST_ROWS {
        return Err(MetricError::Domain("spearman takes at most 33554432 rows".into()));
    }
    let (a, b) = (doubled_ranks(a), doubled_ranks(b));
    let mean = a.len() as i64 + 1;
    let parts = each(ranges(a.len(), BLOCK), |range| {
        let mut total = [0i128; 3];
        for (a, b) in a[range.clone()].chunks(BLOCK).zip(b[range].chunks(BLOCK)) {
            let mut block = [0i64; 3];
            for (a, b) in a.iter().zip(b) {
                let (a, b) = (i64::from(*a) - mean, i64::from(*b) - mean);
                block[0] += a * b;
                block[1] += a * a;
                block[2] += b * b;
            }
            for (total, block) in total.iter_mut().zip(block) {
                *total += i128::from(block);
            }
        }
        total
    });
    let [ab, aa, bb] = parts.iter().fold([0i128; 3], |sum, part| [0, 1, 2].map(|n| sum[n] + part[n]));
    if aa == 0 || bb == 0 {
        return Err(MetricError::Undefined("spearman needs values that differ".into()));
    }
    Ok(ab as f64 / ((aa as f64).sqrt() * (bb as f64).sqrt()))
}
