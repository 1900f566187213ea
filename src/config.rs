//! Every setting, typed, with its default and its environment variable.
