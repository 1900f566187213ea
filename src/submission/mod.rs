//! Accepts an upload safely, queues it, runs it and publishes its outcome.
