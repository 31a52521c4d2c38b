//! What protection may do and tell, judged by what the plugs have said.

use crate::check::{Broken, Checked};
use crate::plugs::Said;
use plug2mqtt::hub::{Consequence, Limit, Rules};
use plug2mqtt::model::{Event, Hazard, PlugId, Remedy};
use std::collections::BTreeMap;
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
    /// Alarms there have been.
    pub(crate) alarms: u64,
}

impl Guard {
    pub(crate) fn new(rules: &Rules) -> Self {
        Self {
            rules: rules.clone(),
            over: BTreeMap::new(),
            lasting: BTreeMap::new(),
            said: BTreeMap::new(),
            alarms: 0,
        }
    }

    /// Another run begins: it has seen nothing yet.
    pub(crate) fn started(&mut self) {
        self.over.clear();
        self.said.clear();
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
        self.said.insert(plug.clone(), (said.clone(), before));
    }

    /// Whether protection may switch this port off now.
    pub(crate) fn explains(&self, now: Duration, plug: &PlugId, port: u8) -> bool {
        let ports = self.said.get(plug).map_or(0, |(said, _)| said.watts.len());
        [0, port].into_iter().any(|port| {
            let asked = self.limit(plug, port, ports).is_some_and(|(_, own)| acts(own.consequence));
            let at = self.lasting.get(&(plug.clone(), port));
            asked && at.is_some_and(|at| now <= *at + self.rules.command_timeout + SLACK)
        })
    }

    /// The bridge tells of something: it is so.
    pub(crate) fn told(&mut self, now: Duration, plug: &PlugId, event: &Event) -> Checked {
        let Event::Overload { port, hazard, remedy, .. } = event else { return Ok(()) };
        self.alarms += 1;
        let Some((said, before)) = self.said.get(plug) else {
            return Err(Broken::of(3, format!("{event:?} of {plug}, which was never read")));
        };
        let limit = self.limit(plug, *port, said.watts.len());
        let index = usize::from(*port).wrapping_sub(1);
        let fine = match hazard {
            Hazard::Overload => {
                let own = limit.map(|(_, own)| own.consequence);
                let acts = own.is_some_and(acts) || *remedy == Remedy::None;
                acts && own != Some(Consequence::Ignore)
                    && self.lasting.get(&(plug.clone(), *port)) == Some(&now)
            }
            // No simulated relay has welded.
            Hazard::Leak => false,
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

fn acts(consequence: Consequence) -> bool {
    matches!(consequence, Consequence::Off | Consequence::Latch)
}
