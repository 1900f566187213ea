//! Which sandboxes something is being done about at this moment.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::SandboxId;

/// Sandboxes that something is being done about.
#[derive(Clone, Default)]
pub(super) struct Marks(Arc<Mutex<HashSet<SandboxId>>>);

impl Marks {
    fn set(&self) -> MutexGuard<'_, HashSet<SandboxId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a sandbox for as long as what is given is kept, also by a task that breaks off; `None` where it
    /// is marked already.
    pub(super) fn mark(&self, id: SandboxId) -> Option<Mark> {
        self.set().insert(id).then(|| Mark { marks: self.clone(), id })
    }

    pub(super) fn has(&self, id: SandboxId) -> bool {
        self.set().contains(&id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set().is_empty()
    }
}

/// That something is being done about one sandbox.
pub(super) struct Mark {
    marks: Marks,
    id: SandboxId,
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.marks.set().remove(&self.id);
    }
}
