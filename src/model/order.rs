//! What may be asked of a plug, what may be asked of the bridge, and what both say afterwards.

use super::{
    DeviceResponse, Endpoint, Energy, Failure, Hazard, Keep, LogLevel, Options, OptionsChange, PlugAnswer,
    PlugId, PlugRequest, Remedy,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Whom a conversation is with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A plug we know.
    Plug(PlugId),
    /// Somebody at an address, to be asked who they are; with the driver's name.
    Endpoint(&'static str, Endpoint),
}

/// How a conversation ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Whom it was with.
    pub who: Who,
    /// What came of it.
    pub result: Result<DeviceResponse, Failure>,
    /// Requests sent.
    pub requests: u32,
    /// From the first request to the end.
    pub took: Duration,
}

/// Where a relay should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SwitchAction {
    /// Closed, power on.
    On,
    /// Open, power off.
    Off,
    /// The other way than it is, or than the newest command in hand wants it.
    Toggle,
}

/// By what way something is wanted of the hub.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A message of an MQTT client.
    #[default]
    Mqtt,
    /// A request to the web listener.
    Web,
}

impl Origin {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Web => "web",
        }
    }
}

/// Who wants something of the hub, and how the answer finds the way back: it goes to the sink that it came by, with
/// the mark that came with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asker {
    /// The sink.
    pub origin: Origin,
    /// The sender's own mark, JSON text, given back in the answer.
    pub mark: Option<String>,
}

impl Asker {
    /// An MQTT client, with its mark.
    pub fn mqtt(mark: Option<String>) -> Self {
        Self { origin: Origin::Mqtt, mark }
    }
}

/// A command to switch, as a sink hands it in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SwitchOrder {
    /// Which plug.
    pub plug: PlugId,
    /// Which ports; port 0 is all of a strip, [`WHOLE`](Self::WHOLE) all of any plug.
    pub ports: BTreeMap<u8, SwitchAction>,
    /// Who wants it, and gets the result.
    pub asker: Asker,
    /// Lives no longer than this.
    pub ttl: Option<Duration>,
    /// Back to the opposite after this long.
    pub hold: Option<Duration>,
    /// Pause between one port and the next.
    pub stagger: Duration,
    /// Tells what was said, and on which topic of the plug: the same when a command comes once more.
    pub said: u64,
}

impl SwitchOrder {
    /// Stands for every port a plug has, be it one or many.
    pub const WHOLE: u8 = u8::MAX;
}

/// Something a sink wants of the hub.
#[derive(Debug, Clone, PartialEq)]
pub enum HubRequest {
    /// Switch relays.
    Switch(SwitchOrder),
    /// Poll now and publish everything once.
    Refresh(PlugId),
    /// A request to the bridge, and who gets the answer.
    Request(Request, Asker),
    /// Something a sink keeps over restarts for itself.
    Keep(Keep),
    /// What earlier runs have told about energy: no meter may show less. Until this has come once,
    /// no energy is shown at all.
    Metered(Vec<Metered>),
    /// What others have told about energy while this run could not see it, for so long: no meter may show
    /// less. [`BridgeView::meters_read`](super::BridgeView) counts them.
    MeteredMeanwhile(Vec<Metered>, Duration),
}

impl HubRequest {
    /// The plug it is about, if it is about one.
    pub fn plug(&self) -> Option<&PlugId> {
        match self {
            Self::Switch(order) => Some(&order.plug),
            Self::Refresh(id) => Some(id),
            Self::Request(request, _) => request.plug(),
            Self::Keep(_) | Self::Metered(_) | Self::MeteredMeanwhile(..) => None,
        }
    }
}

impl Request {
    /// The plug it is about, if it is about one.
    pub fn plug(&self) -> Option<&PlugId> {
        match self {
            Self::DeviceRemove { id, .. }
            | Self::DeviceRename { id, .. }
            | Self::PortRename { id, .. }
            | Self::PlugRequest(id, _)
            | Self::DeviceOptions { id, .. }
            | Self::EnergySet { id, .. }
            | Self::DeviceReplace { id, .. }
            | Self::OverloadReset { id, .. } => Some(id),
            Self::Scan(_) | Self::Adopt(..) | Self::LogLevel(_) => None,
        }
    }
}

