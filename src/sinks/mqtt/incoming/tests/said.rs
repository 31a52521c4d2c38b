//! What was said: where, in which words, and what of it is said back.

use super::*;

#[test]
fn what_nobody_can_be_called_is_a_topic_to_be_answered_like_any_other() {
    assert_eq!(topic("home", "home//5/set"), Some(Topic::Set("", Some("5"))));
    assert_eq!(topic("home", "home/bridge/request/set"), Some(Topic::Request("set")));
    for bridge in ["state", "5/state", "response/set", "set", "get", "5/set"] {
        assert_eq!(topic("home", &format!("home/bridge/{bridge}")), None, "{bridge}");
    }
}

#[test]
fn the_same_words_on_two_topics_of_a_plug_are_two_commands() {
    let said = |port, text: &str| {
        let Incoming::HubRequest(HubRequest::Switch(order)) = set(port, text.as_bytes()) else {
            panic!("{text}")
        };
        order
    };
    let (one, all) =
        (said(Some("1"), r#"{"state":"ON","id":1}"#), said(None, r#"{"ports":{"1":"ON"},"id":1}"#));
    assert_eq!((&one.ports, &one.asker), (&all.ports, &all.asker));
    assert_ne!(one, all);
    assert_eq!(one, said(Some("1"), r#"{"state":"ON","id":1}"#));
    assert_ne!(one, said(Some("1"), r#"{"id":1,"state":"ON"}"#), "another payload");
}

#[test]
fn what_was_sent_is_quoted_no_further_than_a_line_holds() {
    for payload in [
        format!("{{\"state\":{}", "[".repeat(4000)),
        format!("{{\"state\":{}{}}}", "[".repeat(1000), "]".repeat(1000)),
        format!("{{\"ports\":{{\"{}\":1}}}}", "x".repeat(4000)),
        format!("{{\"ttl_ms\":\"{}\"}}", "x".repeat(4000)),
    ] {
        let Incoming::Bad(_, _, _, why) = set(None, payload.as_bytes()) else { panic!("{payload}") };
        assert!(why.chars().count() < 300, "{} characters: {why}", why.len());
    }
}
