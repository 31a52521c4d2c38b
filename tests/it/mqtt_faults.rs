//! Brokers that misbehave: the bridge goes on trying, says everything again, loses nothing that
//! matters and keeps serving its plugs.

use crate::support::{House, Message, STRIP, Whims, on, quiet, run, strip, until};
use plug2mqtt::sim::Strip;
use std::time::{Duration, Instant};

fn connects(house: &House) -> usize {
    house.heard().iter().filter(|m| m.topic == "$connect").count()
}

fn published(messages: &[Message]) -> usize {
    messages.iter().filter(|m| !m.topic.starts_with('$')).count()
}

/// The first connections meet a whim; then the broker is a good one.
async fn comes_through(whims: Whims) {
    let (mut house, script) = House::scripted(vec![strip()]).await;
    script.set(whims.clone());
    let began = Instant::now();
    house.launch(&[], "");
    until("a second try", || connects(&house) >= 2).await;
    assert!(began.elapsed() > Duration::from_millis(500), "not without a pause: {whims:?}");
    assert_eq!(published(&house.heard()), 0, "{whims:?}");
    script.set(Whims::default());
    house.shows("bridge/state", "online").await;
    house.shows(&format!("{STRIP}/1/power"), "10").await;
    assert_eq!(house.command(&format!("{STRIP}/1/set"), "OFF").await["status"], "ok");
    house.close().await;
}

#[test]
fn a_refused_login_a_closed_door_and_nonsense_are_tried_again_with_pauses() {
    run(async {
        tokio::join!(
            comes_through(Whims { refuse_login: true, ..Whims::default() }),
            comes_through(Whims { hang_up: true, ..Whims::default() }),
            comes_through(Whims { garbage: true, ..Whims::default() }),
        );
    });
}

#[test]
fn a_refused_subscription_leaves_the_rest_working() {
    run(async {
        let (mut house, script) = House::scripted(vec![strip()]).await;
        script.set(Whims { refuse_filter: Some("/+/+/set"), ..Whims::default() });
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
        let (mut house, script) = House::scripted(std::iter::once(strip()).chain(more).collect()).await;
        script.set(Whims { keep_acks: true, ..Whims::default() });
        house.launch(&[], "");
        until("a full window", || published(&house.heard()) >= 90).await;
        script.publish(&format!("plug2mqtt/{STRIP}/2/set"), b"OFF".to_vec(), false);
        until("the relay", || !house.relays(0)[1]).await;
        house.polls(3, 3).await;
        // A new connection starts from nothing.
        script.set(Whims::default());
        script.cut();
        house.shows("bridge/state", "online").await;
        house.shows(&format!("{STRIP}/2/state"), "OFF").await;
        script.set(Whims { keep_acks: true, ..Whims::default() });
        let began = Instant::now();
        house.stop().await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    });
}

#[test]
fn a_cut_link_speaks_the_will_and_what_changed_meanwhile_is_told_afterwards() {
    run(async {
        let (mut house, script) = House::scripted(vec![strip()]).await;
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
        let (mut house, script) = House::scripted(vec![strip()]).await;
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
        let (mut house, script) = House::scripted(vec![strip()]).await;
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
        let (mut house, script) = House::scripted(vec![strip()]).await;
        house.start(&[], "").await;
        let mark = house.mark();
        script.publish(&format!("plug2mqtt/{STRIP}/1/set"), vec![b'x'; 5 << 20], false);
        house.wait_after(mark, "a new connection", |m| m.topic == "$connect").await;
        house.wait_after(mark, "the last word", on("plug2mqtt/bridge/state", "online")).await;
        assert_eq!(house.command(&format!("{STRIP}/1/set"), "OFF").await["status"], "ok");
        house.close().await;
    });
}
