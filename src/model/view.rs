//! What everybody may see: a picture of all plugs, cheap to hand around and to compare.

use super::{Capabilities, DeviceInfo, Energy, Lock, LogLevel, Origin, PlugId, States};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything, at one moment. Plugs that did not change are the same allocation as before.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The bridge itself.
    pub bridge: Arc<BridgeView>,
    /// All known plugs.
    pub plugs: BTreeMap<PlugId, Arc<PlugView>>,
}

impl View {
    /// Plugs of which this picture and an older one do not show the same, and those that only one
    /// of them has, in the order of their ids. Looks at allocations alone.
    pub fn changed_since<'a>(&'a self, old: &'a View) -> Vec<&'a PlugId> {
        let mut changed = Vec::new();
        let mut before = old.plugs.iter().peekable();
        for (id, plug) in &self.plugs {
            while let Some((gone, _)) = before.next_if(|(other, _)| *other != id && *other < id) {
                changed.push(gone);
            }
            let same = before.next_if(|(other, _)| *other == id);
            if !same.is_some_and(|(_, shown)| Arc::ptr_eq(shown, plug)) {
                changed.push(id);
            }
        }
        changed.extend(before.map(|(gone, _)| gone));
        changed
    }
}

/// The bridge itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BridgeView {
    /// New plugs are taken automatically.
    pub adopt: bool,
    /// How much is logged.
    pub log_level: LogLevel,
    /// Nothing may be switched.
    pub read_only: bool,
    /// What is wrong with the bridge itself, a sentence with its remedy for each reason.
    pub problems: BTreeMap<&'static str, String>,
    /// Figures, renewed once a minute.
    pub stats: Stats,
    /// How often meters were held against what others have told meanwhile.
    pub meters_read: u32,
}

/// Figures about the bridge's work.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// When they were taken, milliseconds since 1970.
    pub unix_ms: u64,
    /// Seconds since start.
    pub uptime_s: u64,
    /// Conversations that brought a reading.
    pub polls_ok: u64,
    /// Conversations that failed.
    pub polls_failed: u64,
    /// Values read.
    pub samples: u64,
    /// Half of the last 1024 polls took at most this, milliseconds.
    pub p50_ms: u64,
    /// 95 of 100 of the last 1024 polls took at most this, milliseconds.
    pub p95_ms: u64,
}

/// One plug as it was last told. Values stand still until they leave their deadband.
#[derive(Debug, Clone, PartialEq)]
pub struct PlugView {
    /// Who.
    pub id: PlugId,
    /// Name of its driver.
    pub driver: &'static str,
    /// What it says about itself.
    pub facts: Arc<DeviceInfo>,
    /// Name to show.
    pub name: Arc<str>,
    /// Address, when known.
    pub ip: Option<Arc<str>>,
    /// It was taken in; else it is only listed.
    pub adopted: bool,
    /// What it has to offer; no ports while it was never read.
    pub offer: Capabilities,
    /// It answers.
    pub online: bool,
    /// It may be switched.
    pub control: bool,
    /// Its relays are what was last set: it has no way to tell.
    pub relays_remembered: bool,
    /// Port 1 first.
    pub ports: Vec<PortView>,
    /// Sum over the ports, watts.
    pub watts: Option<f64>,
    /// Sum over what the ports show; `None` until it is certain that it is not too low.
    pub energy: Option<Energy>,
    /// Seconds in which energy was not metered; renewed together with the energy.
    pub unmetered_s: u64,
    /// Volts.
    pub volts: Option<f64>,
    /// Wi-Fi signal, percent.
    pub signal: Option<f64>,
    /// What it told of its capabilities; `None` while it has not.
    pub capabilities: Option<Arc<States>>,
    /// What is wrong, in words.
    pub problem: Option<String>,
    /// How long the last conversation took, milliseconds; renewed at the heartbeat.
    pub latency_ms: Option<u64>,
    /// When it last answered, milliseconds since 1970; renewed at the heartbeat.
    pub last_seen_ms: Option<u64>,
    /// When any of this was last renewed, milliseconds since 1970.
    pub unix_ms: u64,
    /// Counts heartbeats: numbers are published again when it moves.
    pub beat: u32,
    /// Counts failed commands: relay states are published again when it moves.
    pub echo: u32,
}

impl PlugView {
    /// A plug of which nothing but its id is known.
    pub fn unknown(id: PlugId) -> Self {
        Self {
            id,
            driver: "",
            facts: Arc::default(),
            name: "".into(),
            ip: None,
            adopted: false,
            offer: Capabilities::default(),
            online: false,
            control: true,
            relays_remembered: false,
            ports: Vec::new(),
            watts: None,
            energy: None,
            unmetered_s: 0,
            volts: None,
            signal: None,
            capabilities: None,
            problem: None,
            latency_ms: None,
            last_seen_ms: None,
            unix_ms: 0,
            beat: 0,
            echo: 0,
        }
    }
}

/// One port.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PortView {
    /// Name to show.
    pub name: Arc<str>,
    /// Confirmed by the plug.
    pub relay: Option<bool>,
    /// Watts.
    pub watts: Option<f64>,
    /// Amperes.
    pub amps: Option<f64>,
    /// Volts, where each port has its own.
    pub volts: Option<f64>,
    /// All it has drawn.
    pub energy: Option<Energy>,
    /// What it has drawn today and this month.
    pub lately: Option<[Energy; 2]>,
    /// When the relay moved last, milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// What moved it.
    pub cause: Option<Cause>,
    /// Which ways it must not be switched.
    pub lock: Option<Lock>,
}

/// What moved a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A command, that came this way.
    Command(Origin),
    /// A hand at the plug, or something else outside the bridge.
    Local,
    /// The end of a timed command.
    Countdown,
    /// Protection against overload.
    Overload,
    /// Put back after a restart of the plug.
    Restore,
    /// Put back because it is locked.
    Lock,
}

impl Cause {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Command(origin) => origin.as_str(),
            Self::Local => "local",
            Self::Countdown => "countdown",
            Self::Overload => "overload",
            Self::Restore => "restore",
            Self::Lock => "lock",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PlugView, View};
    use crate::model::PlugId;
    use std::sync::Arc;

    fn view(plugs: &[&Arc<PlugView>]) -> View {
        let plugs = plugs.iter().map(|plug| (plug.id.clone(), Arc::clone(plug))).collect();
        View { plugs, ..View::default() }
    }

    #[test]
    fn what_changed_is_what_is_another_allocation_came_or_went() {
        let [a, b, c, d] =
            ["m-a", "m-b", "m-c", "m-d"].map(|id| Arc::new(PlugView::unknown(PlugId::new(id).unwrap())));
        let again = Arc::new(PlugView::clone(&c));
        let check = |old: &[&Arc<PlugView>], new: &[&Arc<PlugView>], want: &[&str]| {
            let (old, new) = (view(old), view(new));
            let changed: Vec<&str> = new.changed_since(&old).into_iter().map(PlugId::as_str).collect();
            assert_eq!(changed, want);
        };
        check(&[], &[], &[]);
        check(&[], &[&a, &b], &["m-a", "m-b"]);
        check(&[&a, &b], &[], &["m-a", "m-b"]);
        check(&[&a, &b, &c], &[&a, &b, &c], &[]);
        check(&[&a, &b, &c], &[&a, &b, &again], &["m-c"]);
        check(&[&a, &b, &c], &[&b, &again, &d], &["m-a", "m-c", "m-d"]);
        check(&[&b, &d], &[&a, &c], &["m-a", "m-b", "m-c", "m-d"]);
    }
}
