use super::*;
use crate::model::{BridgeView, Energy};
use crate::sinks::mqtt::memory::Names;
use crate::sinks::mqtt::router::{Routed, Router};
use peers::says;
use serde_json::json;
use std::collections::BTreeSet;

mod peers;
mod problems;

fn settings() -> Arc<Settings> {
    use crate::sinks::mqtt::link::Address;
    use crate::sinks::mqtt::{DiscoveryMode, PortDevices};
    Arc::new(Settings {
        address: Address {
            host: "127.0.0.1".into(),
            port: 1883,
            tls: None,
            login: None,
            client_id: "plug2mqtt-test".into(),
            keep_alive: Duration::from_secs(30),
        },
        announcer: Announcer {
            base: "home".into(),
            prefix: "homeassistant".into(),
            mode: DiscoveryMode::Device,
            port_devices: PortDevices::None,
            version: "1",
        },
        birth_topic: "homeassistant/status".into(),
        respect_deletion: false,
        allow_admin: true,
        allow_raw: false,
        families: vec!["maxsmart", "inplug"],
        facts: crate::sinks::mqtt::BridgeFacts {
            version: "1",
            run: "00000000000000aa".into(),
            started_ms: 1000,
            take_over: false,
            discovery: "device",
            drivers: vec!["maxsmart"],
            config_checksum: String::new(),
            timezone: None,
        },
    })
}

fn at(ms: u64) -> Now {
    Now { up: Duration::from_millis(ms), unix_ms: ms, utc_offset_s: 0, dst_s: 0, nonce: 7 }
}

struct Story {
    session: Session,
    router: Router,
}

impl Story {
    fn new() -> Self {
        Self::remembering(Memory::default())
    }

    fn remembering(memory: Memory) -> Self {
        let settings = settings();
        let session = Session::new(Arc::clone(&settings), memory, Arc::default(), &at(0));
        Self { session, router: Router::new(settings) }
    }

    fn handle(&mut self, ms: u64, input: Input) -> Vec<Outgoing> {
        self.session.handle(&at(ms), input);
        std::iter::from_fn(|| self.session.outgoing()).collect()
    }

    fn connect(&mut self, ms: u64) -> Vec<Outgoing> {
        self.handle(ms, Input::Connected(Arc::default()))
    }

    fn retained(&mut self, ms: u64, topic: &str, payload: &str) -> Vec<Outgoing> {
        match self.router.route(topic, payload.as_bytes(), true) {
            Routed::Rest(received) => self.handle(ms, Input::Received(received)),
            Routed::HubRequest(order) => panic!("{topic} {payload} must not reach the hub: {order:?}"),
            Routed::Nothing => Vec::new(),
        }
    }

    /// What was read back, if that has come to its end at this time.
    fn metered(&mut self, ms: u64) -> Option<Vec<(String, Option<u8>, f64)>> {
        let out = self.handle(ms, Input::Tick);
        let told = out.iter().find_map(|out| {
            if let Outgoing::HubRequest(HubRequest::Metered(told)) = out { Some(told.clone()) } else { None }
        })?;
        assert!(out.iter().any(|out| matches!(out, Outgoing::Unsubscribe(filters) if filters.len() == 2)));
        Some(told.into_iter().map(|one| (one.plug.as_str().into(), one.port, one.kwh)).collect())
    }
}

fn subscriptions(out: &[Outgoing]) -> Vec<&str> {
    let lists = out.iter().filter_map(|out| {
        if let Outgoing::Subscribe(list) | Outgoing::LookAt(list) = out { Some(list) } else { None }
    });
    lists.flatten().map(String::as_str).collect()
}

