use super::*;

#[test]
fn meters_are_read_and_nonsense_is_not() {
    let read = |topic: &str, payload: &str| {
        meter("home", topic, payload.as_bytes())
            .map(|told| (told.plug.as_str().to_owned(), told.port, told.kwh))
    };
    assert_eq!(read("home/maxsmart-a/energy", "12.5000"), Some(("maxsmart-a".into(), None, 12.5)));
    assert_eq!(read("home/maxsmart-a/3/energy", "0"), Some(("maxsmart-a".into(), Some(3), 0.0)));
    for (topic, payload) in [
        ("home/maxsmart-a/energy", "NaN"),
        ("home/maxsmart-a/energy", "inf"),
        ("home/maxsmart-a/energy", "-1"),
        ("home/maxsmart-a/energy", ""),
        ("home/maxsmart-a/energy", "0.00000000000000000000000000000001"),
        ("home/maxsmart-a/x/energy", "1"),
        ("home/bridge/energy", "1"),
        ("home/maxsmart-a/power", "1"),
        ("house/maxsmart-a/energy", "1"),
    ] {
        assert_eq!(read(topic, payload), None, "{topic} {payload}");
    }
}

#[test]
fn meters_without_number_are_not_kept() {
    let mut recovery = EnergyRecovery { ends_at: Some(LONGEST), ..EnergyRecovery::default() };
    let plugs = (0..MAX_METERS + 50).filter_map(|n| PlugId::new(&format!("maxsmart-{n}")));
    plugs.for_each(|plug| recovery.take(Duration::ZERO, Metered { plug, port: None, kwh: 1.0 }));
    assert_eq!(recovery.found.len(), MAX_METERS);
}