/// Energy as an earlier run told it.
#[derive(Debug, Clone, PartialEq)]
pub struct Metered {
    /// Of which plug.
    pub plug: PlugId,
    /// Of which port, 1 to N; `None` is the plug's total.
    pub port: Option<u8>,
    /// Kilowatt-hours.
    pub kwh: f64,
}

/// Requests to the bridge that the hub answers. Sinks answer those about themselves.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Search now, answer with what was found after this long.
    Scan(Duration),
    /// Take new plugs automatically, or not; for a while, or until told otherwise.
    Adopt(bool, Option<Duration>),
    /// Forget a plug; with `block` it is not taken again.
    DeviceRemove {
        /// Which plug.
        id: PlugId,
        /// Do not take it again.
        block: bool,
    },
    /// A new name, kept by the bridge; `None` gives the plug's own name back.
    DeviceRename {
        /// Which plug.
        id: PlugId,
        /// The new name.
        name: Option<super::Name>,
    },
    /// A new name for a port, kept by the bridge.
    PortRename {
        /// Which plug.
        id: PlugId,
        /// Which port, 1 to N.
        port: u8,
        /// The new name.
        name: Option<super::Name>,
    },
    /// Something for a plug itself; answered with what it says.
    PlugRequest(PlugId, PlugRequest),
    /// Change options of one plug; only those given.
    DeviceOptions {
        /// Which plug.
        id: PlugId,
        /// The options to change.
        options: Box<OptionsChange>,
    },
    /// Set a meter, to correct it or to carry a figure over.
    EnergySet {
        /// Which plug.
        id: PlugId,
        /// Which port, 1 to N.
        port: u8,
        /// What it shall show.
        energy: Energy,
    },
    /// New hardware takes the place of old: its names, ids, options and meters.
    DeviceReplace {
        /// The plug that is replaced and whose id stays.
        id: PlugId,
        /// The hardware that takes its place, by the id it has been known under.
        by: PlugId,
    },
    /// Let ports be switched on again that protection has latched off.
    OverloadReset {
        /// Which plug.
        id: PlugId,
        /// Which port, 1 to N; all when none is named.
        port: Option<u8>,
    },
    /// How much is logged from now on.
    LogLevel(LogLevel),
}

/// Something the hub tells the sinks once. Nothing depends on its arrival.
#[derive(Debug, Clone, PartialEq)]
pub enum Notification {
    /// How a command ended.
    Result(CommandResult),
    /// Something happened to a plug.
    Plug(PlugId, Event),
    /// Something happened to the bridge.
    Bridge(Event),
    /// The answer to a request.
    Response(Response),
}

impl Notification {
    /// Whether a sink tells it: answers go to who asked, the rest to everybody.
    pub fn is_for(&self, sink: Origin) -> bool {
        match self {
            Self::Result(result) => result.asker.origin == sink,
            Self::Response(response) => response.asker.origin == sink,
            Self::Plug(..) | Self::Bridge(_) => true,
        }
    }

    /// The plug it is about, if it is about one.
    pub fn plug(&self) -> Option<&PlugId> {
        match self {
            Self::Result(result) => Some(&result.plug),
            Self::Plug(id, _) => Some(id),
            Self::Bridge(_) | Self::Response(_) => None,
        }
    }
}

/// What happened, as events tell it.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A relay moved and nobody here asked for it.
    SwitchedLocally {
        /// Which port.
        port: u8,
        /// Where it is now.
        on: bool,
    },
    /// A locked port that somebody else had moved was put back.
    LockEnforced {
        /// Which port.
        port: u8,
        /// Where it is now.
        on: bool,
    },
    /// Something is wrong with the power at a port.
    Overload {
        /// Which port; 0 for the plug as a whole.
        port: u8,
        /// What is wrong.
        hazard: Hazard,
        /// Watts, as last read; before it went off, for a cut-out.
        watts: f64,
        /// The limit that was exceeded, in watts.
        limit: Option<f64>,
        /// What was done about it.
        remedy: Remedy,
    },
    /// A port does not go back by itself, though it was to.
    ReturnDropped {
        /// Which port.
        port: u8,
        /// Where it would have gone.
        on: bool,
        /// Why not, in words.
        reason: &'static str,
    },
    /// The plug has restarted.
    DeviceRestarted,
    /// A command failed.
    CommandFailed {
        /// The port it was for, 0 for several.
        port: u8,
        /// Why.
        error: CommandError,
    },
    /// Hours in which the plug was not read were filled from its own record.
    EnergyFilled {
        /// When each of these hours began, milliseconds since 1970.
        hours: Vec<u64>,
        /// What was added to the meters, port 1 first.
        ports: Vec<Energy>,
    },
    /// Hours in which the plug was not read stay unmetered, though it has a record of its own.
    EnergyNotFilled {
        /// Why, in words.
        reason: &'static str,
    },
    /// A plug answers at a new address.
    AddressChanged {
        /// Where it was.
        from: String,
        /// Where it is.
        to: String,
    },
    /// A plug answered for the first time.
    DeviceFound(PlugId),
    /// A plug was taken in.
    DeviceAdopted(PlugId),
    /// A plug was removed.
    DeviceRemoved(PlugId),
    /// A plug does not answer any more.
    DeviceOffline(PlugId, String),
    /// A plug answers again.
    DeviceOnline(PlugId),
}

