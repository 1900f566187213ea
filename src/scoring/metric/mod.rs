//! Native metrics: scikit-learn's names, definitions and results, on columns already in memory.
//!
//! [`MetricSpec`] is what a bundle declares (`shuyu.tasks.N.metric`); [`MetricSpec::score`] computes
//! it over [`Rows`]. Sums are compensated and independent of the number of threads, so a board can
//! be rebuilt to the last digit on any machine.

mod classes;
mod correlation;
mod error;
mod order;
mod parallel;
mod regression;
mod retrieval;
mod scores;
mod spec;
mod tally;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use error::MetricError;
pub(crate) use order::key as sort_key;
pub use scores::PROBABILITY_SUM_TOLERANCE;
pub(crate) use spec::canonical_label;
pub use spec::{MetricList, MetricSpec, SpecProblem, validate_list};

/// The metrics there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricName {
    /// Share of rows with the right class.
    Accuracy,
    /// Mean recall of the classes.
    BalancedAccuracy,
    /// Right ones among those predicted to be of a class.
    Precision,
    /// Right ones among those of a class.
    Recall,
    /// Harmonic mean of precision and recall.
    F1,
    /// Area under the receiver operating characteristic.
    RocAuc,
    /// Area under the precision–recall steps.
    AveragePrecision,
    /// Cross-entropy, natural logarithm.
    LogLoss,
    /// Matthews' correlation coefficient.
    MatthewsCorrcoef,
    /// Cohen's kappa.
    CohenKappa,
    /// Root of the mean squared error.
    Rmse,
    /// Mean absolute error.
    Mae,
    /// Mean absolute percentage error, as a share.
    Mape,
    /// Root of the mean squared error of ln(1 + x).
    Rmsle,
    /// Coefficient of determination.
    R2,
    /// Spearman's rank correlation.
    Spearman,
    /// Normalised discounted cumulative gain.
    Ndcg,
    /// Mean average precision over queries.
    Map,
}

/// What a metric compares, which decides what its columns must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A predicted class with the true one.
    Classes,
    /// A score or probability by class with the true class.
    Scores,
    /// A number with a number.
    Numbers,
    /// A score with a relevance, within a query.
    Rankings,
}

/// Whether more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A higher value is better (`sorting: desc`).
    Higher,
    /// A lower value is better (`sorting: asc`).
    Lower,
}

/// How precision, recall, f1, and areas of several classes are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// Only the positive class counts.
    Binary,
    /// Every class counts the same.
    Macro,
    /// Every row counts the same, over all classes together.
    Micro,
    /// Every class counts by its true rows.
    Weighted,
}

/// How cohen_kappa weighs a disagreement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KappaWeights {
    /// Every disagreement the same.
    #[default]
    None,
    /// By the distance of the classes.
    Linear,
    /// By its square.
    Quadratic,
}

/// Columns to compare, row by row; all slices have one length, numbers are finite.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// For [`Family::Classes`].
    Classes {
        /// Names of the classes, in order; codes index it.
        classes: &'a [String],
        /// Codes of the true classes.
        truth: &'a [u32],
        /// Codes of the predicted classes.
        predicted: &'a [u32],
        /// Weight of each row, not negative.
        weights: Option<&'a [f64]>,
    },
    /// For [`Family::Scores`].
    Scores {
        /// Names of the classes, in order; codes index it.
        classes: &'a [String],
        /// Codes of the true classes.
        truth: &'a [u32],
        /// One column for the positive class, or one by class in the order of the classes.
        columns: &'a [&'a [f64]],
        /// Weight of each row, not negative.
        weights: Option<&'a [f64]>,
    },
    /// For [`Family::Numbers`].
    Numbers {
        /// True values.
        truth: &'a [f64],
        /// Predicted values.
        predicted: &'a [f64],
        /// Weight of each row, not negative.
        weights: Option<&'a [f64]>,
    },
    /// For [`Family::Rankings`].
    Rankings {
        /// True relevance.
        relevance: &'a [f64],
        /// Predicted scores.
        scores: &'a [f64],
        /// Code of each row's query; without it all rows are one ranking.
        queries: Option<&'a [u32]>,
    },
}

