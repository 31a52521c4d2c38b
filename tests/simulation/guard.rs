//! What protection and restoration may do and tell, judged by what the plugs have said.

use crate::check::{Broken, Checked};
use crate::plugs::{Model, Said};
use plug2mqtt::hub::{Limit, Rules};
use plug2mqtt::model::{Event, Hazard, OverloadAction, PlugId, Remedy, Restore};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Around the end of a command.
const SLACK: Duration = Duration::from_millis(100);

/// How rounded the figures of the plugs are.
const ROUND_W: f64 = 0.011;

#[derive(Debug)]
pub(crate) struct Guard {
    rules: Rules,
    /// Since when more than allowed is drawn, by port; 0 is the whole plug.
    over: BTreeMap<(PlugId, u8), Duration>,
    /// When that had lasted long enough, last.
    lasting: BTreeMap<(PlugId, u8), Duration>,
    /// What each plug said last, and before that.
    said: BTreeMap<PlugId, (Said, Option<Said>)>,
    /// Each plug and how often it had restarted when that was first seen in this run, or last told.
    known: BTreeMap<PlugId, (usize, u64)>,
    /// Where the ports of a plug stood before it restarted last.
    before: BTreeMap<PlugId, Vec<bool>>,
    /// When a restart was told, and where each port may go then.
    restarted: BTreeMap<PlugId, (Duration, BTreeSet<(u8, bool)>)>,
    /// When that was told of a plug that was taken for another one.
    confused: BTreeMap<PlugId, Duration>,
    /// Restarts that were told.
    pub(crate) restarts: u64,
    /// Alarms that were raised.
    pub(crate) alarms: u64,
}

impl Guard {
    pub(crate) fn new(rules: &Rules) -> Self {
        Self {
            rules: rules.clone(),
            over: BTreeMap::new(),
            lasting: BTreeMap::new(),
            said: BTreeMap::new(),
            known: BTreeMap::new(),
            before: BTreeMap::new(),
            restarted: BTreeMap::new(),
            confused: BTreeMap::new(),
            restarts: 0,
            alarms: 0,
        }
    }

    /// Another run begins: it has seen nothing yet.
    pub(crate) fn started(&mut self) {
        self.over.clear();
        self.said.clear();
        self.known.clear();
        self.before.clear();
        self.restarted.clear();
        self.confused.clear();
    }

    fn rating(&self) -> Option<f64> {
        self.rules.families.get("maxsmart").and_then(|pace| pace.rating_w).map(f64::from)
    }

    /// The limit of a port, in watts, and what it is for.
    fn limit(&self, plug: &PlugId, port: u8, ports: usize) -> Option<(f64, Limit)> {
        let limits = self.rules.plugs.get(plug).map(|rules| &rules.limits);
        let of = |port: u8| limits.and_then(|limits| limits.get(&port)).copied();
        let whole = of(0).unwrap_or_default();
        let alone = ports == 1 && port == 1;
        let own = match (port, of(port)) {
            (0, _) => whole,
            (_, Some(own)) => own,
            (_, None) if alone => whole,
            (_, None) => Limit { watts: None, ..whole },
        };
        let watts = own.watts.or(whole.watts.filter(|_| alone)).or(self.rating())?;
        Some((watts, own))
    }

    /// A reading of a plug has reached the bridge.
    pub(crate) fn read(&mut self, now: Duration, plug: &PlugId, said: &Said) {
        let ports = said.watts.len();
        let sum = said.watts.iter().sum::<f64>();
        for (port, &watts) in (0u8..).zip(std::iter::once(&sum).chain(&said.watts)) {
            let key = (plug.clone(), port);
            match self.limit(plug, port, ports) {
                Some((limit, own)) if watts > limit * 0.95 - ROUND_W => {
                    let since = *self.over.entry(key.clone()).or_insert(now);
                    if now - since >= own.after && watts > limit - ROUND_W {
                        self.lasting.insert(key, now);
                    }
                }
                _ => drop(self.over.remove(&key)),
            }
        }
        let before = self.said.remove(plug).map(|(last, _)| last);
        let first = (said.plug, said.boots);
        let known = self.known.entry(plug.clone()).or_insert(first);
        if known.0 != said.plug {
            *known = first;
        }
        if let Some(before) = before.as_ref().filter(|before| before.boots != said.boots) {
            self.before.insert(plug.clone(), before.relays.clone());
        }
        self.said.insert(plug.clone(), (said.clone(), before));
    }

    /// Whether protection or a restart may send this port this way now.
    pub(crate) fn explains(&self, now: Duration, plug: &PlugId, port: u8, on: bool) -> bool {
        let life = self.rules.command_timeout + SLACK;
        let restored = self.restarted.get(plug).filter(|(at, _)| now <= *at + life);
        let own = self.rules.plugs.get(plug);
        self.confused
            .get(plug)
            .is_some_and(|at| now <= *at + life && own.is_some_and(|own| own.restore.contains_key(&port)))
            || restored.is_some_and(|(_, ports)| ports.contains(&(port, on)))
            || (!on && self.protects(now, plug, port))
    }

