//! The library as other programs use it: no settings, no broker, simulated plugs of every family.

use crate::support::{addresses, quiet, run, strip, watts};
use plug2mqtt::bridge;
use plug2mqtt::config::Settings;
use plug2mqtt::drivers;
use plug2mqtt::sim::{Faults, Inplug, Recording, Shelf, Strip};
use plug2mqtt::{
    Client, Currency, Days, DiscoveredPlug, Error, Failure, LeaderChange, Plug, PlugId, Port,
    PresenceSimulationChange, Price, RuleChange, Span, jiff::civil::date,
};
use std::time::Duration;

/// Long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(3);

const MINUTE: Duration = Duration::from_secs(60);

/// Plugs of every family, and a client that finds them.
struct Bench {
    strips: Shelf,
    inplugs: Shelf<Inplug>,
    client: Client,
}

impl Bench {
    async fn new(strips: Vec<Strip>, inplugs: Vec<Inplug>) -> Self {
        let mut homes = addresses(strips.len() + inplugs.len()).into_iter();
        let strips = strips.into_iter().map(|strip| (homes.next().unwrap(), strip)).collect();
        let inplugs = inplugs.into_iter().map(|plug| (homes.next().unwrap(), plug)).collect();
        let strips = Shelf::serve(strips, 0, 0).await.unwrap();
        let inplugs = Shelf::serve(inplugs, 0, 0).await.unwrap();
        let (udp, http) = strips.ports();
        let client = Client::new().unwrap().broadcast([Shelf::LOOPBACK_BROADCAST]);
        let client = client.timeout(TIMEOUT).udp_port("maxsmart", udp).unwrap();
        let client = client.http_port("maxsmart", http).unwrap();
        let client = client.udp_port("inplug", inplugs.ports().0).unwrap();
        Self { strips, inplugs, client }
    }

    async fn both() -> Self {
        let heater = Inplug::new(0x11).named("Heater").with_relay(true).load(watts(60));
        Self::new(vec![strip()], vec![heater]).await
    }

    async fn strip(&self) -> Plug {
        self.client.connect(&self.strips.plugs()[0].ip().to_string()).await.unwrap()
    }

    async fn inplug(&self) -> Plug {
        self.client.connect(&self.inplugs.plugs()[0].ip().to_string()).await.unwrap()
    }
}

#[test]
fn what_is_public_can_go_to_other_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<(Client, DiscoveredPlug, Plug, Port<'_>, Error)>();
}

#[test]
fn families_are_where_the_settings_say_when_they_say_nothing() {
    for config in bridge::driver_configs(&Settings::new(drivers::ALL)) {
        assert_eq!(config.family, config.driver.info().usual(), "{}", config.driver.name());
    }
}

#[test]
fn plugs_of_every_family_are_discovered_and_connected_to() {
    run(async {
        let bench = Bench::both().await;
        let found = bench.client.discover(Duration::from_secs(2)).await;
        let mut shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        shown.sort();
        let homes = (bench.inplugs.plugs()[0].ip(), bench.strips.plugs()[0].ip());
        let wanted = [
            format!("Heater (inplug-020000002711) at {}", homes.0),
            format!("Office strip (maxsmart-swp6000000000001) at {}", homes.1),
        ];
        assert_eq!(shown, wanted);
        let nowhere = bench.client.clone().broadcast([]);
        assert!(nowhere.discover(Duration::from_millis(20)).await.is_empty());
        for one in found {
            let plug = one.connect().await.unwrap();
            assert_eq!((plug.to_string(), plug.family()), (one.to_string(), one.family()));
            assert_eq!((plug.id(), plug.address()), (one.id(), one.address()));
            assert!(!plug.model().is_empty() && plug.info().firmware.is_some(), "{plug:?}");
            assert_eq!(plug.ports().count(), usize::from(plug.port_count()));
        }
    });
}

