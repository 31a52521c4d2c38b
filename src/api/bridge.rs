//! What the bridge does without the hub.

use super::{Asked, OwnRequest, Verb};
use serde::Deserialize;
use serde_json::Value as Json;

/// Publish everything again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Republish {
    /// Given back in the answer.
    pub transaction: Option<Json>,
}

impl Verb for Republish {
    const NAME: &'static str = "republish";
    const CHANGES: bool = false;

    fn ask(self) -> Result<Asked, String> {
        Ok(Asked::Bridge(OwnRequest::Republish))
    }
}

/// Clear retained topics of the bridge that no plug owns.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cleanup {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// Only say which.
    #[serde(default)]
    pub dry_run: bool,
}

impl Verb for Cleanup {
    const NAME: &'static str = "cleanup";

    fn ask(self) -> Result<Asked, String> {
        Ok(Asked::Bridge(OwnRequest::Cleanup { dry_run: self.dry_run }))
    }
}

/// Say how the bridge is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// Given back in the answer.
    pub transaction: Option<Json>,
}

impl Verb for HealthCheck {
    const NAME: &'static str = "health_check";
    const CHANGES: bool = false;

    fn ask(self) -> Result<Asked, String> {
        Ok(Asked::Bridge(OwnRequest::HealthCheck))
    }
}

/// Read the settings again, and start anew.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// Given back in the answer.
    pub transaction: Option<Json>,
}

impl Verb for Restart {
    const NAME: &'static str = "restart";

    fn ask(self) -> Result<Asked, String> {
        Ok(Asked::Bridge(OwnRequest::Restart))
    }
}
