//! What the firmware of a Meross plug makes of a message, by whatever way it came: whether it is signed, encrypted,
//! known, and who answers.
//!
//! Owns identity and keys. A restart that follows from a message is asked for, and carried out by whoever owns the time.

use super::appliance::Appliance;
use super::crypt;
use super::kind::{Kind, TooLong};
use super::mqtt::Say;
use super::tell::{self, Gateway};
use super::wire::{self, Heard, Letter};
use serde_json::Value;

const WIFI_LIST: &str = concat!(
    r#"{"wifiList":[{"ssid":"bm93aGVyZQ==","bssid":"02-00-00-00-00-fe","signal":76,"channel":11,"encryption":6,"cipher":3},"#,
    r#"{"ssid":"Z3Vlc3Rz","bssid":"02-00-00-00-00-fd","signal":31,"channel":6,"encryption":0,"cipher":0}]}"#
);

/// Identity, keys and what stands behind them.
#[derive(Clone, Debug)]
pub(super) struct Firmware {
    kind: &'static Kind,
    uuid: String,
    /// `None` while it belongs to nobody.
    key: Option<String>,
    /// The key of what is said to it until it restarts, after an exchange of keys.
    session: Option<[u8; 32]>,
    updated: bool,
    signs_wrongly: bool,
    pub(super) appliance: Appliance,
    said: u64,
    resets: u64,
    wifi: Option<(String, String)>,
    /// It is to start anew, and whether its relays fall.
    restart: Option<bool>,
}

impl Firmware {
    pub(super) fn new(kind: &'static Kind, uuid: &str, appliance: Appliance) -> Self {
        Self {
            kind,
            uuid: uuid.into(),
            key: Some("pippo".into()),
            session: None,
            updated: false,
            signs_wrongly: false,
            appliance,
            said: 0,
            resets: 0,
            wifi: None,
            restart: None,
        }
    }

    pub(super) fn uuid(&self) -> &str {
        &self.uuid
    }

    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Its key, empty while it has none.
    pub(super) fn key(&self) -> &str {
        self.key.as_deref().unwrap_or_default()
    }

    pub(super) fn pair(&mut self, key: Option<&str>) {
        self.key = key.map(str::to_owned);
    }

    /// Brings encryption.
    pub(super) fn update(&mut self) {
        self.updated = true;
    }

    pub(super) fn sign_wrongly(&mut self) {
        self.signs_wrongly = true;
    }

    pub(super) fn resets(&self) -> u64 {
        self.resets
    }

    pub(super) fn wifi(&self) -> Option<&(String, String)> {
        self.wifi.as_ref()
    }

    pub(super) fn encrypts(&self) -> bool {
        self.updated || self.kind.encrypts()
    }

    /// It starts anew.
    pub(super) fn restarted(&mut self) {
        self.session = None;
    }

    /// Whether it wants to start anew, and whether its relays fall then.
    pub(super) fn take_restart(&mut self) -> Option<bool> {
        self.restart.take()
    }

    /// Whether a body over the LAN is encrypted.
    pub(super) fn is_sealed(&self, body: &[u8]) -> bool {
        self.encrypts() && !body.trim_ascii_start().starts_with(b"{")
    }

    /// The answer to a body over the LAN; `None` closes the connection.
    pub(super) fn answer_post(&mut self, second: u64, body: &[u8]) -> Option<String> {
        if !self.is_sealed(body) {
            let heard = Heard::read(body)?;
            let exchange = self.key.is_none() && heard.namespace == "Appliance.Encrypt.ECDHE";
            let open = exchange || heard.namespace == "Appliance.System.Ability" || !self.encrypts();
            return if open { self.answer(second, &heard) } else { None };
        }
        let paired = self.key.as_deref().map(|key| crypt::lan_key(&self.uuid, key, self.appliance.mac()));
        let keys = [self.session, paired].into_iter().flatten();
        let (key, heard) =
            keys.into_iter().find_map(|key| Some((key, Heard::read(&crypt::open(&key, body)?)?)))?;
        Some(crypt::seal(&key, self.answer(second, &heard)?.as_bytes()))
    }

