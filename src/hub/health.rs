//! One plug: what follows when it does not answer.

use super::Rules;
use super::plug::{News, Plug};
use crate::model::{Failure, Moment};
use tracing::{debug, warn};

impl Plug {
    /// Polls went unanswered: after enough of them it is offline, and asked ever more rarely.
    pub(super) fn missed(
        &mut self,
        now: &Moment,
        rules: &Rules,
        missed: u32,
        failure: &Failure,
        news: &mut News,
    ) {
        let before = self.schedule.misses();
        self.schedule.missed(missed);
        let misses = self.schedule.misses();
        debug!(plug = %self.id, at = %self.kept.place, misses, "{failure}");
        let why = failure.to_string();
        let unread = self.kept.offer.ports == 0;
        // One that was never read is there, or was never: no search brings it nearer.
        news.missed = !unread;
        if unread && before == 0 {
            let remedy = failure.blocked(self.kept.place).map(|remedy| format!("; {remedy}"));
            let remedy = remedy.unwrap_or_default();
            warn!(plug = %self.id, at = %self.kept.place, name = %self.view.name, "device found but not readable: {why}{remedy}");
        }
        if unread
            || matches!(failure, Failure::InvalidResponse(_) | Failure::WrongDevice(_) | Failure::Rejected(_))
        {
            self.show(now, |view| view.problem = Some(why.clone()));
        }
        if misses < rules.misses {
            return;
        }
        self.schedule.slow_down();
        if before < rules.misses {
            if !unread {
                warn!(plug = %self.id, name = %self.view.name, at = %self.kept.place, "device offline: {why}");
            }
            // One that was never read is told, too, once.
            news.offline = (self.online() || unread).then(|| why.clone());
            self.schedule.calm();
            // The first answer after this tells everything again.
            self.everything = true;
            self.show(now, |view| {
                view.online = false;
                view.problem = Some(why);
            });
        }
    }
}
