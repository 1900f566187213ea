//! What derives from hidden data.

/// A value that derives from hidden data: nothing outside `airlock/` can look into it.
pub struct Hidden<T>(T);

impl<T> Hidden<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }
}