#[test]
fn energy_of_earlier_runs_is_read_back_once() {
    let mut story = Story::new();
    let out = story.connect(0);
    assert!(subscriptions(&out).contains(&"home/+/+/energy"), "{out:?}");
    assert_eq!(subscriptions(&out).last(), Some(&"home/bridge/info"));
    story.retained(10, "home/maxsmart-a/1/energy", "1.5000");
    story.retained(10, "home/maxsmart-a/energy", "4.2500");
    story.retained(10, "home/maxsmart-b/energy", "unknown");
    assert_eq!(story.metered(400), None, "the mark has not come");
    story.retained(500, "home/bridge/info", "{}");
    story.retained(600, "home/maxsmart-a/2/energy", "2.7500");
    assert_eq!(story.metered(1099), None, "a broker may send in another order");
    assert_eq!(story.session.wake_at(), Duration::from_millis(1100));
    let a = |port, kwh| ("maxsmart-a".to_owned(), port, kwh);
    assert_eq!(story.metered(1100), Some(vec![a(None, 4.25), a(Some(1), 1.5), a(Some(2), 2.75)]));
    assert_eq!(story.metered(20_000), None);
}

/// Energy that is published for port 1, and whether a snapshot is.
fn energy_told(out: &[Outgoing]) -> (Option<String>, bool) {
    let told = |tail: &str| {
        out.iter().find_map(|out| {
            let Outgoing::Publish { topic, payload, .. } = out else { return None };
            topic.ends_with(tail).then(|| payload.clone())
        })
    };
    (told("/1/energy"), told("/state").filter(|state| state.starts_with('{')).is_some())
}

#[test]
fn energy_on_the_broker_stays_as_it_is_until_what_others_have_told_meanwhile_is_known() {
    let mut story = Story::new();
    let with = |kwh: f64, read: u32| {
        let mut plug = strip(1);
        plug.ports[0].energy = Energy::from_kwh(kwh);
        plug.energy = plug.ports[0].energy;
        let mut view = View::clone(&picture([plug]));
        view.bridge = Arc::new(BridgeView { meters_read: read, ..BridgeView::default() });
        Arc::new(view)
    };
    let topic = format!("home/{}/1/energy", strip(1).id);
    story.handle(0, Input::Connected(with(1.0, 0)));
    story.retained(10, "home/bridge/info", "{}");
    assert!(story.metered(600).is_some());
    // The connection is lost; another bridge has metered on.
    let out = story.handle(60_000, Input::Connected(with(1.0, 0)));
    assert!(subscriptions(&out).contains(&"home/+/+/energy"));
    let (energy, snapshot) = energy_told(&out);
    assert_eq!((energy, snapshot), (None, false), "{out:?}");
    story.retained(60_010, &topic, "1.5000");
    story.retained(60_020, "home/bridge/info", "{}");
    let out = story.handle(60_600, Input::Tick);
    let read = out.iter().find_map(|out| {
        let Outgoing::HubRequest(HubRequest::MeteredMeanwhile(told, apart)) = out else { return None };
        Some((told.clone(), *apart))
    });
    let (told, apart) = read.expect("what was found");
    assert_eq!((told[0].kwh, told.len()), (1.5, 1));
    assert!(apart >= Duration::from_secs(59), "{apart:?}");
    assert_eq!(energy_told(&story.handle(60_610, Input::Shown(with(1.0001, 0)))), (None, false));
    let out = story.handle(60_620, Input::Shown(with(1.5001, 1)));
    let out = [out, story.handle(60_640, Input::Tick)].concat();
    assert_eq!(energy_told(&out), (Some("1.5001".into()), true), "{out:?}");
    // Another bridge is heard.
    let info = json!({"version": "0.1.0", "run": "ghost", "started": "2026-01-01T00:00:00.000Z"});
    let mut out = story.hears(200_000, "info", &info.to_string());
    assert!(subscriptions(&out).contains(&"home/+/+/energy"), "{out:?}");
    out.extend(story.handle(200_100, Input::Shown(with(1.6, 1))));
    assert_eq!(energy_told(&out).0, None, "{out:?}");
    // The broker says nothing; it has its time.
    for ms in [210_200, 210_300] {
        story.handle(ms, Input::Tick);
    }
    let out = story.handle(210_400, Input::Shown(with(1.6, 2)));
    let out = [out, story.handle(210_500, Input::Tick)].concat();
    assert_eq!(energy_told(&out).0.as_deref(), Some("1.6000"));
}

