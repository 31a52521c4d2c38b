use std::fs;

use super::*;
use crate::drivers::ALL;
use crate::model::{DeviceInfo, Endpoint, Reading};

fn load(text: &str, env: &[(&str, &str)]) -> Result<Settings, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plug2mqtt.toml");
    fs::write(&file, text).expect("a file");
    let env = env.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    config::load(Some(&file), env, &[], ALL)
        .map(|(settings, _)| settings)
        .map_err(|errors| errors.to_string())
}

fn printed(print: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    print(&mut out).expect("memory takes everything");
    String::from_utf8(out).expect("text")
}

fn plugs() -> Vec<Discovered> {
    let odd = "Odd \"name\"\n[mqtt]\nurl = 5 \u{7f}".to_owned();
    vec![Discovered { id: "maxsmart-swp6".into(), name: odd.clone(), ports: vec![odd, "Fan".into()] }]
}

#[test]
fn what_init_writes_loads_as_the_defaults() {
    let text = printed(|out| init(ALL, &plugs(), None, out));
    let settings = load(&text, &[]).unwrap();
    assert_eq!(settings.values(), Settings::new(ALL).values());
}

#[test]
fn what_init_writes_loads_with_every_line_switched_on() {
    for plugs in [Vec::new(), plugs()] {
        let text = printed(|out| init(ALL, &plugs, None, out));
        let on = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with([' ', ':']) => rest.to_owned(),
            _ => line.to_owned(),
        };
        let text = text.lines().map(on).collect::<Vec<_>>().join("\n");
        // A name from the network does not pass as it is, and does nothing else either.
        let text = text.replace("\\u000A", " ").replace("\\u007F", " ");
        let settings = load(&text, &[]).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        assert_eq!(settings.device.len(), 1);
        assert!(settings.origins.contains_key("mqtt.url"));
        let mut plain = settings.values();
        plain["device"] = serde_json::json!({});
        assert_eq!(plain, Settings::new(ALL).values());
    }
}

#[test]
fn init_writes_the_names_that_plugs_have() {
    let name = |text: &str| crate::model::Name::clean(text);
    let id = crate::model::PlugId::of("maxsmart", "swp6000000000001").unwrap();
    let facts = DeviceInfo {
        name: name("STRIP"),
        port_names: vec![name("PORT1"), name("Fan")],
        ..DeviceInfo::default()
    };
    let place = "127.0.0.1".parse().map(|ip| Endpoint { ip, udp: 1, http: 2 }).unwrap();
    let found = crate::model::Discovered { driver: "maxsmart", id: Some(id.clone()), place, facts };
    let reading = Reading { ports: vec![Default::default(); 3], ..Default::default() };
    let twin = crate::model::PlugId::of("maxsmart", "swp6000000000002");
    let twin =
        Seen { found: crate::model::Discovered { id: twin, ..found.clone() }, reading: Ok(reading.clone()) };
    let seen = Seen { found, reading: Ok(reading) };
    let both = [seen, twin];
    let names: Vec<_> =
        Discovered::all(&both, &PersistedState::default()).into_iter().map(|plug| plug.name).collect();
    assert_eq!(names, ["STRIP 0001", "STRIP 0002"]);
    let own = Discovered::all(&both[..1], &PersistedState::default()).remove(0);
    assert_eq!((own.name.as_str(), own.ports.join(",")), ("STRIP", "PORT1,Fan,Port 3".into()));
    let text = printed(|out| init(ALL, &[own], None, out));
    assert!(text.starts_with("#:schema ./plug2mqtt.schema.json\n"), "{text}");
    for line in
        ["[device.\"maxsmart-swp6000000000001\"]", "#name = \"STRIP\"", "#port.2 = { name = \"Fan\", lock"]
    {
        assert!(text.contains(&format!("\n{line}")), "{line}\n{text}");
    }
}

#[test]
fn init_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plug2mqtt.toml");
    let said = printed(|out| init(ALL, &[], Some(&file), out));
    assert_eq!(said, format!("wrote {}\n", file.display()));
    let before = fs::read(&file).unwrap();
    let error = init(ALL, &plugs(), Some(&file), &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert!(
        error.to_string().ends_with("already exists and is not overwritten; name another file"),
        "{error}"
    );
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn show_says_where_values_come_from_and_hides_secrets() {
    let file = "[mqtt]\nusername = \"me\"\npassword = \"hunter2\"\n\
                [device.maxsmart-x]\nname = \"Strip\"\nport.2 = { lock = \"on\" }";
    let settings = load(file, &[("PLUG2MQTT_MQTT__URL", "mqtt://h")]).unwrap();
    let text = printed(|out| show(&settings, Some(Path::new("f.toml")), out));
    assert!(!text.contains("hunter2"));
    assert!(text.contains("\npassword = \"********\"  # from "), "{text}");
    assert!(text.contains("\nurl = \"mqtt://h:1883\"  # from environment PLUG2MQTT_MQTT__URL\n"), "{text}");
    assert!(text.contains("\nbase_topic = \"plug2mqtt\"\n"), "{text}");
    assert!(text.contains("\n[device.\"maxsmart-x\".port.2]\nlock = \"on\"  # from "), "{text}");
    let again = load(&text, &[]).unwrap();
    assert_eq!(serde_json::to_value(again).unwrap(), serde_json::to_value(settings).unwrap());
}

#[test]
fn check_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let settings = load(&format!("[state]\ndirectory = {:?}", folder.path()), &[]).unwrap();
    let file = Path::new("f.toml");
    assert_eq!(printed(|out| check(&settings, Some(file), out)), "settings are valid: f.toml\n");
    assert_eq!(
        printed(|out| check(&settings, None, out)),
        "settings are valid: no file, defaults and environment only\n"
    );
}

#[test]
fn the_schema_knows_every_setting() {
    let schema: Json = serde_json::from_str(&printed(|out| schema(ALL, out))).unwrap();
    assert_eq!(schema["properties"]["mqtt"]["properties"]["base_topic"]["default"], "plug2mqtt");
    assert!(config::all(ALL).iter().all(|known| !known.doc.is_empty()));
}
