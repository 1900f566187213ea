//! Metrics of a real-valued target: rmse, mae, mape, rmsle, r2. Definitions as in scikit-learn's
//! `sklearn/metrics/_regression.py`.

use super::parallel::{lanes, lanes_weighted, sum_blocks};
use super::{Clip, MetricError, checked_weights};

/// A target, its prediction and the rows' weights; the slices have one length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'a> {
    pub(super) truth: &'a [f64],
    pub(super) predicted: &'a [f64],
    pub(super) weights: Option<&'a [f64]>,
    /// Bounds the predictions are pulled into before they are compared.
    pub(super) clip: Clip,
}

impl Pair<'_> {
    /// The weighted mean of `f(target, prediction)` over the rows.
    fn mean(self, f: impl Fn(f64, f64) -> f64 + Sync) -> Result<f64, MetricError> {
        self.means([f]).map(|[mean]| mean)
    }

    /// The weighted means of several quantities, in one pass over the rows.
    fn means<F, const K: usize>(self, quantities: [F; K]) -> Result<[f64; K], MetricError>
    where
        F: Fn(f64, f64) -> f64 + Sync,
    {
        let Self { truth, predicted, weights, clip } = self;
        let rows = truth.len();
        let total = weights.map(checked_weights).transpose()?.unwrap_or(rows as f64);
        let sums = sum_blocks(rows, |r| {
            let (truth, predicted) = (&truth[r.clone()], &predicted[r.clone()]);
            quantities.each_ref().map(|quantity| {
                let value = |t: f64, p: f64| quantity(t, clip.apply(p));
                match weights {
                    None => lanes(truth, predicted, value),
                    Some(weights) => lanes_weighted(truth, predicted, &weights[r.clone()], value),
                }
            })
        });
        Ok(sums.map(|sum| sum / total))
    }
}

/// `root_mean_squared_error`.
pub(super) fn rmse(pair: Pair<'_>) -> Result<f64, MetricError> {
    Ok(pair.mean(|t, p| (t - p) * (t - p))?.sqrt())
}

/// `mean_absolute_error`.
pub(super) fn mae(pair: Pair<'_>) -> Result<f64, MetricError> {
    pair.mean(|t, p| (t - p).abs())
}

/// `mean_absolute_percentage_error`: as a share, not in percent; a target of zero counts as 2⁻⁵².
pub(super) fn mape(pair: Pair<'_>) -> Result<f64, MetricError> {
    pair.mean(|t, p| (t - p).abs() / t.abs().max(f64::EPSILON))
}

/// `root_mean_squared_log_error`; needs every value above -1.
pub(super) fn rmsle(pair: Pair<'_>) -> Result<f64, MetricError> {
    let squared = |t: f64, p: f64| {
        if t <= -1.0 || p <= -1.0 {
            return f64::NAN;
        }
        let log = ln_1p((p - t) / (1.0 + t));
        log * log
    };
    let mean = pair.mean(squared)?;
    if mean.is_nan() {
        return Err(MetricError::Domain("targets and predictions of rmsle must be above -1".into()));
    }
    Ok(mean.sqrt())
}

/// ln(1 + x) by one plain logarithm, to within a few units in the last place: the rounding of 1 + x
/// is undone by the factor x / ((1 + x) - 1) (Goldberg, "What every computer scientist should know
/// about floating-point arithmetic", theorem 4). The C library's `log1p` takes several times as long.
fn ln_1p(x: f64) -> f64 {
    let sum = 1.0 + x;
    let rounded = sum - 1.0;
    if rounded == 0.0 { x } else { sum.ln() * (x / rounded) }
}

/// `r2_score`: 1 for a perfect prediction of a constant target, 0 for any other of it; not defined
/// for fewer than two rows.
pub(super) fn r2(pair: Pair<'_>) -> Result<f64, MetricError> {
    if pair.truth.len() < 2 {
        return Err(MetricError::Undefined("r2 needs at least two rows".into()));
    }
    let mean = pair.mean(|t, _| t)?;
    // One type of closure for both, so that the rows are read once.
    let squares = |from_mean: bool| {
        move |t: f64, p: f64| {
            let apart = t - if from_mean { mean } else { p };
            apart * apart
        }
    };
    let [residual, total] = pair.means([squares(false), squares(true)])?;
    Ok(match (residual == 0.0, total == 0.0) {
        (true, _) => 1.0,
        (false, true) => 0.0,
        (false, false) => 1.0 - residual / total,
    })
}

/// The smallest and the largest of some finite values.
pub(super) fn extremes(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(*v), hi.max(*v)))
}
