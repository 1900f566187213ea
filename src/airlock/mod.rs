//! What may leave: `Cleared<T>`, `Hidden<T>` and the ledger.