#[test]
fn a_plug_is_found_by_address_id_serial_mac_and_name() {
    run(async {
        let bench = Bench::both().await;
        let (strip, inplug) = (&bench.strips.plugs()[0], &bench.inplugs.plugs()[0]);
        for host in [strip.ip().to_string(), strip.http_addr().to_string()] {
            assert_eq!(bench.client.connect(&host).await.unwrap().port_count(), 6, "{host}");
        }
        for host in [inplug.ip().to_string(), inplug.udp_addr().to_string()] {
            assert_eq!(bench.client.connect(&host).await.unwrap().port_count(), 1, "{host}");
        }
        let words =
            ["maxsmart-swp6000000000001", "SWP6000000000001", "office STRIP", "02:00:00:00:27:11", "heater"];
        let [a, b, c, d, e] = words.map(|word| bench.client.find(word));
        let (a, b, c, d, e) = tokio::join!(a, b, c, d, e);
        let ids = [a, b, c, d, e].map(|plug| plug.unwrap().id().map(PlugId::to_string).unwrap());
        assert_eq!(ids[..3], ["maxsmart-swp6000000000001"; 3]);
        assert_eq!(ids[3..], ["inplug-020000002711"; 2]);
    });
}

#[test]
fn ports_of_every_family_are_read_and_switched() {
    run(async {
        let bench = Bench::both().await;
        let plug = bench.strip().await;
        let relays = || bench.strips.plugs()[0].strip(|strip| strip.relays().to_vec());
        let two = plug.port(2).unwrap();
        assert_eq!(two.turn_off().await.unwrap().relay, Some(false));
        assert_eq!(relays(), [true, false, true, true, true, true]);
        assert_eq!(two.toggle().await.unwrap().relay, Some(true));
        assert_eq!(plug.port(1).unwrap().read().await.unwrap().watts, Some(10.0));
        let off = plug.turn_off().await.unwrap();
        assert!(off.ports.iter().all(|port| port.relay == Some(false)));
        plug.port(3).unwrap().turn_on().await.unwrap();
        plug.toggle().await.unwrap();
        assert_eq!(relays(), [false; 6]);
        plug.toggle().await.unwrap();
        assert_eq!(relays(), [true; 6]);
        // One conversation at a time, however many want one.
        let (one, two) = (plug.port(1).unwrap(), plug.port(2).unwrap());
        let (a, b, c) = tokio::join!(one.turn_off(), two.turn_off(), plug.read());
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        assert_eq!(bench.strips.plugs()[0].max_connections(), 1);

        let plug = bench.inplug().await;
        let reading = plug.read().await.unwrap();
        assert_eq!((reading.ports[0].relay, reading.ports[0].watts), (Some(true), Some(60.0)));
        assert_eq!(plug.port(1).unwrap().turn_off().await.unwrap().relay, Some(false));
        assert!(!bench.inplugs.plugs()[0].plug(|plug| plug.relay()));
        assert_eq!(plug.toggle().await.unwrap().ports[0].relay, Some(true));
        assert!(plug.turn_off().await.is_ok());
    });
}

