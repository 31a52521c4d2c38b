//! A family is one folder and one line: this one is added to the set of drivers and to nothing else, and is found,
//! polled, switched, announced and documented.

mod driver;
mod plug;

use crate::support::{TestBridge, addresses, on, run, strip, with};
use driver::Toy;
use plug::Socket;
use plug2mqtt::cli;
use plug2mqtt::config;
use plug2mqtt::drivers::{ALL, Drivers, inplug::Inplug, maxsmart::Maxsmart};
use plug2mqtt::sim::Shelf;
use serde_json::Value;
use std::net::UdpSocket;

/// The one line.
static DRIVERS: Drivers = &[&Maxsmart, &Inplug, &Toy];

const TOY: &str = "toy-0200000000a1";

async fn socket() -> Shelf<Socket> {
    Shelf::serve(addresses(1).into_iter().zip([Socket::new("1234")]).collect(), 0, 0).await.expect("a shelf")
}

fn section(shelf: &Shelf<Socket>) -> String {
    section_at(shelf, 0)
}

/// With a port at which it is listened to.
fn section_at(shelf: &Shelf<Socket>, listen: u16) -> String {
    let (udp, http) = shelf.ports();
    let listen = if listen > 0 { format!("listen = \"{listen}\"\n") } else { String::new() };
    format!(
        "[toy]\n{listen}broadcast = [\"127.255.255.255\"]\nudp_port = {udp}\nhttp_port = {http}\npoll_interval = \"200ms\"\n\
         pin = \"1234\"\nroom = \"attic\"\n"
    )
}

