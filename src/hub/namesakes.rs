//! Plugs that call themselves the same are told apart until they are named.

use crate::model::PlugId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Who calls itself what, of those that were given no name.
#[derive(Debug, Default)]
pub(super) struct Namesakes {
    names: BTreeMap<Arc<str>, BTreeSet<PlugId>>,
}

impl Namesakes {
    /// More than one plug calls itself so.
    pub(super) fn shared(&self, name: &Arc<str>) -> bool {
        self.names.get(name).is_some_and(|alike| alike.len() > 1)
    }

    /// A plug calls itself so. Brings back the first one, who learns of the second.
    pub(super) fn list(&mut self, id: &PlugId, name: Arc<str>) -> Option<PlugId> {
        let alike = self.names.entry(name).or_default();
        alike.insert(id.clone());
        let mut others = alike.iter().filter(|other| *other != id);
        match (others.next(), others.next()) {
            (Some(other), None) => Some(other.clone()),
            _ => None,
        }
    }

    /// A plug does not call itself so any more, or has gone. Brings back who is left alone with the name.
    pub(super) fn unlist(&mut self, id: &PlugId, name: &Arc<str>) -> Option<PlugId> {
        let alike = self.names.get_mut(name)?;
        alike.remove(id);
        if alike.is_empty() {
            self.names.remove(name);
            return None;
        }
        alike.first().filter(|_| alike.len() == 1).cloned()
    }
}
