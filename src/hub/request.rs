//! Requests about one plug that are answered once they are written: what is changed, and what is needed to take it
//! back.

use super::change::Change;
use super::plug::Plug;
use crate::model::{
    Energy, Lock, MAX_AMPS_CHANGE, MAX_WATTS, Name, Now, Options, OptionsChange, POLL_MS, PlugId,
    ResponseData,
};
use tracing::info;

/// What is answered once this is written, or why it is refused.
pub(super) type Outcome = Result<(ResponseData, Change), String>;

/// A plug, or a port of it, is called so once that is written.
pub(super) fn rename(plug: &mut Plug, port: Option<u8>, name: Option<Name>) -> Outcome {
    let (id, ports) = (plug.device().id().clone(), plug.device().ports());
    if let Some(port) = port {
        check_port(&id, port, ports)?;
    }
    plug.device().may_rename(port.unwrap_or(0))?;
    let was = plug.device_mut().set_name(port.unwrap_or(0), name);
    let data = port.map_or(ResponseData::Plug(id.clone()), |port| ResponseData::Port(id.clone(), port));
    Ok((data, Change::Name(id, port.unwrap_or(0), was)))
}

/// They hold once they are written.
pub(super) fn set_options(plug: &mut Plug, change: OptionsChange, read_only: bool) -> Outcome {
    let device = plug.device();
    let (id, own) = (device.id().clone(), device.own());
    for (&port, wanted) in &change.port {
        check_port(&id, port, device.ports())?;
        let fixed = own.locks.get(&port).copied().unwrap_or(Lock::None);
        if wanted.lock.is_some_and(|lock| lock.and(fixed) != lock) {
            return Err(format!(
                "the settings lock port {port} of {id}; only device.\"{id}\".port.{port}.lock there can loosen that"
            ));
        }
    }
    if change.read_only == Some(Some(false)) && (own.read_only || read_only) {
        return Err(format!("the settings make {id} read-only; only they can change that"));
    }
    let options = merge(device.kept().options.clone(), change);
    check_options(&options)?;
    let before = plug.device_mut().set_options(options.clone());
    let change = Change::Options(id.clone(), Box::new(before));
    Ok((ResponseData::Options(id, Box::new(options)), change))
}

/// A meter shows this once it is written.
pub(super) fn set_energy(plug: &mut Plug, now: &Now, port: u8, energy: Energy) -> Outcome {
    let (id, offer) = (plug.device().id().clone(), plug.device().kept().offer);
    check_port(&id, port, offer.ports)?;
    if !offer.metered() {
        return Err(format!("{id} does not measure power, so it has no energy to set"));
    }
    let was = plug.meter().exact(port);
    plug.meter_mut().set(now, port, energy);
    let shown = plug.meter().port(port);
    Ok((ResponseData::Energy(id.clone(), port, shown), Change::Energy(id, port, [was, energy])))
}

/// Ports may be switched on again at once.
pub(super) fn reset_overload(plug: &mut Plug, now: &Now, port: Option<u8>) -> Outcome {
    let id = plug.device().id().clone();
    if let Some(port) = port {
        check_port(&id, port, plug.device().ports())?;
    }
    let freed = plug.release(now, port);
    info!(plug = %id, ?freed, "overload reset");
    Ok((ResponseData::OverloadReset(id.clone(), freed.clone()), Change::OverloadReset(id, freed)))
}

/// Whether one plug may take the place of another.
///
/// # Errors
///
/// Why not, with the remedy.
pub(super) fn check_replace(old: &Plug, new: &Plug) -> Result<(), String> {
    let (id, by) = (old.device().id(), new.device().id());
    let (had, has) = (old.device().ports(), new.device().ports());
    if id == by {
        return Err("a plug cannot replace itself; \"by\" is the id of the new one".into());
    }
    if old.device().online() {
        return Err(format!("{id} still answers; unplug it first, two cannot bear one name"));
    }
    if !new.device().online() {
        return Err(format!("{by} does not answer; it must be adopted and online"));
    }
    match has < had {
        true => Err(format!("{by} has {has} ports and {id} has {had}; some would have no heir")),
        false => Ok(()),
    }
}

fn merge(old: Options, change: OptionsChange) -> Options {
    let mut port = old.port;
    port.extend(change.port);
    port.retain(|_, port| port.lock.is_some_and(|lock| lock != Lock::None));
    Options {
        poll_interval_ms: change.poll_interval_ms.unwrap_or(old.poll_interval_ms),
        power_change: change.power_change.unwrap_or(old.power_change),
        current_change: change.current_change.unwrap_or(old.current_change),
        power_unit: change.power_unit.unwrap_or(old.power_unit),
        read_only: change.read_only.unwrap_or(old.read_only),
        port,
    }
}

pub(super) fn unknown(id: &PlugId) -> String {
    format!("no plug {id} is known; bridge/devices lists those that are")
}

fn check_port(id: &PlugId, port: u8, count: u8) -> Result<(), String> {
    match (1..=count).contains(&port) {
        true => Ok(()),
        false => Err(format!("{id} has no port {port}; it has 1 to {count}")),
    }
}

fn check_options(options: &Options) -> Result<(), String> {
    if options.poll_interval_ms.is_some_and(|ms| !POLL_MS.contains(&ms)) {
        return Err("poll_interval must be 200ms to 1h".into());
    }
    let bad =
        |value: Option<f64>, max: f64| value.is_some_and(|v| !v.is_finite() || !(0.0..=max).contains(&v));
    if bad(options.power_change, MAX_WATTS) {
        return Err("power_change must be 0 to 5000 W".into());
    }
    if bad(options.current_change, MAX_AMPS_CHANGE) {
        return Err("current_change must be 0 to 100 A".into());
    }
    Ok(())
}
