//! Brokers that misbehave: the bridge goes on trying, says everything again, loses nothing that
//! matters and keeps serving its plugs.

use crate::support::{BrokerFaults, Message, STRIP, TestBridge, on, quiet, run, strip, until};
use plug2mqtt::sim::Strip;
use std::time::{Duration, Instant};

fn connects(house: &TestBridge) -> usize {
    house.heard().iter().filter(|m| m.topic == "$connect").count()
}

/// What the bridge has published; a will is not its own word.
fn published(messages: &[Message]) -> usize {
    let will = on("plug2mqtt/bridge/state", "offline");
    messages.iter().filter(|m| !m.topic.starts_with('$') && !will(m)).count()
}

/// The first connections meet a whim; then the broker is a good one.
async fn comes_through(whims: BrokerFaults) {
    let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
    script.set(whims.clone());
    let began = Instant::now();
    house.launch(&[], "");
    until("a second try", || connects(&house) >= 2).await;
    assert!(began.elapsed() > Duration::from_millis(500), "not without a pause: {whims:?}");
    assert_eq!(published(&house.heard()), 0, "{whims:?}");
    script.set(BrokerFaults::default());
    house.shows("bridge/state", "online").await;
    house.shows(&format!("{STRIP}/1/power"), "10").await;
    let result = house.command(&format!("{STRIP}/1/set"), "OFF").await;
    assert_eq!(result["status"], "ok", "{whims:?} {result}");
    house.close().await;
}

#[test]
fn a_refused_login_a_closed_door_and_nonsense_are_tried_again_with_pauses() {
    run(async {
        tokio::join!(
            comes_through(BrokerFaults { refuse_login: true, ..BrokerFaults::default() }),
            comes_through(BrokerFaults { hang_up: true, ..BrokerFaults::default() }),
            comes_through(BrokerFaults { garbage: true, ..BrokerFaults::default() }),
            comes_through(BrokerFaults { mute: true, ..BrokerFaults::default() }),
            comes_through(BrokerFaults {
                slow_welcome: Some(Duration::from_secs(7)),
                ..BrokerFaults::default()
            }),
        );
    });
}

#[test]
fn a_refused_subscription_leaves_the_rest_working() {
    run(async {
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        script.set(BrokerFaults { refuse_filter: Some("/+/+/set"), ..BrokerFaults::default() });
        house.start(&[], "").await;
        assert_eq!(house.command(&format!("{STRIP}/set"), "OFF").await["status"], "ok");
        assert_eq!(house.request("health_check", "{}").await["status"], "ok");
        assert_eq!(connects(&house), 1);
        house.close().await;
    });
}

#[test]
fn without_acknowledgements_commands_still_reach_the_plugs_and_stopping_ends() {
    run(async {
        let more = (2..5).map(|n| {
            quiet(Strip::strip_3_36(&format!("SWP600000000000{n}")).mac(&format!("02:00:00:00:00:0{n}")))
        });
        let (mut house, script) = TestBridge::scripted(std::iter::once(strip()).chain(more).collect()).await;
        script.set(BrokerFaults { keep_acks: true, ..BrokerFaults::default() });
        house.launch(&[], "");
        until("a full window", || published(&house.heard()) >= 90).await;
        script.publish(&format!("plug2mqtt/{STRIP}/2/set"), b"OFF".to_vec(), false);
        until("the relay", || !house.relays(0)[1]).await;
        house.polls(3, 3).await;
        // A new connection starts from nothing.
        script.set(BrokerFaults::default());
        script.cut();
        house.shows("bridge/state", "online").await;
        house.shows(&format!("{STRIP}/2/state"), "OFF").await;
        script.set(BrokerFaults { keep_acks: true, ..BrokerFaults::default() });
        let began = Instant::now();
        house.stop().await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    });
}

#[test]
fn a_cut_link_speaks_the_will_and_what_changed_meanwhile_is_told_afterwards() {
    run(async {
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        house.start(&[], "").await;
        let mark = house.mark();
        script.cut();
        house.wait_after(mark, "the will", on("plug2mqtt/bridge/state", "offline")).await;
        house.plug(0).press(2);
        house.polls(0, 2).await;
        house.wait_after(mark, "the truth", on(&format!("plug2mqtt/{STRIP}/2/state"), "OFF")).await;
        house.wait_after(mark, "the last word", on("plug2mqtt/bridge/state", "online")).await;
        assert!(house.since(mark).iter().any(|m| m.topic == "$subscribe"), "subscriptions are renewed");
        assert_eq!(house.command(&format!("{STRIP}/2/set"), "ON").await["status"], "ok");
        house.close().await;
    });
}

