//! What others have told about the energy of a plug, below which no meter may fall.

use crate::model::Energy;
use std::collections::BTreeMap;

/// What is known about energy before a plug may show any: the floors earlier runs have told.
pub(super) type Floors = BTreeMap<Option<u8>, Energy>;

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
