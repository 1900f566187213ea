//! The audit log: canonical rows, numbered by the sequencer.
