//! Where the dialect of each plug is. While a conversation lasts its dialect is out, so a plug
//! cannot be in two at once. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::drivers::Dialect;
use crate::model::{PlugId, Who};
use std::collections::BTreeMap;

/// The dialects of all plugs.
#[derive(Default)]
pub struct Dialects(BTreeMap<PlugId, Whereabouts>);

enum Whereabouts {
    /// Here, with what it has learnt.
    Home(Box<dyn Dialect>),
    /// In a conversation.
    Out,
    /// In a conversation, and not to be kept afterwards.
    Unwanted,
}

impl Dialects {
    /// The dialect for a conversation, from home or attached anew; from now on it is out.
    pub fn take(
        &mut self,
        who: &Who,
        attach: impl FnOnce() -> Option<Box<dyn Dialect>>,
    ) -> Option<Box<dyn Dialect>> {
        let Who::Plug(id) = who else { return attach() };
        if let Some(place) = self.0.get_mut(id)
            && let Whereabouts::Home(dialect) = std::mem::replace(place, Whereabouts::Out)
        {
            return Some(dialect);
        }
        let dialect = attach()?;
        self.0.insert(id.clone(), Whereabouts::Out);
        Some(dialect)
    }

    /// A conversation has ended.
    pub fn come_home(&mut self, who: &Who, mut dialect: Box<dyn Dialect>, failed: bool) {
        let Who::Plug(id) = who else { return };
        if failed {
            dialect.reset_session();
        }
        match self.0.get_mut(id) {
            Some(out @ Whereabouts::Out) => *out = Whereabouts::Home(dialect),
            Some(Whereabouts::Home(_)) => {}
            Some(Whereabouts::Unwanted) | None => drop(self.0.remove(id)),
        }
    }

    /// What the dialect of this plug took for granted has changed.
    pub fn drop_dialect(&mut self, id: &PlugId) {
        match self.0.get_mut(id) {
            Some(out @ Whereabouts::Out) => *out = Whereabouts::Unwanted,
            Some(Whereabouts::Home(_)) => drop(self.0.remove(id)),
            Some(Whereabouts::Unwanted) | None => {}
        }
    }
}
