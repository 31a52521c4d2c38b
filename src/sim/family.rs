//! What a family brings so that its plugs can be served: the kinds of `simulate` and the plugs of `demo`.

use super::model::AnyModel;

/// The word for a kind, and how one is made that has this number in serial or MAC.
pub type Make = (&'static str, fn(u8) -> AnyModel);

/// Reads a recording, or says what is wrong with it.
pub type Replay = fn(&str) -> Result<AnyModel, String>;

/// A family of simulated plugs.
#[derive(Debug)]
pub struct Family {
    /// The name of its driver.
    pub name: &'static str,
    /// Its kinds.
    pub kinds: &'static [Make],
    /// Its plugs in the demo, whose loads live this many times faster.
    pub demo: fn(u32) -> Vec<AnyModel>,
    /// How what `record` has written is read; `None` when its plugs cannot be recorded.
    pub recording: Option<Replay>,
}