#[test]
fn reading_back_begins_anew_with_a_new_connection_and_ends_without_a_mark() {
    let mut story = Story::new();
    story.connect(0);
    story.retained(10, "home/maxsmart-a/energy", "9.0000");
    let out = story.connect(2000);
    assert!(subscriptions(&out).contains(&"home/+/energy"));
    assert_eq!(story.metered(11_999), None);
    // A broker that came back empty has told it before.
    assert_eq!(story.metered(12_000), Some(vec![("maxsmart-a".into(), None, 9.0)]));
}

#[test]
fn what_a_dying_connection_may_have_swallowed_is_emptied_again() {
    let mut story = Story::new();
    let emptied = |out: Vec<Outgoing>| {
        let empty = |out: &&Outgoing| matches!(out, Outgoing::Publish { payload, .. } if payload.is_empty());
        out.iter().filter(empty).count()
    };
    assert_eq!(emptied(story.connect(0)), 0);
    assert_eq!(emptied(story.retained(10, "home/maxsmart-a/set", "ON")), 1);
    assert_eq!(emptied(story.connect(64_000)), 1);
    assert_eq!(emptied(story.connect(128_000)), 1, "that connection was a short one, too");
    assert_eq!(emptied(story.connect(194_000)), 0);
    // What has an owner by now is not.
    story.session.publish("home/bridge/info", "", true);
    assert_eq!(emptied(story.connect(194_020)), 0);
}

fn strip(n: u32) -> PlugView {
    let id = PlugId::of("maxsmart", &format!("swp6{n:012}")).unwrap();
    let port = crate::model::PortView { relay: Some(true), watts: Some(1.0), ..Default::default() };
    let offer = crate::model::Capabilities { ports: 6, power: true, ..Default::default() };
    PlugView {
        driver: "maxsmart",
        adopted: true,
        offer,
        online: true,
        ports: vec![port; 6],
        watts: Some(6.0),
        last_seen_ms: Some(1),
        ..PlugView::unknown(id)
    }
}

fn picture(plugs: impl IntoIterator<Item = PlugView>) -> Arc<View> {
    let plugs = plugs.into_iter().map(|plug| (plug.id.clone(), Arc::new(plug))).collect();
    Arc::new(View { plugs, ..View::default() })
}

#[test]
fn who_asks_for_everything_gets_everything_once() {
    let mut story = Story::new();
    let mut plug = strip(1);
    story.handle(0, Input::Connected(picture([plug.clone()])));
    story.handle(2000, Input::Tick);
    // As the hub shows it after `get`: nothing has changed.
    (plug.beat, plug.echo) = (plug.beat + 1, plug.echo + 1);
    let mut out = story.handle(10_000, Input::Shown(picture([plug.clone()])));
    out.extend(story.handle(12_000, Input::Tick));
    let own = format!("home/{}/", plug.id);
    let mut said: Vec<&str> = out
        .iter()
        .filter_map(|out| {
            let Outgoing::Publish { topic, .. } = out else { return None };
            topic.strip_prefix(&own)
        })
        .collect();
    said.sort_unstable();
    let all = topics::retained("home", &plug);
    let mut wanted: Vec<&str> =
        all.iter().filter_map(|message| message.topic.strip_prefix(&own)).chain(["state"]).collect();
    wanted.sort_unstable();
    assert_eq!(said, wanted);
    assert!(said.contains(&"6/state") && said.contains(&"availability"));
}

