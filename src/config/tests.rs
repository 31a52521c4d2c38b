use std::fs;
use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::*;
use crate::drivers::ALL;
use crate::model::Lock;

mod environment;

struct Given {
    folder: tempfile::TempDir,
}

fn file(bytes: impl AsRef<[u8]>) -> Given {
    let folder = tempfile::tempdir().expect("a folder to write in");
    fs::write(folder.path().join("plug2mqtt.toml"), bytes).expect("a folder to write in");
    Given { folder }
}

impl Given {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, String> {
        let owned = |(a, b): &(&str, &str)| (a.to_string(), b.to_string());
        let flags: Vec<_> = flags.iter().map(owned).collect();
        let loaded = load(Some(&self.path("plug2mqtt.toml")), env.iter().map(owned), &flags, ALL);
        loaded.map(|(settings, _)| settings).map_err(|errors| errors.to_string())
    }

    /// The messages without the folder.
    fn errors(&self, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Vec<String> {
        let text = self.load(env, flags).expect_err("these settings are wrong");
        let folder = format!("{}/", self.folder.path().display());
        text.lines().skip(1).map(|line| line.trim().replace(&folder, "")).collect()
    }
}

/// One error with this text, for a file with this content.
#[track_caller]
fn check(content: &str, wanted: &str) {
    assert_eq!(file(content).errors(&[], &[]), [wanted], "{content}");
}

#[test]
fn without_a_file_the_defaults_hold() {
    let (settings, _) = load(Some(&file("").path("plug2mqtt.toml")), std::iter::empty(), &[], ALL).unwrap();
    assert!(settings.mqtt.url.is_none());
    assert_eq!(settings.family("maxsmart").unwrap().common.poll_interval.get(), Duration::from_secs(5));
    assert_eq!(settings.family("maxsmart").unwrap().common.broadcast, [Broadcast::Auto]);
    assert_eq!(settings.commands.timeout.get(), Duration::from_secs(10));
    assert_eq!((settings.availability.misses, settings.publish.power_change), (3, 1.0));
    assert!(settings.origins.is_empty());
}

#[test]
fn each_layer_wins_over_the_one_below() {
    let given = file("[mqtt]\nurl = \"mqtt://file\"\nbase_topic = \"file\"\nclient_id = \"file\"");
    let env = [("PLUG2MQTT_MQTT__BASE_TOPIC", "env"), ("PLUG2MQTT_MQTT__CLIENT_ID", "env"), ("HOME", "/")];
    let mqtt = given.load(&env, &[("mqtt.client_id", "flag")]).unwrap().mqtt;
    let quoted = given.load(&env, &[("mqtt.client_id", "\"flag\"")]).unwrap().mqtt;
    assert_eq!(quoted.client_id.as_deref(), Some("flag"), "as in a file");
    assert_eq!(mqtt.url.unwrap().to_string(), "mqtt://file:1883");
    assert_eq!((mqtt.base_topic.as_str(), mqtt.client_id.as_deref()), ("env", Some("flag")));
}

#[test]
fn a_time_zone_is_looked_up_and_the_one_that_was_meant_is_named() {
    for (given, wanted) in [
        ("Europe/Berln", "\"Europe/Berln\" is no time zone; did you mean \"Europe/Berlin\"?"),
        ("Sydney", "\"Sydney\" is no time zone; did you mean \"Australia/Sydney\"?"),
        ("Middle-earth", "\"Middle-earth\" is no time zone; they are named like \"Europe/Berlin\""),
        (
            "../../../etc/passwd",
            "\"../../../etc/passwd\" is no time zone; they are named like \"Europe/Berlin\"",
        ),
    ] {
        let file = file(format!("timezone = {given:?}\n"));
        assert_eq!(file.errors(&[], &[]), [format!("plug2mqtt.toml:1:1: timezone: {wanted}")]);
    }
    let good = file("timezone = \"Australia/Lord_Howe\"\n[mqtt]\n");
    let settings = good.load(&[("PLUG2MQTT_TIMEZONE", "")], &[]).unwrap();
    assert_eq!(settings.timezone.as_deref(), Some("Australia/Lord_Howe"));
}

#[test]
fn a_setting_that_is_no_more_says_what_to_do() {
    let given = file("[energy]\ngaps = \"hold\"\n");
    let errors = given.errors(&[("PLUG2MQTT_ENERGY__GAPS", "skip")], &[("energy.gaps", "skip")]);
    let all = errors.iter().all(|error| error.contains("energy.gaps: is no setting any more"));
    assert!(errors.len() == 3 && all && errors[0].contains("delete it"), "{errors:#?}");
}

#[test]
fn all_errors_are_shown_at_once_each_where_it_is() {
    let given = file(
        "[mqtt]\nurl = \"http://x\"\nbase_topik = \"a\"\n\n[maxsmart]\npoll_interval = \"0s\"\nudp_port = \"x\"\n\
         hosts = [\"ok\", \"no good\", \"1.2.3.4:0\"]\n[mqqt]\na = 1\nb = 2\n[broker]\nlisten = \"0.0.0.0:1883\"\n",
    );
    let env = [("PLUG2MQTT_MAXSMART__TIMEOUT", "5"), ("PLUG2MQTT_MQTT_URL", "mqtt://x")];
    let wanted = [
        "plug2mqtt.toml:2:1: mqtt.url: \"http\" is not a scheme for MQTT; use mqtt:// or mqtts://",
        "plug2mqtt.toml:3:1: mqtt.base_topik: unknown setting; did you mean \"base_topic\"?",
        "plug2mqtt.toml:6:1: maxsmart.poll_interval: \"0s\" is too short; 200ms to 1h is allowed",
        "plug2mqtt.toml:7:1: maxsmart.udp_port: \"x\" is not a whole number; 1 to 65535 is allowed",
        "plug2mqtt.toml:8:1: maxsmart.hosts: \"no good\" is not a host name or address",
        "plug2mqtt.toml:8:1: maxsmart.hosts: \"0\" is not a port in \"1.2.3.4:0\"; 1 to 65535 is allowed",
        "plug2mqtt.toml:9:2: mqqt: unknown section; did you mean \"mqtt\"?",
        "plug2mqtt.toml:13:1: broker.listen: 0.0.0.0:1883 can be reached from the network, so broker.username and broker.password are needed; or use 127.0.0.1",
        "environment PLUG2MQTT_MAXSMART__TIMEOUT: maxsmart.timeout: \"5\" is not a duration: time unit needed, for example 5sec or 5ms; 100ms to 1m is allowed",
        "environment PLUG2MQTT_MQTT_URL: unknown variable; did you mean PLUG2MQTT_MQTT__URL?",
        "flag -s log.levl: log.levl: unknown setting; did you mean \"level\"?",
    ];
    assert_eq!(given.errors(&env, &[("log.levl", "info")]), wanted);
}

#[test]
fn wrong_values_are_refused_with_the_remedy() {
    check("mqtt = 5", "plug2mqtt.toml:1:1: mqtt: is a section, not a setting");
    check("[mqtt]\nurl.x = 5", "plug2mqtt.toml:2:1: mqtt.url: is not a section, so it cannot have \"x\"");
    check("[mqtt]\nbase_topic = 5", "plug2mqtt.toml:2:1: mqtt.base_topic: 5 is not text; put it in quotes");
    check(
        "[maxsmart]\nenabled = \"yes\"",
        "plug2mqtt.toml:2:1: maxsmart.enabled: \"yes\" is not true or false",
    );
    check(
        "[maxsmart]\nhosts = \"a\"",
        "plug2mqtt.toml:2:1: maxsmart.hosts: \"a\" is not a list; write it like [\"...\"]",
    );
    check(
        "[inplug]\nhosts = [\"heater.lan:81\"]",
        "plug2mqtt.toml:2:1: inplug.hosts: heater.lan:81 names a port; set inplug.udp_port, which holds for all",
    );
    check("[log]\nformat = \"xml\"", "plug2mqtt.toml:2:1: log.format: \"xml\" is not one of text, json");
    check(
        "[availability]\nmisses = 21",
        "plug2mqtt.toml:2:1: availability.misses: 21 is out of range; 1 to 20 is allowed",
    );
    check(
        "[publish]\npower_change = nan",
        "plug2mqtt.toml:2:1: publish.power_change: \"nan\" is not a number; 0 to 5000 is allowed",
    );
    check(
        "[publish]\npower_change = -1",
        "plug2mqtt.toml:2:1: publish.power_change: -1 is out of range; 0 to 5000 is allowed",
    );
    check(
        "[mqtt]\nkeep_alive = 1979-05-27",
        "plug2mqtt.toml:2:1: mqtt.keep_alive: a date is not a duration; write it like \"5s\"",
    );
    check(
        "[mqtt]\nkeep_alive = 20",
        "plug2mqtt.toml:2:1: mqtt.keep_alive: \"20\" is not a duration: time unit needed, for example 20sec or 20ms; 5s to 1h is allowed",
    );
    check(
        "[publish]\nheartbeat = \"99999999999 years\"",
        "plug2mqtt.toml:2:1: publish.heartbeat: \"99999999999 years\" is too long; 1s to 24h is allowed",
    );
    check(
        "[mqtt]\npoll_interval = \"5s\"",
        "plug2mqtt.toml:2:1: mqtt.poll_interval: unknown setting; did you mean maxsmart.poll_interval?",
    );
    check(
        "[discovery]\ndeny = [\"Strip 1\"]",
        "plug2mqtt.toml:2:1: discovery.deny: \"Strip 1\" is not a plug id; they are a to z, 0 to 9 and -, as `plug2mqtt discover` prints them",
    );
    check(
        "[device.Strip]\nread_only = true",
        "plug2mqtt.toml:2:1: device.Strip: \"Strip\" is not a plug id; they are a to z, 0 to 9 and -, as `plug2mqtt discover` prints them",
    );
    check(
        "[device.x]\nport.17.lock = \"on\"",
        "plug2mqtt.toml:2:6: device.x.port.17: is not a port; they are numbered 1 to 16",
    );
    check(
        "[maxsmart]\nbroadcast = [\"::1\"]",
        "plug2mqtt.toml:2:1: maxsmart.broadcast: \"::1\" is not an IPv4 address; write \"auto\" or one like \"192.168.1.255\"",
    );
    check(
        "[broker]\nlisten = \"localhost:1883\"",
        "plug2mqtt.toml:2:1: broker.listen: invalid socket address syntax; write it like 127.0.0.1:1883, an IPv6 address in [ ]: [::1]:1883",
    );
    check(
        "[mqtt.tls]\ncert_file = \"/etc/hosts\"",
        "plug2mqtt.toml:2:1: mqtt.tls.cert_file: needs mqtt.tls.key_file too",
    );
    check(
        "[home_assistant]\nprefix = \"home assistant\"",
        "plug2mqtt.toml:2:1: home_assistant.prefix: \"home assistant\" must not hold blanks or control characters",
    );
}

#[test]
fn topics_and_urls_are_checked() {
    for bad in ["", "/a", "a/", "a//b", "a/+", "#", "$SYS", "a b", "a\u{1}"] {
        let content = format!("[mqtt]\nbase_topic = {}", serde_json::to_string(bad).unwrap());
        assert_eq!(file(&content).errors(&[], &[]).len(), 1, "{bad}");
    }
    for bad in [
        "localhost",
        "mqtt://",
        "mqtt://:1883",
        "mqtt://h:0",
        "mqtt://h:65536",
        "mqtt://h/path",
        "mqtt://h?x",
        "mqtt://999.1.1.1",
        "mqtt://[::1",
        "mqtt://fe80::1:1883",
        "mqtt://fe80::1%eth0:1883",
        "mqtt://[fe80::1%]",
        "mqtt://[fe80::1%a b]",
        "mqtt://[fe80::1%a/b]",
        "mqtt://1:2:3",
    ] {
        assert!(bad.parse::<BrokerUrl>().is_err(), "{bad}");
    }
    for bare in ["mqtt://fe80::1:1883", "mqtt://::1", "mqtt://1:2:3:4:5:6:7:8:9"] {
        let why = bare.parse::<BrokerUrl>().expect_err("no brackets");
        assert!(why.contains("[ ]"), "{bare}: {why}");
    }
    for (good, canonical) in [
        ("mqtt://h", "mqtt://h:1883"),
        ("MQTTS://h.lan/", "mqtts://h.lan:8883"),
        ("mqtt://[::1]:1884", "mqtt://[::1]:1884"),
        ("mqtt://[fe80::1%eth0]:1884", "mqtt://[fe80::1%eth0]:1884"),
        ("mqtts://[fe80::1%wlp3s0.7]", "mqtts://[fe80::1%wlp3s0.7]:8883"),
        ("mqtt://192.168.1.2:1883", "mqtt://192.168.1.2:1883"),
    ] {
        assert_eq!(good.parse::<BrokerUrl>().unwrap().to_string(), canonical);
    }
}

#[test]
fn files_that_cannot_be_settings_are_refused() {
    let given = file("");
    fs::remove_file(given.path("plug2mqtt.toml")).unwrap();
    assert_eq!(given.errors(&[], &[]), ["plug2mqtt.toml: there is no such file; check --config"]);
    fs::create_dir(given.path("plug2mqtt.toml")).unwrap();
    assert_eq!(given.errors(&[], &[]), ["plug2mqtt.toml: is a directory; name the settings file in it"]);
    let wanted = "plug2mqtt.toml:2:3: is not UTF-8 here; save it as UTF-8";
    assert_eq!(file(b"[log]\n# \xff").errors(&[], &[]), [wanted]);
    let wanted = "plug2mqtt.toml: is larger than 1 MiB, so it is not a settings file";
    assert_eq!(file(vec![b'\n'; 10 << 20]).errors(&[], &[]), [wanted]);
    let given = file("");
    fs::remove_file(given.path("plug2mqtt.toml")).unwrap();
    // Opening a pipe that nobody writes to would wait for ever.
    let made = std::process::Command::new("mkfifo").arg(given.path("plug2mqtt.toml")).status();
    assert!(made.unwrap().success());
    assert_eq!(given.errors(&[], &[]), ["plug2mqtt.toml: is a pipe or a device; name a file"]);
    let pipe = given.path("plug2mqtt.toml").display().to_string();
    for key in ["MQTT__PASSWORD_FILE", "MQTT__TLS__CA_FILE"] {
        let text = file("[mqtt]\nusername = \"me\"").load(&[(&format!("PLUG2MQTT_{key}"), &pipe)], &[]);
        assert!(text.is_err_and(|text| text.contains("is a pipe and not a file")), "{key}");
    }
}

#[test]
fn a_file_full_of_mistakes_is_told_in_few_lines() {
    let many = |line: &dyn Fn(usize) -> String| (0..6_000).map(line).collect::<String>();
    for (wrong, content) in [
        (true, many(&|n| format!("key_{n} = 1\n"))),
        (true, format!("maxsmart = {{ {} x = 1 }}", many(&|n| format!("key_{n} = 1, ")))),
        (true, many(&|n| format!("[section_{n}]\nkey = 1\n"))),
        (true, many(&|n| format!("[device.strip-{n}]\npoll_interval = \"x\"\n"))),
        (true, many(&|n| format!("[device.Strip-{n}]\nname = \"x\"\n"))),
        (true, "= 1\n".repeat(100_000)),
        (false, many(&|n| format!("[device.strip-{n}]\nname = \"x\"\n"))),
    ] {
        match file(&content).load(&[], &[]) {
            Ok(settings) => assert!(!wrong && settings.device.len() == 6_000),
            Err(text) => assert!(wrong && text.lines().count() <= 102, "{}", text.lines().count()),
        }
    }
}

#[test]
fn networks_to_scan_are_named_exactly_and_have_an_end() {
    for family in ["maxsmart", "inplug"] {
        let scan = |networks: &str| format!("[{family}]\nscan = [{networks}]");
        let wrong = |networks: &str, why: &str| {
            check(&scan(networks), &format!("plug2mqtt.toml:2:1: {family}.scan: {why}"));
        };
        wrong(
            r#""192.168.30.0""#,
            r#""192.168.30.0" is not an IPv4 network; write it like "192.168.30.0/24""#,
        );
        wrong(
            r#""192.168.30.9/24""#,
            r#""192.168.30.9/24" begins at 192.168.30.0; write it as "192.168.30.0/24""#,
        );
        wrong(r#""10.0.0.0/8""#, r#""10.0.0.0/8" is not /20 to /32, which is allowed"#);
        wrong(r#""10.0.0.0/33""#, r#""10.0.0.0/33" is not /20 to /32, which is allowed"#);
        let many = r#""10.0.0.0/20", "10.0.16.0/20", "10.0.32.0/30", "10.0.33.0/30", "10.0.34.0/32""#;
        wrong(many, "8193 addresses are too many; 8192 are allowed, so name smaller networks");
    }
    let settings = file("[inplug]\nscan = [\"127.1.2.8/30\", \"127.1.3.7/32\", \"127.1.4.6/31\"]");
    let settings = settings.load(&[], &[]).unwrap();
    let all = settings
        .family("inplug")
        .unwrap()
        .common
        .scan
        .iter()
        .flat_map(Network::addresses)
        .map(|ip| ip.to_string());
    let wanted = ["127.1.2.9", "127.1.2.10", "127.1.3.7", "127.1.4.6", "127.1.4.7"];
    assert_eq!(all.collect::<Vec<_>>(), wanted);
    assert_eq!(settings.family("inplug").unwrap().common.scan[0].to_string(), "127.1.2.8/30");
}

#[test]
fn lists_topics_and_secrets_have_an_end() {
    let hosts = |count: usize| format!("[maxsmart]\nhosts = [{}]", "\"a.lan\",".repeat(count));
    assert!(file(hosts(8192)).load(&[], &[]).is_ok());
    check(&hosts(8193), "plug2mqtt.toml:2:1: maxsmart.hosts: 8193 entries are too many; 8192 are allowed");
    let base = |length: usize| format!("[mqtt]\nbase_topic = \"{}\"", "x".repeat(length));
    assert!(file(base(256)).load(&[], &[]).is_ok());
    let long = file(base(257)).errors(&[], &[]);
    assert!(long.len() == 1 && long[0].ends_with(" is longer than 256 bytes"), "{long:?}");
    let given = file("[mqtt]\nusername = \"me\"");
    let secret = |length: usize| {
        fs::write(given.path("secret"), "x".repeat(length)).unwrap();
        let name = given.path("secret").display().to_string();
        given.load(&[("PLUG2MQTT_MQTT__PASSWORD_FILE", &name)], &[])
    };
    assert!(secret(64 << 10).is_ok());
    let refused = secret((64 << 10) + 1).expect_err("it is too long");
    assert!(refused.contains("mqtt.password_file") && !refused.contains("xxx"), "{refused}");
}

#[test]
fn a_syntax_error_hides_nothing_before_it_and_shows_no_line() {
    let given = file("[mqtt]\nport = 1\npassword = \"hunter2\nurl = \"mqtt://h\"\n");
    let errors = given.errors(&[("PLUG2MQTT_LOG__LEVEL", "loud")], &[]);
    assert!(errors[0].starts_with("plug2mqtt.toml:2:1: mqtt.port: unknown setting"), "{errors:?}");
    assert!(errors[1].starts_with("plug2mqtt.toml:3:"), "{errors:?}");
    assert!(errors.last().unwrap().starts_with("environment PLUG2MQTT_LOG__LEVEL: log.level"), "{errors:?}");
    assert!(!errors.join("").contains("hunter2"));
}

#[test]
fn secrets_come_from_files_and_never_show() {
    let given = file("");
    fs::write(given.path("secret"), "hunter2\r\n").unwrap();
    let secret = given.path("secret").display().to_string();
    let env = [("PLUG2MQTT_MQTT__USERNAME", "me"), ("PLUG2MQTT_MQTT__PASSWORD_FILE", secret.as_str())];
    let settings = given.load(&env, &[]).unwrap();
    assert_eq!(settings.mqtt.password.as_ref().unwrap().expose_secret(), "hunter2");
    let json = serde_json::to_string(&settings).unwrap();
    assert!(!format!("{settings:?}{json}").contains("hunter2"));

    let missing = given.path("missing").display().to_string();
    let errors = given.errors(&[("PLUG2MQTT_MQTT__PASSWORD_FILE", &missing)], &[]).join("\n");
    assert!(
        errors.contains(
            "environment PLUG2MQTT_MQTT__PASSWORD_FILE: mqtt.password_file: missing cannot be read"
        )
    );
    for (path, is_missing) in [(missing.as_str(), true), (given.path("").to_str().unwrap(), false)] {
        let set = [("mqtt.password_file".to_owned(), path.to_owned())];
        let wrong = load(Some(&given.path("plug2mqtt.toml")), std::iter::empty(), &set, ALL).unwrap_err();
        let told = wrong.iter().find(|problem| problem.key == "mqtt.password_file").unwrap();
        assert_eq!(told.missing.as_deref().is_some_and(|told| told == Path::new(path)), is_missing, "{path}");
    }
    // The higher layer wins; two in one layer are a mistake.
    let winner = given.load(&env, &[("mqtt.password", "other")]).unwrap();
    assert_eq!(winner.mqtt.password.unwrap().expose_secret(), "other");
    let both =
        file("[mqtt]\nusername = \"me\"\npassword = \"hunter2\"\npassword_file = \"x\"").errors(&[], &[]);
    assert_eq!(both, ["plug2mqtt.toml:3:1: mqtt.password: give this or mqtt.password_file, not both"]);

    for content in
        ["password = 12345", "url = \"mqtt://me:12345@h\"", "username = \"x\"\npassword = [\"12345\"]"]
    {
        let errors = file(format!("[mqtt]\n{content}")).errors(&[], &[]).join("\n");
        assert!(!errors.contains("12345"), "{errors}");
    }
}

#[test]
fn a_password_needs_a_name() {
    let wanted = "environment PLUG2MQTT_BROKER__PASSWORD: broker.password: needs broker.username too";
    assert_eq!(file("").errors(&[("PLUG2MQTT_BROKER__PASSWORD", "x")], &[]), [wanted]);
    let content = "[broker]\nlisten = \"0.0.0.0:1883\"\nusername = \"me\"\npassword = \"x\"";
    assert!(file(content).load(&[], &[]).is_ok());
}

#[test]
fn the_settings_of_the_design_load() {
    let content = r#"
[mqtt]
url = "mqtt://localhost:1883"
client_id = "plug2mqtt-a1b2c3"
[mqtt.tls]
ca_file = ""
cert_file = ""
[home_assistant]
port_devices = "via"
[maxsmart]
hosts = ["192.168.1.30", "192.168.1.30:8080", "strip.lan"]
[device."maxsmart-swp6000000000001"]
name = "Office strip"
poll_interval = "10s"
power_unit = "mW"
port.1 = { name = "Desk lamp", lock = "both" }
[state]
directory = ""
"#;
    let settings = file(content).load(&[], &[]).unwrap();
    let device = &settings.device["maxsmart-swp6000000000001"];
    assert_eq!(device.port[&1], Port { name: Some("Desk lamp".into()), lock: Lock::Both, ..Port::default() });
    assert_eq!(device.poll_interval.as_ref().unwrap().as_str(), "10s");
    assert!(settings.state.directory.is_none() && settings.mqtt.tls.ca_file.is_none());
    let place = (16, 1);
    let origin = &settings.origins["device.maxsmart-swp6000000000001.port.1.name"];
    assert!(matches!(origin, Origin::File { place: Some((line, _)), .. } if *line == place.0), "{origin}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = file(bytes).load(&[], &[]);
    }

    #[test]
    fn no_text_makes_it_panic(
        section in "(mqtt|maxsmart|device|device\\.x|device\\.x\\.port|mqtt\\.tls|[a-z\"\\[\\].]{0,8})",
        key in "(url|hosts|broadcast|1|port|poll_interval|timeout|\"[^\"]{0,6}\"|[a-z.]{1,9})",
        value in "(\\PC{0,20}|\"\\PC{0,20}\"|[0-9.e+-]{1,22}|\\[\"\\PC{0,9}\"\\]|\\{ *[a-z]{0,4} *=? *1? *\\})",
    ) {
        let _ = file(format!("[{section}]\n{key} = {value}\n")).load(&[], &[]);
        let variable = format!("PLUG2MQTT_{section}__{key}").replace('.', "__").to_uppercase();
        let dotted = format!("{section}.{key}");
        let _ = file("").load(&[(&variable, &value)], &[(&dotted, &value)]);
    }

    #[test]
    fn no_interval_makes_it_panic(text in "\\PC{0,24}|[0-9]{1,25}( ?[a-zA-Z]{0,6}){0,3}") {
        if let Ok(interval) = text.parse::<PollInterval>() {
            prop_assert!((200..=3_600_000).contains(&interval.get().as_millis()));
        }
    }
}
