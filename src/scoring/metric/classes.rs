//! Metrics of predicted classes: accuracy, balanced_accuracy, precision, recall, f1,
//! matthews_corrcoef, cohen_kappa. Definitions as in scikit-learn's
//! `sklearn/metrics/_classification.py`, with `zero_division` at its default (0).

use super::parallel::sum;
use super::tally::{Tally, tally};
use super::{Average, KappaWeights, MetricError, checked_weights, positive_class};

/// True and predicted classes of the rows as codes into `classes`; the slices have one length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Labels<'a> {
    pub(super) classes: &'a [String],
    pub(super) truth: &'a [u32],
    pub(super) predicted: &'a [u32],
    pub(super) weights: Option<&'a [f64]>,
}

impl Labels<'_> {
    fn tally(self) -> Result<Tally, MetricError> {
        if let Some(weights) = self.weights {
            checked_weights(weights)?;
        }
        tally(self.classes.len(), self.truth, self.predicted, self.weights)
    }

    /// Codes of some class names; `None` for a class that occurs in no row.
    fn codes(self, names: &[String]) -> Vec<Option<usize>> {
        names.iter().map(|name| self.classes.iter().position(|class| class == name)).collect()
    }
}

/// Which of the three related ratios is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ratio {
    /// Hits by predicted rows.
    Precision,
    /// Hits by true rows.
    Recall,
    /// The harmonic mean of both.
    F1,
}

impl Ratio {
    fn of(self, hit: f64, truth: f64, predicted: f64) -> f64 {
        let (numerator, denominator) = match self {
            Self::Precision => (hit, predicted),
            Self::Recall => (hit, truth),
            Self::F1 => (2.0 * hit, truth + predicted),
        };
        if denominator == 0.0 { 0.0 } else { numerator / denominator }
    }
}

/// `accuracy_score`.
pub(super) fn accuracy(labels: Labels<'_>) -> Result<f64, MetricError> {
    let tally = labels.tally()?;
    Ok(sum(tally.hit) / tally.total)
}

/// `balanced_accuracy_score`: the mean recall of the classes that occur in the truth.
pub(super) fn balanced_accuracy(labels: Labels<'_>) -> Result<f64, MetricError> {
    let tally = labels.tally()?;
    let recalls: Vec<f64> =
        tally.hit.iter().zip(&tally.truth).filter(|(_, truth)| **truth > 0.0).map(|(h, t)| h / t).collect();
    Ok(sum(recalls.iter().copied()) / recalls.len() as f64)
}

/// `precision_score`, `recall_score`, `f1_score`. `among` restricts the classes averaged over.
pub(super) fn ratio(
    ratio: Ratio,
    labels: Labels<'_>,
    average: Average,
    positive: Option<&str>,
    among: Option<&[String]>,
) -> Result<f64, MetricError> {
    let tally = labels.tally()?;
    let present = |class: &usize| tally.present[*class];
    if average == Average::Binary {
        let occurring: Vec<String> =
            (0..labels.classes.len()).filter(present).map(|c| labels.classes[c].clone()).collect();
        if occurring.len() > 2 {
            return Err(MetricError::NotBinary { classes: occurring.len() });
        }
        let class = positive_class(&occurring, positive)?;
        let class = class.and_then(|name| labels.classes.iter().position(|c| *c == name));
        return Ok(class.map_or(0.0, |c| ratio.of(tally.hit[c], tally.truth[c], tally.predicted[c])));
    }
    let averaged: Vec<Option<usize>> = match among {
        Some(names) => labels.codes(names),
        None => (0..labels.classes.len()).filter(present).map(Some).collect(),
    };
    let counts = |class: &Option<usize>| {
        class.map_or((0.0, 0.0, 0.0), |c| (tally.hit[c], tally.truth[c], tally.predicted[c]))
    };
    let per_class: Vec<_> = averaged.iter().map(counts).collect();
    let support = sum(per_class.iter().map(|(_, truth, _)| *truth));
    let values = per_class.iter().map(|(hit, truth, predicted)| ratio.of(*hit, *truth, *predicted));
    Ok(match average {
        Average::Micro => {
            let (hit, predicted) = (sum(per_class.iter().map(|c| c.0)), sum(per_class.iter().map(|c| c.2)));
            ratio.of(hit, support, predicted)
        }
        Average::Weighted if support == 0.0 => 0.0,
        Average::Weighted => sum(values.zip(&per_class).map(|(v, c)| v * c.1)) / support,
        _ => sum(values) / per_class.len() as f64,
    })
}

