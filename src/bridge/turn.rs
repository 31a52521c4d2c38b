//! Two bridges on one base topic would switch everything twice: who finds a living one waits for its
//! turn.

use super::{Ended, StartError};
use crate::io::clock::Clock;
use crate::pulse::STANDSTILL;
use crate::sinks::mqtt::{self, Counters, Looked};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

/// Pause between two looks for the other one; with the time a look takes it is longer than [`STANDSTILL`].
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
    /// Another one may act: it is asked, whatever is retained.
    pub yielded: bool,
}

impl Instance {
    /// A new one, which waits for its turn.
    #[expect(clippy::new_without_default, reason = "no two are the same")]
    pub fn new() -> Self {
        let (run, started_ms) = (format!("{:016x}", fastrand::u64(..)), Clock::start().now().unix_ms);
        Self { run, started_ms, take_over: false, waits: true, waiting: || {}, yielded: false }
    }

    /// After a run that has ended like this: one that stood still is no older than one just started.
    pub fn after(&mut self, ended: Ended) {
        self.yielded |= matches!(ended, Ended::Yielded | Ended::StoodStill);
        if ended == Ended::StoodStill {
            self.started_ms = Clock::start().now().unix_ms;
        }
    }
}

/// Ready as soon as no other bridge acts on our base topic, or as soon as that cannot be known. True when it
/// is known.
pub(super) async fn wait(
    settings: &mqtt::Settings,
    instance: &Instance,
    counters: &Counters,
) -> Result<bool, StartError> {
    // Who was told to take over and has yielded nevertheless waits like everybody.
    if instance.take_over && !instance.yielded {
        return Ok(false);
    }
    let base = &settings.announcer.base;
    let (mut waits, mut silent) = (false, false);
    loop {
        let began = Instant::now();
        match mqtt::find_other_bridge(settings, instance.yielded || waits).await {
            _ if began.elapsed() >= STANDSTILL => debug!("stood still while looking; looking again"),
            Ok(Looked::Nobody) => break,
            Ok(Looked::Silent) if silent || !waits => break,
            // It may only stand still; until the next look it either goes on or knows that it did.
            Ok(Looked::Silent) => silent = true,
            Err(why) if !waits => {
                debug!("whether another bridge acts on {base} is not known: {why}");
                return Ok(false);
            }
            Err(why) => debug!("still waiting; {why}"),
            Ok(Looked::Living(peer)) if !instance.waits => {
                return Err(StartError::Another(peer.sentence(base)));
            }
            Ok(Looked::Living(peer)) if !waits => {
                warn!(
                    "{}; until then this one stays passive and checks again every 10 s",
                    peer.sentence(base)
                );
                waits = true;
                counters.stand_by(true);
            }
            Ok(Looked::Living(_)) => silent = false,
        }
        (instance.waiting)();
        sleep(AGAIN).await;
    }
    if waits {
        counters.stand_by(false);
        info!("no other bridge uses {base} any more; taking over");
    }
    Ok(true)
}
