//! The engine's searches: all that are wanted, hosts that are asked again, networks that are scanned, and
//! networks of this machine that come and go.

use super::Engine;
use crate::hub::Input;
use crate::io::probe::{DriverConfig, Unanswered, interfaces, search, sweep};
use crate::model::Endpoint;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep};
use tracing::warn;

/// Searches running at one time.
pub const MAX_SEARCHES: usize = 16;

/// The pause between two scans of networks, at least.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// How often the networks of this machine are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Engine {
    pub(super) fn start_search(&mut self, missing: &[(&'static str, Endpoint)]) {
        for config in self.parts.configs.clone() {
            let name = config.driver.name();
            let missing = missing.iter().filter(|(n, _)| *n == name).map(|(_, place)| *place);
            self.search(config, missing.collect());
        }
        self.sweep();
    }

    fn search(&mut self, config: DriverConfig, missing: Vec<Endpoint>) {
        if self.searches.len() >= MAX_SEARCHES {
            return;
        }
        let heard = self.heard.0.clone();
        self.searches.spawn(async move { (config.driver.name(), search(&config, &missing, &heard).await) });
    }

    /// Asks hosts that kept silent, and those again whose names led nowhere.
    pub(super) fn ask_again(&mut self, hosts: &[(&'static str, Endpoint)]) {
        for mut config in self.parts.configs.clone() {
            let name = config.driver.name();
            let theirs: BTreeSet<Endpoint> =
                hosts.iter().filter(|(n, _)| *n == name).map(|(_, place)| *place).collect();
            if theirs.is_empty() {
                continue;
            }
            let reach = &mut config.reach;
            reach.everywhere = false;
            reach.broadcast.clear();
            reach.hosts.retain(|(host, _)| self.lost.contains(&(name, host.clone())));
            let known = theirs.iter().filter(|place| **place != Endpoint::UNKNOWN);
            reach.hosts.extend(known.map(|place| (place.ip.to_string(), Some(place.http))));
            self.search(config, Vec::new());
        }
    }

    /// A search is over.
    pub(super) fn searched(&mut self, search: Result<(&'static str, Unanswered), JoinError>) {
        let Ok((driver, Unanswered { silent, unresolved })) = search else { return };
        let mut silent: Vec<(&'static str, Endpoint)> =
            silent.into_iter().map(|place| (driver, place)).collect();
        if !unresolved.is_empty() {
            silent.push((driver, Endpoint::UNKNOWN));
        }
        // Each search looks up all that are lost.
        self.lost
            .retain(|(theirs, lost)| *theirs != driver || unresolved.iter().any(|(host, _)| host == lost));
        for (host, why) in unresolved {
            if self.lost.insert((driver, host.clone())) {
                warn!(host, "host listed in {driver}.hosts {why}; retrying");
            }
        }
        self.feed(Input::Unheard(silent));
    }

    /// Scans the networks that the settings name, unless that was done a moment ago.
    fn sweep(&mut self) {
        while self.sweeps.try_join_next().is_some() {}
        let lately = self.swept.is_some_and(|at| at.elapsed() < SWEEP_EVERY);
        if lately || !self.sweeps.is_empty() {
            return;
        }
        self.swept = Some(Instant::now());
        for config in self.parts.configs.iter().filter(|config| !config.reach.scan.is_empty()) {
            let (config, heard) = (config.clone(), self.heard.0.clone());
            self.sweeps.spawn(async move { sweep(&config, &heard).await });
        }
    }

    /// Says when this machine has other networks than before, where searches go to all of them.
    pub(super) fn watch_networks(&self) -> mpsc::Receiver<()> {
        let (tell, changes) = mpsc::channel(1);
        if self.parts.configs.iter().any(|config| config.reach.everywhere) {
            tokio::spawn(async move {
                let mut known: BTreeSet<_> = interfaces().into_iter().collect();
                while !tell.is_closed() {
                    sleep(LOOK_EVERY).await;
                    let now: BTreeSet<_> = interfaces().into_iter().collect();
                    let more = now.difference(&known).next().is_some();
                    known = now;
                    // One that is gone brings no plug nearer.
                    if more && tell.send(()).await.is_err() {
                        return;
                    }
                }
            });
        }
        changes
    }
}
