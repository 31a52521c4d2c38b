//! One plug as a thing: who and where it is, what it is called, what it offers, what holds for it, and the picture
//! of it that others see.

use super::hardware;
use super::persisted::Persisted;
use super::picture::{self, Picture};
use crate::hub::effective::{self, Effective};
use crate::hub::rules::{PlugRules, Rules};
use crate::model::{
    Capabilities, DeviceInfo, Discovered, Endpoint, Failure, Name, Now, Options, PersistedPlug, PlugId,
    PlugView,
};
use std::sync::Arc;
use tracing::{debug, warn};

/// One plug as a thing.
#[derive(Debug)]
pub(crate) struct Device {
    pub(super) id: PlugId,
    pub(super) kept: Persisted,
    pub(super) settings: Effective,
    pub(super) view: Picture,
    driver: &'static str,
    /// What the settings say about it alone.
    own: PlugRules,
    adopted: bool,
    /// What it called itself when that was last compared with others, and whether another one does so, too.
    own_name: Option<Arc<str>>,
    namesake: bool,
}

/// What a plug calls itself, if it does.
type OwnName = Option<Arc<str>>;

impl Device {
    /// `None` when the settings do not use its family.
    pub(super) fn new(
        now: &Now,
        rules: &Rules,
        id: PlugId,
        driver: &'static str,
        kept: PersistedPlug,
        adopted: bool,
    ) -> Option<Self> {
        let own = rules.plugs.get(&id).cloned().unwrap_or_default();
        let family = rules.families.get(driver)?;
        let view = PlugView {
            driver,
            facts: Arc::clone(&kept.facts),
            adopted,
            offer: kept.offer,
            unix_ms: now.unix_ms,
            ..PlugView::unknown(id.clone())
        };
        Some(Self {
            settings: Effective::new(rules, (family, &own), &id, &kept, false),
            kept: Persisted::new(kept),
            view: Picture::new(view),
            id,
            driver,
            own,
            adopted,
            own_name: None,
            namesake: false,
        })
    }

    pub(crate) fn id(&self) -> &PlugId {
        &self.id
    }