impl MetricName {
    /// Every metric.
    pub const ALL: [Self; 18] = [
        Self::Accuracy,
        Self::BalancedAccuracy,
        Self::Precision,
        Self::Recall,
        Self::F1,
        Self::RocAuc,
        Self::AveragePrecision,
        Self::LogLoss,
        Self::MatthewsCorrcoef,
        Self::CohenKappa,
        Self::Rmse,
        Self::Mae,
        Self::Mape,
        Self::Rmsle,
        Self::R2,
        Self::Spearman,
        Self::Ndcg,
        Self::Map,
    ];

    /// The name in a bundle.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::F1 => "f1",
            Self::RocAuc => "roc_auc",
            Self::AveragePrecision => "average_precision",
            Self::LogLoss => "log_loss",
            Self::MatthewsCorrcoef => "matthews_corrcoef",
            Self::CohenKappa => "cohen_kappa",
            Self::Rmse => "rmse",
            Self::Mae => "mae",
            Self::Mape => "mape",
            Self::Rmsle => "rmsle",
            Self::R2 => "r2",
            Self::Spearman => "spearman",
            Self::Ndcg => "ndcg",
            Self::Map => "map",
        }
    }

    /// What the metric compares.
    pub fn family(self) -> Family {
        match self {
            Self::RocAuc | Self::AveragePrecision | Self::LogLoss => Family::Scores,
            Self::Rmse | Self::Mae | Self::Mape | Self::Rmsle | Self::R2 | Self::Spearman => Family::Numbers,
            Self::Ndcg | Self::Map => Family::Rankings,
            _ => Family::Classes,
        }
    }

    /// Whether more is better.
    pub fn direction(self) -> Direction {
        match self {
            Self::LogLoss | Self::Rmse | Self::Mae | Self::Mape | Self::Rmsle => Direction::Lower,
            _ => Direction::Higher,
        }
    }

    /// The values the definition allows, lowest first; an end may be infinite.
    pub fn natural_range(self) -> [f64; 2] {
        match self {
            Self::MatthewsCorrcoef | Self::CohenKappa | Self::Spearman => [-1.0, 1.0],
            Self::LogLoss | Self::Rmse | Self::Mae | Self::Mape | Self::Rmsle => [0.0, f64::INFINITY],
            Self::R2 => [f64::NEG_INFINITY, 1.0],
            _ => [0.0, 1.0],
        }
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Bounds that predictions are pulled into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clip {
    lo: f64,
    hi: f64,
}

impl Clip {
    /// No bounds.
    pub(crate) const NONE: Self = Self { lo: f64::NEG_INFINITY, hi: f64::INFINITY };

    /// The value, or the bound it lies beyond.
    fn apply(self, value: f64) -> f64 {
        // Not `clamp`, which panics for bounds in the wrong order; written so that it is one machine
        // instruction per bound.
        let value = if self.lo > value { self.lo } else { value };
        if self.hi < value { self.hi } else { value }
    }
}

impl MetricSpec {
    /// The metric's value over `rows`, pulled into the declared range.
    ///
    /// # Errors
    /// Where scikit-learn raises, or gives NaN with a warning.
    pub fn score(&self, rows: &Rows<'_>) -> Result<f64, MetricError> {
        rows.check_lengths()?;
        let value = self.unclamped(rows)?;
        if value.is_nan() {
            return Err(MetricError::NotFinite);
        }
        let value = self.range.map_or(value, |[lo, hi]| value.max(lo).min(hi));
        if value.is_finite() { Ok(value) } else { Err(MetricError::NotFinite) }
    }

    fn unclamped(&self, rows: &Rows<'_>) -> Result<f64, MetricError> {
        match *rows {
            Rows::Classes { classes, truth, predicted, weights } => {
                self.of_classes(classes::Labels { classes, truth, predicted, weights })
            }
            Rows::Scores { classes, truth, columns, weights } => {
                self.of_scores(classes, scores::Scores { truth, columns, weights })
            }
            Rows::Numbers { truth, predicted, weights } => {
                let clip = self.clip_for(truth);
                self.of_numbers(regression::Pair { truth, predicted, weights, clip })
            }
            Rows::Rankings { relevance, scores, queries } => {
                let rankings = retrieval::Rankings { relevance, scores, queries, k: self.k };
                match self.name {
                    MetricName::Ndcg => retrieval::ndcg(rankings),
                    MetricName::Map => retrieval::map(rankings),
                    _ => Err(MetricError::WrongRows),
                }
            }
        }
    }

    fn of_classes(&self, labels: classes::Labels<'_>) -> Result<f64, MetricError> {
        let ratio = |ratio| {
            let average = self.average.unwrap_or(Average::Binary);
            classes::ratio(ratio, labels, average, self.pos_label.as_deref(), self.labels.as_deref())
        };
        match self.name {
            MetricName::Accuracy => classes::accuracy(labels),
            MetricName::BalancedAccuracy => classes::balanced_accuracy(labels),
            MetricName::Precision => ratio(classes::Ratio::Precision),
            MetricName::Recall => ratio(classes::Ratio::Recall),
            MetricName::F1 => ratio(classes::Ratio::F1),
            MetricName::MatthewsCorrcoef => classes::matthews_corrcoef(labels),
            MetricName::CohenKappa => {
                classes::cohen_kappa(labels, self.weights.unwrap_or_default(), self.labels.as_deref())
            }
            _ => Err(MetricError::WrongRows),
        }
    }

    fn of_numbers(&self, pair: regression::Pair<'_>) -> Result<f64, MetricError> {
        match self.name {
            MetricName::Rmse => regression::rmse(pair),
            MetricName::Mae => regression::mae(pair),
            MetricName::Mape => regression::mape(pair),
            MetricName::Rmsle => regression::rmsle(pair),
            MetricName::R2 => regression::r2(pair),
            MetricName::Spearman => correlation::spearman(pair.truth, pair.predicted),
            _ => Err(MetricError::WrongRows),
        }
    }

    fn of_scores(&self, classes: &[String], scores: scores::Scores<'_>) -> Result<f64, MetricError> {
        let columns = scores.columns.len();
        let mut recoded = Vec::new();
        let truth = if columns == 1 {
            let positive = self.positive_of(classes)?;
            // One column speaks of the positive class, which becomes code 1.
            match positive {
                Some(1) if classes.len() == 2 => scores.truth,
                _ => {
                    let code = |class: &u32| u32::from(Some(*class as usize) == positive);
                    recoded.extend(scores.truth.iter().map(code));
                    &recoded
                }
            }
        } else if classes.len() == columns {
            scores.truth
        } else {
            return Err(MetricError::ClassCount { columns, classes: classes.len() });
        };
        let scores = scores::Scores { truth, ..scores };
        let area = |area| {
            if columns > 1 && self.name == MetricName::RocAuc {
                scores::check_probabilities(scores.columns)?;
            }
            scores::area(area, scores, self.average.unwrap_or(Average::Macro))
        };
        match self.name {
            MetricName::RocAuc => area(scores::Area::Roc),
            MetricName::AveragePrecision => area(scores::Area::Precision),
            MetricName::LogLoss => scores::log_loss(scores, self.probability_floor()),
            _ => Err(MetricError::WrongRows),
        }
    }

    /// The code of the class that a single column of scores speaks of.
    fn positive_of(&self, classes: &[String]) -> Result<Option<usize>, MetricError> {
        if classes.len() > 2 {
            return Err(MetricError::ClassCount { columns: 1, classes: classes.len() });
        }
        let code = |name: &str| classes.iter().position(|class| class == name);
        match (&self.pos_label, self.name) {
            // scikit-learn takes the later class here, whatever it is called.
            (None, MetricName::RocAuc | MetricName::LogLoss) if classes.len() == 2 => Ok(Some(1)),
            (None, MetricName::RocAuc | MetricName::LogLoss) => Err(MetricError::OneClass),
            (Some(_), MetricName::LogLoss) if classes.len() < 2 && self.labels.is_none() => {
                Err(MetricError::OneClass)
            }
            (positive, _) => Ok(positive_class(classes, positive.as_deref())?.and_then(|name| code(&name))),
        }
    }

    /// Below this a probability counts as this: 2⁻⁵² as in scikit-learn, or what keeps the loss of
    /// a row inside the declared range.
    fn probability_floor(&self) -> f64 {
        let of_range = self.range.map_or(0.0, |[_, hi]| (-hi).exp());
        of_range.clamp(f64::EPSILON, 0.5)
    }

    /// Bounds for predictions: those declared as `clip`, and, where an error has the unit of the
    /// target, those beyond which a prediction would be farther than the range's end from every
    /// target.
    fn clip_for(&self, truth: &[f64]) -> Clip {
        let mut clip = self.clip.map_or(Clip::NONE, |[lo, hi]| Clip { lo, hi });
        if let (Some([_, hi]), MetricName::Rmse | MetricName::Mae) = (self.range, self.name) {
            let (least, most) = regression::extremes(truth);
            clip.lo = clip.lo.max(least - hi);
            clip.hi = clip.hi.min(most + hi);
        }
        clip
    }
}

impl Rows<'_> {
    fn check_lengths(&self) -> Result<(), MetricError> {
        let (rows, others): (usize, Vec<usize>) = match self {
            Self::Classes { truth, predicted, weights, .. } => (
                truth.len(),
                [Some(predicted.len()), weights.map(<[f64]>::len)].into_iter().flatten().collect(),
            ),
            Self::Scores { truth, columns, weights, .. } => {
                (truth.len(), columns.iter().map(|c| c.len()).chain(weights.map(<[f64]>::len)).collect())
            }
            Self::Numbers { truth, predicted, weights } => (
                truth.len(),
                [Some(predicted.len()), weights.map(<[f64]>::len)].into_iter().flatten().collect(),
            ),
            Self::Rankings { relevance, scores, queries } => (
                relevance.len(),
                [Some(scores.len()), queries.map(<[u32]>::len)].into_iter().flatten().collect(),
            ),
        };
        if others.iter().any(|length| *length != rows) {
            return Err(MetricError::Lengths);
        }
        if matches!(self, Self::Scores { columns, .. } if columns.is_empty()) {
            return Err(MetricError::WrongRows);
        }
        if rows == 0 { Err(MetricError::NoRows) } else { Ok(()) }
    }
}

/// The sum of the weights.
fn checked_weights(weights: &[f64]) -> Result<f64, MetricError> {
    let total = parallel::sum(weights.iter().copied());
    let fine = weights.iter().all(|weight| *weight >= 0.0) && total > 0.0 && total.is_finite();
    if fine { Ok(total) } else { Err(MetricError::Weights) }
}

/// The positive one of the (at most two) classes that occur: the declared one, else scikit-learn's
/// default `1` (or `True`). `None` where no row has it.
fn positive_class(occurring: &[String], declared: Option<&str>) -> Result<Option<String>, MetricError> {
    let has = |name: &str| occurring.iter().any(|class| class == name);
    if let Some(declared) = declared {
        return if has(declared) {
            Ok(Some(declared.to_owned()))
        } else if occurring.len() < 2 {
            Ok(None)
        } else {
            Err(MetricError::NoPositiveClass)
        };
    }
    if let Some(usual) = ["1", "True"].into_iter().find(|name| has(name)) {
        return Ok(Some(usual.to_owned()));
    }
    match occurring {
        [only] if ["0", "-1", "False"].contains(&only.as_str()) => Ok(None),
        _ => Err(MetricError::NoPositiveClass),
    }
}
