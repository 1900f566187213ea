//! What may leave: `Cleared<T>`, `Hidden<T>` and the ledger.

mod hidden;

pub use hidden::Hidden;