    pub(crate) fn driver(&self) -> &'static str {
        self.driver
    }

    /// What outlives the process, but for meters, returns and latches.
    pub(crate) fn kept(&self) -> &PersistedPlug {
        &self.kept
    }

    pub(crate) fn place(&self) -> Endpoint {
        self.kept.place
    }

    pub(crate) fn ports(&self) -> u8 {
        self.kept.offer.ports
    }

    /// What the settings say about it alone.
    pub(crate) fn own(&self) -> &PlugRules {
        &self.own
    }

    pub(crate) fn view(&self) -> &PlugView {
        &self.view
    }

    /// What holds for it.
    pub(crate) fn settings(&self) -> &Effective {
        &self.settings
    }

    pub(crate) fn found(&self) -> Discovered {
        Discovered {
            driver: self.driver,
            id: Some(self.kept.hardware.as_ref().unwrap_or(&self.id).clone()),
            place: self.kept.place,
            facts: DeviceInfo::clone(&self.kept.facts),
        }
    }

    pub(crate) fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// It was adopted and read at least once: it can be switched, and is worth remembering.
    pub(crate) fn is_known(&self) -> bool {
        self.adopted && self.kept.offer.ports > 0
    }

    pub(crate) fn online(&self) -> bool {
        self.view.online
    }

    /// Whether what outlives the process has changed; says so once.
    pub(crate) fn take_changed(&mut self) -> bool {
        self.kept.take_changed()
    }

    /// The picture others see is another one.
    pub(crate) fn has_fresh_view(&self) -> bool {
        self.view.is_fresh()
    }

    /// The picture others see, if it is another one than at the last call.
    pub(crate) fn take_view(&mut self) -> Option<Arc<PlugView>> {
        self.view.take_fresh()
    }

    /// Takes over what the settings say.
    pub(super) fn fit(&mut self, rules: &Rules) {
        if let Some(family) = rules.families.get(self.driver) {
            let own = (family, &self.own);
            self.settings = Effective::new(rules, own, &self.id, &self.kept, self.namesake);
        }
    }

    /// Shows what it is called and all that does not come from a reading.
    pub(super) fn show(&mut self, now: &Now) {
        let name = Arc::clone(&self.settings.name);
        let ports = picture::ports(&self.settings, &self.view.ports);
        let (kept, control, adopted) = (&self.kept, self.settings.control, self.adopted);
        self.view.show(now, |view| {
            view.control = control;
            view.name = name;
            view.ports = ports;
            view.facts = Arc::clone(&kept.facts);
            view.ip = picture::ip(kept.place);
            view.offer = kept.offer;
            view.adopted = adopted;
        });
    }

    pub(super) fn adopt(&mut self) {
        self.adopted = true;
    }

    /// What it calls itself, if that is not what it called itself at the last call: that one first.
    pub(crate) fn take_own_name(&mut self) -> Option<(OwnName, OwnName)> {
        let own = effective::own_name(&self.own, &self.kept);
        if own == self.own_name.as_deref() {
            return None;
        }
        let own = own.map(Arc::from);
        Some((std::mem::replace(&mut self.own_name, own.clone()), own))
    }

    /// What it called itself at the last call of [`take_own_name`](Self::take_own_name).
    pub(crate) fn own_name(&self) -> Option<&Arc<str>> {
        self.own_name.as_ref()
    }

    /// Whether another plug calls itself the same; true when that is news.
    pub(super) fn set_namesake(&mut self, namesake: bool) -> bool {
        std::mem::replace(&mut self.namesake, namesake) != namesake
    }

    /// The settings leave its name, or that of a port, to others.
    ///
    /// # Errors
    ///
    /// They do not; with the remedy.
    pub(crate) fn may_rename(&self, port: u8) -> Result<(), String> {
        let id = &self.id;
        if port == 0 && self.own.name.is_some() {
            return Err(format!("the settings give {id} its name; change device.\"{id}\".name there"));
        }
        if self.own.port_names.contains_key(&port) {
            return Err(format!(
                "the settings give this port its name; change device.\"{id}\".port.{port} there"
            ));
        }
        Ok(())
    }

    /// Gives it, or a port of it, a name, or takes it away. Brings back the one before.
    pub(crate) fn set_name(&mut self, port: u8, name: Option<Name>) -> Option<Name> {
        let kept = self.kept.change();
        match (port, name) {
            (0, name) => std::mem::replace(&mut kept.name, name),
            (_, Some(name)) => kept.port_names.insert(port, name),
            (_, None) => kept.port_names.remove(&port),
        }
    }

    /// Gives it these options; locks hold at once, the rest is taken over by [`fit`](Self::fit). Brings
    /// back those before.
    pub(crate) fn set_options(&mut self, options: Options) -> Options {
        let ports = self.kept.offer.ports;
        self.settings.relock(&self.own, &options, ports);
        std::mem::replace(&mut self.kept.change().options, options)
    }

    /// It has this to offer, and perhaps says more about itself; true when that is new.
    pub(super) fn widen(&mut self, offer: Capabilities, facts: Option<&DeviceInfo>) -> bool {
        let old = self.kept.offer;
        if offer.ports != old.ports && old.ports > 0 {
            warn!(plug = %self.id, ports = offer.ports, before = old.ports, "number of ports changed");
        }
        if offer != old {
            self.set_offer(offer);
        }
        let facts = facts.filter(|facts| **facts != *self.kept.facts);
        facts.is_some_and(|facts| self.set_facts(facts.clone())) || offer != old
    }

    pub(super) fn set_offer(&mut self, offer: Capabilities) {
        self.kept.change().offer = offer;
    }

    /// It says this about itself; true when that is new.
    pub(super) fn set_facts(&mut self, facts: DeviceInfo) -> bool {
        let new = facts != *self.kept.facts;
        if new {
            self.kept.change().facts = Arc::new(facts);
        }
        new
    }

    /// It says this about itself, in a search: what it leaves out is kept. True when something is new.
    pub(super) fn heard(&mut self, facts: DeviceInfo) -> bool {
        self.set_facts(hardware::renewed(&self.kept.facts, facts))
    }

    /// It has this address now, or none.
    pub(super) fn move_to(&mut self, now: &Now, place: Endpoint) {
        self.kept.change().place = place;
        self.view.show(now, |view| view.ip = picture::ip(place));
    }

    /// It did not answer as often as that, for the `first` time since it did.
    pub(super) fn unanswered(&mut self, now: &Now, misses: u32, first: bool, failure: &Failure) {
        let (unread, place) = (self.ports() == 0, self.kept.place);
        debug!(plug = %self.id, at = %place, misses, "{failure}");
        if unread && first {
            let remedy = failure.blocked(place).map(|remedy| format!("; {remedy}")).unwrap_or_default();
            warn!(plug = %self.id, at = %place, name = %self.view.name, "device found but not readable: {failure}{remedy}");
        }
        if unread
            || matches!(failure, Failure::InvalidResponse(_) | Failure::WrongDevice(_) | Failure::Rejected(_))
        {
            self.view.show(now, |view| view.problem = Some(failure.to_string()));
        }
    }

    /// It is offline, for this reason.
    pub(super) fn show_offline(&mut self, now: &Now, why: &str) {
        self.view.show(now, |view| {
            view.online = false;
            view.problem = Some(why.into());
        });
    }

    /// Other hardware takes its place. What it was called and what it was told stay.
    pub(super) fn replace(&mut self, now: &Now, by: &Self) {
        hardware::replace(self.kept.change(), &self.id, &by.kept, &by.id);
        self.driver = by.driver;
        self.view.show(now, |view| {
            view.driver = by.driver;
            view.online = false;
            view.problem = None;
            view.capabilities = None;
            for port in &mut view.ports {
                port.relay = None;
            }
        });
    }
}
