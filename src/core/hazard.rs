//! What protection sees at a port, and what it has done about it.

/// What is wrong with the power at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hazard {
    /// More power than allowed, for longer than allowed.
    Overload,
    /// Power though the relay says off.
    PowerWhileOff,
    /// The relay went off by itself under high load.
    CutOut,
}

impl Hazard {
    /// The word for it in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overload => "overload",
            Self::PowerWhileOff => "power_while_off",
            Self::CutOut => "cut_out",
        }
    }
}

/// What was done about a hazard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// It was told, nothing more.
    None,
    /// Ports are being switched off.
    Off,
    /// And may not be switched on again until they are released.
    Latch,
}

impl Remedy {
    /// The word for it in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Off => "off",
            Self::Latch => "latch",
        }
    }
}
