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
        let clip = self.clip;
        let f = move |t: f64, p: f64| f(t, clip.apply(p));
        let rows = self.truth.len();
        match self.weights {
            None => {
                let [sum] = sum_blocks(rows, |r| [lanes(&self.truth[r.clone()], &self.predicted[r], &f)]);
                Ok(sum / rows as f64)
            }
            Some(weights) => {
                let total = checked_weights(weights)?;
                let [sum] = sum_blocks(rows, |r| {
                    let w = &weights[r.clone()];
                    [lanes_weighted(&self.truth[r.clone()], &self.predicted[r], w, &f)]
                });
                Ok(sum / total)
            }
        }
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
    if pair.truth.iter().any(|t| *t <= -1.0) {
        return Err(MetricError::Domain("a target of rmsle must be above -1".into()));
    }
    if pair.predicted.iter().any(|p| pair.clip.apply(*p) <= -1.0) {
        return Err(MetricError::Domain("a prediction of rmsle must be above -1".into()));
    }
    // ln(1+p) - ln(1+t) with one logarithm: for close values it loses nothing, which the
    // difference of two would.
    let squared = |t: f64, p: f64| {
        let log = ((p - t) / (1.0 + t)).ln_1p();
        log * log
    };
    Ok(pair.mean(squared)?.sqrt())
}

/// `r2_score`: 1 for a perfect prediction of a constant target, 0 for any other of it; not defined
/// for fewer than two rows.
pub(super) fn r2(pair: Pair<'_>) -> Result<f64, MetricError> {
    if pair.truth.len() < 2 {
        return Err(MetricError::Undefined("r2 needs at least two rows".into()));
    }
    let mean = pair.mean(|t, _| t)?;
    let residual = pair.mean(|t, p| (t - p) * (t - p))?;
    let total = pair.mean(|t, _| (t - mean) * (t - mean))?;
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