#[test]
fn how_many_are_online_is_told_when_it_changes() {
    let mut story = Story::new();
    let told = |out: &[Outgoing]| out.iter().any(|out| matches!(out, Outgoing::Health(Health::Topic)));
    let away = |n: u32| PlugView { online: false, ..strip(n) };
    assert!(told(&story.handle(0, Input::Connected(picture([away(1), away(2)])))));
    assert!(told(&story.handle(300, Input::Shown(picture([strip(1), away(2)])))), "one comes");
    story.handle(3000, Input::Tick);
    let mut loud = strip(1);
    loud.watts = Some(9.0);
    assert!(!told(&story.handle(5000, Input::Shown(picture([loud, away(2)])))), "power is no news");
    assert!(told(&story.handle(9000, Input::Shown(picture([away(1), away(2)])))), "it goes");
}

#[test]
fn a_snapshot_that_says_nothing_new_is_not_published() {
    let mut story = Story::new();
    let mut plug = strip(1);
    let topic = topics::snapshot_topic("home", &plug.id);
    let told = |ms: u64, story: &mut Story, input: Input| {
        let mut out = story.handle(ms, input);
        out.extend(story.handle(ms + 2000, Input::Tick));
        out.iter().filter(|out| matches!(out, Outgoing::Publish { topic: t, .. } if *t == topic)).count()
    };
    assert_eq!(told(0, &mut story, Input::Connected(picture([plug.clone()]))), 1);
    let states = crate::model::States { drift_s: Some(3), ..Default::default() };
    (plug.capabilities, plug.unix_ms) = (Some(Arc::new(states)), 10_000);
    assert_eq!(told(10_000, &mut story, Input::Shown(picture([plug.clone()]))), 0, "it has no clock to show");
    (plug.watts, plug.unix_ms) = (Some(8.0), 20_000);
    assert_eq!(told(20_000, &mut story, Input::Shown(picture([plug.clone()]))), 1);
    (plug.beat, plug.unix_ms) = (1, 30_000);
    assert_eq!(told(30_000, &mut story, Input::Shown(picture([plug.clone()]))), 1, "the heartbeat");
    assert_eq!(told(40_000, &mut story, Input::Connected(picture([plug]))), 1, "a broker that may be empty");
}

#[test]
fn a_fleet_is_told_in_portions_and_never_more_than_a_few_hundred_messages_wait() {
    let mut story = Story::new();
    let view = picture((0..300).map(strip));
    let (mut ms, mut turns) = (0, 0);
    let mut out = story.handle(ms, Input::Connected(Arc::clone(&view)));
    let mut online = None;
    while online.is_none() {
        assert!(out.len() < 400, "{}", out.len());
        online = out
            .iter()
            .position(|out| matches!(out, Outgoing::Publish { topic, .. } if topic == "home/bridge/state"));
        ms = ms.max(u64::try_from(story.session.wake_at().as_millis()).unwrap());
        out = story.handle(ms, Input::Tick);
        turns += 1;
        assert!(turns < 10_000, "never online");
    }
    assert!(view.plugs.keys().all(|id| story.session.publisher.sent(id).is_some()));
    assert!(ms < 3000, "{ms}");
}

#[test]
fn who_is_removed_before_it_was_told_again_is_taken_back_all_the_same() {
    let mut story = Story::new();
    let all = picture((0..300).map(strip));
    let last = all.plugs.keys().next_back().unwrap().clone();
    story.handle(0, Input::Connected(Arc::clone(&all)));
    // An earlier run has told it; this one has not come to it yet.
    assert!(story.session.publisher.sent(&last).is_none());
    let mut fewer = View::clone(&all);
    fewer.plugs.remove(&last);
    let (mut ms, mut emptied) = (0, BTreeSet::new());
    let fewer = Arc::new(fewer);
    let mut out = story.handle(ms, Input::Shown(Arc::clone(&fewer)));
    while !story.session.publisher.is_done() || !out.is_empty() {
        for out in out {
            if let Outgoing::Publish { topic, payload, retain: true } = out
                && topic.contains(last.as_str())
            {
                assert_eq!(payload, "", "{topic}");
                emptied.insert(topic);
            }
        }
        ms = ms.max(u64::try_from(story.session.wake_at().as_millis()).unwrap());
        out = story.handle(ms.min(5000), Input::Tick);
    }
    for tail in ["availability", "1/state", "6/power"] {
        assert!(emptied.contains(&format!("home/{last}/{tail}")), "{tail} is not among {emptied:?}");
    }
    assert_eq!(story.session.publisher.gone(&fewer), []);
}

