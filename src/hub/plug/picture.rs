//! The picture that others see of a plug.

use crate::hub::effective::Effective;
use crate::model::{Endpoint, Lock, Now, PerPort, PlugView, PortView, shortened};
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
    pub(super) fn show(&mut self, now: &Now, change: impl FnOnce(&mut PlugView)) {
        let mut view = PlugView::clone(&self.view);
        change(&mut view);
        self.show_instead(now, view);
    }

    /// Shows another picture, if it is another one.
    pub(super) fn show_instead(&mut self, now: &Now, mut view: PlugView) {
        // Some plugs have much to say about what is wrong.
        view.problem = view.problem.map(|problem| shortened(&problem, MAX_PROBLEM));
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

/// Ports with their names and locks; what else was shown of them stays.
pub(super) fn ports(settings: &Effective, old: &[PortView]) -> Vec<PortView> {
    let shown = |(port, name): (u8, &Arc<str>)| {
        let lock = Some(settings.lock(port)).filter(|lock| *lock != Lock::None);
        PortView { name: Arc::clone(name), lock, ..old.port(port).cloned().unwrap_or_default() }
    };
    (1..).zip(&settings.port_names).map(shown).collect()
}

/// An address to show, where it is known.
pub(super) fn ip(place: Endpoint) -> Option<Arc<str>> {
    (place != Endpoint::UNKNOWN).then(|| place.to_string().into())
}