#[test]
fn a_broker_that_comes_back_empty_is_told_everything_again() {
    run(async {
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        house.start(&[], "").await;
        let before: Vec<String> = house.retained().await.into_keys().collect();
        assert!(before.len() > 20, "{before:?}");
        let mark = house.mark();
        script.forget();
        house.wait_after(mark, "the last word", on("plug2mqtt/bridge/state", "online")).await;
        until("everything again", || {
            let now = script.retained();
            before.iter().all(|topic| now.contains_key(topic))
        })
        .await;
        house.close().await;
    });
}

#[test]
fn no_broker_at_all_is_waited_for() {
    run(async {
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        script.close().await;
        house.launch(&[], "");
        house.polls(0, 4).await;
        script.open().await;
        house.shows("bridge/state", "online").await;
        house.shows(&format!("{STRIP}/availability"), "online").await;
        house.close().await;
    });
}

#[test]
fn a_message_too_big_costs_the_connection_and_nothing_else() {
    run(async {
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        house.start(&[], "").await;
        let mark = house.mark();
        script.publish(&format!("plug2mqtt/{STRIP}/1/set"), vec![b'x'; 5 << 20], false);
        house.wait_after(mark, "a new connection", |m| m.topic == "$connect").await;
        house.wait_after(mark, "the last word", on("plug2mqtt/bridge/state", "online")).await;
        assert_eq!(house.command(&format!("{STRIP}/1/set"), "OFF").await["status"], "ok");
        house.close().await;
    });
}

#[test]
fn a_message_too_big_that_is_retained_keeps_it_away_until_it_is_cleared_and_plugs_are_asked_on() {
    run(async {
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        let topic = format!("plug2mqtt/{STRIP}/1/set");
        script.publish(&topic, vec![b'x'; 5 << 20], true);
        house.launch(&[], "");
        until("a second try", || connects(&house) >= 2).await;
        house.polls(0, 3).await;
        script.publish(&topic, vec![], true);
        house.shows("bridge/state", "online").await;
        house.shows(&format!("{STRIP}/1/state"), "ON").await;
        assert_eq!(house.switched(0), []);
        house.close().await;
    });
}

#[test]
fn a_broker_that_takes_its_time_is_given_it() {
    run(async {
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        let slow = Some(Duration::from_secs(2));
        // A session that it claims to have kept is not trusted either.
        script.set(BrokerFaults { slow_welcome: slow, remembers: true, ..BrokerFaults::default() });
        house.start(&[], "").await;
        assert_eq!(connects(&house), 1);
        assert!(house.heard().iter().any(|m| m.topic == "$subscribe"));
        script.set(BrokerFaults { slow: Some(Duration::from_millis(20)), ..BrokerFaults::default() });
        let mark = house.mark();
        script.publish("plug2mqtt/bridge/request/republish", b"{}".to_vec(), false);
        house.wait_after(mark, "the first of many messages", |m| m.topic.ends_with("/config")).await;
        assert_eq!(house.command(&format!("{STRIP}/1/set"), "OFF").await["status"], "ok");
        assert_eq!(connects(&house), 1);
        house.close().await;
    });
}

#[test]
fn a_link_cut_again_and_again_while_all_is_told_ends_in_the_whole_truth() {
    run(async {
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        house.start(&[], "").await;
        house.shows(&format!("{STRIP}/availability"), "online").await;
        let before: Vec<String> = house.retained().await.into_keys().collect();
        for (round, most) in [1, 20, 55].into_iter().enumerate() {
            script.set(BrokerFaults { cut_after: Some(most), ..BrokerFaults::default() });
            let mark = house.mark();
            script.forget();
            house.plug(0).press(1 + round % 6);
            house.wait_after(mark, "the next cut", |m| m.topic == "$will").await;
            house.wait_after(mark, "the next connection", |m| m.topic == "$connect").await;
        }
        let mark = house.mark();
        script.set(BrokerFaults::default());
        script.cut();
        house.wait_after(mark, "the last word", on("plug2mqtt/bridge/state", "online")).await;
        until("everything again", || {
            let now = script.retained();
            before.iter().all(|topic| now.contains_key(topic))
        })
        .await;
        for (port, on) in (1..).zip(house.relays(0)) {
            house.shows(&format!("{STRIP}/{port}/state"), if on { "ON" } else { "OFF" }).await;
        }
        house.close().await;
    });
}

