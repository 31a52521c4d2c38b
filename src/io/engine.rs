//! The loop where everything meets: answers, discoveries, commands and time go into the hub one
//! after another; what it wants goes out. What has piled up meanwhile is taken in one go, so that a
//! fleet's polls cost few wake-ups and others see one picture, not hundreds.

mod searching;

pub use searching::MAX_SEARCHES;

use super::clock::Clock;
use super::dialects::Dialects;
use super::exchange::talk;
use super::http::Http;
use super::probe::{DriverConfig, Unanswered};
use super::push::Pushes;
use super::store::Store;
use crate::drivers::Dialect;
use crate::fair;
use crate::hub::{Effect, Hub, Input};
use crate::model::{
    DeviceRequest, Endpoint, Failure, Heard, HubRequest, LogLevel, Metrics, Notification, Outcome, PlugId,
    View, Who,
};
use crate::pulse::Pulse;
use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::error;

/// How long running conversations may take when the program stops.
pub const LAST_WORDS: Duration = Duration::from_secs(2);

/// Orders taken in one go; what comes home and what is due has its turn between.
const AT_ONCE: usize = 64;

/// Called when the amount of logging should change.
pub type SetLogLevel = Box<dyn Fn(LogLevel) + Send>;

/// The acting half of the program.
pub struct Engine {
    hub: Hub,
    clock: Clock,
    parts: Parts,
    saves: JoinSet<Result<(), String>>,
    /// That the state file could not be written last, in a sentence, until it can.
    unsaved: Option<String>,
    dialects: Dialects,
    talks: JoinSet<Home>,
    searches: JoinSet<(&'static str, Unanswered)>,
    /// Networks are scanned in one of these at a time.
    sweeps: JoinSet<()>,
    swept: Option<Instant>,
    /// Hosts whose names lead nowhere, which was told.
    lost: BTreeSet<(&'static str, String)>,
    heard: (mpsc::Sender<Heard>, mpsc::Receiver<Heard>),
}

/// What the engine works with.
pub struct Parts {
    /// The way to plugs with a web server.
    pub http: Http,
    /// Which families are looked for, and where.
    pub configs: Vec<DriverConfig>,
    /// The state file.
    pub store: Arc<Store>,
    /// Changes the amount of logging.
    pub set_log_level: SetLogLevel,
    /// Where the picture is shown.
    pub view: watch::Sender<Arc<View>>,
    /// Where notes go.
    pub notes: fair::Sender<Option<PlugId>, Arc<Notification>>,
    /// Who wants figures.
    pub figures: mpsc::Receiver<oneshot::Sender<Metrics>>,
    /// After a standstill conversations under way are broken off.
    pub pulse: Pulse,
}

/// A conversation that came to its end, with the dialect coming home.
struct Home {
    outcome: Outcome,
    dialect: Box<dyn Dialect>,
}

impl Engine {
    /// Puts the parts together; nothing happens before [`run`](Self::run).
    pub fn new(hub: Hub, clock: Clock, parts: Parts) -> Self {
        Self {
            hub,
            clock,
            parts,
            saves: JoinSet::new(),
            unsaved: None,
            dialects: Dialects::default(),
            talks: JoinSet::new(),
            searches: JoinSet::new(),
            sweeps: JoinSet::new(),
            swept: None,
            lost: BTreeSet::new(),
            heard: mpsc::channel(256),
        }
    }

    /// Runs until `stop` is ready, then lets running conversations end and saves.
    pub async fn run(
        mut self,
        mut orders: fair::Receiver<Option<PlugId>, HubRequest>,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = std::pin::pin!(stop);
        let mut networks = self.watch_networks();
        let mut pushes = Pushes::listen(&self.parts.configs);
        self.act();
        loop {
            let wake = self.clock.instant(self.hub.wake_at());
            let woken = async {
                tokio::select! {
                    Some(answer) = self.parts.figures.recv() => drop(answer.send(self.hub.figures())),
                    order = orders.recv() => self.feed(Input::Commanded(order)),
                    Some(home) = self.talks.join_next() => self.come_home(home),
                    Some(saved) = self.saves.join_next() => self.saved(saved),
                    Some(heard) = self.heard.1.recv() => self.feed(heard.into()),
                    Some(silent) = self.searches.join_next() => self.searched(silent),
                    Some(pushed) = pushes.next() => self.feed(Input::Pushed(pushed)),
                    Some(()) = networks.recv() => self.feed(Input::Network),
                    () = sleep_until(Instant::from_std(wake)) => self.feed(Input::Tick),
                }
            };
            // Who is told to stop does not begin anything before.
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = woken => {}
            }
            for order in std::iter::from_fn(|| orders.try_recv()).take(AT_ONCE) {
                self.feed(Input::Commanded(order));
            }
            while let Some(home) = self.talks.try_join_next() {
                self.come_home(home);
            }
            self.act();
        }
        self.wind_up(orders).await;
    }

    fn feed(&mut self, input: Input) {
        let now = self.clock.now();
        self.hub.handle(&now, input);
        // Effects of an input must be drained before the next; conversations begin here.
        while let Some(effect) = self.hub.effect() {
            self.carry_out(effect);
        }
    }

    fn come_home(&mut self, home: Result<Home, tokio::task::JoinError>) {
        let Ok(Home { outcome, dialect }) = home else { return };
        self.dialects.come_home(&outcome.who, dialect, outcome.result.is_err());
        self.feed(Input::Answered(outcome));
    }

    /// Drains what is left to do and shows the new picture, if there is one.
    fn act(&mut self) {
        while let Some(effect) = self.hub.effect() {
            self.carry_out(effect);
        }
        let view = self.hub.view();
        self.parts.view.send_if_modified(|shown| {
            let new = !Arc::ptr_eq(shown, &view);
            if new {
                *shown = view;
            }
            new
        });
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Talk { who, place, ask, limit } => self.start_talk(who, place, ask, limit),
            Effect::Probe(missing) => self.start_search(&missing),
            Effect::DeviceRequest(hosts) => self.ask_again(&hosts),
            Effect::Reattach(id) => self.dialects.drop_dialect(&id),
            // Nobody listening is fine: notes are for whoever is there.
            Effect::Tell(note) => drop(self.parts.notes.send(note.plug().cloned(), Arc::new(note))),
            Effect::Log(level) => (self.parts.set_log_level)(level),
            Effect::Save => self.save(),
        }
    }

