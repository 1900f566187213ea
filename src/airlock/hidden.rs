//! [`Hidden`]: whatever derives from hidden data.

/// A value that derives from hidden data. It can be carried about and handed to the airlock, and
/// nothing else: there is no `Debug`, `Display` or `Serialize`, and no getter outside this room, so
/// no log line, page or answer can contain it.
///
/// ```compile_fail
/// let score = shuyu::airlock::Hidden::new(0.5_f64);
/// println!("{:?}", score);
/// ```
///
/// ```compile_fail
/// let score = shuyu::airlock::Hidden::new(0.5_f64);
/// let leaked: f64 = score.into_inner();
/// ```
pub struct Hidden<T>(T);

impl<T> Hidden<T> {
    /// Marks a value as derived from hidden data.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Opens the value; the airlock alone may.
    pub(in crate::airlock) fn into_inner(self) -> T {
        self.0
    }
}
