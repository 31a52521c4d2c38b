//! Two bridges on one base topic would switch everything twice: who finds a living one waits for its
//! turn.

use super::StartError;
use crate::io::clock::Clock;
use crate::sinks::mqtt::{self, Counters};
use std::time::Duration;
use tokio::time::sleep;
use tracing::{debug, info, warn};

/// Pause between two looks for the other one.
const AGAIN: Duration = Duration::from_secs(10);

/// This process, as it tells itself apart from others; the same one over restarts that are asked for.
#[derive(Debug, Clone)]
pub struct Instance {
    pub(super) run: String,
    pub(super) started_ms: u64,
    /// Act though another bridge does; that one yields.
    pub take_over: bool,
    /// Wait while another one acts. Who sits at a terminal would rather be told.
    pub waits: bool,
    /// Called again and again while waiting.
    pub waiting: fn(),
    /// It has yielded: the other one is asked, whatever is retained.
    pub yielded: bool,
}

impl Instance {
    /// A new one, which waits for its turn.
    #[expect(clippy::new_without_default, reason = "no two are the same")]
    pub fn new() -> Self {
        let (run, started_ms) = (format!("{:016x}", fastrand::u64(..)), Clock::start().now().unix_ms);
        Self { run, started_ms, take_over: false, waits: true, waiting: || {}, yielded: false }
    }
}

/// Ready as soon as no other bridge acts on our base topic, or as soon as that cannot be known.
pub(super) async fn wait(
    settings: &mqtt::Settings,
    instance: &Instance,
    counters: &Counters,
) -> Result<(), StartError> {
    if instance.take_over {
        return Ok(());
    }
    let base = &settings.announcer.base;
    let mut waits = false;
    loop {
        match mqtt::look(settings, instance.yielded || waits).await {
            Ok(None) => break,
            Err(why) if !waits => {
                debug!("whether another bridge acts on {base} is not known: {why}");
                break;
            }
            Err(why) => debug!("still waiting; {why}"),
            Ok(Some(peer)) if !instance.waits => return Err(StartError::Another(peer.sentence(base))),
            Ok(Some(peer)) if !waits => {
                warn!(
                    "{}; until then this one stays passive and checks again every 10 s",
                    peer.sentence(base)
                );
                waits = true;
                counters.stand_by(true);
            }
            Ok(Some(_)) => {}
        }
        (instance.waiting)();
        sleep(AGAIN).await;
    }
    if waits {
        counters.stand_by(false);
        info!("no other bridge uses {base} any more; taking over");
    }
    Ok(())
}
