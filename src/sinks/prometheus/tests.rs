use super::*;
use crate::model::{PlugId, PortFigures, PortView, View};
use std::collections::BTreeMap;
use std::time::Duration;

fn scrape(online: bool) -> String {
    let id = PlugId::new("maxsmart-x1").expect("an id");
    let view = PlugView {
        name: "Desk \"1\"\nstrip\\".into(),
        driver: "maxsmart",
        ip: Some("192.0.2.10".into()),
        ports: vec![PortView { name: "Lamp".into(), ..PortView::default() }],
        volts: Some(229.6),
        online,
        ..PlugView::unknown(id.clone())
    };
    let mut figures =
        PlugFigures { unmetered_s: 40, seen_ms: Some(1_500), moves: 2, refused: 3, ..PlugFigures::default() };
    let (relay, watts, volts, joules) = (Some(true), Some(9.8), Some(229.1), Some(3.6e6));
    figures.ports.push(PortFigures { relay, watts, amps: None, volts, joules });
    figures.polls.count("ok");
    figures.polls.count("ok");
    figures.polls.count("timeout");
    for ms in [9, 60, 20_000] {
        figures.poll_times.note(Duration::from_millis(ms));
    }
    // Listed, and not taken in.
    let stranger = PlugView::unknown(PlugId::new("maxsmart-x2").expect("an id"));
    let plugs = [view, stranger].map(|view| (view.id.clone(), Arc::new(view)));
    let view = Arc::new(View { plugs: BTreeMap::from(plugs), ..View::default() });
    let bridge = Bridge { version: "0.1.0", started_s: 1.0, ..Bridge::default() };
    openmetrics(Metrics { view, plugs: BTreeMap::from([(id, figures)]) }, bridge).expect("text")
}

#[test]
fn figures_carry_their_unit_and_labels_are_escaped() {
    let text = scrape(true);
    for line in [
        r#"plug2mqtt_build_info{version="0.1.0"} 1.0"#,
        "plug2mqtt_mqtt_connected{} 0.0",
        r#"plug2mqtt_plug_info{plug="maxsmart-x1",name="Desk \"1\"\nstrip\\",driver="maxsmart",model="",firmware="",address="192.0.2.10"} 1.0"#,
        r#"plug2mqtt_plug_up{plug="maxsmart-x1"} 1.0"#,
        r#"plug2mqtt_plug_last_seen_timestamp_seconds{plug="maxsmart-x1"} 1.5"#,
        r#"plug2mqtt_plug_unmetered_seconds_total{plug="maxsmart-x1"} 40.0"#,
        r#"plug2mqtt_plug_address_changes_total{plug="maxsmart-x1"} 2.0"#,
        r#"plug2mqtt_plug_refused_values_total{plug="maxsmart-x1"} 3.0"#,
        r#"plug2mqtt_plug_polls_total{plug="maxsmart-x1",outcome="ok"} 2.0"#,
        r#"plug2mqtt_plug_polls_total{plug="maxsmart-x1",outcome="timeout"} 1.0"#,
        r#"plug2mqtt_plug_poll_duration_seconds_bucket{le="0.01",plug="maxsmart-x1"} 1"#,
        r#"plug2mqtt_plug_poll_duration_seconds_bucket{le="0.1",plug="maxsmart-x1"} 2"#,
        r#"plug2mqtt_plug_poll_duration_seconds_bucket{le="10.0",plug="maxsmart-x1"} 2"#,
        r#"plug2mqtt_plug_poll_duration_seconds_bucket{le="+Inf",plug="maxsmart-x1"} 3"#,
        r#"plug2mqtt_plug_poll_duration_seconds_count{plug="maxsmart-x1"} 3"#,
        r#"plug2mqtt_port_info{plug="maxsmart-x1",port="1",name="Lamp"} 1.0"#,
        r#"plug2mqtt_port_relay_on{plug="maxsmart-x1",port="1"} 1.0"#,
        r#"plug2mqtt_port_power_watts{plug="maxsmart-x1",port="1"} 9.8"#,
        r#"plug2mqtt_port_voltage_volts{plug="maxsmart-x1",port="1"} 229.1"#,
        r#"plug2mqtt_port_energy_joules_total{plug="maxsmart-x1",port="1"} 3600000.0"#,
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("plug_voltage_volts{plug=\"maxsmart-x1\"} 229.6"), "{text}");
    assert!(!text.contains("port_current_amperes{"), "what is not known is not told");
    assert!(!text.contains("maxsmart-x2"));
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn nobody_takes_the_last_voltage_of_a_plug_that_is_gone_for_the_present_one() {
    let text = scrape(false);
    assert!(text.contains("plug_up{plug=\"maxsmart-x1\"} 0.0"), "{text}");
    assert!(!text.contains("plug_voltage_volts{"), "{text}");
}

#[test]
fn the_older_format_names_counters_like_their_samples() {
    let text = plain(&scrape(true));
    for line in [
        "# TYPE plug2mqtt_port_energy_joules_total counter",
        "# TYPE plug2mqtt_plug_up gauge",
        "# TYPE plug2mqtt_plug_poll_duration_seconds histogram",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("# EOF") && !text.contains("# UNIT"));
    let families = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next());
    let families: Vec<&str> = families.collect();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    for sample in samples {
        let name = sample.split(['{', ' ']).next().expect("a name");
        let of = |family: &&str| {
            name == *family
                || name.strip_prefix(*family).is_some_and(|end| ["_bucket", "_sum", "_count"].contains(&end))
        };
        assert!(families.iter().any(of), "{name} belongs to nothing");
    }
}
