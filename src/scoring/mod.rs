//! Native metrics, scoring programs and leaderboards.

pub mod metric;
