//! One eventful run of the bridge over the demo's plugs and the built-in broker, and everything it published held
//! against `docs/mqtt.md`: both ways, so that neither the program nor the page knows a topic or a key alone.

use super::{read, table};
use plug2mqtt::api::verbs;
use plug2mqtt::bridge::{self, Logging};
use plug2mqtt::cli::demo;
use plug2mqtt::config::{Device, Port, Settings};
use plug2mqtt::drivers;
use plug2mqtt::io::clock::Clock;
use plug2mqtt::model::{LogLevel, OverloadAction};
use plug2mqtt::sim::{Faults, Load, Model};
use plug2mqtt::sinks::mqtt::log::LogTopic;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing_subscriber::layer::SubscriberExt as _;

const BASE: &str = "plug2mqtt";
const STRIP: &str = "maxsmart-swp6000000000001";
const PLUG: &str = "maxsmart-swp1000000000002";

/// The longest anything may take on the slowest machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A message as a subscriber sees it.
#[derive(Debug, Clone)]
struct Heard {
    topic: String,
    payload: String,
    retained: bool,
}

impl Heard {
    fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.payload).ok().filter(|json: &Value| json.is_object() || json.is_array())
    }
}

/// A client that hears everything and speaks.
struct Client {
    mqtt: AsyncClient,
    heard: mpsc::UnboundedReceiver<Heard>,
    log: Vec<Heard>,
    mark: usize,
    spoken: Vec<String>,
}

impl Client {
    async fn connect(name: &str, port: u16) -> Self {
        let mut options = MqttOptions::new(name, "127.0.0.1", port);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (mqtt, mut events) = AsyncClient::new(options, 64);
        let (tell, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            // Ends with the connection or with the client.
            while let Ok(event) = events.poll().await {
                let Event::Incoming(Packet::Publish(publish)) = event else { continue };
                let payload = String::from_utf8(publish.payload.to_vec()).expect("payloads are UTF-8");
                let heard = Heard { topic: publish.topic, payload, retained: publish.retain };
                if tell.send(heard).is_err() {
                    return;
                }
            }
        });
        mqtt.subscribe("#", QoS::AtLeastOnce).await.unwrap();
        Self { mqtt, heard, log: Vec::new(), mark: 0, spoken: Vec::new() }
    }

    /// Waits for a message, unless it has come since the mark.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Heard) -> bool) -> Heard {
        if let Some(heard) = self.log[self.mark..].iter().find(|heard| wanted(heard)) {
            return heard.clone();
        }
        let waiting = async {
            loop {
                let heard = self.heard.recv().await.expect("the connection holds");
                self.log.push(heard.clone());
                if wanted(&heard) {
                    return heard;
                }
            }
        };
        let heard = timeout(TIMEOUT, waiting).await;
        heard.unwrap_or_else(|_| panic!("no {what}; since the mark: {:#?}", &self.log[self.mark..]))
    }

    /// What is waited for from here on must come from here on.
    fn mark(&mut self) {
        self.mark = self.log.len();
    }

    async fn say(&mut self, topic: &str, payload: &str, retain: bool) {
        self.spoken.push(topic.into());
        self.mark();
        self.mqtt.publish(topic, QoS::AtLeastOnce, retain, payload).await.unwrap();
    }

    /// Gives a command and waits for its result.
    async fn command(&mut self, plug: &str, tail: &str, payload: &str, error: Option<&str>) -> Value {
        self.say(&format!("{BASE}/{plug}/{tail}"), payload, false).await;
        let topic = format!("{BASE}/{plug}/response");
        let result = self.until(&format!("result of {tail} {payload}"), |heard| heard.topic == topic).await;
        let result = result.json().unwrap();
        assert_eq!(result["error"].as_str(), error, "{tail} {payload}: {result}");
        result
    }

    /// Asks the bridge and waits for its response.
    async fn request(&mut self, verb: &str, payload: &Value) -> Value {
        self.say(&format!("{BASE}/bridge/request/{verb}"), &payload.to_string(), false).await;
        let known = if verb == "nonsense" { "unknown" } else { verb };
        let topic = format!("{BASE}/bridge/response/{known}");
        self.until(&topic, |heard| heard.topic == topic).await.json().unwrap()
    }

    /// Waits for an event of the bridge (`None`) or of a plug.
    async fn event(&mut self, of: Option<&str>, kind: &str) {
        let topic = format!("{BASE}/{}/event", of.unwrap_or("bridge"));
        let said = |heard: &Heard| heard.topic == topic && heard.json().unwrap()["event_type"] == kind;
        self.until(&format!("event {kind}"), said).await;
    }
}