    /// The answer to one message that came by any way.
    pub(super) fn answer(&mut self, second: u64, heard: &Heard) -> Option<String> {
        if self.key.as_deref().is_some_and(|key| !heard.is_signed(key)) {
            let detail = if self.kind.is_old() { r#","detail":"sign error""# } else { "" };
            return Some(self.reply(
                second,
                heard,
                "ERROR",
                &format!(r#"{{"error":{{"code":5001{detail}}}}}"#),
            ));
        }
        let key = self.key().to_owned();
        let (method, payload) = self.carry_out(second, heard)?;
        // A new key holds from the next message on.
        Some(self.reply_under(second, heard, method, &payload, &key))
    }

    fn carry_out(&mut self, second: u64, heard: &Heard) -> Option<(&'static str, String)> {
        let namespace = heard.namespace.strip_prefix("Appliance.").filter(|name| self.can(name))?;
        let done = |_| ("SETACK", "{}".to_owned());
        match heard.method.as_str() {
            "GET" if namespace == "System.Ability" => Some(("GETACK", self.tell_ability())),
            "GET" if namespace == "Config.WifiList" => Some(("GETACK", WIFI_LIST.into())),
            "GET" => Some(("GETACK", self.appliance.get(second, namespace, &heard.payload)?)),
            "SET" if self.kind.wants_source && !heard.has_source => Some(done(())),
            "SET" if namespace == "Encrypt.ECDHE" => Some(("SETACK", self.exchange(&heard.payload)?)),
            "SET" if namespace == "Control.Multiple" => Some(("SETACK", self.multiple(second, heard)?)),
            "SET" if namespace == "Config.Key" => self.set_key(&heard.payload).map(done),
            "SET" if namespace == "Config.Wifi" || namespace == "Config.WifiX" => {
                self.set_wifi(namespace, &heard.payload).map(done)
            }
            "SET" => self.appliance.set(second, namespace, &heard.payload).map(done),
            "DELETE" => {
                self.appliance.delete(namespace, &heard.payload).map(|()| ("DELETEACK", "{}".to_owned()))
            }
            "PUSH" if namespace == "Control.Unbind" => {
                self.key = None;
                self.resets += 1;
                self.restart = Some(false);
                None
            }
            "PUSH" => Some(("PUSH", self.appliance.query(namespace)?)),
            _ => None,
        }
    }

    fn can(&self, namespace: &str) -> bool {
        self.kind.ability.contains(&namespace) || (self.updated && namespace.starts_with("Encrypt."))
    }

    fn tell_ability(&self) -> String {
        let brought: &[&str] = if self.updated { &["Encrypt.Suite", "Encrypt.ECDHE"] } else { &[] };
        let one = |name: &&str| match *name {
            "Control.Multiple" => format!(r#""Appliance.{name}":{{"maxCmdNum":{}}}"#, self.kind.max_commands),
            "Control.Timer" | "Control.TimerX" => format!(r#""Appliance.{name}":{{"sunOffsetSupport":1}}"#),
            _ => format!(r#""Appliance.{name}":{{}}"#),
        };
        let all: Vec<String> = self.kind.ability.iter().chain(brought).map(one).collect();
        format!(r#"{{"payloadVersion":1,"ability":{{{}}}}}"#, all.join(","))
    }

    /// Packed requests; more than it can hold are too much for some.
    fn multiple(&mut self, second: u64, heard: &Heard) -> Option<String> {
        let packed = heard.payload.get("multiple")?.as_array()?;
        if packed.len() as u64 > self.kind.max_commands {
            self.restart = (self.kind.too_long == TooLong::Reboots).then_some(true);
            return None;
        }
        let mut answers = Vec::new();
        for one in packed {
            let mut one = Heard::of(one.clone())?;
            if one.namespace == "Appliance.Control.Multiple" {
                return None;
            }
            one.has_source = heard.has_source;
            let (method, payload) = self.carry_out(second, &one)?;
            answers.push(self.reply(second, &one, method, &payload));
        }
        Some(format!(r#"{{"multiple":[{}]}}"#, answers.join(",")))
    }

    fn set_key(&mut self, payload: &Value) -> Option<()> {
        let key = payload.get("key")?;
        let gateway = key.get("gateway")?;
        let text = |value: &Value, name: &str| match value.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => String::new(),
        };
        let new = key.get("key")?.as_str()?.to_owned();
        self.appliance.set_gateway(Gateway {
            host: gateway.get("host")?.as_str()?.to_owned(),
            port: wire::number(gateway, "port")?,
            second_host: text(gateway, "secondHost"),
            second_port: wire::number(gateway, "secondPort").unwrap_or(0),
            user: text(key, "userId"),
        });
        self.key = Some(new);
        Some(())
    }

    /// Exchanges keys with whoever sets it up.
    fn exchange(&mut self, payload: &Value) -> Option<String> {
        let ecdhe = payload.get("ecdhe").filter(|ecdhe| wire::number(ecdhe, "step") == Some(1))?;
        let (point, key) = crypt::exchange(ecdhe.get("pubkey")?.as_str()?)?;
        self.session = Some(key);
        Some(format!(r#"{{"ecdhe":{{"step":2,"pubkey":"{point}"}}}}"#))
    }

    fn set_wifi(&mut self, namespace: &str, payload: &Value) -> Option<()> {
        let wifi = payload.get("wifi")?;
        let ssid = crypt::decoded(wifi.get("ssid")?.as_str()?)?;
        let password = wifi.get("password")?.as_str()?;
        let password = match namespace {
            "Config.WifiX" => {
                let key = crypt::wifi_key(self.kind.name, &self.uuid, self.appliance.mac());
                String::from_utf8(crypt::open(&key, password.as_bytes())?).ok()?
            }
            _ => crypt::decoded(password)?,
        };
        self.wifi = Some((ssid, password));
        self.restart = Some(false);
        Some(())
    }

    fn reply(&self, second: u64, heard: &Heard, method: &str, payload: &str) -> String {
        self.reply_under(second, heard, method, payload, self.key())
    }

    fn reply_under(&self, second: u64, heard: &Heard, method: &str, payload: &str, key: &str) -> String {
        let letter = Letter {
            message_id: &heard.message_id,
            namespace: &heard.namespace,
            method,
            from: &self.topic("publish"),
            source: self.kind.modern.then_some("Device"),
            timestamp: self.appliance.timestamp(second),
            key: if self.signs_wrongly { "wrong" } else { key },
        };
        letter.write(payload)
    }

    /// A topic of its own.
    pub(super) fn topic(&self, end: &str) -> String {
        format!("/appliance/{}/{end}", self.uuid)
    }

    /// What opens the conversation with a broker: namespace, method, payload.
    pub(super) fn opening(&self, second: u64, say: Say) -> Option<(&'static str, &'static str, String)> {
        let now = self.appliance.timestamp(second);
        Some(match say {
            Say::Clock => ("Appliance.System.Clock", "PUSH", format!(r#"{{"clock":{{"timestamp":{now}}}}}"#)),
            Say::Bind => {
                let (hardware, firmware) = (self.appliance.hardware(), self.appliance.firmware());
                let time = self.appliance.time(second);
                let method = if self.kind.modern { "SET" } else { "PUSH" };
                let bind =
                    format!(r#""bindTime":{now},"time":{time},"hardware":{hardware},"firmware":{firmware}"#);
                ("Appliance.Control.Bind", method, format!(r#"{{"bind":{{{bind}}}}}"#))
            }
            Say::Config => {
                let config = tell::calibration(self.kind)?.replace('}', r#","powerRatio":0}"#);
                ("Appliance.Control.ConsumptionConfig", "PUSH", format!(r#"{{"config":{config}}}"#))
            }
            Say::Report => {
                let report = format!(r#"{{"report":[{{"type":"1","value":"0","timestamp":{now}}}]}}"#);
                ("Appliance.System.Report", "PUSH", report)
            }
            Say::Time => {
                ("Appliance.System.Time", "PUSH", format!(r#"{{"time":{}}}"#, self.appliance.time(second)))
            }
            Say::Leave | Say::Reboot => return None,
        })
    }

    /// A message of its own, and its id.
    pub(super) fn speak(
        &mut self,
        second: u64,
        namespace: &str,
        method: &str,
        payload: &str,
    ) -> (String, String) {
        self.said += 1;
        let message_id = crypt::md5_hex(&format!("{} {}", self.uuid, self.said));
        let boot = namespace == "Appliance.Control.Bind";
        let letter = Letter {
            message_id: &message_id,
            namespace,
            method,
            from: &self.topic(if method == "SET" { "subscribe" } else { "publish" }),
            source: self.kind.modern.then_some(if boot { "DevBoot" } else { "Device" }),
            timestamp: self.appliance.timestamp(second),
            key: if self.signs_wrongly { "wrong" } else { self.key() },
        };
        let message = letter.write(payload);
        (message_id, message)
    }
}
