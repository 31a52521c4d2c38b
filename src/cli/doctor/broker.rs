//! The broker: its name, its door, what it lets us do, what lies around.

use super::Finding;
use crate::bridge::{broker_address, examine_broker, state_directory};
use crate::config::Settings;
use crate::io::store::Store;
use crate::sinks::mqtt::OtherBridge;
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Topics or plugs named in one finding.
const NAMED: usize = 5;

pub(super) async fn examine(settings: &Settings) -> Vec<Finding> {
    let (host, port, tls) = broker_address(settings);
    let builtin = settings.mqtt.url.is_none();
    let began = Instant::now();
    let found = timeout(TIMEOUT, lookup_host((host.as_str(), port))).await;
    let addresses: Vec<_> = match found {
        Ok(Ok(all)) => all.collect(),
        Ok(Err(error)) => {
            let text = format!("the name {host} cannot be resolved: {error}");
            return vec![Finding::bad(
                "broker name",
                text,
                "give its address in mqtt.url, or mend the name server",
            )];
        }
        Err(_) => {
            let text = format!("nobody resolves the name {host} within {} s", TIMEOUT.as_secs());
            return vec![Finding::bad(
                "broker name",
                text,
                "give its address in mqtt.url, or mend the name server",
            )];
        }
    };
    let mut findings = Vec::new();
    if host.parse::<std::net::IpAddr>().is_err() {
        let ips: Vec<String> = addresses.iter().map(|at| at.ip().to_string()).collect();
        let text = format!("{host} is {} (asked for {} ms)", ips.join(", "), began.elapsed().as_millis());
        findings.push(Finding::fine("broker name", text));
    }
    if let Err(why) = knock(&host, port).await {
        findings.push(if builtin {
            let text = format!("the built-in one does not run at {host}:{port} ({why})");
            Finding::note("broker", text, "it runs as long as the bridge does; start it with `plug2mqtt run`")
        } else {
            let text = format!("nobody listens at {host}:{port} ({why})");
            Finding::bad("broker", text, "check mqtt.url, that the broker runs, and firewalls on the way")
        });
        return findings;
    }
    let examined = match examine_broker(settings).await {
        Ok(examined) => examined,
        Err(why) => {
            let remedy =
                "check mqtt.url, mqtt.username, mqtt.password and mqtt.tls, and the broker's own log";
            findings.push(Finding::bad("broker", format!("{host}:{port} does not let us in: {why}"), remedy));
            return findings;
        }
    };
    let kind = if tls { " by TLS" } else { "" };
    let took = examined.took.as_millis();
    findings.push(Finding::fine("broker", format!("{host}:{port} let us in{kind} in {took} ms")));
    if examined.refused.is_empty() && examined.dropped.is_empty() {
        findings.push(Finding::fine("broker rules", "we may subscribe and publish where we must"));
    }
    let remedy = "allow it for our user in the broker's access rules (mosquitto: acl_file)";
    if !examined.refused.is_empty() {
        let text = format!("we may not subscribe to {}", examined.refused.join(", "));
        findings.push(Finding::bad("broker rules", text, remedy));
    }
    if !examined.dropped.is_empty() {
        let text = format!("what we publish to {} gets lost", examined.dropped.join(", "));
        findings.push(Finding::bad("broker rules", text, remedy));
    }
    findings.extend(bridges(settings, &examined.living, examined.problem.as_deref()));
    let unread = Store::peek(&state_directory(settings)).err();
    if !examined.elsewhere.is_empty() && unread.is_none() {
        let (count, named) = (examined.elsewhere.len(), some(&examined.elsewhere));
        let directory = state_directory(settings);
        let text = format!(
            "the bridge's list on the broker has {count} plugs that are not remembered in {}: {named}",
            directory.display()
        );
        let remedy =
            "run this as the user the bridge runs as, for instance with sudo -u, or with its state.directory";
        findings.push(Finding::note("state", text, remedy));
    }
    findings.push(match examined.leftovers {
        // Without it nobody knows which topics are of living plugs.
        Ok(_) if let Some(error) = &unread => {
            let text = format!("cannot be judged while the state file cannot be read ({error})");
            Finding::note("leftovers", text, error.remedy())
        }
        Err(why) => Finding::note("leftovers", why, remedy),
        Ok(topics) if topics.is_empty() => Finding::fine("leftovers", "no retained topics nobody owns"),
        Ok(topics) => {
            let text = format!("{} retained topics nobody owns: {}", topics.len(), some(&topics));
            let base = &settings.mqtt.base_topic;
            Finding::note(
                "leftovers",
                text,
                &format!("publish {{}} to {base}/bridge/request/cleanup while the bridge runs"),
            )
        }
    });
    findings
}

/// The first of them, for people.
fn some(all: &[String]) -> String {
    let more = if all.len() > NAMED { ", ..." } else { "" };
    let named: Vec<&str> = all.iter().take(NAMED).map(String::as_str).collect();
    format!("{}{more}", named.join(", "))
}

/// Who acts on the base topic, and what is wrong with them.
fn bridges(settings: &Settings, living: &[OtherBridge], last: Option<&str>) -> Vec<Finding> {
    let base = &settings.mqtt.base_topic;
    let named = |one: &OtherBridge| match one.peer.run.as_str() {
        "" => "one of an older version".to_owned(),
        run => format!("run {run}, started {}", one.peer.started),
    };
    let names: Vec<String> = living.iter().map(named).collect();
    let mut findings = match living {
        [] if let Some(problem) = last => {
            let text =
                format!("none answers on {base}; the last one, or one that comes and goes, said: {problem}");
            vec![Finding::note("bridge", text, "its log says more")]
        }
        [] => Vec::new(),
        [_] => vec![Finding::fine("bridge", format!("acts on {base} ({})", names.join("; ")))],
        _ => {
            let text = format!("{} bridges act on {base}: {}", living.len(), names.join("; "));
            let remedy = "stop all but one of them, or give each its own mqtt.base_topic";
            vec![Finding::bad("bridge", text, remedy)]
        }
    };
    let wrong = living.iter().filter_map(|one| one.problem.as_deref());
    let remedy = "the bridge says so itself; its log says more";
    findings.extend(wrong.map(|problem| Finding::bad("bridge", problem, remedy)));
    findings
}

async fn knock(host: &str, port: u16) -> Result<(), String> {
    match timeout(TIMEOUT, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no response for {} s", TIMEOUT.as_secs())),
    }
}