/// What a run brought to light.
struct Run {
    log: Vec<Heard>,
    spoken: BTreeSet<String>,
    retained: BTreeSet<String>,
}

async fn eventful_run() -> Run {
    let shelf = demo::shelf().await.unwrap();
    // Its clock is right, so that it shows when it is lost.
    let now = Clock::start().now().local().strftime("00dv=all,%Y-%m-%d,%H:%M:%S,13;").to_string();
    let strip = shelf.plug(STRIP).unwrap();
    let now_s = strip.now_s();
    strip.plug(|strip| strip.datagram(now_s, now.as_bytes()));
    let state = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(drivers::ALL);
    demo::aim(&mut settings, &shelf);
    settings.state.directory = Some(state.path().into());
    settings.broker.listen.set_port(0);
    let maxsmart = &mut settings.family_mut("maxsmart").unwrap().common;
    maxsmart.poll_interval = "200ms".parse().unwrap();
    maxsmart.burst_interval = "200ms".parse().unwrap();
    maxsmart.slow_poll_interval = "200ms".parse().unwrap();
    maxsmart.timeout = "1s".parse().unwrap();
    settings.discovery.interval = "1s".parse().unwrap();
    let protected = Port {
        max_power: Some(100.0),
        overload_after: Some("0s".parse().unwrap()),
        overload: Some(OverloadAction::Latch),
        ..Port::default()
    };
    settings.device.insert(STRIP.into(), Device { port: [(6, protected)].into(), ..Device::default() });
    let (ready, broker) = oneshot::channel();
    let ready = |address: &str| ready.send(address.to_owned()).unwrap();
    let log = LogTopic::new(Some(LogLevel::Info));
    let lines = Some(log.lines());
    // Everything runs on this thread, and other tests on others.
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(log));
    let logging = Logging { set_level: Box::new(|_| ()), lines };
    let run = bridge::run_logged(&settings, logging, ready, std::future::pending());
    let script = async {
        let broker = broker.await.unwrap();
        script(&shelf, broker.rsplit_once(':').unwrap().1.parse().unwrap()).await
    };
    tokio::pin!(run, script);
    let seen = tokio::select! {
        ended = &mut run => panic!("the bridge ended: {:?}", ended.err()),
        seen = &mut script => seen,
    };
    shelf.stop().await;
    seen
}