#[test]
fn what_a_strip_can_do_beyond_is_set_and_read_back() {
    run(async {
        let bench = Bench::new(vec![strip().naming_ports(&["Lamp", "Fan"])], vec![]).await;
        let plug = bench.strip().await;
        let port = plug.port(2).unwrap();
        assert_eq!((plug.name(), port.name(), port.number()), ("Office strip", "Fan", 2));

        assert!(plug.set_clock().await.unwrap().unwrap().drift_s.abs() <= 2);
        assert!(plug.clock().await.unwrap().drift_s.abs() <= 2);

        assert_eq!(port.countdown().await, Ok(None));
        let countdown = port.set_countdown(20 * MINUTE).await.unwrap().unwrap();
        assert!((1190..=1200).contains(&countdown.left_s) && countdown.minutes == 20);
        assert_eq!(port.cancel_countdown().await, Ok(()));

        let nightly = RuleChange {
            on: vec![1],
            off: vec![4, 5],
            at: Some(22 * 60 + 10),
            days: "mon-fri".parse().ok(),
            ..RuleChange::default()
        };
        let rules = plug.add_rule(nightly).await.unwrap();
        let [rule] = rules.as_slice() else { panic!("{rules:?}") };
        assert_eq!((rule.on.as_slice(), rule.off.as_slice(), rule.at), (&[1][..], &[4, 5][..], 1330));
        let days = Some(Days::ALL);
        let change = RuleChange { days, enabled: Some(false), ..RuleChange::default() };
        let changed = plug.change_rule(rule.id, change).await.unwrap();
        assert_eq!((changed[0].days, changed[0].enabled, changed[0].date), (Days::ALL, false, None));
        let day = date(2037, 12, 24);
        let once = RuleChange { off: vec![1], at: Some(365), date: Some(day), ..RuleChange::default() };
        let rules = plug.add_rule(once).await.unwrap();
        assert!(rules.iter().any(|rule| rule.date == Some(day) && rule.at == 365), "{rules:?}");
        assert_eq!(plug.delete_rule(rule.id).await.unwrap().len(), 1);
        assert_eq!(plug.schedule().await.unwrap().len(), 1);

        let price = Price { cost: 0.29, currency: Currency::Chf };
        assert_eq!(plug.set_price(price).await, Ok(Some(price)));
        assert_eq!(plug.price().await, Ok(Some(price)));

        assert_eq!(plug.leader().await.unwrap().leader(), None);
        let lead = LeaderChange { leader: Some(Some(1)), followers: vec![2, 3], limit_w: Some(10) };
        let group = plug.set_leader(lead).await.unwrap();
        assert_eq!((group.leader(), group.followers(), group.limit_w), (Some(1), vec![2, 3], Some(10)));

        let evenings = PresenceSimulationChange {
            enabled: Some(true),
            days: Some(Days::ALL),
            from: Some(1110),
            to: Some(60),
            ports: vec![2],
        };
        assert!(plug.set_presence_simulation(evenings).await.unwrap().enabled);
        assert_eq!(plug.presence_simulation().await.unwrap().from, 1110);

        assert_eq!(plug.rename("Flur & Bad").await, Ok(true));
        assert_eq!(port.rename("Büro").await, Ok(true));
        assert_eq!(bench.strips.plugs()[0].strip(|strip| strip.port_names()[1].clone()), "Büro");

        let hours = plug.history(Span::Hours).await.unwrap();
        assert_eq!((hours.rows.len(), hours.rows[0].ports.len()), (24, 6));
        assert_eq!(port.history(Span::Months).await.unwrap().port, Some(2));
        assert!(plug.call(515, Some(r#"{"port":1}"#.into())).await.unwrap().contains("515"));
        assert!(plug.hardware().await.unwrap().cpuid.is_some());
    });
}

#[test]
fn errors_have_their_subject_and_say_what_to_do() {
    run(async {
        let bench = Bench::both().await;
        let (strip, inplug) = (bench.strip().await, bench.inplug().await);
        let says = |error: Error, subject: &str, parts: &[&str]| {
            let text = error.to_string();
            assert!(error.subject().is_some_and(|own| own.contains(subject)), "{error:?}");
            assert!(text.contains(subject) && parts.iter().all(|part| text.contains(part)), "{text}");
        };

        let error = strip.port(7).unwrap_err();
        assert!(matches!(error, Error::UnknownPort { port: 7, ports: 6, .. }));
        says(
            error,
            "Office strip (maxsmart-swp6000000000001)",
            &["no port 7", "it has ports 1, 2, 3, 4, 5, 6"],
        );
        assert!(inplug.port(0).is_err() && inplug.port(2).is_err());

        for error in [
            inplug.clock().await.unwrap_err(),
            inplug.schedule().await.unwrap_err(),
            inplug.history(Span::Days).await.unwrap_err(),
            inplug.port(1).unwrap().set_countdown(MINUTE).await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
            assert!(!error.is_temporary());
            says(error, "Heater (inplug-020000002711)", &["was asked"]);
        }

        for error in [
            strip.rename(" ").await.unwrap_err(),
            strip.port(1).unwrap().set_countdown(Duration::from_secs(90)).await.unwrap_err(),
            strip.port(1).unwrap().set_countdown(1441 * MINUTE).await.unwrap_err(),
            strip.add_rule(RuleChange { on: vec![9], ..RuleChange::default() }).await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::InvalidRequest { .. }), "{error:?}");
            says(error, "Office strip", &["was not asked"]);
        }
        let error = strip.delete_rule(4711).await.unwrap_err();
        assert!(matches!(error, Error::Rejected { .. }), "{error:?}");
        says(error, "Office strip", &["no rule 4711"]);

        bench.inplugs.plugs()[0].plug(|plug| plug.lock(true));
        let error = inplug.port(1).unwrap().turn_off().await.unwrap_err();
        says(error, "Heater", &["lock device"]);

        let garbage = Faults { garbage: true, ..Faults::default() };
        bench.strips.plugs()[0].set_faults(garbage).await.unwrap();
        let error = strip.read().await.unwrap_err();
        assert!(matches!(error.failure(), Some(Failure::InvalidResponse(_))), "{error:?}");
        says(error, "Office strip", &["was asked how it is", "plug2mqtt record"]);
    });
}

#[test]
fn who_is_not_there_is_named_with_those_that_are() {
    run(async {
        let twin = quiet(Strip::plug_1_30("SWP1000000000002").mac("02:00:00:00:00:02").named("Heater"));
        let heater = Inplug::new(0x11).named("Heater");
        let bench = Bench::new(vec![twin], vec![heater]).await;
        let (nobody, several) = tokio::join!(bench.client.find("Lamp"), bench.client.find("heater"));
        let Error::NotFound { wanted, found } = nobody.unwrap_err() else { panic!("somebody") };
        assert_eq!((wanted.as_str(), found.len()), ("Lamp", 2));
        let error = several.unwrap_err();
        assert!(matches!(&error, Error::Ambiguous { candidates, .. } if candidates.len() == 2), "{error:?}");
        assert!(error.to_string().contains("inplug-020000002711"), "{error}");

        let client = bench.client.clone().timeout(Duration::from_millis(100));
        let error = client.connect("127.0.0.3").await.unwrap_err();
        assert!(matches!(error, Error::NoPlug { .. }) && error.is_temporary(), "{error:?}");
        assert!(error.failure().is_some_and(|failure| *failure != Failure::Closed));
        let text = error.to_string();
        assert!(text.contains("127.0.0.3") && text.contains("maxsmart, inplug"), "{text}");
        let error = client.connect("no such host:x").await.unwrap_err();
        assert!(matches!(&error, Error::UnknownHost { host, .. } if host == "no such host:x"), "{error:?}");
        assert!(matches!(client.clone().udp_port("meross", 1), Err(Error::UnknownFamily { .. })));
        assert!(matches!(client.clone().time_zone("Nowhere"), Err(Error::UnknownTimeZone { .. })));
        assert!(client.time_zone("Europe/Berlin").is_ok());
    });
}

#[test]
fn a_plug_that_went_fails_with_its_name_and_comes_back() {
    run(async {
        let bench = Bench::both().await;
        let (strip, inplug) = (bench.strip().await, bench.inplug().await);
        // Given up halfway, and asked again.
        for plug in [&strip, &inplug] {
            drop(tokio::time::timeout(Duration::from_micros(50), plug.read()).await);
            plug.read().await.unwrap();
        }
        bench.strips.stop().await;
        bench.inplugs.stop().await;
        for (plug, name) in [(&strip, "Office strip"), (&inplug, "Heater")] {
            let error = plug.read().await.unwrap_err();
            assert!(matches!(error, Error::Failed { .. }) && error.is_temporary(), "{error:?}");
            let text = error.to_string();
            assert!(text.starts_with(name) && text.contains("check its power and Wi-Fi"), "{text}");
        }
    });
}

/// Says yes to everything, and its second port stays off.
const STUBBORN: &str = r##"# plug2mqtt recording 1 of family maxsmart
> UDP 00dv=all;
< {"response":0,"data":{"sn":"SWP6000000000001","name":"Stubborn","ver":"1.30"}}
> GET /?cmd=511
< {"response":511,"code":200,"data":{"watt":["1.00","0.00"],"amp":["0.1","0.0"],"switch":[1,0]}}
> GET /?cmd=200&json={"port":2,"state":1}
< {"response":200,"code":200}
"##;

#[test]
fn a_plug_that_says_yes_and_does_nothing_is_no_success() {
    run(async {
        let home = addresses(1)[0];
        let stubborn = Recording::read(STUBBORN).unwrap();
        let shelf = Shelf::serve(vec![(home, stubborn)], 0, 0).await.unwrap();
        let (udp, http) = shelf.ports();
        let client = Client::new().unwrap().udp_port("maxsmart", udp).unwrap();
        let client = client.http_port("maxsmart", http).unwrap().timeout(TIMEOUT);
        let plug = client.connect(&home.to_string()).await.unwrap();
        assert!(plug.port(1).unwrap().turn_on().await.is_ok());
        let ports = |result: Result<(), Error>| match result {
            Err(Error::NotConfirmed { ports, on: true, .. }) => ports,
            other => panic!("{other:?}"),
        };
        assert_eq!(ports(plug.port(2).unwrap().turn_on().await.map(drop)), [2]);
        assert_eq!(ports(plug.turn_on().await.map(drop)), [2]);
        let error = plug.port(2).unwrap().toggle().await.unwrap_err();
        assert!(error.to_string().contains("did not switch port 2 on"), "{error}");
    });
}
