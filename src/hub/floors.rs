//! What others have told of energy, earlier runs and other bridges, held against the meters.

use super::meter::Floors;
use super::{Hub, MAX_PLUGS};
use crate::model::{Energy, Metered, Moment, PlugId};
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::warn;

impl Hub {
    /// What earlier runs have told about energy: the floors of all meters.
    pub(super) fn metered(&mut self, now: &Moment, told: Vec<Metered>) {
        let floors = self.floors.get_or_insert_default();
        for one in told {
            let Some(energy) = Energy::from_kwh(one.kwh) else {
                warn!(plug = %one.plug, kwh = one.kwh, "ignoring an impossible retained energy value");
                continue;
            };
            if floors.len() < MAX_PLUGS || floors.contains_key(&one.plug) {
                floors.entry(one.plug).or_default().insert(one.port, energy);
            }
        }
        let read: Vec<PlugId> =
            self.plugs.values().filter(|plug| plug.shows_energy(now)).map(|plug| plug.id.clone()).collect();
        for id in read {
            self.raise_meter(now, &id);
            self.settle(now, &id);
        }
    }

    /// What others have told meanwhile, of meters that are shown and of those that are not yet.
    pub(super) fn metered_meanwhile(&mut self, now: &Moment, told: Vec<Metered>, apart: Duration) {
        let shown = |one: &Metered| self.plugs.get(&one.plug).is_some_and(|plug| plug.meter.certain());
        let (shown, others): (Vec<Metered>, Vec<Metered>) = told.into_iter().partition(shown);
        let mut floors: BTreeMap<PlugId, Floors> = BTreeMap::new();
        for one in shown {
            let Some(energy) = Energy::from_kwh(one.kwh) else { continue };
            floors.entry(one.plug).or_default().insert(one.port, energy);
        }
        for (id, floors) in floors {
            if let Some(plug) = self.plugs.get_mut(&id) {
                plug.metered_meanwhile(now, &floors, apart);
            }
            self.settle(now, &id);
        }
        self.metered(now, others);
        self.bridge.meters_read = self.bridge.meters_read.wrapping_add(1);
        self.show_bridge();
        self.save_soon(now);
    }

    /// A plug's meters may be shown once it was read and it is known what they must not fall below.
    pub(super) fn raise_meter(&mut self, now: &Moment, id: &PlugId) {
        if let (Some(floors), Some(plug)) = (&mut self.floors, self.plugs.get_mut(id))
            && !plug.meter.certain()
            && plug.shows_energy(now)
        {
            plug.metered(now, &floors.remove(id).unwrap_or_default());
            self.save_soon(now);
        }
    }
}
