//! What one plug is asked beyond reading and switching: requests that somebody waits for, and slow polling. And
//! what follows from the answers.

use super::device::Device;
use super::hardware;
use super::news::News;
use super::requests::{Ended, Requests};
use super::slow_poll::SlowPoll;
use crate::capability::{Guard, Task, may_set};
use crate::hub::change::Change;
use crate::hub::rules::Pace;
use crate::model::{
    Asker, ClockRequest, DeviceResponse, Failure, Notification, Now, PlugAnswer, PlugId, PlugRequest, Query,
    QueryReply, Rename, Renamed, Response, ResponseData,
};
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info};

/// What one plug is asked beyond reading and switching.
#[derive(Debug, Default)]
pub(super) struct Questions {
    pub(super) requests: Requests,
    pub(super) slow_poll: SlowPoll,
}

impl Questions {
    /// When something is to be asked.
    pub(super) fn at(&self) -> Option<Duration> {
        if self.requests.wait() { Some(Duration::ZERO) } else { self.slow_poll.at() }
    }

    /// Checks a request before the plug is asked.
    ///
    /// # Errors
    ///
    /// Why it will not be asked, with the remedy.
    pub(super) fn admit(
        &self,
        now: &Now,
        device: &Device,
        latched: bool,
        request: PlugRequest,
    ) -> Result<Task, String> {
        if let PlugRequest::Names(Rename { port, .. }) = request {
            device.may_rename(port)?;
        }
        self.requests.has_room(&device.id)?;
        if request == PlugRequest::Clock(ClockRequest { set: true }) {
            let Pace { clock_from_ms, zone_known, .. } = device.settings.pace;
            may_set(now, clock_from_ms, zone_known)?;
        }
        let (who, followed) = (device.id.to_string(), self.slow_poll.followed().to_vec());
        let (ports, locks) = (device.ports(), device.settings.locks().to_vec());
        Task::new(request, Guard { who, ports, control: device.view.control, locks, latched, followed })
    }

    /// Takes in what the plug has told of itself, whoever asked.
    pub(super) fn learn(&mut self, now: &Now, device: &mut Device, query: &Query, reply: &QueryReply) {
        if let QueryReply::Hardware(hardware) = reply
            && let Some(facts) = self.slow_poll.hardware(&device.kept.facts, hardware)
        {
            device.set_facts(facts);
        }
        let mut states = device.view.capabilities.as_deref().cloned().unwrap_or_default();
        let (pace, ports) = (&device.settings.pace, device.ports());
        self.slow_poll.learn(now, &device.id, pace, ports, (query, reply), &mut states);
        if device.view.capabilities.as_deref() != Some(&states) && states != Default::default() {
            device.view.show(now, |view| view.capabilities = Some(Arc::new(states)));
        }
    }

    /// A question of slow polling has ended, and what it has told was taken in.
    pub(super) fn slowly_polled(
        &mut self,
        now: &Now,
        device: &Device,
        query: &Query,
        answer: &Result<DeviceResponse, Failure>,
    ) {
        self.slow_poll.answered(now, query, answer);
        if let Err(failure) = answer {
            debug!(plug = %device.id, ?query, "slow poll: {failure}");
        }
    }

    /// Once everything was asked, what the plug can do; true when that is new.
    pub(super) fn show_capabilities(&mut self, now: &Now, device: &mut Device) -> bool {
        let offer = self.slow_poll.capabilities(now, device.kept.offer);
        if let Some(offer) = offer {
            device.set_offer(offer);
        }
        offer.is_some()
    }

    /// Requests that end because the program stops or the plug is removed.
    pub(super) fn give_up(&mut self, id: &PlugId, even_sent: bool) -> Vec<News> {
        let ended = self.requests.give_up(id, even_sent).into_iter();
        let why = |result: Result<_, String>| result.err().unwrap_or_default();
        ended.map(|ended| refuse(ended.request.verb(), ended.asker, why(ended.result))).collect()
    }

    /// What the plug was asked for somebody, if that still waits.
    pub(super) fn asked(&self) -> Option<Query> {
        self.requests.asked()
    }
}

/// Answers whoever waits, about a name once it is written. A name that the plug does not keep is
/// kept here. True when it has another name now.
pub(super) fn finish(device: &mut Device, ended: Ended) -> (News, bool) {
    let Ended { asker, request, result } = ended;
    let verb = request.verb();
    let result = match (&request, result) {
        (PlugRequest::Names(Rename { port, name }), Err(why)) => {
            let kept_here = Some(format!("the plug was asked to take the name: {why}"));
            Ok(PlugAnswer::Names(Renamed { port: *port, name: name.clone(), kept_here }))
        }
        (_, result) => result.map_err(|why| format!("{}: {why}", device.id)),
    };
    let mut renamed = None;
    match &result {
        Ok(PlugAnswer::Names(Renamed { port, name, kept_here })) => {
            let was = hardware::keep_name(device.kept.change(), *port, name, kept_here.is_some());
            renamed = Some(Change::Name(device.id.clone(), *port, was));
        }
        Ok(_) if request.changes() => info!(plug = %device.id, verb, "device changed as requested"),
        Ok(_) | Err(_) => {}
    }
    let result = result.map(|state| ResponseData::PlugAnswer(device.id.clone(), state));
    let note = Notification::Response(Response { verb, asker, result });
    match renamed {
        Some(change) => (News::TellWhenWritten(change, note), true),
        None => (News::Tell(note), false),
    }
}

/// Answers whoever waits that nothing comes of it.
pub(super) fn refuse(verb: &'static str, asker: Asker, why: String) -> News {
    News::Tell(Notification::Response(Response { verb, asker, result: Err(why) }))
}
