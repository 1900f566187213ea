//! Native metrics, scoring programs and leaderboards.
