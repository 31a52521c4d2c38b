//! What the plugs and the bridge are doing, for Prometheus. Pure: figures in, text out, written anew
//! at each scrape, so that a plug that was removed is gone.

use super::mqtt::Counts;
use crate::model::{Histogram, Metrics, OutcomeCounters, PerPort, PlugFigures, PlugView, RANGES_S};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType::{self, Counter, Gauge};
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::Arc;

/// All metrics begin with this.
const PREFIX: &str = "plug2mqtt";

/// The bridge itself, at the moment of a scrape.
#[derive(Debug, Clone, Default)]
pub struct Bridge {
    /// Version of the program.
    pub version: &'static str,
    /// When it was started, seconds since 1970.
    pub started_s: f64,
    /// Tasks that are alive: connections, conversations, listeners.
    pub tasks: usize,
    /// Resident memory in bytes, where the system tells it.
    pub resident: Option<u64>,
    /// The connection to the broker.
    pub mqtt: Counts,
}

/// The text of a scrape, in the OpenMetrics format.
///
/// # Errors
///
/// Never for figures this program made.
pub fn openmetrics(figures: Metrics, bridge: Bridge) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Scrape { figures, bridge }));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// The same in the older text format 0.0.4, which names a counter's family like its samples and has
/// neither units nor an end.
pub fn plain(openmetrics: &str) -> String {
    let lines: Vec<&str> = openmetrics.lines().collect();
    let counter = |name: &str| lines.contains(&format!("# TYPE {name} counter").as_str());
    let mut text = String::with_capacity(openmetrics.len());
    for line in &lines {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT" | "EOF"), ..) => continue,
            (Some("#"), Some(kind), Some(name), Some(rest)) if counter(name) => {
                text += &format!("# {kind} {name}_total {rest}");
            }
            _ => text += line,
        }
        text.push('\n');
    }
    text
}

#[derive(Debug)]
struct Scrape {
    figures: Metrics,
    bridge: Bridge,
}

type Labels = Vec<(&'static str, String)>;

/// One metric: everything about it in one place, its samples one after another.
struct Family<'a>(MetricEncoder<'a>);

impl Family<'_> {
    fn gauge(&mut self, labels: &Labels, value: f64) -> fmt::Result {
        self.0.encode_family(labels)?.encode_gauge(&value)
    }

    fn counter(&mut self, labels: &Labels, value: f64) -> fmt::Result {
        self.0.encode_family(labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    fn times(&mut self, labels: &Labels, times: &Histogram) -> fmt::Result {
        let ends = RANGES_S.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = ends.zip(times.counts.map(u64::from)).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = times.sum.as_secs_f64();
        self.0.encode_family(labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.about_the_bridge(&mut encoder)?;
        self.about_plugs(&mut encoder)?;
        self.about_ports(&mut encoder)
    }
}

fn family<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
    unit: Option<&'a Unit>,
    kind: MetricType,
) -> Result<Family<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, unit, kind).map(Family)
}

impl Scrape {
    fn about_the_bridge(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (bridge, none) = (&self.bridge, Labels::new());
        let version = vec![("version", bridge.version.to_owned())];
        family(encoder, "build_info", "Version of the program", None, Gauge)?.gauge(&version, 1.0)?;
        let started = "When the program was started";
        family(encoder, "start_time", started, Some(&Unit::Seconds), Gauge)?
            .gauge(&none, bridge.started_s)?;
        if let Some(resident) = bridge.resident {
            let help = "Resident memory of the program";
            family(encoder, "resident_memory", help, Some(&Unit::Bytes), Gauge)?
                .gauge(&none, resident as f64)?;
        }
        let help = "Tasks that are alive in the program";
        family(encoder, "tasks", help, None, Gauge)?.gauge(&none, bridge.tasks as f64)?;
        let connected = f64::from(u8::from(bridge.mqtt.connected));
        family(encoder, "mqtt_connected", "Whether there is a connection to the broker", None, Gauge)?
            .gauge(&none, connected)?;
        family(encoder, "mqtt_queued_messages", "Messages not yet acknowledged by the broker", None, Gauge)?
            .gauge(&none, bridge.mqtt.queued as f64)?;
        for (name, help, value) in [
            ("mqtt_connections", "Connections to the broker there have been", bridge.mqtt.connections),
            ("mqtt_published_messages", "Messages published", bridge.mqtt.published),
            ("mqtt_received_messages", "Messages received", bridge.mqtt.received),
            ("mqtt_dropped_messages", "Messages that were refused or told to nobody", bridge.mqtt.dropped),
        ] {
            family(encoder, name, help, None, Counter)?.counter(&none, value as f64)?;
        }
        Ok(())
    }

    fn plugs(&self) -> impl Iterator<Item = (Labels, &Arc<PlugView>, &PlugFigures)> {
        self.figures.plugs.iter().filter_map(|(id, figures)| {
            Some((vec![("plug", id.to_string())], self.figures.view.plugs.get(id)?, figures))
        })
    }

