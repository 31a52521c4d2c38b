//! What one value alone cannot tell: topics, ids, things that must come together, files that must
//! be there. Reads secrets from the files they are kept in.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use secrecy::SecretString;

use super::diagnostics::{MAX_SHOWN, Problem, nearest};
use super::family::FamilySettings;
use super::origin::{Origin, dotted};
use super::settings::Settings;
use super::value::shown;
use crate::file;
use crate::model::{Name, PlugId, SettingKind};

const MAX_SECRET_BYTES: u64 = 64 << 10;
const MAX_PEM_BYTES: u64 = 4 << 20;
const MAX_TOPIC_BYTES: usize = 256;

/// Most addresses that one family's networks may have.
const MAX_SCAN: usize = 8192;

/// The checks of one set of settings, collecting what is wrong.
pub(super) struct Check<'a> {
    pub(super) origins: &'a BTreeMap<String, Origin>,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn wrong(&mut self, key: &str, text: impl Into<String>) {
        // A setting that was refused already fell back to its default; what that leads to is noise.
        if !self.problems.iter().any(|problem| problem.key == key) {
            let origin = self.origins.get(key).cloned();
            self.problems.push(Problem::new(origin, key, text));
        }
    }

    fn sound(&self, keys: &[&str]) -> bool {
        !self.problems.iter().any(|problem| keys.contains(&problem.key.as_str()))
    }

    /// Reads `<key>_file` when given.
    pub(super) fn secret(&mut self, key: &str, file: Option<&Path>) -> Option<SecretString> {
        let (file, key) = (file?, format!("{key}_file"));
        let name = file.display();
        match file::read(file, MAX_SECRET_BYTES).map(String::from_utf8) {
            Err(error) => {
                self.wrong(&key, format!("{name} cannot be read: {error}; check its name, owner and mode"));
                let ours = self.problems.last_mut().filter(|problem| problem.key == key);
                if let Some(problem) = ours.filter(|_| error.kind() == ErrorKind::NotFound) {
                    problem.missing = Some(file.into());
                }
            }
            Ok(Err(_)) => self.wrong(&key, format!("{name} is not UTF-8 text")),
            Ok(Ok(text)) => {
                let line = text.strip_suffix('\n').unwrap_or(&text);
                let secret = line.strip_suffix('\r').unwrap_or(line);
                if !secret.is_empty() {
                    return Some(secret.into());
                }
                self.wrong(&key, format!("{name} is empty; write the secret into it"));
            }
        }
        None
    }

    pub(super) fn all(&mut self, settings: &Settings) {
        if let Some(Err(why)) = settings.timezone.as_deref().map(timezone) {
            self.wrong("timezone", why);
        }
        self.mqtt(settings);
        self.broker(settings);
        for (key, topic) in [
            ("mqtt.base_topic", &settings.mqtt.base_topic),
            ("home_assistant.prefix", &settings.home_assistant.prefix),
            ("home_assistant.birth_topic", &settings.home_assistant.birth_topic),
        ] {
            if let Err(why) = topic_name(topic) {
                self.wrong(key, format!("{} {why}", shown(topic)));
            }
        }
        for (key, ids) in
            [("discovery.allow", &settings.discovery.allow), ("discovery.deny", &settings.discovery.deny)]
        {
            for id in ids {
                if let Err(why) = plug_id(id) {
                    self.wrong(key, why);
                }
            }
        }
        for family in &settings.families {
            self.family(family);
        }
        for name in &settings.web.hosts {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            if name.is_empty() || name.len() > 253 || !name.bytes().all(plain) {
                self.wrong("web.hosts", format!("{} is not a host name; give it without port", shown(name)));
            }
        }
        self.devices(settings);
    }

    fn family(&mut self, family: &FamilySettings) {
        let (info, common) = (family.driver.info(), &family.common);
        let key = |name: &str| format!("{}.{name}", info.name);
        for host in common.hosts.iter().filter(|host| info.http_port.is_none() && host.port.is_some()) {
            let port = key("udp_port");
            self.wrong(&key("hosts"), format!("{host} names a port; set {port}, which holds for all"));
        }
        let count: usize = common.scan.iter().map(|network| network.addresses().count()).sum();
        if count > MAX_SCAN {
            self.wrong(
                &key("scan"),
                format!("{count} addresses are too many; {MAX_SCAN} are allowed, so name smaller networks"),
            );
        }
        for setting in info.settings {
            let (SettingKind::Text { check, .. } | SettingKind::Secret { check, .. }) = setting.kind else {
                continue;
            };
            if let Some(Err(why)) = family.own.text(setting.key).map(check) {
                self.wrong(&key(setting.key), why);
            }
        }
    }

    fn mqtt(&mut self, settings: &Settings) {
        let mqtt = &settings.mqtt;
        if mqtt.url.as_ref().is_some_and(|url| url.tls) && !cfg!(feature = "tls") {
            self.wrong(
                "mqtt.url",
                "mqtts:// needs a build with the tls feature; this one has none, use mqtt://",
            );
        }
        if let Some(id) = &mqtt.client_id
            && (id.chars().count() > 64 || id.chars().any(char::is_control))
        {
            self.wrong("mqtt.client_id", format!("{} must be 1 to 64 printable characters", shown(id)));
        }
        self.login("mqtt", mqtt.username.as_deref(), mqtt.password.is_some());
        let tls = &mqtt.tls;
        for (key, file) in
            [("ca_file", &tls.ca_file), ("cert_file", &tls.cert_file), ("key_file", &tls.key_file)]
        {
            if let Some(file) = file
                && let Err(error) = file::read(file, MAX_PEM_BYTES)
            {
                self.wrong(&format!("mqtt.tls.{key}"), format!("{} cannot be read: {error}", file.display()));
            }
        }
        match (&tls.cert_file, &tls.key_file) {
            (Some(_), None) => self.wrong("mqtt.tls.cert_file", "needs mqtt.tls.key_file too"),
            (None, Some(_)) => self.wrong("mqtt.tls.key_file", "needs mqtt.tls.cert_file too"),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    fn broker(&mut self, settings: &Settings) {
        let broker = &settings.broker;
        self.login("broker", broker.username.as_deref(), broker.password.is_some());
        let login = ["broker.username", "broker.password", "broker.password_file"];
        if !broker.listen.ip().is_loopback()
            && (broker.username.is_none() || broker.password.is_none())
            && self.sound(&login)
        {
            let text = format!(
                "{} can be reached from the network, so broker.username and broker.password are needed; or use 127.0.0.1",
                broker.listen
            );
            self.wrong("broker.listen", text);
        }
    }

    fn login(&mut self, section: &str, username: Option<&str>, password: bool) {
        let key = |name: &str| format!("{section}.{name}");
        if let Some(username) = username
            && (username.len() > 256 || username.chars().any(char::is_control))
        {
            self.wrong(&key("username"), "must be at most 256 printable characters");
        }
        if password && username.is_none() && self.sound(&[&key("username")]) {
            let given =
                if self.origins.contains_key(&key("password")) { "password" } else { "password_file" };
            self.wrong(&key(given), format!("needs {section}.username too"));
        }
        // A name without a password is left alone at a foreign broker, which may want just that.
        let sound = self.sound(&[&key("password"), &key("password_file")]);
        if section == "broker" && username.is_some() && !password && sound {
            self.wrong(&key("username"), "needs broker.password or broker.password_file too");
        }
    }

    fn devices(&mut self, settings: &Settings) {
        for (id, device) in &settings.device {
            if self.problems.len() > MAX_SHOWN {
                return;
            }
            let key = format!("device.{}", dotted(std::slice::from_ref(id)));
            let origin = self.origins.range(format!("{key}.")..).next();
            let origin = origin.filter(|(name, _)| name.starts_with(&key)).map(|(_, origin)| origin.clone());
            if let Err(text) = plug_id(id) {
                self.problems.push(Problem::new(origin, key.clone(), text));
            }
            let ports = device.port.iter().map(|(n, port)| (format!("{key}.port.{n}.name"), &port.name));
            for (key, name) in std::iter::once((format!("{key}.name"), &device.name)).chain(ports) {
                if let Some(name) = name
                    && (name.chars().count() > Name::MAX_CHARS
                        || name.chars().any(char::is_control)
                        || name.trim().is_empty())
                {
                    self.wrong(&key, format!("{} must be 1 to 64 printable characters", shown(name)));
                }
            }
        }
    }
}

fn timezone(name: &str) -> Result<(), String> {
    if jiff::tz::db().get(name).is_ok_and(|zone| !zone.is_unknown()) {
        return Ok(());
    }
    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    if known.is_empty() {
        return Err("cannot be looked up: this system has no time zones; install its package tzdata".into());
    }
    let place = |known: &&String| known.rsplit('/').next().is_some_and(|own| own.eq_ignore_ascii_case(name));
    let near = nearest(name, known.iter().map(String::as_str));
    let near = near.or_else(|| known.iter().find(place).map(String::as_str));
    Err(match near {
        Some(near) => format!("{} is no time zone; did you mean {near:?}?", shown(name)),
        None => format!("{} is no time zone; they are named like \"Europe/Berlin\"", shown(name)),
    })
}

fn plug_id(id: &str) -> Result<(), String> {
    PlugId::new(id).map(drop).ok_or_else(|| {
        format!(
            "{} is not a plug id; they are a to z, 0 to 9 and -, as `plug2mqtt discover` prints them",
            shown(id)
        )
    })
}

fn topic_name(topic: &str) -> Result<(), &'static str> {
    if topic.is_empty() {
        Err("is empty; name a topic")
    } else if topic.len() > MAX_TOPIC_BYTES {
        Err("is longer than 256 bytes")
    } else if topic.contains(['+', '#']) {
        Err("must not hold the wildcards + and #")
    } else if topic.starts_with('$') {
        Err("must not start with $, which is the broker's own")
    } else if topic.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Err("must not hold blanks or control characters")
    } else if topic.split('/').any(str::is_empty) {
        Err("must not start or end with / or hold //")
    } else {
        Ok(())
    }
}