    /// A restart is told: there was one, and ports may go where the settings say if the plug was read
    /// since; its clock may have told before.
    fn has_restarted(&mut self, now: Duration, plug: &PlugId, plugs: &[Model]) -> Checked {
        self.restarts += 1;
        let said = self.said.get(plug).map(|(said, _)| (said.plug, said.boots));
        let known = self.known.get(plug).copied();
        let (Some((place, read)), Some((_, known))) =
            (said, known.filter(|known| said.is_some_and(|said| said.0 == known.0)))
        else {
            return Err(Broken::of(3, format!("{plug} has restarted: {said:?} after {known:?}")));
        };
        let boots = plugs[place].boots();
        if boots <= known {
            return Err(Broken::of(3, format!("{plug} has restarted {boots} times, which was known")));
        }
        self.known.insert(plug.clone(), (place, boots));
        if read < boots {
            return Ok(());
        }
        let before = self.before.get(plug).cloned().unwrap_or_default();
        let restore = self.rules.plugs.get(plug).map(|rules| rules.restore.clone()).unwrap_or_default();
        // One that was missed between two polls looks like one in the silence that came later.
        let before_silence = self.said.get(plug).and_then(|(_, before)| before.as_ref());
        let before_silence = before_silence.map(|said| said.relays.clone()).unwrap_or_default();
        let wanted = restore.into_iter().flat_map(|(port, restore)| {
            let last = |relays: &Vec<bool>| relays.get(usize::from(port) - 1).copied();
            let on = match restore {
                Restore::On => vec![true],
                Restore::Off => vec![false],
                Restore::Previous => [&before, &before_silence].into_iter().filter_map(last).collect(),
                Restore::None => Vec::new(),
            };
            on.into_iter().map(move |on| (port, on))
        });
        self.restarted.insert(plug.clone(), (now, wanted.collect()));
        Ok(())
    }

    /// The bridge was led to believe that another plug is this one: whatever the settings say may be
    /// put back.
    pub(crate) fn told_of_another(&mut self, now: Duration, plug: &PlugId, event: &Event) {
        if *event == Event::DeviceRestarted {
            self.confused.insert(plug.clone(), now);
        }
    }

    fn protects(&self, now: Duration, plug: &PlugId, port: u8) -> bool {
        let ports = self.said.get(plug).map_or(0, |(said, _)| said.watts.len());
        [0, port].into_iter().any(|port| {
            let asked = self.limit(plug, port, ports).is_some_and(|(_, own)| acts(own.action));
            let at = self.lasting.get(&(plug.clone(), port));
            asked && at.is_some_and(|at| now <= *at + self.rules.command_timeout + SLACK)
        })
    }

    /// The bridge tells of something: it is so.
    pub(crate) fn told(&mut self, now: Duration, plug: &PlugId, event: &Event, plugs: &[Model]) -> Checked {
        if *event == Event::DeviceRestarted {
            return self.has_restarted(now, plug, plugs);
        }
        let Event::Overload { port, hazard, remedy, .. } = event else { return Ok(()) };
        self.alarms += 1;
        let Some((said, before)) = self.said.get(plug) else {
            return Err(Broken::of(3, format!("{event:?} of {plug}, which was never read")));
        };
        let limit = self.limit(plug, *port, said.watts.len());
        let index = usize::from(*port).wrapping_sub(1);
        // A latch is written down before it is told.
        let written = if *remedy == Remedy::Latch { SLACK } else { Duration::ZERO };
        let fine = match hazard {
            Hazard::Overload => {
                let own = limit.map(|(_, own)| own.action);
                let acts = own.is_some_and(acts) || *remedy == Remedy::None;
                acts && own != Some(OverloadAction::Ignore)
                    && self.lasting.get(&(plug.clone(), *port)).is_some_and(|at| now - *at <= written)
            }
            // No simulated relay has welded.
            Hazard::PowerWhileOff => false,
            Hazard::CutOut => {
                let drew = before.as_ref().and_then(|before| before.watts.get(index).copied());
                let rating = self.rating().unwrap_or(f64::MAX);
                said.relays.get(index) == Some(&false)
                    && drew.is_some_and(|drew| drew >= 0.9 * rating - ROUND_W)
            }
        };
        if fine {
            return Ok(());
        }
        Err(Broken::of(3, format!("{event:?} of {plug}, which said {said:?} after {before:?}")))
    }
}

fn acts(action: OverloadAction) -> bool {
    matches!(action, OverloadAction::Off | OverloadAction::Latch)
}
