//! What others have told about energy, below which no meter may fall.

use super::{Meter, SAVE_STILL, millis};
use crate::model::{Energy, MAX_WATTS, Moment, PlugId};
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::warn;

/// Of one plug: what ports have told, and `None` its total.
pub(in crate::hub) type Floors = BTreeMap<Option<u8>, Energy>;

/// A floor for each port. Where only the total and some ports are known, the rest belongs to the
/// first port of which nothing is known.
pub(super) fn complete(floors: &Floors, began: &[Energy], ports: usize) -> Vec<Energy> {
    let own = |index: usize| u8::try_from(index + 1).ok().and_then(|port| floors.get(&Some(port))).copied();
    let start = |index: usize| began.get(index).copied().unwrap_or_default();
    let mut list: Vec<Energy> = (0..ports).map(|index| own(index).unwrap_or_default()).collect();
    if let Some(total) = floors.get(&None)
        && let Some(unknown) = (0..ports).find(|index| own(*index).is_none())
    {
        let others = (0..ports).filter(|index| *index != unknown);
        let others: Energy =
            others.map(|index| own(index).unwrap_or_default().max(start(index)).shown()).sum();
        if let Some(floor) = list.get_mut(unknown) {
            *floor = total.beyond(others);
        }
    }
    list
}

impl Meter {
    /// What others have told while this run could not see it, for so long: another bridge may have metered
    /// in its place. No meter shows less.
    pub(in crate::hub) fn lift(&mut self, id: &PlugId, floors: &Floors, apart: Duration, now: &Moment) {
        let span = apart + SAVE_STILL;
        let most = Energy::drawn(MAX_WATTS, MAX_WATTS, millis(span));
        let began: Vec<Energy> = self.ports.iter().map(|port| port.energy).collect();
        let since_ms = now.unix_ms.saturating_sub(millis(apart));
        for (index, floor) in complete(floors, &began, began.len()).into_iter().enumerate() {
            let Some(port) = self.ports.get_mut(index) else { continue };
            let lead = floor.beyond(port.energy);
            // What was set by hand is right, and may not have reached the broker.
            let set = port.set_at.is_some_and(|at| at + span >= now.up);
            if lead == Energy::default() || set {
                continue;
            }
            if lead > most {
                warn!(plug = %id, port = index + 1, retained = %floor, metered = %port.energy, "ignoring the energy retained on the broker: more than can have been consumed meanwhile; correct it with energy_set if it is right");
                continue;
            }
            port.energy.add(lead);
            self.closed = None;
            self.since.credit(now, index, lead, since_ms);
            if let Some(hours) = &mut self.hours {
                hours.credit(index, lead);
            }
        }
    }
}