/// `matthews_corrcoef`: 0 where truth or prediction has a single class.
pub(super) fn matthews_corrcoef(labels: Labels<'_>) -> Result<f64, MetricError> {
    let Tally { truth, predicted, hit, total, .. } = labels.tally()?;
    let dot = |a: &[f64], b: &[f64]| sum(a.iter().zip(b).map(|(a, b)| a * b));
    let agreement = sum(hit) * total - dot(&truth, &predicted);
    let of_truth = total * total - dot(&truth, &truth);
    let of_predicted = total * total - dot(&predicted, &predicted);
    Ok(if of_truth * of_predicted == 0.0 { 0.0 } else { agreement / (of_truth * of_predicted).sqrt() })
}

/// `cohen_kappa_score`. `order` gives the classes in the order that weighted disagreement counts
/// in; rows of other classes are refused.
pub(super) fn cohen_kappa(
    labels: Labels<'_>,
    weighting: KappaWeights,
    order: Option<&[String]>,
) -> Result<f64, MetricError> {
    // Distances between classes count positions among those that occur (or are listed), so the
    // codes must be the positions.
    let tally = match order {
        Some(order) => reordered(labels, order)?,
        None => {
            let tally = labels.tally()?;
            if tally.present.iter().all(|present| *present) {
                tally
            } else {
                let occurring: Vec<String> = (0..labels.classes.len())
                    .filter(|c| tally.present[*c])
                    .map(|c| labels.classes[c].clone())
                    .collect();
                reordered(labels, &occurring)?
            }
        }
    };
    let disagreement = match weighting {
        KappaWeights::None => tally.total - sum(tally.hit.iter().copied()),
        KappaWeights::Linear => tally.linear,
        KappaWeights::Quadratic => tally.quadratic,
    };
    let chance = expected_disagreement(&tally, weighting);
    if chance == 0.0 {
        return Err(MetricError::Undefined("cohen_kappa needs two classes in truth or prediction".into()));
    }
    Ok(1.0 - disagreement / chance)
}

/// `Σ w(i, j)·truth(i)·predicted(j) / total`, in time linear in the number of classes.
fn expected_disagreement(tally: &Tally, weighting: KappaWeights) -> f64 {
    let Tally { truth, predicted, total, .. } = tally;
    let positions = || (0..truth.len()).map(|n| n as f64);
    let moment =
        |counts: &[f64], power: i32| sum(counts.iter().zip(positions()).map(|(n, i)| n * i.powi(power)));
    let product = match weighting {
        KappaWeights::None => total * total - sum(truth.iter().zip(predicted).map(|(t, p)| t * p)),
        // Σ (i-j)² aᵢbⱼ = B·Σi²aᵢ - 2·Σiaᵢ·Σjbⱼ + A·Σj²bⱼ, and A = B = total.
        KappaWeights::Quadratic => {
            total * (moment(truth, 2) + moment(predicted, 2)) - 2.0 * moment(truth, 1) * moment(predicted, 1)
        }
        // Σ |i-j| aᵢbⱼ = Σ over the cuts between neighbours of what lies on opposite sides.
        KappaWeights::Linear => {
            let (mut t, mut p) = (0.0, 0.0);
            sum(truth.iter().zip(predicted).map(|(next_t, next_p)| {
                t += next_t;
                p += next_p;
                t * (total - p) + p * (total - t)
            }))
        }
    };
    product / total
}

fn reordered(labels: Labels<'_>, order: &[String]) -> Result<Tally, MetricError> {
    let position = |class: &String| order.iter().position(|name| name == class).map(|p| p as u32);
    let codes: Vec<Option<u32>> = labels.classes.iter().map(position).collect();
    let translate = |old: &[u32]| -> Result<Vec<u32>, MetricError> {
        let new = |code: &u32| codes.get(*code as usize).copied().flatten();
        old.iter().map(|code| new(code).ok_or(MetricError::UnlistedClass)).collect()
    };
    let (truth, predicted) = (translate(labels.truth)?, translate(labels.predicted)?);
    Labels { classes: order, truth: &truth, predicted: &predicted, weights: labels.weights }.tally()
}
