//! Why a metric has no value.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Why a metric has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MetricError {
    /// There is no row.
    #[error("there are no rows to score")]
    NoRows,
    /// Columns differ in length.
    #[error("the columns differ in length")]
    Lengths,
    /// The rows are of another family than the metric.
    #[error("the metric does not take columns of this kind")]
    WrongRows,
    /// A class code that no class has.
    #[error("a class code is outside the list of classes")]
    UnknownCode,
    /// A class that `labels` does not list.
    #[error("a class is not among the declared `labels`")]
    UnlistedClass,
    /// More classes than a binary metric takes.
    #[error("there are {classes} classes where a binary metric takes two; set `average`")]
    NotBinary {
        /// Classes found.
        classes: usize,
    },
    /// The truth has a single class.
    #[error("the target has only one class, for which the metric is not defined")]
    OneClass,
    /// Which class is the positive one cannot be told.
    #[error("which class is the positive one is not clear; set `pos_label`")]
    NoPositiveClass,
    /// Number of columns and number of classes differ.
    #[error("{columns} prediction columns for {classes} classes; list the classes as `labels`")]
    ClassCount {
        /// Prediction columns declared.
        columns: usize,
        /// Classes in the target or in `labels`.
        classes: usize,
    },
    /// A value outside what the metric is defined for.
    #[error("{0}")]
    Domain(Cow<'static, str>),
    /// No value follows from the definition.
    #[error("{0}")]
    Undefined(Cow<'static, str>),
    /// Row weights that are negative or all zero.
    #[error("row weights must be finite, not negative, and not all zero")]
    Weights,
    /// The result is infinite or not a number.
    #[error("the result is not a finite number; declare a `range`")]
    NotFinite,
}
