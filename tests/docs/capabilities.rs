//! The list of capabilities, walked: none of them may lack a request, a command, what it shows or its
//! documentation.

use super::{read, table};
use plug2mqtt::api::verbs;
use plug2mqtt::capability::CAPABILITIES;
use std::collections::BTreeSet;
use std::process::Command;

fn help(command: &str) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_plug2mqtt")).args([command, "--help"]).output().unwrap();
    assert!(run.status.success(), "there is no command {command}");
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn every_capability_has_its_requests_command_entities_and_documentation() {
    let (mqtt, cli) = (read("docs/mqtt.md"), read("docs/cli.md"));
    let (homeassistant, library) = (read("docs/home-assistant.md"), read("docs/library.md"));
    let rows = table(&mqtt, "requests").into_iter().chain(table(&mqtt, "plug-requests"));
    let requests: BTreeSet<String> = rows.map(|row| row[0].clone()).collect();
    let entities = table(&homeassistant, "entities");
    let known: BTreeSet<&str> = verbs().iter().map(|verb| verb.name).collect();
    let mut shown = BTreeSet::new();
    for capability in CAPABILITIES {
        let name = capability.name;
        for request in capability.requests {
            assert!(known.contains(request), "{name}: no request {request}");
            assert!(requests.contains(*request), "{name}: docs/mqtt.md has no request {request}");
        }
        if let Some(command) = capability.command {
            assert!(help(command).contains("<PLUG>"), "{name}: plug2mqtt {command} is about no plug");
            let row = format!("| `plug2mqtt {command} PLUG");
            assert!(cli.contains(&row), "{name}: docs/cli.md has no row {row}");
        }
        for one in capability.shown {
            assert!(shown.insert(one.key), "{name}: {} is shown by two", one.key);
            let key = if one.per_port { format!("pN_{}", one.key) } else { one.key.to_owned() };
            let row = entities.iter().any(|row| row[0] == key);
            assert!(row, "{name}: docs/home-assistant.md has no entity {key}");
            let topic = if one.per_port { format!("<port>/{}", one.key) } else { one.key.to_owned() };
            assert!(
                mqtt.contains(&format!("<base>/<plug>/{topic}`")),
                "{name}: docs/mqtt.md has no topic {topic}"
            );
        }
        // What is shown all the time is asked for without a request; what nobody can ask for is, too.
        let asked = capability.slow_poll.is_some() || !(capability.reads)(1).is_empty();
        assert!(
            capability.shown.is_empty() || capability.slow_poll.is_some(),
            "{name} is shown and never asked for"
        );
        assert!(asked || !capability.requests.is_empty(), "{name} has no way to be asked for");
        for query in (capability.reads)(2) {
            assert_eq!(query.capability().name, name);
            assert_eq!(query.reading(), query, "{name} changes something when it is only asked for");
        }
        let words = name.replace('_', " ");
        assert!(library.contains(&words), "{name}: docs/library.md does not name it");
    }
}