#[test]
fn it_is_found_polled_switched_and_announced_beside_the_others() {
    run(async {
        let shelf = socket().await;
        let mut house = TestBridge::new(vec![strip()]).await;
        house.drivers = DRIVERS;
        house.start(&[], &section(&shelf)).await;
        house.wait_after(0, "a toy", on(&format!("plug2mqtt/{TOY}/availability"), "online")).await;
        let discovery = format!("homeassistant/device/plug2mqtt_{TOY}/config");
        house
            .wait_after(0, "its announcement", with(&discovery, |config| config.contains(r#""mf":"Toys""#)))
            .await;
        house.publish(&format!("plug2mqtt/{TOY}/2/set"), "ON", false).await;
        house.wait_after(0, "port 2 on", on(&format!("plug2mqtt/{TOY}/2/state"), "ON")).await;
        house.wait_after(0, "its power", on(&format!("plug2mqtt/{TOY}/2/power"), "46")).await;
        let socket = &shelf.plugs()[0];
        assert_eq!(socket.plug(|socket| (socket.on, socket.beeps)), ([false, true], 1));
        socket.press(1);
        house.wait_after(0, "a hand", on(&format!("plug2mqtt/{TOY}/1/state"), "ON")).await;
        house.close().await;
        shelf.stop().await;
    });
}

#[test]
fn what_it_says_unasked_is_shown_before_the_next_poll() {
    run(async {
        let shelf = socket().await;
        let listen =
            UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let mut house = TestBridge::new(vec![strip()]).await;
        house.drivers = DRIVERS;
        house.start(&[], &section_at(&shelf, listen).replace("\"200ms\"", "\"1h\"")).await;
        house.wait_after(0, "a toy", on(&format!("plug2mqtt/{TOY}/1/state"), "OFF")).await;
        let socket = &shelf.plugs()[0];
        socket.press(1);
        let news = socket.plug(|socket| socket.news());
        let mark = house.mark();
        // Somebody else says so, too, and that the socket burns.
        let lie = String::from_utf8(news.clone()).expect("text").replace("46", "2300");
        for (from, said) in [("127.0.0.1".into(), lie.as_bytes()), (socket.ip().to_string(), &news)] {
            let from = UdpSocket::bind((from.as_str(), 0)).expect("its address");
            from.send_to(said, ("127.0.0.1", listen)).expect("sent");
        }
        house.wait_after(mark, "its power", on(&format!("plug2mqtt/{TOY}/1/power"), "46")).await;
        house.wait_after(mark, "a hand", on(&format!("plug2mqtt/{TOY}/1/state"), "ON")).await;
        let told: Vec<_> = house.since(mark).into_iter().map(|message| message.payload).collect();
        assert!(!told.iter().any(|payload| payload == b"2300"));
        assert_eq!(house.value(&format!("plug2mqtt/{TOY}/2/state")).as_deref(), Some("OFF"));
        house.close().await;
        shelf.stop().await;
    });
}

#[test]
fn its_own_counters_are_followed_while_the_bridge_is_away_and_each_port_has_its_volts() {
    run(async {
        let shelf = socket().await;
        let socket = &shelf.plugs()[0];
        let mut house = TestBridge::new(vec![strip()]).await;
        house.drivers = DRIVERS;
        house.start(&[], &section(&shelf)).await;
        let info = format!("plug2mqtt/{TOY}/info");
        house
            .wait_after(0, "its source", with(&info, |info| info.contains(r#""energy_source":"device""#)))
            .await;
        house.wait_after(0, "its volts", on(&format!("plug2mqtt/{TOY}/2/voltage"), "229.5")).await;
        house.wait_after(0, "its meter", on(&format!("plug2mqtt/{TOY}/1/energy"), "0.0000")).await;
        socket.plug(|socket| socket.kwh = [101.25, 7.5]);
        house.publish(&format!("plug2mqtt/{TOY}/get"), "", false).await;
        let energy = |port: u8| format!("plug2mqtt/{TOY}/{port}/energy");
        house.wait_after(0, "what it has counted", on(&energy(1), "1.2500")).await;
        house.stop().await.expect("ended");
        let mark = house.mark();
        socket.plug(|socket| (socket.kwh, socket.volts) = ([102.0, 7.5], 231.0));
        house.start(&[], &section(&shelf)).await;
        house.wait_after(mark, "what it counted meanwhile", on(&energy(1), "2.0000")).await;
        house.wait_after(mark, "its volts", on(&format!("plug2mqtt/{TOY}/2/voltage"), "231")).await;
        assert_eq!(house.value(&energy(2)).as_deref(), Some("0.0000"));
        let info = house.value(&info).expect("told");
        assert!(info.contains(r#""unmetered_s":0"#), "{info}");
        house.close().await;
        shelf.stop().await;
    });
}

#[test]
fn its_section_is_in_the_schema_and_checked_like_any_other() {
    let mut out = Vec::new();
    cli::config::schema(DRIVERS, &mut out).expect("written");
    let schema: Value = serde_json::from_slice(&out).expect("JSON");
    let toy = &schema["properties"]["toy"];
    assert_eq!(toy["description"], "Toy sockets, which exist in tests alone. Rated power: 2300 W.");
    assert_eq!(toy["properties"]["poll_interval"]["default"], "7s");
    assert_eq!(
        (&toy["properties"]["beep"]["default"], &toy["properties"]["pin"]["x-secret"]),
        (&true.into(), &true.into())
    );
    let cloud = &toy["properties"]["cloud"];
    assert_eq!((&cloud["type"], &cloud["properties"]["token"]["x-secret"]), (&"object".into(), &true.into()));
    assert!(toy["properties"]["slow_poll_interval"].is_null() && toy["properties"]["set_clock"].is_null());
    for (text, want) in [
        ("[toy]\npinn = \"1\"", "2:1: toy.pinn: unknown setting; did you mean \"pin\"?"),
        ("[toy]\npin = \"12\"", "2:1: toy.pin: is not four digits; read it off the label"),
        ("[toy]\nbeep = 1", "2:1: toy.beep: 1 is not true or false"),
        ("[toy]\nset_clock = true", "2:1: toy.set_clock: unknown setting; did you mean maxsmart.set_clock?"),
        ("[toy.cloud]\nport = \"far\"", "2:1: toy.cloud.port: is not a port"),
        ("[toy]\ncloud.prt = \"1\"", "2:7: toy.cloud.prt: unknown setting; did you mean \"port\"?"),
        ("[toy]\ncloud = \"1\"", "2:1: toy.cloud: is a section, not a setting"),
        ("[toi]\nbeep = true", "1:2: toi: unknown section; did you mean \"toy\"?"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("plug2mqtt.toml");
        std::fs::write(&file, text).expect("written");
        let load = |drivers| config::load(Some(&file), std::iter::empty(), &[], drivers);
        let errors = load(DRIVERS).expect_err(text).to_string();
        assert!(errors.ends_with(want), "{errors}");
        assert!(load(ALL).expect_err(text).to_string().contains("unknown section"), "{text}");
    }
}

#[test]
fn its_settings_may_stand_in_a_section_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, secret) = (folder.path().join("plug2mqtt.toml"), folder.path().join("token"));
    std::fs::write(&secret, "0815\n").expect("written");
    std::fs::write(&file, format!("[toy]\nbeep = false\n[toy.cloud]\ntoken_file = {secret:?}"))
        .expect("written");
    let from_env = [("PLUG2MQTT_TOY__CLOUD__PORT".to_owned(), "7010".to_owned())];
    let (settings, _) = config::load(Some(&file), from_env.into_iter(), &[], DRIVERS).expect("valid");
    let own = &settings.family("toy").expect("a section").own;
    assert_eq!((own.text("cloud.port"), own.text("cloud.token")), (Some("7010"), Some("0815")));
    assert!(!own.switch("beep"));
    let mut shown = Vec::new();
    cli::config::show(&settings, None, &mut shown).expect("written");
    let shown = String::from_utf8(shown).expect("text");
    assert!(
        shown.contains("[toy.cloud]\nport = \"7010\"") && shown.contains("token = \"********\""),
        "{shown}"
    );
    assert!(shown.find("[toy.cloud]") > shown.find("beep = false"), "{shown}");
}

#[test]
fn its_secret_may_stand_in_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, secret) = (folder.path().join("plug2mqtt.toml"), folder.path().join("pin"));
    std::fs::write(&secret, "4711\n").expect("written");
    std::fs::write(&file, format!("[toy]\npin_file = {secret:?}")).expect("written");
    let (settings, _) = config::load(Some(&file), std::iter::empty(), &[], DRIVERS).expect("valid");
    let toy = settings.family("toy").expect("a section");
    assert_eq!(toy.own.text("pin"), Some("4711"));
    let mut shown = Vec::new();
    cli::config::show(&settings, None, &mut shown).expect("written");
    let shown = String::from_utf8(shown).expect("text");
    assert!(shown.contains("[toy]") && shown.contains("pin = \"********\""), "{shown}");
    assert!(!format!("{settings:?}{shown}").contains("4711"));
}
