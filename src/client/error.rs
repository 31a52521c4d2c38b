//! What can go wrong, in sentences that name the plug and what to do.

use crate::model::Failure;

/// Why something did not work. Every sentence names the plug or host it is about, and what to do where something can
/// be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system lets no client be made at all.
    #[error("cannot make an HTTP client: {0}")]
    System(String),
    /// A DNS name leads nowhere.
    #[error("{host}: its name cannot be resolved ({why}); use its address instead")]
    UnknownHost {
        /// What was to be looked up.
        host: String,
        /// What the resolver says.
        why: String,
    },
    /// No family got an answer at an address.
    #[error(
        "no plug responds at {host}, which {failure}; check the address, power and Wi-Fi, and that nothing between \
         blocks it. Asked were: {}", families.join(", ")
    )]
    NoPlug {
        /// Where.
        host: String,
        /// The families that asked.
        families: Vec<&'static str>,
        /// How the first of them failed.
        failure: Failure,
    },
    /// Nobody who answers a search has this id, serial number, MAC address or name.
    #[error(
        "no plug {wanted} responds to a search{}; check power and Wi-Fi, or connect by its address",
        listed(found)
    )]
    NotFound {
        /// Who was looked for.
        wanted: String,
        /// Who responded instead.
        found: Vec<String>,
    },
    /// Several plugs have this name or serial number.
    #[error("{wanted} is several plugs: {}; give an id or an address", candidates.join(", "))]
    Ambiguous {
        /// Who was looked for.
        wanted: String,
        /// Who has it.
        candidates: Vec<String>,
    },
    /// A port that the plug does not have.
    #[error("{plug} has no port {port}; it has {}", numbered(&(1..=*ports).collect::<Vec<_>>()))]
    UnknownPort {
        /// Which plug.
        plug: String,
        /// Which port.
        port: u8,
        /// How many it has.
        ports: u8,
    },
    /// The model or firmware of the plug cannot do this.
    #[error("{plug} was asked {request}: {why}")]
    Unsupported {
        /// Which plug.
        plug: String,
        /// What was asked.
        request: &'static str,
        /// What it says.
        why: String,
    },
    /// The plug knows the request and rejected it, or said yes and did not do it.
    #[error("{plug} was asked {request}: no, {why}")]
    Rejected {
        /// Which plug.
        plug: String,
        /// What was asked.
        request: &'static str,
        /// What it says.
        why: String,
    },
    /// Something that no plug can be asked; nothing was sent.
    #[error("{plug} was not asked {request}: {why}")]
    InvalidRequest {
        /// Which plug.
        plug: String,
        /// What was to be asked.
        request: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The plug took the request to switch, and its ports are not as they should be.
    #[error("{plug} did not switch {} {}; try again, or look whether a schedule or its button switched back", numbered(ports), on_off(*on))]
    NotConfirmed {
        /// Which plug.
        plug: String,
        /// The ports that are not as they should be, or of which the plug does not tell.
        ports: Vec<u8>,
        /// Where they should be.
        on: bool,
    },
    /// The plug does not tell whether a port is on, so there is no other way to toggle it to.
    #[error("{plug} does not tell whether port {port} is on; turn it on or off instead")]
    UnknownState {
        /// Which plug.
        plug: String,
        /// Which port.
        port: u8,
    },
    /// A conversation with the plug failed.
    #[error("{plug} was asked {request} and {failure}; {}", remedy(failure))]
    Failed {
        /// Which plug.
        plug: String,
        /// What was asked.
        request: &'static str,
        /// How it failed.
        failure: Failure,
    },
    /// No family has this name.
    #[error("there is no family {family:?} of plugs; there are {}", known.join(", "))]
    UnknownFamily {
        /// The name.
        family: String,
        /// Those there are.
        known: Vec<&'static str>,
    },
    /// No time zone has this name.
    #[error("there is no time zone {name:?} on this machine; write it as Europe/Berlin")]
    UnknownTimeZone {
        /// The name.
        name: String,
    },
}

impl Error {
    pub(super) fn failed(plug: String, request: &'static str, failure: Failure) -> Self {
        match failure {
            Failure::Rejected(why) => Self::Rejected { plug, request, why },
            Failure::Unreachable(_)
            | Failure::Timeout
            | Failure::Closed
            | Failure::InvalidResponse(_)
            | Failure::WrongDevice(_) => Self::Failed { plug, request, failure },
        }
    }

    /// The plug, host or setting it is about.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::System(_) => None,
            Self::UnknownHost { host: subject, .. }
            | Self::NoPlug { host: subject, .. }
            | Self::NotFound { wanted: subject, .. }
            | Self::Ambiguous { wanted: subject, .. }
            | Self::UnknownPort { plug: subject, .. }
            | Self::Unsupported { plug: subject, .. }
            | Self::Rejected { plug: subject, .. }
            | Self::InvalidRequest { plug: subject, .. }
            | Self::NotConfirmed { plug: subject, .. }
            | Self::UnknownState { plug: subject, .. }
            | Self::Failed { plug: subject, .. }
            | Self::UnknownFamily { family: subject, .. }
            | Self::UnknownTimeZone { name: subject } => Some(subject),
        }
    }

    /// How the conversation failed, when one did.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::NoPlug { failure, .. } | Self::Failed { failure, .. } => Some(failure),
            Self::System(_)
            | Self::UnknownHost { .. }
            | Self::NotFound { .. }
            | Self::Ambiguous { .. }
            | Self::UnknownPort { .. }
            | Self::Unsupported { .. }
            | Self::Rejected { .. }
            | Self::InvalidRequest { .. }
            | Self::NotConfirmed { .. }
            | Self::UnknownState { .. }
            | Self::UnknownFamily { .. }
            | Self::UnknownTimeZone { .. } => None,
        }
    }

    /// The same request may work later: the plug was not reached, or did not answer as it should.
    pub fn is_temporary(&self) -> bool {
        self.failure().is_some() || matches!(self, Self::NotFound { .. } | Self::NotConfirmed { .. })
    }
}

/// What to do about a plug that was found and then fails so.
fn remedy(failure: &Failure) -> &'static str {
    match failure {
        Failure::Unreachable(_) | Failure::Timeout => "check its power and Wi-Fi, and that nothing blocks it",
        Failure::Closed => "close the vendor's app, or unplug it for ten seconds",
        Failure::InvalidResponse(_) => "`plug2mqtt record` makes a recording for a bug report",
        Failure::WrongDevice(_) => "it has another address now: discover it again",
        Failure::Rejected(_) => "it knows why",
    }
}

fn listed(found: &[String]) -> String {
    if found.is_empty() { ", nor does any other".into() } else { format!("; found: {}", found.join(", ")) }
}

fn numbered(ports: &[u8]) -> String {
    let word = if ports.len() == 1 { "port" } else { "ports" };
    let numbers: Vec<String> = ports.iter().map(ToString::to_string).collect();
    format!("{word} {}", numbers.join(", "))
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