#[test]
fn a_broker_that_falls_silent_is_left_within_two_keep_alives() {
    run(async {
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        house.start(&[("mqtt.keep_alive", "5s")], "").await;
        let mark = house.mark();
        script.set(BrokerFaults { mute: true, ..BrokerFaults::default() });
        let began = Instant::now();
        house.wait_after(mark, "the end of timeout", |m| m.topic == "$will").await;
        assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
        script.set(BrokerFaults::default());
        house.wait_after(mark, "the last word", on("plug2mqtt/bridge/state", "online")).await;
        house.close().await;
    });
}

#[test]
fn nonsense_in_the_middle_of_a_session_costs_the_connection_and_nothing_else() {
    run(async {
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        house.start(&[], "").await;
        let half = [&[0x30, 0x40, 0x00, 0x10][..], b"plug2mqtt"].concat();
        // A reserved type, a length without end, a second welcome, half a message and then the next.
        for bytes in [&[0xf0; 8][..], &[0x30, 0xff, 0xff, 0xff, 0xff], &[0x20, 2, 0, 9], &half] {
            let mark = house.mark();
            script.send(bytes);
            if bytes == half {
                script.cut();
            }
            house.wait_after(mark, "a new connection", |m| m.topic == "$connect").await;
            house.wait_after(mark, "the last word", on("plug2mqtt/bridge/state", "online")).await;
            assert_eq!(house.command(&format!("{STRIP}/2/set"), "TOGGLE").await["status"], "ok");
        }
        let mark = house.mark();
        script.set(BrokerFaults { odd_acks: true, ..BrokerFaults::default() });
        house.plug(0).press(1);
        house.wait_after(mark, "a new connection", |m| m.topic == "$connect").await;
        script.set(BrokerFaults::default());
        house.wait_after(mark, "the last word", on("plug2mqtt/bridge/state", "online")).await;
        assert_eq!(house.command(&format!("{STRIP}/2/set"), "TOGGLE").await["status"], "ok");
        house.close().await;
    });
}

#[test]
fn messages_larger_than_usual_pass_both_ways_on_one_connection() {
    run(async {
        let long = "\u{e4}".repeat(64);
        let names = [long.as_str(); 6];
        let (mut house, script) = TestBridge::scripted(vec![strip().named(&long).naming_ports(&names)]).await;
        script.publish(&format!("plug2mqtt/{STRIP}/3/set"), vec![b' '; 12 << 10], true);
        house.start(&[], "").await;
        let most = house.heard().iter().map(|m| m.payload.len()).max().unwrap();
        assert!(most > 10 << 10, "the longest message has {most} bytes and shows nothing");
        let result = house.command(&format!("{STRIP}/3/set"), vec![b'x'; 1 << 20]).await;
        assert_eq!(result["error"], "bad_payload", "{result}");
        assert_eq!((connects(&house), house.relays(0)[2]), (1, true));
        house.close().await;
    });
}

#[test]
fn goodbye_is_the_last_word_and_leaves_the_will_unspoken() {
    run(async {
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        house.start(&[], "").await;
        house.stop().await.unwrap();
        // The broker may read it after the bridge has gone.
        house.wait_after(0, "goodbye", |m| m.topic == "$disconnect").await;
        let heard = house.heard();
        assert_eq!(heard.last().map(|m| m.topic.as_str()), Some("$disconnect"));
        assert!(heard[0].text().ends_with(" clean"), "{}", heard[0].text());
        assert_eq!(connects(&house), 1);
        assert!(!heard.iter().any(|m| m.topic == "$will"));
        assert_eq!(script.retained()["plug2mqtt/bridge/state"], "offline");
    });
}

/// PUBLISH with QoS 1.
fn delivery(again: bool, packet: u16, topic: &str, payload: &str) -> Vec<u8> {
    let length = 2 + topic.len() + 2 + payload.len();
    let mut bytes = vec![if again { 0x3a } else { 0x32 }];
    bytes.push(u8::try_from(length).ok().filter(|length| *length < 128).expect("a short one"));
    bytes.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
    bytes.extend(topic.as_bytes());
    bytes.extend(packet.to_be_bytes());
    bytes.extend(payload.as_bytes());
    bytes
}

