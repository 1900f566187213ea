//! Bundles made in temporary directories, read and judged.

mod fixture;
mod judging;
mod mistakes;
mod reading;
mod round_trip;
