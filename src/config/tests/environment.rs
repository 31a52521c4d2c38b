//! Settings from the environment.

use secrecy::ExposeSecret as _;

use super::{ALL, file};
use crate::config::all;
use crate::model::Lock;

#[test]
fn the_environment_is_text_until_a_setting_says_otherwise() {
    let env = [
        ("PLUG2MQTT_MQTT__USERNAME", "1e5"),
        ("PLUG2MQTT_MQTT__PASSWORD", "00123"),
        ("PLUG2MQTT_MQTT__BASE_TOPIC", ""),
        ("PLUG2MQTT_MQTT__ALLOW_ADMIN", "0"),
        ("PLUG2MQTT_MQTT__TLS__CA_FILE", ""),
        ("PLUG2MQTT_MAXSMART__UDP_PORT", "1888"),
        ("PLUG2MQTT_MAXSMART__HOSTS", "192.168.1.30, strip.lan:8080"),
        ("PLUG2MQTT_PUBLISH__POWER_CHANGE", "2.5"),
        ("PLUG2MQTT_DEVICE__MAXSMART-X__PORT__2__LOCK", "off"),
    ];
    let settings = file("").load(&env, &[]).unwrap();
    assert_eq!(settings.mqtt.username.as_deref(), Some("1e5"));
    assert_eq!(settings.mqtt.password.as_ref().unwrap().expose_secret(), "00123");
    assert_eq!(settings.mqtt.base_topic, "plug2mqtt");
    assert!(!settings.mqtt.allow_admin);
    assert_eq!(settings.family("maxsmart").unwrap().common.udp_port, 1888);
    let hosts: Vec<String> =
        settings.family("maxsmart").unwrap().common.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["192.168.1.30", "strip.lan:8080"]);
    assert_eq!(settings.publish.power_change, 2.5);
    assert_eq!(settings.device["maxsmart-x"].port[&2].lock, Lock::Off);
}

#[test]
fn every_setting_can_be_given_by_environment() {
    for setting in all(ALL) {
        let path = setting.path.join("__").replace("<id>", "maxsmart-x").replace("<n>", "2");
        let (variable, key) = (format!("PLUG2MQTT_{}", path.to_uppercase()), path.replace("__", "."));
        let default = setting.default.as_array().and_then(|all| all.first()).unwrap_or(&setting.default);
        let value = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
        // A value that is wrong for the setting was given to it, too.
        let taken = match file("").load(&[(&variable, &value)], &[]) {
            Ok(settings) => settings.origins.contains_key(&key),
            Err(text) => text.contains(&format!("environment {variable}: {key}: ")),
        };
        assert!(taken, "{variable}={value}");
    }
    let settings = file("").load(&[("PLUG2MQTT_TIMEZONE", "Europe/Berlin")], &[]).unwrap();
    assert_eq!(settings.timezone.as_deref(), Some("Europe/Berlin"));
}

#[test]
fn a_variable_that_is_nearly_a_setting_is_refused_and_one_of_kubernetes_is_not() {
    for (given, meant) in [
        ("TIMEZON", "TIMEZONE"),
        ("TIME_ZONE", "TIMEZONE"),
        ("LOG_LEVEL", "LOG__LEVEL"),
        ("mqtt_url", "MQTT__URL"),
        ("MQTT_PASSWRD", "MQTT__PASSWORD"),
        ("MAXSMART_UDP_PORT", "MAXSMART__UDP_PORT"),
        ("MAXSMART_UDPPORT", "MAXSMART__UDP_PORT"),
    ] {
        let wanted =
            format!("environment PLUG2MQTT_{given}: unknown variable; did you mean PLUG2MQTT_{meant}?");
        assert_eq!(file("").errors(&[(&format!("PLUG2MQTT_{given}"), "x")], &[]), [wanted]);
    }
    for service in ["", "WEB_", "MQTT_", "BROKER_", "PROMETHEUS_"] {
        for name in [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_MQTT",
            "SERVICE_PORT_HTTP",
            "PORT",
            "PORT_1883_TCP",
            "PORT_1883_TCP_PROTO",
            "PORT_1883_TCP_PORT",
            "PORT_1883_TCP_ADDR",
        ] {
            let variable = format!("PLUG2MQTT_{service}{name}");
            let value = if name == "PORT" { "tcp://10.0.0.1:1883" } else { "10.0.0.1" };
            assert_eq!(file("").load(&[(&variable, value)], &[]).err(), None, "{variable}");
        }
    }
}
