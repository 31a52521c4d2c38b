use super::*;
use proptest::prelude::*;

const START_MS: u64 = 1_795_000_000_000;

fn moment(up_ms: u64) -> Moment {
    let up = Duration::from_millis(up_ms);
    Moment { up, unix_ms: START_MS + up_ms, utc_offset_s: 0, dst_s: 0, nonce: 0 }
}

fn id() -> PlugId {
    PlugId::new("maxsmart-swp6000000000001").expect("an id")
}

fn kwh(kwh: f64) -> Energy {
    Energy::from_kwh(kwh).expect("an amount")
}

fn drawn(watts: f64, s: u64) -> Energy {
    Energy::drawn(watts, watts, s * 1000)
}

/// A meter that was never used, on which energy may be shown.
fn fresh() -> Meter {
    let mut meter = Meter::new(&Tally::default());
    meter.raise(&id(), 0, &Floors::new(), &moment(0));
    meter
}

fn read(meter: &mut Meter, at_s: u64, watts: &[f64], gaps: Gaps) {
    let samples = watts.iter().map(|&watts| Sample { watts: Some(watts), switched: false });
    meter.take(&moment(at_s * 1000), samples, Duration::from_secs(5), gaps);
}

fn exact(meter: &Meter) -> Vec<Energy> {
    meter.ports.iter().map(|port| port.energy).collect()
}

#[test]
fn power_is_taken_to_go_in_a_straight_line() {
    let mut meter = fresh();
    read(&mut meter, 0, &[100.0, 0.0], Gaps::Skip);
    read(&mut meter, 10, &[200.0, 0.0], Gaps::Skip);
    assert_eq!(exact(&meter), [drawn(150.0, 10), Energy::default()]);
}

#[test]
fn a_port_just_switched_drew_what_it_drew_until_then() {
    let mut meter = fresh();
    read(&mut meter, 0, &[100.0], Gaps::Skip);
    let off = Sample { watts: Some(0.0), switched: true };
    meter.take(&moment(4000), std::iter::once(off), Duration::from_secs(5), Gaps::Skip);
    assert_eq!(exact(&meter), [drawn(100.0, 4)]);
}

#[test]
fn nothing_is_counted_for_a_gap_and_the_gap_is_declared() {
    let mut meter = fresh();
    read(&mut meter, 0, &[100.0], Gaps::Skip);
    read(&mut meter, 15, &[100.0], Gaps::Skip);
    assert_eq!((exact(&meter), meter.unmetered_s()), (vec![drawn(100.0, 15)], 0));
    read(&mut meter, 31, &[100.0], Gaps::Skip);
    assert_eq!((exact(&meter), meter.unmetered_s()), (vec![drawn(100.0, 15)], 16));
}

#[test]
fn a_held_gap_counts_the_lower_power_for_an_hour() {
    let mut meter = fresh();
    read(&mut meter, 0, &[100.0], Gaps::Hold);
    read(&mut meter, 600, &[40.0], Gaps::Hold);
    assert_eq!((exact(&meter), meter.unmetered_s()), (vec![drawn(40.0, 600)], 0));
    read(&mut meter, 600 + 5000, &[40.0], Gaps::Hold);
    assert_eq!((exact(&meter), meter.unmetered_s()), (vec![drawn(40.0, 4200)], 1400));
}

#[test]
fn a_value_that_was_refused_is_no_reading() {
    let mut meter = fresh();
    read(&mut meter, 0, &[60.0], Gaps::Skip);
    let refused = Sample { watts: None, switched: false };
    for at in [5000, 10_000, 15_000, 20_000] {
        meter.take(&moment(at), std::iter::once(refused), Duration::from_secs(5), Gaps::Skip);
    }
    read(&mut meter, 25, &[60.0], Gaps::Skip);
    assert_eq!((exact(&meter), meter.unmetered_s()), (vec![Energy::default()], 25));
}

