use super::*;
use crate::model::Since;
use proptest::prelude::*;

const START_MS: u64 = 1_795_000_000_000;

fn moment(up_ms: u64) -> Now {
    let up = Duration::from_millis(up_ms);
    Now { up, unix_ms: START_MS + up_ms, utc_offset_s: 0, dst_s: 0, nonce: 0 }
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
    let mut meter = Meter::new(&MeterState::default());
    meter.raise(&id(), 0, &Floors::new(), &moment(0));
    meter
}

fn read(meter: &mut Meter, at_s: u64, watts: &[f64]) {
    let samples = watts.iter().map(|&watts| Sample { watts: Some(watts), counter: None, switched: false });
    meter.take(&moment(at_s * 1000), samples, Duration::from_secs(5));
}

fn exact(meter: &Meter) -> Vec<Energy> {
    meter.ports.iter().map(|port| port.energy).collect()
}

#[test]
fn power_is_taken_to_go_in_a_straight_line() {
    let mut meter = fresh();
    read(&mut meter, 0, &[100.0, 0.0]);
    read(&mut meter, 10, &[200.0, 0.0]);
    assert_eq!(exact(&meter), [drawn(150.0, 10), Energy::default()]);
}

#[test]
fn a_port_just_switched_drew_what_it_drew_until_then() {
    let mut meter = fresh();
    read(&mut meter, 0, &[100.0]);
    let off = Sample { watts: Some(0.0), counter: None, switched: true };
    meter.take(&moment(4000), std::iter::once(off), Duration::from_secs(5));
    assert_eq!(exact(&meter), [drawn(100.0, 4)]);
}

#[test]
fn nothing_is_counted_for_a_gap_and_the_gap_is_declared() {
    let mut meter = fresh();
    read(&mut meter, 0, &[100.0]);
    read(&mut meter, 15, &[100.0]);
    assert_eq!((exact(&meter), meter.unmetered_s()), (vec![drawn(100.0, 15)], 0));
    read(&mut meter, 31, &[100.0]);
    assert_eq!((exact(&meter), meter.unmetered_s()), (vec![drawn(100.0, 15)], 16));
}

#[test]
fn a_value_that_was_refused_is_no_reading() {
    let mut meter = fresh();
    read(&mut meter, 0, &[60.0]);
    let refused = Sample { watts: None, counter: None, switched: false };
    for at in [5000, 10_000, 15_000, 20_000] {
        meter.take(&moment(at), std::iter::once(refused), Duration::from_secs(5));
    }
    read(&mut meter, 25, &[60.0]);
    assert_eq!((exact(&meter), meter.unmetered_s()), (vec![Energy::default()], 25));
}

#[test]
fn time_in_which_several_ports_were_not_metered_counts_once() {
    let mut meter = fresh();
    let (one, six) = ([100.0], [100.0; 6]);
    read(&mut meter, 0, &one);
    for at in (5..=30).step_by(5) {
        read(&mut meter, at, &six);
    }
    // Of its six ports it tells one, is silent, and tells all again.
    for at in (35..=100).step_by(5) {
        read(&mut meter, at, &one);
    }
    read(&mut meter, 146, &one);
    assert_eq!(meter.unmetered_s(), 46);
    read(&mut meter, 150, &six);
    assert_eq!(meter.unmetered_s(), 120, "the others since 30 s, and once");
    // One port goes silent a while after another.
    let sample = |watts| Sample { watts, switched: false, counter: None };
    for at in (155..=300).step_by(5) {
        let told = [(at < 170).then_some(1.0), (at < 200).then_some(1.0)];
        meter.take(&moment(at * 1000), told.into_iter().map(sample), Duration::from_secs(5));
    }
    read(&mut meter, 305, &[1.0; 2]);
    assert_eq!(meter.unmetered_s(), 120 + 305 - 165);
}

