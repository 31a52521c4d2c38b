//! What the service manager hears while the bridge runs: that the loop still turns, and how many
//! plugs are online.

use crate::model::{Metrics, View};
use crate::sinks::mqtt::Counters;
use sd_notify::{NotifyState, notify, watchdog_enabled};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// How often somebody who waits for no sign of life is told how it is.
const PAUSE: Duration = Duration::from_secs(10);

/// Asks the loop for figures again and again until `stop`. Only an answer is a sign of life.
pub(super) async fn supervise(
    asks: mpsc::Sender<oneshot::Sender<Metrics>>,
    mqtt: Arc<Counters>,
    mut stop: watch::Receiver<bool>,
) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let watchdog = watchdog_enabled();
    let pause = watchdog.map_or(PAUSE, |timeout| (timeout / 4).clamp(Duration::from_millis(50), PAUSE));
    let mut told = String::new();
    loop {
        let (answer, figures) = oneshot::channel();
        let asked = async {
            asks.send(answer).await.ok()?;
            figures.await.ok()
        };
        if let Ok(Some(figures)) = timeout(pause, asked).await {
            if watchdog.is_some() {
                drop(notify(&[NotifyState::Watchdog]));
            }
            let status = status(&figures.view, mqtt.counts().connected);
            if status != told {
                drop(notify(&[NotifyState::Status(&status)]));
                told = status;
            }
        }
        if timeout(pause, stop.wait_for(|stop| *stop)).await.is_ok() {
            return;
        }
    }
}

/// How it is, in a line.
fn status(view: &View, connected: bool) -> String {
    let online = view.plugs.values().filter(|plug| plug.online).count();
    let broker = if connected { "connected to the broker" } else { "no connection to the broker" };
    format!("{online} of {} plugs online, {broker}", view.plugs.len())
}
