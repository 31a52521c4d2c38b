//! The words everything else is made of: ids, names, addresses, ports, readings, energy, time. No
//! behaviour beyond checking a value once, in its constructor. Knows nobody.

mod backoff;
mod choice;
mod days;
mod energy;
mod hazard;
mod identity;
mod now;
mod port;
mod reading;
mod short;

pub use backoff::Backoff;
pub use choice::{Lock, LogLevel, MAX_AMPS_CHANGE, OverloadAction, POLL_MS, PowerUnit, Restore};
pub use days::{Days, amount, date, minute, time};
pub use energy::{Energy, MAX_KWH};
pub use hazard::{Hazard, Remedy};
pub use identity::{DeviceInfo, Discovered, Endpoint, Heard, Mac, Name, PlugId, Stray};
pub use now::{Now, iso};
pub use port::{PerPort, port_index, port_number};
pub use reading::{Failure, MAX_PORTS, MAX_WATTS, PortReading, Pushed, Reading};
pub use short::shortened;
