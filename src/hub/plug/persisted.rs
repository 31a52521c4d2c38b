//! What of a plug outlives the process, and whether it has changed.

use crate::model::PersistedPlug;
use std::ops::Deref;

/// What of a plug outlives the process. Whoever changes it cannot forget that it is to be written.
#[derive(Debug)]
pub(super) struct Persisted {
    plug: PersistedPlug,
    changed: bool,
}

impl Persisted {
    pub(super) fn new(plug: PersistedPlug) -> Self {
        Self { plug, changed: false }
    }

    /// To be changed, and then written.
    pub(super) fn change(&mut self) -> &mut PersistedPlug {
        self.changed = true;
        &mut self.plug
    }

    /// Whether it has changed; says so once.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

impl Deref for Persisted {
    type Target = PersistedPlug;

    fn deref(&self) -> &PersistedPlug {
        &self.plug
    }
}