#[test]
fn a_quick_restart_is_no_gap_and_a_long_one_is() {
    let kept = MeterState {
        counters: Vec::new(),
        ports: vec![PortMeterState { energy: kwh(2.0), watts: 60.0 }],
        unmetered_ms: 1000,
        unix_ms: START_MS - 5000,
        certain_ms: None,
        since: Since::default(),
        hours: None,
    };
    for (later_s, unmetered_s) in [(5, 1), (3600, 3606)] {
        let mut meter = Meter::new(&kept);
        read(&mut meter, later_s, &[60.0]);
        let more = if later_s == 5 { drawn(60.0, 10) } else { Energy::default() };
        let mut sum = kwh(2.0);
        sum.add(more);
        assert_eq!((exact(&meter), meter.unmetered_s()), (vec![sum], unmetered_s));
        assert_eq!(meter.tally().unix_ms, START_MS + later_s * 1000);
    }
}

#[test]
fn a_clock_that_was_set_back_makes_neither_energy_nor_gap() {
    let kept = MeterState {
        counters: Vec::new(),
        ports: vec![PortMeterState { energy: kwh(2.0), watts: 60.0 }],
        unmetered_ms: 0,
        unix_ms: START_MS + 1_000_000_000,
        certain_ms: None,
        since: Since::default(),
        hours: None,
    };
    let mut meter = Meter::new(&kept);
    read(&mut meter, 1, &[60.0]);
    assert_eq!((exact(&meter), meter.unmetered_s()), (vec![kwh(2.0)], 0));
}

/// A meter that was read at [`START_MS`], and the wall clock so far from the truth when it begins.
fn kept() -> MeterState {
    let port = PortMeterState { energy: kwh(2.0), watts: 60.0 };
    MeterState { ports: vec![port], unix_ms: START_MS, ..MeterState::default() }
}

fn read_off(meter: &mut Meter, at_s: u64, off_s: i64) {
    let now = moment(at_s * 1000);
    let now = Now { unix_ms: now.unix_ms.saturating_add_signed(off_s * 1000), ..now };
    let sample = Sample { watts: Some(60.0), counter: None, switched: false };
    meter.take(&now, std::iter::once(sample), Duration::from_secs(5));
}

#[test]
fn what_was_missed_while_the_clock_was_wrong_is_told_when_it_is_right_and_no_more() {
    const YEARS_S: i64 = 54 * 365 * 86_400;
    // Away for 100 s, then 100 s of readings by a clock that is behind, which comes right; or which
    // does not before the next run.
    for off_s in [-60 - 100, -7200, -YEARS_S, -i64::MAX / 1000] {
        for restart in [false, true] {
            let mut meter = Meter::new(&kept());
            for at in (100..=200).step_by(10) {
                read_off(&mut meter, at, off_s);
            }
            assert_eq!((meter.unmetered_s(), meter.port(1)), (0, kwh(2.0016)), "{off_s}");
            if restart {
                meter = Meter::new(&meter.tally());
            }
            read_off(&mut meter, 210, 0);
            let told = meter.unmetered_s();
            assert!((100..=110).contains(&told) && meter.port(1) <= kwh(2.0019), "{off_s} {restart} {told}");
        }
    }
    // It was wrong when the file was written, or is now, by decades: nobody knows.
    for (written, off_s) in [(86_400_000, 0), (START_MS - 54 * 366 * 86_400_000, 0), (START_MS, YEARS_S)] {
        let mut meter = Meter::new(&MeterState { unix_ms: written, ..kept() });
        read_off(&mut meter, 100, off_s);
        read_off(&mut meter, 105, 0);
        assert_eq!((meter.unmetered_s(), meter.port(1)), (0, kwh(2.0)), "{written} {off_s}");
    }
    // A clock that was ahead when the file was written is not waited for longer than an hour.
    let mut meter = Meter::new(&MeterState { unix_ms: START_MS + 86_400_000, ..kept() });
    for at in (0..=3600).step_by(10) {
        read_off(&mut meter, at, 0);
    }
    assert_eq!((meter.tally().unix_ms, meter.unmetered_s()), (START_MS + 3_600_000, 0));
}

