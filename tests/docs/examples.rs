//! The examples for openHAB and Node-RED: their topics are those of `docs/mqtt.md`, and they switch nothing by themselves.
//! `tests/clients/node-red.sh` runs the flow.

use super::{read, table};
use plug2mqtt::cli::demo;
use serde_json::Value;
use std::collections::BTreeSet;

/// Whether a topic of the contract covers this one, `+` included.
fn covers(pattern: &str, topic: &str) -> bool {
    let (pattern, topic): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), topic.split('/').collect());
    let plugs: BTreeSet<String> = demo::ids().collect();
    let level = |(pattern, level): (&&str, &&str)| match *pattern {
        "<base>" => *level == "plug2mqtt",
        "<plug>" => *level == "+" || plugs.contains(*level),
        "<port>" => *level == "+" || level.parse::<u8>().is_ok_and(|port| port <= 6),
        word => *level == word || (*level == "+" && word.starts_with('<')),
    };
    pattern.len() == topic.len() && pattern.iter().zip(&topic).all(level)
}

fn demand_topic(way: &str, topic: &str, of: &str) {
    let rows = table(&read("docs/mqtt.md"), "topics");
    let known = rows.iter().any(|row| row[1] == way && covers(&row[0], topic));
    assert!(known, "{of}: docs/mqtt.md has no {topic} that goes {way}");
}

#[test]
fn the_node_red_flow_is_whole_and_switches_nothing_by_itself() {
    let flow: Vec<Value> = serde_json::from_str(&read("examples/node-red-flow.json")).unwrap();
    let text = |node: &Value, key: &str| node[key].as_str().unwrap_or_default().to_owned();
    let ids: BTreeSet<String> = flow.iter().map(|node| text(node, "id")).collect();
    assert_eq!(ids.len(), flow.len(), "ids that are there twice");
    let (mut buttons, mut hears) = (0, BTreeSet::new());
    for node in &flow {
        let (name, topic) = (text(node, "name"), text(node, "topic"));
        for to in node["wires"].as_array().into_iter().flatten().flat_map(|port| port.as_array().unwrap()) {
            assert!(ids.contains(to.as_str().unwrap()), "{name} leads to {to}, which is not there");
        }
        assert!(
            node.get("broker")
                .is_none_or(|broker| node["type"] == "mqtt-broker" || ids.contains(broker.as_str().unwrap()))
        );
        match node["type"].as_str().unwrap() {
            "mqtt in" => {
                demand_topic("out", &topic, &name);
                hears.insert(topic);
            }
            "mqtt out" => assert_eq!((node["retain"].as_str(), &*topic), (Some("false"), ""), "{name}"),
            "inject" => {
                demand_topic("in", &topic, &name);
                assert_eq!(
                    (&node["once"], &node["repeat"], &node["crontab"]),
                    (&false.into(), &"".into(), &"".into()),
                    "{name}"
                );
                buttons += 1;
            }
            "tab" | "mqtt-broker" | "status" | "function" | "debug" => {}
            other => panic!("{name}: is a node of type {other} sure to send nothing by itself?"),
        }
    }
    assert!(buttons > 0, "nothing to press");
    // Also matches bridge/state.
    assert!(hears.contains("plug2mqtt/+/state") && hears.contains("plug2mqtt/+/response"), "{hears:?}");
}

/// What stands in quotes behind a word.
fn quoted<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    text.split(word).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn the_openhab_files_fit_each_other_and_the_topics() {
    let [things, items, rules] =
        ["things", "items", "rules"].map(|kind| read(&format!("examples/openhab.{kind}")));
    for topic in [quoted(&things, "stateTopic=\""), quoted(&things, "availabilityTopic=\"")].concat() {
        demand_topic("out", topic, "openhab.things");
    }
    for topic in [quoted(&things, "commandTopic=\""), quoted(&rules, ".publishMQTT(\"")].concat() {
        demand_topic("in", topic, "openhab");
    }
    assert!(quoted(&things, "availabilityTopic=\"").contains(&"plug2mqtt/bridge/state"));

    let (mut channels, mut switches) = (BTreeSet::new(), BTreeSet::new());
    for thing in things.split("\nThing ").skip(1) {
        let id = thing.split(' ').next().unwrap();
        for line in thing.lines().filter_map(|line| line.trim().strip_prefix("Type ")) {
            let channel = line.split([' ', '"']).filter(|word| !word.is_empty()).nth(2).unwrap();
            if line.contains("commandTopic") {
                switches.insert(format!("{id}:{channel}"));
            }
            assert!(channels.insert(format!("{id}:{channel}")), "{id}:{channel} is there twice");
        }
    }
    for channel in [quoted(&items, "channel=\""), quoted(&rules, "Channel \"")].concat() {
        assert!(channels.contains(channel), "{channel} is in no thing of {channels:?}");
    }
    let declared: BTreeSet<&str> = items
        .lines()
        .filter(|line| !line.starts_with("//"))
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    for item in rules.split(word).filter(|word| word.starts_with("Kitchen_")) {
        assert!(declared.contains(item), "{item} is in no line of openhab.items");
    }
    // What is linked to a relay never shows a wish.
    for line in
        items.lines().filter(|line| quoted(line, "channel=\"").iter().any(|it| switches.contains(*it)))
    {
        assert!(line.contains("autoupdate=\"false\""), "{line}");
    }
}