#[test]
fn what_a_broker_delivers_twice_is_carried_out_once() {
    run(async {
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        house.start(&[], "").await;
        let (topic, answer) = (format!("plug2mqtt/{STRIP}/1/set"), format!("plug2mqtt/{STRIP}/response"));
        let results = |house: &TestBridge, mark| {
            house.since(mark).iter().filter(|message| message.topic == answer).count()
        };
        let mark = house.mark();
        for again in [false, true, true] {
            script.send(&delivery(again, 7, &topic, "TOGGLE"));
        }
        // Another one after them, so that all of them are through.
        script.send(&delivery(true, 8, &format!("plug2mqtt/{STRIP}/2/set"), "OFF"));
        until("two results", || results(&house, mark) >= 2).await;
        assert!(!house.relays(0)[0], "toggled once");
        let mark = house.mark();
        script.send(&delivery(false, 7, &topic, "TOGGLE"));
        until("a new one under an old number", || results(&house, mark) == 1).await;
        assert!(house.relays(0)[0]);
        // Marked by the sender, it is known on another connection, too.
        let mark = house.mark();
        let marked = r#"{"state":"TOGGLE","id":"k-1"}"#;
        script.send(&delivery(false, 9, &topic, marked));
        until("its result", || results(&house, mark) == 1).await;
        script.cut();
        house.wait_after(mark, "the last word", on("plug2mqtt/bridge/state", "online")).await;
        let mark = house.mark();
        script.send(&delivery(true, 9, &topic, marked));
        script.send(&delivery(false, 10, &format!("plug2mqtt/{STRIP}/2/set"), "ON"));
        until("the result of the other", || results(&house, mark) == 1).await;
        assert_eq!(house.relays(0)[..2], [false, true]);
        house.close().await;
    });
}

#[test]
fn meters_are_read_back_however_many_there_are() {
    run(async {
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        // More than a broker keeps for a subscriber, and than may wait at our end; the strip's come last.
        for plug in 0..400 {
            for port in 1..=16 {
                script.publish(
                    &format!("plug2mqtt/maxsmart-a{plug:03}/{port}/energy"),
                    b"1.0".to_vec(),
                    true,
                );
            }
        }
        for port in 1..=6 {
            script.publish(&format!("plug2mqtt/{STRIP}/{port}/energy"), b"812.5".to_vec(), true);
        }
        house.start(&[], "").await;
        for port in 1..=6 {
            let topic = format!("plug2mqtt/{STRIP}/{port}/energy");
            let first = house.wait_after(0, "a meter", |m| m.topic == topic).await.text();
            assert!(first.starts_with("812.5"), "port {port} shows {first}");
        }
        let health = house.request("health_check", "{}").await;
        assert_eq!(health["data"]["health"]["mqtt"]["dropped"], 0, "{health}");
        house.close().await;
    });
}

/// A broker that does not take the announcement of a strip: it is told, and all else flows.
async fn flows_around(whims: BrokerFaults, most_connects: usize) {
    let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
    let config = format!("homeassistant/device/plug2mqtt_{STRIP}/config");
    script.set(whims.clone());
    house.launch(&[], "");
    house.shows("bridge/state", "online").await;
    house.shows("bridge/problem", "ON").await;
    let told = |house: &TestBridge| house.value("bridge/info").unwrap_or_default();
    until("the reason", || told(&house).contains(&config)).await;
    assert!(told(&house).contains("max_packet_size"), "{}", told(&house));
    house.shows(&format!("{STRIP}/1/power"), "10").await;
    assert_eq!(house.command(&format!("{STRIP}/1/set"), "OFF").await["status"], "ok");
    assert!(connects(&house) <= most_connects, "{whims:?}: {}", connects(&house));
    assert!(!script.retained().contains_key(&config));
    // It takes more by now.
    script.set(BrokerFaults::default());
    let mark = house.mark();
    script.cut();
    house.wait_after(mark, "what was left out", |m| m.topic == config).await;
    house.shows("bridge/problem", "OFF").await;
    house.close().await;
}

#[test]
fn a_message_that_the_broker_does_not_take_is_left_out_and_told() {
    run(async {
        tokio::join!(
            // Three; on a busy machine it takes longer to find out.
            flows_around(BrokerFaults { cut_larger: Some(4096), ..BrokerFaults::default() }, 8),
            flows_around(BrokerFaults { drop_larger: Some(4096), ..BrokerFaults::default() }, 1),
        );
    });
}

/// A broker that does not even take `bridge/info`: states flow, and ports are switched.
async fn next_to_nothing(whims: BrokerFaults) {
    let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
    script.set(whims);
    house.launch(&[], "");
    house.shows("bridge/state", "online").await;
    house.shows("bridge/problem", "ON").await;
    house.shows(&format!("{STRIP}/1/power"), "10").await;
    house.publish(&format!("plug2mqtt/{STRIP}/1/set"), "OFF", false).await;
    house.shows(&format!("{STRIP}/1/state"), "OFF").await;
    house.close().await;
}

#[test]
fn a_broker_that_takes_four_hundred_bytes_shows_states() {
    run(async {
        tokio::join!(
            next_to_nothing(BrokerFaults { cut_larger: Some(400), ..BrokerFaults::default() }),
            next_to_nothing(BrokerFaults { drop_larger: Some(400), ..BrokerFaults::default() }),
        );
    });
}