#[test]
fn hours_begin_anew_when_the_clock_is_set() {
    let mut meter = fresh();
    meter.keep_hours(&moment(0), true);
    for hour in 0..4 {
        for at in (0..3600).step_by(10) {
            read_off(&mut meter, hour * 3600 + at, 0);
        }
    }
    // Two hours ahead: they were not missed, and no record may fill them.
    for at in (0..3700).step_by(10) {
        read_off(&mut meter, 4 * 3600 + at, 7200);
    }
    let now = moment(5 * 3_600_000);
    assert!(!meter.wants_record(&Now { unix_ms: now.unix_ms + 7_200_000, ..now }));
}

#[test]
fn the_higher_of_file_and_broker_counts_and_what_was_metered_meanwhile_is_added() {
    let file = |energy: f64| MeterState {
        counters: Vec::new(),
        ports: vec![PortMeterState { energy: kwh(energy), watts: 0.0 }],
        unmetered_ms: 0,
        unix_ms: START_MS - 3_600_000,
        certain_ms: None,
        since: Since::default(),
        hours: None,
    };
    for (remembered, retained, shown) in [(1.0, 1.5, 1.6), (1.5, 1.0, 1.6), (1.0, 0.0, 1.1)] {
        let mut meter = Meter::new(&file(remembered));
        read(&mut meter, 0, &[3600.0]);
        for at in (10..=100).step_by(10) {
            read(&mut meter, at, &[3600.0]);
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
    let kept = MeterState {
        counters: Vec::new(),
        ports: vec![PortMeterState { energy: kwh(1.0), watts: 3600.0 }],
        unmetered_ms: 0,
        unix_ms: START_MS - 10_000,
        certain_ms: None,
        since: Since::default(),
        hours: None,
    };
    for (told_s, counted_s) in [(8, 10), (12, 12)] {
        let mut meter = Meter::new(&kept);
        meter.keep_hours(&moment(0), true);
        read(&mut meter, 0, &[3600.0]);
        let mut told = kwh(1.0);
        told.add(drawn(3600.0, told_s));
        meter.raise(&id(), 1, &Floors::from([(Some(1), told)]), &moment(0));
        read(&mut meter, 5, &[3600.0]);
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
    let kept = MeterState {
        counters: Vec::new(),
        ports: vec![PortMeterState { energy: kwh(1.0), watts: 0.0 }],
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
    // A clock behind the file, or one of the two decades off: ten minutes' worth at the most.
    let now = moment(0);
    for (written, unix_ms) in [
        (START_MS, START_MS - 60_000),
        (START_MS, 0),
        (START_MS, START_MS + 54 * 366 * 86_400_000),
        (86_400_000, START_MS),
    ] {
        for (retained, shown) in [(1.8, 1.8), (2.0, 1.0), (1_000_000.0, 1.0)] {
            let mut meter = Meter::new(&MeterState { unix_ms: written, ..kept.clone() });
            let floors = Floors::from([(Some(1), kwh(retained))]);
            meter.raise(&id(), 1, &floors, &Now { unix_ms, ..now });
            assert_eq!(meter.port(1), kwh(shown), "{written} {unix_ms}");
        }
    }
    // Without a file there is nothing to compare with.
    let mut meter = Meter::new(&MeterState::default());
    meter.raise(&id(), 1, &Floors::from([(Some(1), kwh(812.5))]), &moment(0));
    assert_eq!(meter.port(1), kwh(812.5));
}

/// Found by ending the bridge at random moments: the second run wrote its meters down before it
/// had heard from the broker, and the third took them for all there had been.
#[test]
fn a_run_that_ended_before_it_knew_what_was_told_vouches_for_nothing() {
    for (certain, told, shown) in [(None, 6.0, 6.0), (Some(1.0), 1.05, 1.05), (Some(1.0), 9.0, 1.0)] {
        let mut kept = MeterState::default();
        if let Some(energy) = certain {
            let port = PortMeterState { energy: kwh(energy), watts: 4800.0 };
            kept = MeterState { ports: vec![port], unix_ms: START_MS - 60_000, ..MeterState::default() };
        }
        // Two runs in a row that never know.
        for at in [0, 2] {
            let mut run = Meter::new(&kept);
            read(&mut run, at, &[0.0]);
            kept = run.tally();
        }
        let mut meter = Meter::new(&kept);
        meter.raise(&id(), 1, &Floors::from([(Some(1), kwh(told))]), &moment(4000));
        assert_eq!(meter.port(1), kwh(shown), "{certain:?} {told}");
        read(&mut meter, 5, &[0.0]);
        assert_eq!(meter.tally().certain_ms, None);
    }
}

#[test]
fn the_rest_of_a_total_belongs_to_the_port_that_is_missing() {
    let mut meter = Meter::new(&MeterState::default());
    let floors = Floors::from([(None, kwh(10.0)), (Some(1), kwh(1.0)), (Some(3), kwh(2.0))]);
    meter.raise(&id(), 3, &floors, &moment(0));
    assert_eq!([1, 2, 3].map(|port| meter.port(port)), [kwh(1.0), kwh(7.0), kwh(2.0)]);
    let mut single = Meter::new(&MeterState::default());
    single.raise(&id(), 1, &Floors::from([(None, kwh(3.0))]), &moment(0));
    assert_eq!(single.port(1), kwh(3.0));
}

#[test]
fn a_meter_that_was_set_stays_so_whatever_is_retained() {
    let mut meter = Meter::new(&MeterState::default());
    meter.set(&moment(0), 2, kwh(5.0));
    meter.raise(&id(), 2, &Floors::from([(Some(1), kwh(1.0)), (Some(2), kwh(90.0))]), &moment(0));
    assert_eq!([1, 2].map(|port| meter.port(port)), [kwh(1.0), kwh(5.0)]);
}

#[test]
fn what_another_bridge_has_metered_meanwhile_is_taken_as_far_as_it_can_be() {
    let mut meter = Meter::new(&MeterState::default());
    meter.raise(&id(), 3, &Floors::from([1, 2, 3].map(|port| (Some(port), kwh(1.0)))), &moment(0));
    let told = Floors::from([(Some(1), kwh(1.5)), (Some(2), kwh(0.5)), (Some(3), kwh(900.0))]);
    let now = moment(100_000_000);
    meter.lift(&id(), &told, Duration::from_secs(600), &now);
    assert_eq!([1, 2, 3].map(|port| meter.port(port)), [kwh(1.5), kwh(1.0), kwh(1.0)]);
    // What was set a moment ago may not have reached the broker.
    meter.set(&now, 1, kwh(0.2));
    meter.lift(&id(), &told, Duration::from_secs(600), &now);
    assert_eq!(meter.port(1), kwh(0.2));
}

#[test]
fn a_plug_that_counts_itself_has_no_gaps_and_is_not_counted_twice_after_a_restart() {
    let read = |meter: &mut Meter, at_s: u64, watts: f64, counter: f64| {
        let sample = Sample { watts: Some(watts), counter: Some(kwh(counter)), switched: false };
        meter.take(&moment(at_s * 1000), std::iter::once(sample), Duration::from_secs(5));
    };
    let mut meter = fresh();
    read(&mut meter, 0, 1000.0, 70.0);
    read(&mut meter, 5, 1000.0, 70.001);
    assert_eq!(meter.exact(1), kwh(0.001));
    let written = meter.tally();
    read(&mut meter, 3605, 1000.0, 71.0);
    assert_eq!((meter.exact(1), meter.unmetered_s()), (kwh(1.0), 0));
    // Killed, and an hour later there again; the broker has what was told last.
    let mut again = Meter::new(&written);
    read(&mut again, 7205, 1000.0, 72.0);
    again.raise(&id(), 1, &Floors::from([(Some(1), kwh(1.0))]), &moment(7_205_000));
    assert_eq!((again.exact(1), again.unmetered_s()), (kwh(2.0), 0));
    // It was away when the day began, and is shown by what the broker has before it is read.
    let mut unread = Meter::new(&written);
    unread.raise(&id(), 1, &Floors::from([(Some(1), kwh(1.0))]), &moment(7_205_000));
    assert_eq!(unread.exact(1), kwh(1.0));
    read(&mut unread, 7206, 1000.0, 72.0);
    assert_eq!(unread.exact(1), kwh(2.0));
    // Other hardware in its place counts from elsewhere.
    unread.forget_counters();
    read(&mut unread, 7207, 0.0, 3.0);
    read(&mut unread, 7208, 0.0, 3.5);
    assert_eq!(unread.exact(1).shown(), kwh(2.5001));
}

#[test]
fn a_counter_that_is_told_now_and_then_and_without_power_misses_nothing() {
    let take = |meter: &mut Meter, at_s: u64, watts: Option<f64>, counter: Option<f64>| {
        let sample = Sample { watts, counter: counter.map(kwh), switched: false };
        meter.take(&moment(at_s * 1000), std::iter::once(sample), Duration::from_secs(5));
        (meter.exact(1), meter.unmetered_s())
    };
    // It never tells its power.
    let mut meter = fresh();
    take(&mut meter, 0, None, Some(70.0));
    for at in (5..600).step_by(5) {
        assert_eq!(take(&mut meter, at, None, None), (kwh(0.0), 0));
    }
    assert_eq!(take(&mut meter, 600, None, Some(70.1)), (kwh(0.1), 0));
    // Nor its counter, for longer than is waited for.
    for at in (605..1600).step_by(5) {
        take(&mut meter, at, None, None);
    }
    assert_eq!(take(&mut meter, 1600, None, None), (kwh(0.1), 1000));
    // Its power, and its counter once in ten minutes: the figure moves meanwhile, and waits when it was too fast.
    let mut meter = fresh();
    take(&mut meter, 0, Some(1200.0), Some(70.0));
    for at in (5..600).step_by(5) {
        take(&mut meter, at, Some(1200.0), None);
    }
    assert_eq!(take(&mut meter, 595, Some(1200.0), None), (drawn(1200.0, 595), 0));
    assert_eq!(take(&mut meter, 600, Some(1200.0), Some(70.15)), (drawn(1200.0, 595), 0), "in steps");
    assert_eq!(take(&mut meter, 605, Some(1200.0), None), (drawn(1200.0, 595), 0), "it stands still");
    assert_eq!(take(&mut meter, 1200, Some(1200.0), Some(70.4)), (kwh(0.4), 0));
    assert_eq!(take(&mut meter, 1205, Some(1200.0), None).0.shown(), kwh(0.4016));
}

proptest! {
    #[test]
    fn no_figure_ever_falls_and_ports_add_up(
        steps in proptest::collection::vec((0u64..40_000, 0usize..3, -10.0..6000.0f64, any::<bool>(), 0u8..20), 1..200),
        counted in proptest::collection::vec(proptest::option::of(0.0..10.0f64), 1..20),
    ) {
        let mut meter = fresh();
        let (mut up, mut last) = (0, vec![Energy::default(); 4]);
        for ((pause, port, watts, switched, restart), counted) in steps.into_iter().zip(counted.iter().cycle()) {
            up += pause;
            if restart == 0 {
                meter = Meter::new(&meter.tally());
                meter.raise(&id(), 3, &Floors::from([(Some(1), last[0])]), &moment(up));
            }
            let counter = counted.map(kwh);
            let sample = |index| Sample { watts: (index == port || switched).then_some(watts), counter, switched };
            meter.take(&moment(up), (0..3).map(sample), Duration::from_secs(5));
            let now: Vec<Energy> = (1..=3).map(|port| meter.port(port)).chain([meter.total()]).collect();
            prop_assert!(now.iter().zip(&last).all(|(now, last)| now >= last), "{now:?} after {last:?}");
            prop_assert_eq!(now[..3].iter().copied().sum::<Energy>(), now[3]);
            last = now;
        }
    }
}
