//! Datasets, their versions and forms, and the proof that a use of one is authorised.
