//! What a plug says about itself that does not depend on its relays: hardware, firmware, network.

use super::kind::{Kind, Measures};
use super::wire::quoted;

/// The broker it calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateway {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u64,
    /// The host that is tried when the first is away.
    pub second_host: String,
    /// Its port.
    pub second_port: u64,
    /// The account it belongs to.
    pub user: String,
}

/// `System.Hardware`.
pub(super) fn hardware(kind: &Kind, uuid: &str, mac: &str) -> String {
    let Kind { name, sub_type, hardware, chip, .. } = kind;
    let uuid = quoted(uuid);
    format!(
        concat!(
            r#"{{"type":"{name}","subType":"{sub_type}","version":"{hardware}","chipType":"{chip}","#,
            r#""uuid":{uuid},"macAddress":"{mac}"}}"#
        ),
        name = name,
        sub_type = sub_type,
        hardware = hardware,
        chip = chip,
        uuid = uuid,
        mac = mac
    )
}

/// `System.Firmware`.
pub(super) fn firmware(kind: &Kind, gateway: &Gateway, ip: &str) -> String {
    let homekit = if kind.encrypts() { r#""homekitVersion":"6.3","# } else { "" };
    let encrypt = if kind.modern { r#""encrypt":1,"# } else { "" };
    let Gateway { host, port, second_host, second_port, user } = gateway;
    let (host, second_host) = (quoted(host), quoted(second_host));
    let second = match kind.is_old() {
        true => format!(r#","secondServer":{second_host},"secondPort":{second_port}"#),
        false => String::new(),
    };
    let user = user.parse::<u64>().map_or_else(|_| quoted(user), |user| user.to_string());
    let (version, compiled) = (kind.firmware, kind.compiled);
    let built = format!(r#""version":"{version}",{homekit}"compileTime":"{compiled}",{encrypt}"#);
    let place = format!(r#""wifiMac":"02:00:00:00:00:fe","innerIp":"{ip}","server":{host},"port":{port}"#);
    format!(r#"{{{built}{place}{second},"userId":{user}}}"#)
}

/// `System.Online`; 0 is not connected to a broker.
pub(super) fn online(kind: &Kind, online: bool) -> String {
    let more = if kind.modern { r#","bindId":"abcdefghijklmnop","who":1"# } else { "" };
    format!(r#"{{"status":{}{more}}}"#, u8::from(online))
}

/// `System.Runtime`.
pub(super) fn runtime(kind: &Kind, signal: u64) -> String {
    let ssid = if kind.modern { r#","ssid":"bm93aGVyZQ==""# } else { "" };
    format!(r#"{{"signal":{signal}{ssid}}}"#)
}

/// `System.Debug`, of which the times are since its start, and ahead of UTC.
pub(super) fn debug(kind: &Kind, gateway: &Gateway, ip: &str, signal: u64, times: (u64, i64)) -> String {
    let (up, offset) = times;
    let (version, hours, minutes, seconds) = (kind.firmware, up / 3600, up / 60 % 60, up % 60);
    let (host, port) = (quoted(&gateway.host), gateway.port);
    let more = if kind.modern { r#","rssi":-53,"snr":38,"channel":6"# } else { "" };
    let system = format!(
        r#"{{"version":"{version}","sysUpTime":"{hours}h{minutes}m{seconds}s","localTimeOffset":{offset}}}"#
    );
    let network = format!(
        r#"{{"linkStatus":"connected","signal":{signal}{more},"ssid":"nowhere","innerIp":"{ip}","wifiDisconnectCount":0}}"#
    );
    let cloud =
        format!(r#"{{"activeServer":{host},"mainServer":{host},"mainPort":{port},"sysDisconnectCount":0}}"#);
    format!(r#"{{"system":{system},"network":{network},"cloud":{cloud}}}"#)
}

/// `Control.ConsumptionConfig`, of a plug that tells it.
pub(super) fn calibration(kind: &Kind) -> Option<String> {
    let Measures::Outlet(Some((voltage, current, most))) = kind.measures else { return None };
    let most = most.map(|most| format!(r#","maxElectricityCurrent":{most}"#)).unwrap_or_default();
    Some(format!(r#"{{"voltageRatio":{voltage},"electricityRatio":{current}{most}}}"#))
}

/// The answer to a search.
pub(super) fn introduction(kind: &Kind, uuid: &str, mac: &str, ip: &str) -> String {
    let Kind { name, sub_type, firmware, hardware, .. } = kind;
    let uuid = quoted(uuid);
    let who = format!(r#""uuid":{uuid},"deviceType":"{name}","subType":"{sub_type}","devName":"""#);
    let versions = format!(r#""devSoftWare":"{firmware}","devHardWare":"{hardware}""#);
    format!(r#"{{{who},{versions},"ip":"{ip}","port":"80","mac":"{mac}"}}"#)
}
