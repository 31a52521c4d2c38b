//! The picture that others see of a plug, and the names in it.

use crate::hub::rules::PlugRules;
use crate::model::{Endpoint, Lock, Moment, PerPort, PersistedPlug, PlugId, PlugView, PortView};
use std::ops::Deref;
use std::sync::Arc;

/// What is wrong with a plug is a sentence; the rest of a longer one is cut off.
const MAX_PROBLEM: usize = 200;

/// What others see of a plug.
#[derive(Debug)]
pub(super) struct Picture {
    view: Arc<PlugView>,
    fresh: bool,
}

impl Picture {
    pub(super) fn new(view: PlugView) -> Self {
        Self { view: Arc::new(view), fresh: true }
    }

    /// Changes it; it counts as fresh only when something is different.
    pub(super) fn show(&mut self, now: &Moment, change: impl FnOnce(&mut PlugView)) {
        let mut view = PlugView::clone(&self.view);
        change(&mut view);
        self.show_instead(now, view);
    }

    /// Shows another picture, if it is another one.
    pub(super) fn show_instead(&mut self, now: &Moment, mut view: PlugView) {
        if let Some(problem) = &mut view.problem
            && let Some((cut, _)) = problem.char_indices().nth(MAX_PROBLEM)
        {
            // Some plugs have much to say about what is wrong.
            problem.truncate(cut);
            problem.push_str("...");
        }
        if view != *self.view {
            view.unix_ms = now.unix_ms;
            self.view = Arc::new(view);
            self.fresh = true;
        }
    }

    /// It is another one than at the last call of [`take_fresh`](Self::take_fresh).
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// The picture, if it is another one than at the last call.
    pub(super) fn take_fresh(&mut self) -> Option<Arc<PlugView>> {
        std::mem::take(&mut self.fresh).then(|| Arc::clone(&self.view))
    }
}

impl Deref for Picture {
    type Target = PlugView;

    fn deref(&self) -> &PlugView {
        &self.view
    }
}

/// What a plug calls itself, until it is given a name; strips come from the shop as `STRIP`.
pub(super) fn own_name<'a>(own: &PlugRules, kept: &'a PersistedPlug) -> Option<&'a str> {
    let given = own.name.is_some() || kept.name.is_some();
    let name = kept.facts.name.as_ref().map_or(kept.facts.model.as_str(), |name| name.as_str());
    Some(name).filter(|name| !given && !name.is_empty())
}

/// What a plug is called; one whose own name others have, too, is told apart.
pub(super) fn name(own: &PlugRules, kept: &PersistedPlug, id: &PlugId, namesake: bool) -> Arc<str> {
    if let Some(given) = own.name.as_ref().or(kept.name.as_ref()) {
        return given.as_str().into();
    }
    match own_name(own, kept) {
        Some(name) if namesake => id.told_apart(name).into(),
        Some(name) => name.into(),
        None => id.as_str().into(),
    }
}

/// Ports with their names and locks; what else was shown of them stays.
pub(super) fn ports(
    own: &PlugRules,
    kept: &PersistedPlug,
    locks: &[Lock],
    old: &[PortView],
) -> Vec<PortView> {
    let named = |port: u8| {
        let told = kept.facts.port_names.port(port).and_then(Option::as_ref);
        let name = own.port_names.get(&port).or(kept.port_names.get(&port)).or(told);
        name.map_or_else(|| format!("Port {port}").into(), |name| Arc::from(name.as_str()))
    };
    let old = |port: u8| old.port(port).cloned();
    (1..=kept.offer.ports)
        .map(|port| {
            let lock = locks.port(port).copied().filter(|lock| *lock != Lock::None);
            PortView { name: named(port), lock, ..old(port).unwrap_or_default() }
        })
        .collect()
}

/// An address to show, where it is known.
pub(super) fn ip(place: Endpoint) -> Option<Arc<str>> {
    (place != Endpoint::UNKNOWN).then(|| place.to_string().into())
}
