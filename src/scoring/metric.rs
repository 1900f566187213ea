//! A native metric as a bundle declares it.

use serde::{Deserialize, Serialize};

/// One native metric of a task (`shuyu.tasks.N.metric`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricSpec {
    /// scikit-learn's name of it.
    pub name: String,
    /// Key of the leaderboard column that takes its value.
    pub column: String,
    /// Column of the predictions file.
    pub prediction: String,
    /// Column of the reference file.
    pub target: String,
    /// Column in both files that rows are matched by.
    pub id: String,
    /// Smallest and largest value that makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
}
