//! What is wrong with the bridge itself: a sentence with its remedy for each reason, so that one can
//! go while another stays.

use super::Hub;
use std::sync::Arc;

impl Hub {
    /// Says what is wrong with the bridge itself for this reason; `None` when nothing is any more.
    pub(crate) fn set_problem(&mut self, reason: &'static str, sentence: Option<String>) {
        let problems = &mut self.bridge.problems;
        if problems.get(reason) == sentence.as_ref() {
            return;
        }
        match sentence {
            Some(sentence) => problems.insert(reason, sentence),
            None => problems.remove(reason),
        };
        self.show_bridge();
    }

    pub(super) fn show_bridge(&mut self) {
        Arc::make_mut(&mut self.view).bridge = Arc::new(self.bridge.clone());
    }
}