/// Why a command failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    /// The plug does not answer.
    Offline,
    /// The plug did not answer in time.
    Timeout,
    /// The plug says the relay is elsewhere.
    NotConfirmed,
    /// The port is locked.
    Locked,
    /// Protection has latched the port off.
    Latched,
    /// The plug or the bridge is read-only.
    ReadOnly,
    /// It waited longer than it may live.
    Expired,
    /// It was retained on the broker.
    Retained,
    /// It could not be understood.
    BadPayload,
    /// There is no such port.
    UnknownPort,
    /// There is no such plug.
    UnknownDevice,
    /// A newer command for the same port took its place.
    Superseded,
    /// It wants the opposite of a state that is not known.
    UnknownState,
    /// The bridge has too much in hand, or is stopping.
    Busy,
    /// What it needs to be remembered cannot be written.
    NotSaved,
}

impl CommandError {
    /// The word for it in results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Timeout => "timeout",
            Self::NotConfirmed => "not_confirmed",
            Self::Locked => "locked",
            Self::Latched => "latched",
            Self::ReadOnly => "read_only",
            Self::Expired => "expired",
            Self::Retained => "retained",
            Self::BadPayload => "bad_payload",
            Self::UnknownPort => "unknown_port",
            Self::UnknownDevice => "unknown_device",
            Self::Superseded => "superseded",
            Self::UnknownState => "unknown_state",
            Self::Busy => "busy",
            Self::NotSaved => "not_saved",
        }
    }
}

/// How a command ended. Every command that reached the bridge has exactly one.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandResult {
    /// Which plug.
    pub plug: PlugId,
    /// Who wanted it.
    pub asker: Asker,
    /// What the ports concerned are now; `None` where it is not known.
    pub ports: BTreeMap<u8, Option<bool>>,
    /// Why it failed, and at which port; `None` when it was confirmed.
    pub error: Option<(CommandError, Option<u8>)>,
    /// A sentence for people, when there is more to say.
    pub detail: Option<String>,
    /// From the command's arrival to its end.
    pub latency: Duration,
    /// Requests sent to the plug for it.
    pub requests: u32,
    /// How often it was tried.
    pub attempts: u32,
    /// When it ended, milliseconds since 1970.
    pub unix_ms: u64,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The verb of the request, as in its topic.
    pub verb: &'static str,
    /// Who asked.
    pub asker: Asker,
    /// What came of it; an error says the remedy.
    pub result: Result<ResponseData, String>,
}

/// What a request brought.
#[derive(Debug, Clone, PartialEq)]
pub enum ResponseData {
    /// Ids found by a scan, those not known before first in the second list.
    Scan {
        /// Everybody who answered.
        found: Vec<PlugId>,
        /// Those among them not known before.
        new: Vec<PlugId>,
    },
    /// Whether new plugs are taken, and for how many more seconds.
    Adopt(bool, Option<u64>),
    /// A plug, changed or gone.
    Plug(PlugId),
    /// A port of a plug, changed.
    Port(PlugId, u8),
    /// The options of a plug after the change.
    Options(PlugId, Box<Options>),
    /// Ports that were latched off and are not any more.
    OverloadReset(PlugId, BTreeSet<u8>),
    /// A meter after it was set.
    Energy(PlugId, u8, Energy),
    /// What a plug said to a request of its own.
    PlugAnswer(PlugId, PlugAnswer),
    /// How much is logged.
    LogLevel(LogLevel),
}