fn peer(run: &str, second: u32) -> Value {
    let started = format!("1970-01-01T00:00:{second:02}.000Z");
    json!({"version": "1", "healthy": true, "run": run, "started": started})
}

#[test]
fn one_look_serves_all_who_want_a_cleanup_and_each_is_answered() {
    let mut story = Story::new();
    story.connect(0);
    let mut looks = 0;
    let mut answers = Vec::new();
    let mut take = |out: Vec<Outgoing>| {
        looks += out.iter().filter(|out| **out == Outgoing::LookAround).count();
        answers
            .extend(says(&out, "response/cleanup").map(|text| serde_json::from_str::<Value>(&text).unwrap()));
        looks
    };
    for n in 0..30 {
        take(story.hears(n, "request/cleanup", &json!({"dry_run": true, "transaction": n}).to_string()));
    }
    assert_eq!(take(story.handle(40, Input::Tick)), 1);
    let busy = answers.len();
    let out = story.handle(50, Input::Looked(Ok(vec!["home/maxsmart-gone/1/state".into()])));
    let told = out
        .iter()
        .filter(|out| matches!(out, Outgoing::Publish { topic, .. } if topic.ends_with("/cleanup")));
    assert_eq!((busy, told.count()), (14, 16));
    assert!(out.iter().all(|out| !matches!(out, Outgoing::Publish { payload, .. } if payload.is_empty())));
}

#[test]
fn the_list_of_devices_has_an_end_and_those_taken_in_come_first() {
    let strangers = (0..12_000).map(|n| PlugView { adopted: false, ..strip(n) });
    let view = picture(strangers.chain([strip(999_999)]));
    let devices = topics::devices(&view);
    assert!((1_000_000..1_100_000).contains(&devices.len()), "{}", devices.len());
    let devices: Vec<Value> = serde_json::from_str(&devices).unwrap();
    assert_eq!(devices[0]["adopted"], true);
}

#[test]
fn what_stands_under_other_names_is_taken_back_only_where_nobody_lives() {
    let emptied = |out: &[Outgoing]| {
        let old = |out: &&Outgoing| matches!(out, Outgoing::Publish { topic, payload, retain: true } if topic.starts_with("old/") && payload.is_empty());
        out.iter().filter(old).count()
    };
    let named =
        |out: &[Outgoing]| out.iter().any(|out| matches!(out, Outgoing::HubRequest(HubRequest::Keep(_))));
    let mut former = Memory::default();
    former.name(&Names { base: "old".into(), prefix: "homeassistant".into(), bridge: false });
    // It is not known who lives there: left for the next connection.
    let mut story = Story::remembering(former.clone());
    let out = story.connect(0);
    assert_eq!((emptied(&out), named(&out), story.session.former_base()), (0, false, Some("old")));
    story.session.former_is_free(true);
    let out = story.connect(10_000);
    assert_eq!((emptied(&out), named(&out), story.session.former_base()), (5, true, None));
    let out = story.connect(60_000);
    assert!(!named(&out), "once");
    // Somebody else lives there.
    let mut story = Story::remembering(former);
    story.session.former_is_free(false);
    let out = story.connect(0);
    assert_eq!((emptied(&out), named(&out)), (0, true));
}