#[test]
fn a_quick_restart_is_no_gap_and_a_long_one_is() {
    let kept = Tally {
        ports: vec![PortTally { energy: kwh(2.0), watts: 60.0 }],
        unmetered_ms: 1000,
        unix_ms: START_MS - 5000,
        certain_ms: None,
        since: Since::default(),
        hours: None,
    };
    for (later_s, unmetered_s) in [(5, 1), (3600, 3606)] {
        let mut meter = Meter::new(&kept);
        read(&mut meter, later_s, &[60.0], Gaps::Skip);
        let more = if later_s == 5 { drawn(60.0, 10) } else { Energy::default() };
        let mut sum = kwh(2.0);
        sum.add(more);
        assert_eq!((exact(&meter), meter.unmetered_s()), (vec![sum], unmetered_s));
        assert_eq!(meter.tally().unix_ms, START_MS + later_s * 1000);
    }
}

#[test]
fn a_clock_that_was_set_back_makes_neither_energy_nor_gap() {
    let kept = Tally {
        ports: vec![PortTally { energy: kwh(2.0), watts: 60.0 }],
        unmetered_ms: 0,
        unix_ms: START_MS + 1_000_000_000,
        certain_ms: None,
        since: Since::default(),
        hours: None,
    };
    let mut meter = Meter::new(&kept);
    read(&mut meter, 1, &[60.0], Gaps::Skip);
    assert_eq!((exact(&meter), meter.unmetered_s()), (vec![kwh(2.0)], 0));
}

#[test]
fn the_higher_of_file_and_broker_counts_and_what_was_metered_meanwhile_is_added() {
    let file = |energy: f64| Tally {
        ports: vec![PortTally { energy: kwh(energy), watts: 0.0 }],
        unmetered_ms: 0,
        unix_ms: START_MS - 3_600_000,
        certain_ms: None,
        since: Since::default(),
        hours: None,
    };
    for (remembered, retained, shown) in [(1.0, 1.5, 1.6), (1.5, 1.0, 1.6), (1.0, 0.0, 1.1)] {
        let mut meter = Meter::new(&file(remembered));
        read(&mut meter, 0, &[3600.0], Gaps::Skip);
        for at in (10..=100).step_by(10) {
            read(&mut meter, at, &[3600.0], Gaps::Skip);
        }
        assert!(!meter.certain());
        let floors = Floors::from([(Some(1), kwh(retained))]);
        meter.raise(&id(), 1, &floors, &moment(100_000));
        assert!(meter.certain());
        assert_eq!(meter.port(1), kwh(shown));
        // Only once.
        meter.raise(&id(), 1, &Floors::from([(Some(1), kwh(9.0))]), &moment(100_000));
        assert_eq!(meter.total(), kwh(shown));
    }
}

#[test]
fn a_quick_restart_after_a_crash_counts_nothing_twice() {
    // Written down ten seconds ago, told to the broker two seconds ago, started again now.
    let kept = Tally {
        ports: vec![PortTally { energy: kwh(1.0), watts: 3600.0 }],
        unmetered_ms: 0,
        unix_ms: START_MS - 10_000,
        certain_ms: None,
        since: Since::default(),
        hours: None,
    };
    for (told_s, counted_s) in [(8, 10), (12, 12)] {
        let mut meter = Meter::new(&kept);
        meter.keep_hours(&moment(0), true);
        read(&mut meter, 0, &[3600.0], Gaps::Skip);
        let mut told = kwh(1.0);
        told.add(drawn(3600.0, told_s));
        meter.raise(&id(), 1, &Floors::from([(Some(1), told)]), &moment(0));
        read(&mut meter, 5, &[3600.0], Gaps::Skip);
        let mut want = kwh(1.0);
        want.add(drawn(3600.0, counted_s + 5));
        assert_eq!(exact(&meter), [want]);
        // In the record of the hour, too; but for the hour's first seconds.
        let hours = meter.tally().hours.expect("kept");
        assert!(hours.drawn[0] >= u16::try_from((counted_s - 10 + 5) * 10).unwrap(), "{hours:?}");
    }
}