async fn script(shelf: &demo::Plugs, port: u16) -> Run {
    let mut client = Client::connect("everything", port).await;
    for plug in [STRIP, PLUG, "maxsmart-sww6000000000003"] {
        client.until("snapshot", |heard| heard.topic == format!("{BASE}/{plug}/state")).await;
    }
    client
        .until("the end of the round", |heard| heard.topic == format!("{BASE}/{STRIP}/presence_simulation"))
        .await;

    let result = client.command(STRIP, "5/set", r#"{"state":"OFF","id":"docs-1"}"#, None).await;
    assert_eq!((&result["id"], &result["ports"]), (&json!("docs-1"), &json!({"5": "OFF"})));
    client.command(STRIP, "0/set", "on", None).await;
    client.command(STRIP, "set", r#"{"ports":{"1":"OFF","2":"TOGGLE"},"ttl_ms":5000}"#, None).await;
    client.command(STRIP, "1/set", r#"{"state":true,"for_s":900}"#, None).await;
    client.command(PLUG, "set", "ON", None).await;
    client.command(PLUG, "0/set", "OFF", Some("unknown_port")).await;
    client.command(STRIP, "9/set", "ON", Some("unknown_port")).await;
    client.command(STRIP, "1/set", "BOIL", Some("bad_payload")).await;
    client.command("maxsmart-nobody", "1/set", "ON", Some("unknown_device")).await;
    client.say(&format!("{BASE}/{STRIP}/get"), "", false).await;
    client.until("info after get", |heard| heard.topic == format!("{BASE}/{STRIP}/last_seen")).await;

    let strip = shelf.plug(STRIP).unwrap();
    client.mark();
    strip.press(3);
    client.event(Some(STRIP), "switched_locally").await;
    client.say(&format!("{BASE}/{STRIP}/2/set"), "OFF", true).await;
    client.event(None, "retained_command").await;

    client.mark();
    strip.plug(|strip| strip.plug_in(6, Load::Constant { milliwatts: 500_000 }));
    client.event(Some(STRIP), "overload").await;
    client
        .until("port 6 off", |heard| {
            heard.topic == format!("{BASE}/{STRIP}/6/state") && heard.payload == "OFF"
        })
        .await;
    client.command(STRIP, "6/set", "ON", Some("latched")).await;

    let id = |more: Value| {
        let mut all = json!({"id": STRIP, "transaction": 17});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    client.request("scan", &json!({"seconds": 1})).await;
    client.request("adopt", &json!({"value": true, "time": 300})).await;
    client.request("device_rename", &id(json!({"name": "Office strip"}))).await;
    client.request("port_rename", &id(json!({"port": 1, "name": "Desk lamp"}))).await;
    let options = json!({"options": {"poll_interval": "1s", "port": {"1": {"lock": "on"}}}});
    client.request("device_options", &id(options)).await;
    client.command(STRIP, "1/set", r#"{"state":"OFF","id":"docs-2"}"#, Some("locked")).await;
    client.event(Some(STRIP), "command_failed").await;
    let energy = client.request("energy_set", &id(json!({"port": 1, "kwh": 12.3}))).await;
    assert_eq!(energy["data"]["kwh"], 12.3, "{energy}");
    let replace = client.request("device_replace", &id(json!({"by": PLUG}))).await;
    assert!(replace["error"].as_str().unwrap().contains("still answers"), "{replace}");
    for (verb, more) in [
        ("clock", json!({})),
        ("countdown", json!({"port": 2, "minutes": 20})),
        ("schedule", json!({"add": {"on": [2], "off": [4], "at": "22:10", "days": "Mon-Fri"}})),
        ("history", json!({})),
        ("price", json!({"price": 0.31, "currency": "CHF"})),
        ("leader", json!({"leader": 2, "followers": [3, 4], "limit_w": 5})),
        (
            "presence_simulation",
            json!({"enabled": true, "days": "Fri-Sun", "from": "18:30", "to": "1:00", "ports": [2, 3]}),
        ),
        ("port_rename", json!({"port": 1, "name": "Desk lamp", "device_too": true, "transaction": 17})),
    ] {
        let mut request = json!({"id": STRIP});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let response = client.request(verb, &request).await;
        assert_eq!(response["status"], "ok", "{verb}: {response}");
    }
    let raw = client.request("call", &json!({"id": STRIP, "command": 511})).await;
    assert_eq!(raw["status"], "error", "{raw}");
    let released = client.request("overload_reset", &id(json!({"port": 6}))).await;
    assert_eq!(released["data"]["ports"], json!([6]), "{released}");
    client.request("log_level", &json!({"level": "info"})).await;
    client.request("cleanup", &json!({"dry_run": true})).await;
    client.request("health_check", &json!({})).await;
    let refused = client.request("nonsense", &json!({})).await;
    assert_eq!(refused["status"], "error");

    // The order in which everything is told again.
    let before = client.log.len();
    client.request("republish", &json!({})).await;
    let online = |heard: &Heard| heard.topic == format!("{BASE}/bridge/state");
    let last = client.until("the word that all is told", online).await;
    assert_eq!(last.payload, "online");
    let told = client.log[before..].to_vec();
    let place = |topic: &str| told.iter().position(|heard| heard.topic == topic).expect(topic);
    let order = [
        place(&format!("{BASE}/bridge/info")),
        place(&format!("homeassistant/device/plug2mqtt_{STRIP}/config")),
        place(&format!("{BASE}/{STRIP}/availability")),
        place(&format!("{BASE}/{STRIP}/1/state")),
        place(&format!("{BASE}/{STRIP}/1/power")),
        place(&format!("{BASE}/{STRIP}/energy")),
        told.len() - 1,
    ];
    assert!(order.is_sorted(), "{order:?}");

    client.mark();
    strip.move_to(Ipv4Addr::new(127, 0, 18, 21)).await.unwrap();
    client.event(Some(STRIP), "address_changed").await;
    client.mark();
    strip.reboot();
    client.event(Some(STRIP), "device_restarted").await;
    let plug = shelf.plug(PLUG).unwrap();
    client.mark();
    plug.set_faults(Faults { off: true, ..Faults::default() }).await.unwrap();
    client.event(None, "device_offline").await;
    client.mark();
    plug.set_faults(Faults::default()).await.unwrap();
    client.event(None, "device_online").await;
    client.say(&format!("homeassistant/device/plug2mqtt_{STRIP}/config"), "", true).await;
    client.event(None, "discovery_cleared_by_ha").await;
    client.request("device_remove", &json!({"id": PLUG})).await;
    client.event(None, "device_found").await;
    client.event(None, "device_adopted").await;
    let presence = format!("{BASE}/{PLUG}/presence_simulation");
    client.until("its round", |heard| heard.topic == presence && !heard.payload.is_empty()).await;
    client.say("homeassistant/status", "online", false).await;
    client.until("the word that all is told", online).await;

    let mut late = Client::connect("late", port).await;
    // The broker answers in order: what was retained comes before this.
    late.say("docs/end", "", false).await;
    late.until("end of what is retained", |heard| heard.topic == "docs/end").await;
    client.request("restart", &json!({})).await;
    let retained = client.log.iter().chain(&late.log).filter(|heard| heard.retained);
    let retained = retained.map(|heard| heard.topic.clone()).collect();
    Run { log: client.log, spoken: client.spoken.into_iter().chain(late.spoken).collect(), retained }
}

/// Whether a topic of the page, with its placeholders, covers a real one.
fn covers(pattern: &str, topic: &str) -> bool {
    let levels = |text: &str| text.split('/').map(Into::into).collect::<Vec<String>>();
    let (pattern, topic) = (levels(pattern), levels(topic));
    let level = |(pattern, real): (&String, &String)| {
        let Some((start, name)) = pattern.split_once('<') else { return pattern == real };
        let Some(rest) = real.strip_prefix(start) else { return false };
        match name.trim_end_matches('>') {
            "base" => rest == BASE,
            "prefix" => rest == "homeassistant",
            "port" => rest.bytes().all(|b| b.is_ascii_digit()),
            "plug" => !rest.starts_with("bridge"),
            "verb" => !rest.is_empty(),
            other => panic!("docs/mqtt.md: <{other}> is not a placeholder"),
        }
    };
    pattern.len() == topic.len() && pattern.iter().zip(&topic).all(level)
}

/// Every key of a JSON text by its path; ports are `N`, elements of a list `[]`. Words that decide what else is there
/// are kept with their value.
fn shape(json: &Value, path: &str, into: &mut BTreeSet<String>) {
    match json {
        Value::Object(all) => {
            for (key, value) in all {
                let name = if key.bytes().all(|b| b.is_ascii_digit()) { "N" } else { key };
                let path = format!("{path}.{name}");
                match value.as_str() {
                    Some(word) if ["event_type", "status"].contains(&name) => {
                        into.insert(format!("{path}={word}"))
                    }
                    _ => into.insert(path.clone()),
                };
                shape(value, &path, into);
            }
        }
        Value::Array(all) => all.iter().for_each(|one| shape(one, &format!("{path}[]"), into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn shape_of(json: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    shape(json, "", &mut all);
    all
}

/// The JSON examples of a page, each after `<!-- example TOPIC -->`.
fn examples(page: &str) -> Vec<(String, Value)> {
    let parts = page.split("<!-- example ").skip(1);
    parts
        .map(|part| {
            let (topic, rest) = part.split_once(" -->\n```json\n").expect("a JSON block after each mark");
            let text = rest.split_once("\n```").expect("the end of the block").0;
            let json = serde_json::from_str(text).unwrap_or_else(|error| panic!("{topic}: {error}\n{text}"));
            (topic.to_owned(), json)
        })
        .collect()
}

fn check_topics(page: &str, run: &Run) {
    let rows = table(page, "topics");
    let way = |wanted: &str| rows.iter().filter(|row| row[1] == wanted).collect::<Vec<_>>();
    let (out, inward) = (way("out"), way("in"));
    assert_eq!(out.len() + inward.len(), rows.len(), "a topic is `out` or `in`");
    let published = run.log.iter().map(|heard| heard.topic.clone());
    let published: BTreeSet<String> = published.filter(|topic| !run.spoken.contains(topic)).collect();
    for topic in &published {
        let row = out.iter().find(|row| covers(&row[0], topic));
        let row = row.unwrap_or_else(|| panic!("{topic} is published, docs/mqtt.md does not know it"));
        assert_eq!(row[2] == "yes", run.retained.contains(topic), "{topic}: retained");
    }
    for row in out {
        let seen = published.iter().any(|topic| covers(&row[0], topic))
            // The one discovery message the run itself has emptied.
            || run.spoken.iter().any(|topic| covers(&row[0], topic));
        assert!(seen, "docs/mqtt.md has {}, which is never published", row[0]);
    }
    for row in inward {
        let tried = run.spoken.iter().any(|topic| covers(&row[0], topic));
        assert!(tried, "docs/mqtt.md has {}, which this test does not try", row[0]);
    }
    let commands = run.spoken.iter().filter(|topic| topic.starts_with(&format!("{BASE}/")));
    for topic in commands {
        assert!(!run.retained.contains(topic), "{topic} is still retained");
    }
}

fn check_examples(page: &str, run: &Run) {
    let mut documented: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let messages = |pattern: &str| {
        let ours = run.log.iter().filter(|heard| !run.spoken.contains(&heard.topic));
        let fitting: Vec<BTreeSet<String>> = ours
            .filter(|heard| covers(pattern, &heard.topic))
            .filter_map(|heard| Some(shape_of(&heard.json()?)))
            .collect();
        fitting
    };
    for (pattern, example) in examples(page) {
        let wanted = shape_of(&example);
        let real = messages(&pattern);
        assert!(
            real.contains(&wanted),
            "{pattern}: nothing published has the keys of the example\n{wanted:#?}\nthe nearest: {:#?}",
            real.iter().min_by_key(|one| one.symmetric_difference(&wanted).count())
        );
        documented.entry(pattern).or_default().extend(wanted);
    }
    for (pattern, keys) in documented {
        for real in messages(&pattern) {
            let unknown: Vec<&String> = real.difference(&keys).collect();
            assert!(unknown.is_empty(), "{pattern}: no example shows {unknown:?}");
        }
    }
}

fn check_entities(page: &str, run: &Run, mark: &str, topic: &str) {
    // The last word: what a plug can do beyond switching is found out by asking.
    let said = run.log.iter().rfind(|heard| heard.topic == topic && !heard.payload.is_empty()).expect(topic);
    let message = said.json().unwrap();
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let key = |key: &str| match key.strip_prefix('p').and_then(|rest| rest.split_once('_')) {
        Some((number, rest)) if number.bytes().all(|b| b.is_ascii_digit()) => format!("pN_{rest}"),
        _ => key.to_owned(),
    };
    let parts = message["cmps"].as_object().unwrap();
    let real: BTreeSet<Vec<String>> = parts
        .iter()
        .map(|(name, part)| {
            let hidden = if part["en"] == json!(false) { "no" } else { "yes" };
            vec![key(name), word(&part["p"]), word(&part["dev_cla"]), hidden.to_owned()]
        })
        .collect();
    let rows = table(page, mark);
    let written: BTreeSet<Vec<String>> = rows.iter().map(|row| row[..4].to_vec()).collect();
    assert_eq!(written, real, "entities of {topic}");
}

fn check_numbers(run: &Run) {
    let numbers = ["power", "current", "latency"];
    for heard in run.log.iter().filter(|heard| !heard.payload.is_empty()) {
        let last = heard.topic.rsplit('/').next().unwrap_or_default();
        if numbers.contains(&last) {
            let plain = heard.payload.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let decimals = heard.payload.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            assert!(plain && decimals <= 3, "{} {}", heard.topic, heard.payload);
        }
    }
}

#[tokio::test]
async fn the_contract_is_what_the_program_does() {
    let page = read("docs/mqtt.md");
    let run = eventful_run().await;
    check_topics(&page, &run);
    check_examples(&page, &run);
    let page = read("docs/home-assistant.md");
    check_entities(&page, &run, "entities", &format!("homeassistant/device/plug2mqtt_{STRIP}/config"));
    check_entities(&page, &run, "bridge-entities", "homeassistant/device/plug2mqtt_bridge_plug2mqtt/config");
    check_numbers(&run);
}

#[test]
fn every_request_is_documented_with_its_keys() {
    let page = read("docs/mqtt.md");
    let mut written: BTreeMap<String, String> = BTreeMap::new();
    for (mark, beside) in [("requests", ""), ("plug-requests", "\"id\"")] {
        let mut verbs = String::new();
        for row in table(&page, mark) {
            // The rows of a verb follow each other; its name is in the first.
            verbs = if row[0].is_empty() { verbs } else { row[0].clone() };
            for verb in verbs.split(", ") {
                *written.entry(verb.into()).or_default() += &format!("{beside} {}", row[1]);
            }
        }
    }
    let names: BTreeSet<&str> = verbs().iter().map(|verb| verb.name).collect();
    assert_eq!(names, written.keys().map(String::as_str).collect());
    for verb in verbs() {
        let said = &written[verb.name];
        for key in (verb.keys)().iter().filter(|key| **key != "transaction") {
            assert!(said.contains(&format!("\"{key}\"")), "{}: no word of {key}: {said}", verb.name);
        }
    }
}