    fn about_plugs(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut info = family(encoder, "plug_info", "Who the plug is", None, Gauge)?;
        for (mut labels, view, _) in self.plugs() {
            let facts = &view.facts;
            labels.extend([
                ("name", view.name.to_string()),
                ("driver", view.driver.to_owned()),
                ("model", facts.model.clone()),
                ("firmware", facts.firmware.clone().unwrap_or_default()),
                ("address", view.ip.as_deref().unwrap_or_default().to_owned()),
            ]);
            info.gauge(&labels, 1.0)?;
        }
        let mut up = family(encoder, "plug_up", "Whether the plug answers", None, Gauge)?;
        for (labels, view, _) in self.plugs() {
            up.gauge(&labels, f64::from(u8::from(view.online)))?;
        }
        let help = "Voltage at the plug";
        let mut volts = family(encoder, "plug_voltage", help, Some(&Unit::Volts), Gauge)?;
        for (labels, view, _) in self.plugs() {
            if let Some(value) = view.volts.filter(|_| view.online) {
                volts.gauge(&labels, value)?;
            }
        }
        let help = "When the plug last answered";
        let mut seen = family(encoder, "plug_last_seen_timestamp", help, Some(&Unit::Seconds), Gauge)?;
        for (labels, _, figures) in self.plugs() {
            if let Some(ms) = figures.seen_ms {
                seen.gauge(&labels, ms as f64 / 1000.0)?;
            }
        }
        let help = "Time in which energy was not metered";
        let mut unmetered = family(encoder, "plug_unmetered", help, Some(&Unit::Seconds), Counter)?;
        for (labels, _, figures) in self.plugs() {
            unmetered.counter(&labels, figures.unmetered_s as f64)?;
        }
        let help = "Values that cannot be, and were not believed";
        let mut refused = family(encoder, "plug_refused_values", help, None, Counter)?;
        for (labels, _, figures) in self.plugs() {
            refused.counter(&labels, figures.refused as f64)?;
        }
        let help = "How often the plug was followed to a new address";
        let mut moves = family(encoder, "plug_address_changes", help, None, Counter)?;
        for (labels, _, figures) in self.plugs() {
            moves.counter(&labels, figures.moves as f64)?;
        }
        let help = "Session keys that had to be negotiated anew";
        let mut renewals = family(encoder, "plug_session_renewals", help, None, Counter)?;
        for (labels, _, figures) in self.plugs() {
            renewals.counter(&labels, figures.renewals as f64)?;
        }
        self.outcomes(encoder, "plug_polls", "Polls by how they ended", |figures| &figures.polls)?;
        self.outcomes(encoder, "plug_commands", "Commands by how they ended", |figures| &figures.commands)?;
        let help = "How long polls took that brought a reading";
        self.times(encoder, "plug_poll_duration", help, |figures| &figures.poll_times)?;
        let help = "From the arrival of a command to its confirmation";
        self.times(encoder, "plug_command_duration", help, |figures| &figures.command_times)
    }

    fn outcomes(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        which: impl Fn(&PlugFigures) -> &OutcomeCounters,
    ) -> fmt::Result {
        let mut outcomes = family(encoder, name, help, None, Counter)?;
        for (labels, _, figures) in self.plugs() {
            for (word, count) in which(figures).iter() {
                let mut labels = labels.clone();
                labels.push(("outcome", word.to_owned()));
                outcomes.counter(&labels, count as f64)?;
            }
        }
        Ok(())
    }

    fn times(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        which: impl Fn(&PlugFigures) -> &Histogram,
    ) -> fmt::Result {
        let mut times = family(encoder, name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (labels, _, figures) in self.plugs() {
            times.times(&labels, which(figures))?;
        }
        Ok(())
    }

    fn about_ports(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let ports = || {
            self.plugs().flat_map(|(labels, view, figures)| {
                (1u8..).zip(&figures.ports).map(move |(n, port)| {
                    let mut labels = labels.clone();
                    labels.push(("port", n.to_string()));
                    (labels, view.ports.port(n), port)
                })
            })
        };
        let mut info = family(encoder, "port_info", "What the port is called", None, Gauge)?;
        for (mut labels, view, _) in ports() {
            labels.push(("name", view.map(|port| port.name.to_string()).unwrap_or_default()));
            info.gauge(&labels, 1.0)?;
        }
        let mut relay = family(encoder, "port_relay_on", "Whether the relay is closed", None, Gauge)?;
        for (labels, _, port) in ports() {
            if let Some(on) = port.relay {
                relay.gauge(&labels, f64::from(u8::from(on)))?;
            }
        }
        let watts = Unit::Other("watts".into());
        let mut power = family(encoder, "port_power", "Power drawn at the port", Some(&watts), Gauge)?;
        for (labels, _, port) in ports() {
            if let Some(value) = port.watts {
                power.gauge(&labels, value)?;
            }
        }
        let help = "Current drawn at the port";
        let mut current = family(encoder, "port_current", help, Some(&Unit::Amperes), Gauge)?;
        for (labels, _, port) in ports() {
            if let Some(value) = port.amps {
                current.gauge(&labels, value)?;
            }
        }
        let mut volts = family(encoder, "port_voltage", "Voltage at the port", Some(&Unit::Volts), Gauge)?;
        for (labels, _, port) in ports() {
            if let Some(value) = port.volts {
                volts.gauge(&labels, value)?;
            }
        }
        let help = "Energy drawn at the port";
        let mut energy = family(encoder, "port_energy", help, Some(&Unit::Joules), Counter)?;
        for (labels, _, port) in ports() {
            if let Some(value) = port.joules {
                energy.counter(&labels, value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
