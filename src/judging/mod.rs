//! Judging (评审): what no metric measures. [`entries`] holds what teams show of their work.
//!
//! May call `contest`, `submission`, `airlock` (cleared values alone), `people`, `audit` and `store`;
//! knows no HTTP. A judge never learns from it who made an entry.

pub mod entries;
