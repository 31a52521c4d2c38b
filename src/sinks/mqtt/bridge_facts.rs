//! What a process says of itself and its settings.

/// What of the settings is told on `bridge/info`.
#[derive(Debug, Clone)]
pub struct BridgeFacts {
    /// Version of the program.
    pub version: &'static str,
    /// A random number in hexadecimal digits: no other process has it.
    pub run: String,
    /// When this process began, milliseconds since 1970.
    pub started_ms: u64,
    /// It acts though another bridge does.
    pub take_over: bool,
    /// Discovery mode, as in the settings.
    pub discovery: &'static str,
    /// Drivers in use.
    pub drivers: Vec<&'static str>,
    /// A checksum of the settings, to see whether two runs had the same.
    pub config_checksum: String,
    /// The time zone in use; `None` while none is known.
    pub timezone: Option<String>,
}
