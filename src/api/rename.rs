//! Names of plugs and ports.

use super::{Asked, Verb, plug, to_plug};
use crate::model::{Name, Rename, Request};
use serde::Deserialize;
use serde_json::Value as Json;

/// A new name for a plug.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRename {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// Which plug, as in `bridge/devices`.
    pub id: Option<String>,
    /// The new name; the plug's own one again if not given or empty.
    pub name: Option<String>,
    /// The plug is to keep it too.
    #[serde(default)]
    pub device_too: bool,
}

impl Verb for DeviceRename {
    const NAME: &'static str = "device_rename";

    fn ask(self) -> Result<Asked, String> {
        let (id, name) = (self.id.as_deref(), clean(self.name.as_deref())?);
        if self.device_too {
            return to_plug(id, Rename { port: 0, name: name.ok_or(NAMELESS)? }.into());
        }
        Ok(Asked::Hub(Request::DeviceRename { id: plug("id", id)?, name }))
    }
}

/// A new name for a port.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortRename {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// Which plug, as in `bridge/devices`.
    pub id: Option<String>,
    /// Which port, 1 to N.
    pub port: Option<u8>,
    /// The new name; the plug's own one again if not given or empty.
    pub name: Option<String>,
    /// The plug is to keep it too.
    #[serde(default)]
    pub device_too: bool,
}

impl Verb for PortRename {
    const NAME: &'static str = "port_rename";

    fn ask(self) -> Result<Asked, String> {
        let (id, name) = (self.id.as_deref(), clean(self.name.as_deref())?);
        let port = self.port.ok_or("give \"port\"")?;
        if self.device_too {
            return to_plug(id, Rename { port, name: name.ok_or(NAMELESS)? }.into());
        }
        Ok(Asked::Hub(Request::PortRename { id: plug("id", id)?, port, name }))
    }
}

const NAMELESS: &str = "device_too needs a \"name\": a plug's own name cannot be taken away";

fn clean(name: Option<&str>) -> Result<Option<Name>, String> {
    match name {
        None | Some("") => Ok(None),
        Some(text) => {
            Name::clean(text).map(Some).ok_or_else(|| "a name needs at least one visible character".into())
        }
    }
}
