//! What is wrong with the bridge, and for how long.

use super::*;

#[test]
fn what_is_wrong_with_the_bridge_is_told_until_it_is_right_again() {
    let mut story = Story::new();
    let published = |out: Vec<Outgoing>, topic: &str| {
        out.into_iter().find_map(|out| {
            if let Outgoing::Publish { topic: t, payload, .. } = out {
                (t == topic).then_some(payload)
            } else {
                None
            }
        })
    };
    let says = |out: &[Outgoing], ms: u64, story: &mut Story| {
        let info = published(out.to_vec(), "home/bridge/info").expect("info");
        let info: Value = serde_json::from_str(&info).unwrap();
        let health = out.iter().any(|out| matches!(out, Outgoing::Health(Health::Topic)));
        let figures = story.session.health(&Health::Topic, Metrics::default()).unwrap().1;
        let figures: Value = serde_json::from_str(&figures).unwrap();
        assert_eq!((health, &figures["problem"]), (true, &info["problem"]), "{ms}");
        (published(out.to_vec(), "home/bridge/problem").expect("a word"), info["problem"].clone())
    };
    let out = story.connect(0);
    assert_eq!(says(&out, 0, &mut story), ("OFF".into(), Value::Null));
    story.session.bridge.set_problem("one", Some("this is wrong".into()));
    let out = story.handle(10, Input::Tick);
    assert_eq!(says(&out, 10, &mut story), ("ON".into(), "this is wrong".into()));
    // What the hub knows stands beside it.
    let mut view = View::default();
    Arc::make_mut(&mut view.bridge).problems.insert("two", "that, too".into());
    let out = story.handle(20, Input::Shown(Arc::new(view)));
    assert_eq!(says(&out, 20, &mut story), ("ON".into(), "this is wrong; that, too".into()));
    story.session.bridge.set_problem("one", None);
    let out = story.handle(30, Input::Tick);
    assert_eq!(says(&out, 30, &mut story), ("ON".into(), "that, too".into()));
    let out = story.handle(40, Input::Shown(Arc::default()));
    assert_eq!(says(&out, 40, &mut story), ("OFF".into(), Value::Null));
    assert_eq!(story.handle(50, Input::Tick), []);
}

#[test]
fn discovery_messages_that_do_not_come_back_are_a_problem_of_the_bridge() {
    let mut story = Story::new();
    let out = story.connect(0);
    let watched = subscriptions(&out).into_iter().find(|topic| topic.ends_with("/config"));
    let bridge = watched.expect("the bridge itself").to_owned();
    let bridge = bridge.as_str();
    let problem = |out: Vec<Outgoing>| {
        let infos = out.into_iter().filter_map(|out| {
            let Outgoing::Publish { topic, payload, .. } = out else { return None };
            (topic == "home/bridge/info").then_some(payload)
        });
        let info: Value = serde_json::from_str(&infos.last()?).expect("JSON");
        info["problem"].as_str().map(str::to_owned)
    };
    // Each subscription is acknowledged.
    let lists = out.iter().filter(|out| matches!(out, Outgoing::Subscribe(_) | Outgoing::LookAt(_))).count();
    for _ in 0..lists {
        story.handle(10, Input::Subscribed(Vec::new()));
    }
    assert!(story.session.wake_at() <= Duration::from_millis(10_010));
    assert_eq!(problem(story.handle(10_009, Input::Tick)), None);
    let told = problem(story.handle(10_010, Input::Tick)).expect("a problem");
    assert!(told.contains("do not arrive") && told.contains(bridge), "{told}");
    story.retained(11_000, bridge, "{}");
    assert!(!story.session.bridge.info().contains("do not arrive"));
    // One that comes at once is no news.
    let out = story.connect(20_000);
    for _ in out.iter().filter(|out| matches!(out, Outgoing::Subscribe(_) | Outgoing::LookAt(_))) {
        story.handle(20_010, Input::Subscribed(Vec::new()));
    }
    story.retained(20_020, bridge, "{}");
    story.handle(40_000, Input::Tick);
    assert!(!story.session.bridge.info().contains("do not arrive"));
}

#[test]
fn a_connection_that_comes_and_goes_is_a_problem_until_one_lasts() {
    let mut story = Story::new();
    let wrong = |story: &Story| story.session.bridge.info().contains("soon ended");
    story.connect(0);
    story.handle(1000, Input::Unsteady("3 connections soon ended".into()));
    for begin in [2000, 5000] {
        story.connect(begin);
        story.handle(begin + 2000, Input::Tick);
        assert!(wrong(&story));
    }
    story.handle(64_999, Input::Tick);
    assert!(wrong(&story) && story.session.wake_at() <= Duration::from_secs(65));
    story.handle(65_000, Input::Tick);
    assert!(!wrong(&story));
    // A size that is too large is left out from now on.
    story.handle(70_000, Input::Unsteady("3 connections soon ended".into()));
    story.handle(71_000, Input::Measured { wanted: 9000, passes: 4096 });
    story.connect(72_000);
    story.handle(73_000, Input::Tick);
    assert!(!wrong(&story));
}