#[test]
fn what_cannot_have_been_drawn_since_is_not_believed() {
    let kept = Tally {
        ports: vec![PortTally { energy: kwh(1.0), watts: 0.0 }],
        unmetered_ms: 0,
        unix_ms: START_MS - 3_600_000,
        certain_ms: None,
        since: Since::default(),
        hours: None,
    };
    // Five kilowatts for an hour, and for the ten minutes a file may be old.
    for (retained, shown) in [(6.8, 6.8), (6.9, 1.0)] {
        let mut meter = Meter::new(&kept);
        meter.raise(&id(), 1, &Floors::from([(Some(1), kwh(retained))]), &moment(0));
        assert_eq!(meter.port(1), kwh(shown));
    }
    // Without a file there is nothing to compare with.
    let mut meter = Meter::new(&Tally::default());
    meter.raise(&id(), 1, &Floors::from([(Some(1), kwh(812.5))]), &moment(0));
    assert_eq!(meter.port(1), kwh(812.5));
}

/// Found by ending the bridge at random moments: the second run wrote its meters down before it
/// had heard from the broker, and the third took them for all there had been.
#[test]
fn a_run_that_ended_before_it_knew_what_was_told_vouches_for_nothing() {
    for (certain, told, shown) in [(None, 6.0, 6.0), (Some(1.0), 1.05, 1.05), (Some(1.0), 9.0, 1.0)] {
        let mut kept = Tally::default();
        if let Some(energy) = certain {
            let port = PortTally { energy: kwh(energy), watts: 4800.0 };
            kept = Tally { ports: vec![port], unix_ms: START_MS - 60_000, ..Tally::default() };
        }
        // Two runs in a row that never know.
        for at in [0, 2] {
            let mut run = Meter::new(&kept);
            read(&mut run, at, &[0.0], Gaps::Skip);
            kept = run.tally();
        }
        let mut meter = Meter::new(&kept);
        meter.raise(&id(), 1, &Floors::from([(Some(1), kwh(told))]), &moment(4000));
        assert_eq!(meter.port(1), kwh(shown), "{certain:?} {told}");
        read(&mut meter, 5, &[0.0], Gaps::Skip);
        assert_eq!(meter.tally().certain_ms, None);
    }
}

#[test]
fn the_rest_of_a_total_belongs_to_the_port_that_is_missing() {
    let mut meter = Meter::new(&Tally::default());
    let floors = Floors::from([(None, kwh(10.0)), (Some(1), kwh(1.0)), (Some(3), kwh(2.0))]);
    meter.raise(&id(), 3, &floors, &moment(0));
    assert_eq!([1, 2, 3].map(|port| meter.port(port)), [kwh(1.0), kwh(7.0), kwh(2.0)]);
    let mut single = Meter::new(&Tally::default());
    single.raise(&id(), 1, &Floors::from([(None, kwh(3.0))]), &moment(0));
    assert_eq!(single.port(1), kwh(3.0));
}

#[test]
fn a_meter_that_was_set_stays_so_whatever_is_retained() {
    let mut meter = Meter::new(&Tally::default());
    meter.set(2, kwh(5.0));
    meter.raise(&id(), 2, &Floors::from([(Some(1), kwh(1.0)), (Some(2), kwh(90.0))]), &moment(0));
    assert_eq!([1, 2].map(|port| meter.port(port)), [kwh(1.0), kwh(5.0)]);
}

proptest! {
    #[test]
    fn no_figure_ever_falls_and_ports_add_up(
        steps in proptest::collection::vec((0u64..40_000, 0usize..3, -10.0..6000.0f64, any::<bool>(), 0u8..20), 1..200),
        hold in any::<bool>(),
    ) {
        let gaps = if hold { Gaps::Hold } else { Gaps::Skip };
        let mut meter = fresh();
        let (mut up, mut last) = (0, vec![Energy::default(); 4]);
        for (pause, port, watts, switched, restart) in steps {
            up += pause;
            if restart == 0 {
                meter = Meter::new(&meter.tally());
                meter.raise(&id(), 3, &Floors::from([(Some(1), last[0])]), &moment(up));
            }
            let sample = |index| Sample { watts: (index == port || switched).then_some(watts), switched };
            meter.take(&moment(up), (0..3).map(sample), Duration::from_secs(5), gaps);
            let now: Vec<Energy> = (1..=3).map(|port| meter.port(port)).chain([meter.total()]).collect();
            prop_assert!(now.iter().zip(&last).all(|(now, last)| now >= last), "{now:?} after {last:?}");
            prop_assert_eq!(now[..3].iter().copied().sum::<Energy>(), now[3]);
            last = now;
        }
    }
}
