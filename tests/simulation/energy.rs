//! Energy: what is told never falls, the ports add up, and the end is what the plugs have truly drawn, but for what
//! samples cannot see and for what was declared unmetered.

use crate::check::{Broken, Checked};
use crate::plan::BASE;
use crate::world::World;
use plug2mqtt::model::{Energy, PlugId, View};
use plug2mqtt::sim::Drawn;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// No port of a simulated plug draws more, in watts.
const MOST_W: f64 = 2000.0;

/// What is told may lag behind what is known: a watt-hour, or ten seconds.
const LAG_WS: f64 = 3600.0;
const LAG: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct Meters {
    /// The most that was told on each topic.
    told: BTreeMap<String, Energy>,
    /// Which plug it was when a meter was first fed, what it had drawn then, and when it was fed last.
    began: BTreeMap<PlugId, (usize, Drawn, Drawn)>,
    /// The clock was set: how long a bridge was away between two runs cannot be known.
    jumped: bool,
    /// Meters that cannot be held against one plug any more.
    lost: BTreeSet<PlugId>,
    /// The most ports that each has shown.
    most_ports: BTreeMap<PlugId, usize>,
}

impl Meters {
    /// A reading of this plug was taken for this id.
    pub(crate) fn fed(&mut self, id: &PlugId, plug: usize, drawn: Drawn) {
        let (first, _, last) = self.began.entry(id.clone()).or_insert((plug, drawn, drawn));
        // New firmware counts anew.
        if *first != plug || drawn.mws < last.mws {
            self.lost.insert(id.clone());
        }
        *last = drawn;
    }

    /// This plug's meters may have started anew.
    pub(crate) fn lose(&mut self, id: &PlugId) {
        self.lost.insert(id.clone());
    }

    /// The clock was set.
    pub(crate) fn jumped(&mut self) {
        self.jumped = true;
    }

    /// A retained message leaves; an empty one takes a topic back.
    pub(crate) fn told(&mut self, topic: &str, payload: &str) -> Checked {
        if !topic.ends_with("/energy") {
            return Ok(());
        }
        if payload.is_empty() {
            // The plug was removed; should it be found again, it begins anew.
            self.told.remove(topic);
            self.lost.extend(topic.split('/').nth(1).and_then(PlugId::new));
            return Ok(());
        }
        let now = payload.parse().ok().and_then(Energy::from_kwh);
        let Some(now) = now else { return Err(Broken::of(4, format!("{topic} {payload} is no energy"))) };
        let most = self.told.entry(topic.to_owned()).or_default();
        if now < *most {
            return Err(Broken::of(4, format!("{topic} falls from {most} to {payload}")));
        }
        *most = now;
        Ok(())
    }

    /// A run begins after the last one was killed: what neither file nor broker has can only be forgotten.
    pub(crate) fn crashed(&mut self, retained: &BTreeMap<String, String>) {
        self.told.retain(|topic, most| {
            let kept =
                retained.get(topic).and_then(|payload| payload.parse().ok()).and_then(Energy::from_kwh);
            *most = kept.unwrap_or_default().min(*most);
            kept.is_some()
        });
    }

    /// The ports of each plug add up to the plug; what ports have drawn that it does not have any more stays in
    /// its total.
    pub(crate) fn adds_up(&mut self, view: &View) -> Checked {
        for (id, plug) in &view.plugs {
            let most = self.most_ports.entry(id.clone()).or_default();
            *most = plug.ports.len().max(*most);
            let ports: Energy = plug.ports.iter().filter_map(|port| port.energy).sum();
            let fits = |total: Energy| if plug.ports.len() < *most { total >= ports } else { total == ports };
            if plug.energy.is_some_and(|total| !fits(total)) {
                return Err(Broken::of(4, format!("{id} shows {:?} kWh, its ports {ports}", plug.energy)));
            }
        }
        Ok(())
    }
}

impl World {
    /// What is shown at the end is what was drawn.
    pub(crate) fn check_energy(&mut self, view: &View) -> Checked {
        let poll = self.plan.rules.families.values().map(|pace| pace.poll).max().unwrap_or_default();
        // Readings further apart than this have a gap between them that is declared.
        let apart = (poll * 3).max(Duration::from_secs(15)).as_secs_f64();
        for (id, plug) in &view.plugs {
            let (Some(energy), Some((place, began, drawn))) = (plug.energy, self.check.meters.began.get(id))
            else {
                continue;
            };
            let meters = &self.check.meters;
            let counter = self.plugs[*place].counter.as_ref().filter(|_| plug.offer.energy_counted);
            if meters.lost.contains(id) || meters.jumped || (self.check.crashed && counter.is_none()) {
                continue;
            }
            let watts: f64 = self.plugs[*place].watts(self.now_s()).iter().sum();
            let truth = drawn.mws.saturating_sub(began.mws) as f64 / 1000.0;
            let unseen =
                drawn.ups_and_downs.saturating_sub(began.ups_and_downs) as f64 / 1000.0 * apart / 2.0;
            let unmetered = plug.unmetered_s as f64 * MOST_W * plug.ports.len() as f64;
            let lag = LAG_WS + watts * (apart + LAG.as_secs_f64());
            let told = energy.joules();
            if let Some(counter) = counter {
                // What was missed is in its next figure, and what was integrated before, too.
                let (behind, between_s) = counter.behind(MOST_W, apart);
                let ahead = (truth * 0.01 + unseen).min(between_s * MOST_W) + lag;
                if told > truth + ahead || told < truth - behind - lag {
                    let what = format!(
                        "{BASE}/{id} has told {told:.0} J and drawn {truth:.0} J by {counter:?}, {ahead:.0} J ahead or {behind:.0} J behind at most"
                    );
                    return Err(Broken::of(4, what));
                }
                self.check.energies += 1;
                continue;
            }
            if (told - truth).abs() > truth * 0.01 + unseen + unmetered + lag {
                let what = format!(
                    "{BASE}/{id} has told {told:.0} J and drawn {truth:.0} J, {unmetered:.0} J unmetered at most, {unseen:.0} J unseen"
                );
                return Err(Broken::of(4, what));
            }
            self.check.energies += 1;
        }
        Ok(())
    }
}