    fn start_talk(&mut self, who: Who, place: Endpoint, ask: DeviceRequest, limit: Duration) {
        let attach = || {
            let (found, options) = self.hub.attachment(&who)?;
            let config = self.parts.configs.iter().find(|config| config.driver.name() == found.driver)?;
            Some(config.driver.attach(&config.family, &found, &options))
        };
        let Some(mut dialect) = self.dialects.take(&who, attach) else { return };
        let (http, mut clock, pulse) =
            (self.parts.http.clone(), self.clock.clone(), self.parts.pulse.clone());
        self.talks.spawn(async move {
            let began = Instant::now();
            let talk = talk(&http, &mut clock, dialect.as_mut(), place, &ask, limit);
            let (result, requests) = pulse.guard(talk).await.unwrap_or((Err(Failure::Timeout), 0));
            Home { outcome: Outcome { who, result, requests, took: began.elapsed() }, dialect }
        });
    }

    /// Writes the state file away from the loop: a slow card must not hold up a command.
    fn save(&mut self) {
        let (store, memory) = (Arc::clone(&self.parts.store), self.hub.memory());
        self.saves.spawn_blocking(move || store.save(&memory).map_err(|error| in_words(&error)));
    }

    fn saved(&mut self, saved: Result<Result<(), String>, JoinError>) {
        let saved = saved.unwrap_or_else(|error| Err(error.to_string()));
        let problem = saved
            .as_ref()
            .err()
            .map(|why| format!("state file not saved ({why}): free disk space or check state.directory"));
        if problem != self.unsaved {
            if let Some(sentence) = &problem {
                error!("{sentence}");
            }
            self.unsaved.clone_from(&problem);
            self.feed(Input::Problem("state", problem));
        }
        self.feed(Input::Saved(saved));
    }

    /// Conversations in the air end, their commands get their results, everything is written down.
    async fn wind_up(&mut self, mut orders: fair::Receiver<Option<PlugId>, HubRequest>) {
        self.searches.abort_all();
        self.sweeps.abort_all();
        self.feed(Input::Stop);
        let until = Instant::now() + LAST_WORDS;
        while let Ok(Some(home)) = timeout_at(until, self.talks.join_next()).await {
            self.come_home(home);
        }
        self.talks.shutdown().await;
        self.feed(Input::Stop);
        // What came in meanwhile gets its result; what comes now is refused at the door.
        orders.close();
        while let Some(order) = orders.try_recv() {
            self.feed(Input::Commanded(order));
        }
        self.act();
        // Results wait for it.
        while let Some(saved) = self.saves.join_next().await {
            self.saved(saved);
            self.act();
        }
    }
}

/// Why the state file cannot be written, in words.
fn in_words(error: &io::Error) -> String {
    let known = [
        (io::ErrorKind::StorageFull, "disk full"),
        (io::ErrorKind::QuotaExceeded, "disk full"),
        (io::ErrorKind::ReadOnlyFilesystem, "the disk is read-only"),
        (io::ErrorKind::NotFound, "state.directory is gone"),
        (io::ErrorKind::PermissionDenied, "state.directory may not be written any more"),
    ];
    let words = known.iter().find(|(kind, _)| *kind == error.kind());
    words.map_or_else(|| error.to_string(), |(_, words)| (*words).into())
}
