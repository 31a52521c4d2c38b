//! Other bridges, and words that are not ours.

use super::*;

impl Story {
    /// Somebody says this on one of the bridge's own topics.
    pub(super) fn hears(&mut self, ms: u64, tail: &str, payload: &str) -> Vec<Outgoing> {
        match self.router.route(&format!("home/bridge/{tail}"), payload.as_bytes(), false) {
            Routed::Rest(received) => self.handle(ms, Input::Received(received)),
            Routed::HubRequest(order) => panic!("{payload}: {order:?}"),
            Routed::Nothing => Vec::new(),
        }
    }

    fn answers(&mut self, ms: u64, run: &str, second: u32) -> Vec<Outgoing> {
        let answer = json!({"status": "ok", "data": peer(run, second), "transaction": 7});
        self.hears(ms, "response/health_check", &answer.to_string())
    }
}

pub(super) fn says(out: &[Outgoing], tail: &str) -> Option<String> {
    out.iter().find_map(|out| {
        if let Outgoing::Publish { topic, payload, .. } = out {
            (topic.strip_prefix("home/bridge/") == Some(tail)).then(|| payload.clone())
        } else {
            None
        }
    })
}

fn yields(out: &[Outgoing]) -> bool {
    out.iter().any(|out| matches!(out, Outgoing::Yield(_)))
}

#[test]
fn figures_that_the_broker_does_not_take_are_not_said() {
    let mut story = Story::new();
    story.connect(0);
    assert!(story.session.health(&Health::Topic, Metrics::default()).is_some());
    story.handle(10, Input::Measured { wanted: 4096, passes: 300 });
    assert_eq!(story.session.health(&Health::Topic, Metrics::default()), None);
}

#[test]
fn what_has_come_while_the_program_stood_still_is_heard_before_the_read_back_ends() {
    let mut story = Story::new();
    story.connect(0);
    assert_eq!(story.metered(11_500), None, "nobody has listened");
    story.retained(11_510, "home/maxsmart-x1/1/energy", "50.5");
    story.retained(11_520, "home/bridge/info", "{}");
    let told = story.metered(12_100).expect("the end");
    assert_eq!(told, [("maxsmart-x1".into(), Some(1), 50.5)]);
}

#[test]
fn a_foreign_word_on_the_availability_of_a_plug_is_put_right() {
    let mut story = Story::new();
    let plug = strip(1);
    let (id, online) = (plug.id.clone(), plug.online);
    story.handle(0, Input::Connected(picture([plug])));
    let (right, wrong) = if online { ("online", "offline") } else { ("offline", "online") };
    let topic = format!("home/{id}/availability");
    let told = |out: Vec<Outgoing>| {
        let own = |out: &&Outgoing| matches!(out, Outgoing::Publish { topic: to, payload, retain: true } if *to == topic && payload == right);
        out.iter().filter(own).count()
    };
    let mut hear = |ms: u64, words: &[&str]| {
        let mut count = 0;
        for word in words {
            let Routed::Rest(received) = story.router.route(&topic, word.as_bytes(), false) else {
                panic!("{word}")
            };
            count += told(story.handle(ms, Input::Received(received)));
        }
        count + (1..5).map(|n| told(story.handle(ms + n * 500, Input::Tick))).sum::<usize>()
    };
    assert_eq!(hear(10_000, &[right]), 0, "an echo");
    assert_eq!(hear(20_000, &[wrong, right]), 0, "a late echo");
    let cases = [&[wrong][..], &[""], &["a longer word than any of ours"], &[right, wrong], &[wrong; 50]];
    for (words, ms) in cases.into_iter().zip((30_000..).step_by(10_000)) {
        assert_eq!(hear(ms, words), 1, "{words:?}");
    }
}

#[test]
fn of_two_that_act_the_later_yields_and_the_earlier_tells_it() {
    // This one was started in second 1.
    let mut story = Story::new();
    story.connect(0);
    assert_eq!(story.answers(10, "00000000000000aa", 1), [], "an answer of its own");
    let out = story.hears(20, "info", &peer("younger", 2).to_string());
    assert!(says(&out, "event").unwrap().contains("another_bridge"), "{out:?}");
    assert_eq!(says(&out, "problem").as_deref(), Some("ON"));
    assert!(says(&out, "info").unwrap().contains("00000000000000aa"), "who acts is told again");
    assert!(says(&out, "request/health_check").is_some(), "{out:?}");
    assert!(!yields(&out));
    let out = story.answers(30, "younger", 2);
    assert!(!yields(&out) && says(&out, "event").is_none(), "told once: {out:?}");
    // A word on bridge/info proves nothing.
    assert!(!yields(&story.hears(40, "info", &peer("older", 0).to_string())));
    assert!(yields(&story.answers(50, "older", 0)));
    assert!(!yields(&story.answers(60, "older", 0)), "said once");
}

#[test]
fn another_one_is_a_problem_until_it_is_silent() {
    let mut story = Story::new();
    story.connect(0);
    story.retained(10, "home/bridge/info", "{}");
    story.answers(1000, "younger", 2);
    let (mut ms, mut questions) = (1000, 0);
    loop {
        ms = ms.max(u64::try_from(story.session.wake_at().as_millis()).unwrap());
        let out = story.handle(ms, Input::Tick);
        questions += u32::from(says(&out, "request/health_check").is_some());
        if says(&out, "problem").as_deref() == Some("OFF") {
            break;
        }
        assert!(ms < 100_000, "a problem for ever");
    }
    assert!((40_000..60_000).contains(&ms) && questions == 2, "{ms} {questions}");
}

#[test]
fn who_says_that_it_is_offline_is_contradicted_once_a_second_at_most() {
    let mut story = Story::new();
    story.connect(0);
    // What an earlier run left there says nothing of this one, and is overwritten already.
    assert_eq!(story.retained(50, "home/bridge/state", "offline"), []);
    let mut said = 0;
    for ms in 100..2100 {
        let mut out = story.hears(ms, "state", "offline");
        out.extend(story.handle(ms, Input::Tick));
        said += u32::from(says(&out, "state").as_deref() == Some("online"));
    }
    assert_eq!(said, 2);
    let out = story.handle(3000, Input::Tick);
    assert_eq!(says(&out, "state").as_deref(), Some("online"), "and the last word is the truth");
    assert_eq!(story.hears(4000, "state", "online"), []);
}
