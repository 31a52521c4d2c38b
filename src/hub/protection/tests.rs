use super::*;
use crate::hub::Limit;
use crate::model::Origin;

const POLL: Duration = Duration::from_secs(5);

fn moment(secs: u64) -> Now {
    Now { up: Duration::from_secs(secs), unix_ms: 0, utc_offset_s: 0, dst_s: 0, nonce: 0 }
}

fn guard(ports: u8, limits: &[(u8, f64, u64, OverloadAction)]) -> Protection {
    let limit = |&(port, watts, after, action): &(u8, f64, u64, OverloadAction)| {
        (port, Limit { watts: Some(watts), after: Duration::from_secs(after), action })
    };
    let rules = PlugRules { limits: limits.iter().map(limit).collect(), ..PlugRules::default() };
    let mut guard = Protection::default();
    guard.fit(&rules, Some(3680), ports);
    guard
}

/// Watts at one time; a negative figure is drawn though the relay says off, NaN was not told.
type Row<'a> = (u64, &'a [f64], &'a [(u8, Hazard, f64)]);

/// What is read, at which second, and what alarms that raises.
fn check(mut guard: Protection, rows: &[Row<'_>]) -> Protection {
    for (at, watts, wanted) in rows {
        let port = |watts: &f64| PortReading {
            relay: Some(watts.is_sign_positive()),
            watts: Some(watts.abs()).filter(|watts| !watts.is_nan()),
            amps: None,
            ..PortReading::default()
        };
        let live: Vec<PortReading> = watts.iter().map(port).collect();
        let follows = guard.follows(&moment(*at), POLL, false);
        let seen = guard.look(&moment(*at), &live, &[], follows);
        let alarms: Vec<(u8, Hazard, f64)> =
            seen.alarms.iter().map(|alarm| (alarm.port, alarm.hazard, alarm.watts)).collect();
        assert_eq!(alarms, *wanted, "at {at} s");
        assert!(seen.news || alarms.is_empty(), "at {at} s");
        guard.word(&BTreeSet::new());
    }
    guard
}

#[test]
fn an_overload_is_an_alarm_when_it_lasts_and_once() {
    let alarm = (1, Hazard::Overload, 3_700.0);
    let tell = || guard(6, &[]);
    check(tell(), &[(0, &[3_680.0], &[]), (60, &[3_680.0], &[])]);
    check(tell(), &[(0, &[3_700.0], &[]), (5, &[3_700.0], &[]), (10, &[100.0], &[]), (20, &[100.0], &[])]);
    // It begins anew each time it was calm, and goes on a little below the limit.
    let rows: &[Row<'_>] = &[
        (0, &[3_700.0], &[]),
        (5, &[3_600.0], &[]),
        (10, &[3_700.0], &[]),
        (20, &[3_700.0], &[(0, Hazard::Overload, 3_700.0), alarm]),
        (30, &[3_600.0], &[]),
        (40, &[3_700.0], &[]),
        (500, &[3_800.0], &[]),
        (505, &[3_400.0], &[]),
        (510, &[3_700.0], &[]),
        (520, &[3_700.0], &[(0, Hazard::Overload, 3_700.0), alarm]),
    ];
    check(tell(), rows);
}

#[test]
fn the_sum_of_the_ports_is_the_plugs() {
    let over = check(
        guard(3, &[]),
        &[(0, &[1_300.0; 3], &[]), (10, &[1_300.0; 3], &[(0, Hazard::Overload, 3_900.0)])],
    );
    assert_eq!(over.problem(), Some("the plug is overloaded: 3900 W, allowed are 3680 W"));
    // A plug with one port has one limit, whichever of the two is said.
    for port in [0, 1] {
        let own = guard(1, &[(port, 500.0, 0, OverloadAction::Tell)]);
        check(own, &[(0, &[501.0], &[(1, Hazard::Overload, 501.0)])]);
    }
    check(guard(1, &[(0, 500.0, 0, OverloadAction::Ignore)]), &[(0, &[4_999.0], &[])]);
}

#[test]
fn too_much_at_some_ports_is_too_much_though_others_do_not_tell() {
    let much: &[f64] = &[2_000.0, f64::NAN, 2_000.0];
    let rows: &[Row<'_>] = &[(0, much, &[]), (10, much, &[(0, Hazard::Overload, 4_000.0)])];
    let over = check(guard(3, &[]), rows);
    let over = check(over, &[(15, &[100.0, f64::NAN, 100.0], &[])]);
    assert!(over.problem().is_some(), "the third may draw anything");
    let calm = check(over, &[(20, &[100.0; 3], &[])]);
    assert_eq!(calm.problem(), None);
}

#[test]
fn readings_far_apart_say_nothing_about_the_time_between() {
    let own = || guard(6, &[(2, 100.0, 30, OverloadAction::Tell)]);
    let rows: &[Row<'_>] = &[(0, &[0.0, 200.0], &[]), (40, &[0.0, 200.0], &[]), (55, &[0.0, 200.0], &[])];
    check(own(), rows);
    check(own(), &[rows, &[(70, &[0.0, 200.0], &[(2, Hazard::Overload, 200.0)])]].concat());
}

#[test]
fn an_overload_that_should_be_off_is_an_alarm_again() {
    let rows: &[Row<'_>] = &[
        (0, &[200.0], &[(1, Hazard::Overload, 200.0)]),
        (10, &[200.0], &[]),
        (59, &[200.0], &[]),
        (60, &[210.0], &[(1, Hazard::Overload, 210.0)]),
    ];
    check(guard(6, &[(1, 100.0, 0, OverloadAction::Off)]), rows);
    check(guard(6, &[(1, 100.0, 0, OverloadAction::Tell)]), &[rows[0], (60, &[210.0], &[])]);
}

#[test]
fn power_behind_an_open_relay_is_told_when_it_stays() {
    let rows: &[Row<'_>] = &[
        (0, &[-4.9, -60.0], &[]),
        (15, &[-4.9, -60.0], &[]),
        (29, &[-4.9, -60.0], &[]),
        (30, &[-4.9, -60.0], &[(2, Hazard::PowerWhileOff, 60.0)]),
        (45, &[-4.9, -60.0], &[]),
    ];
    let leaking = check(guard(6, &[]), rows);
    assert_eq!(leaking.problem(), Some("port 2 draws 60 W though its relay says off"));
    let over = check(leaking, &[(50, &[0.0, 60.0], &[])]);
    assert_eq!(over.problem(), None);
    check(guard(6, &[]), &[(0, &[-60.0], &[]), (15, &[-0.0], &[]), (30, &[-60.0], &[]), (45, &[-60.0], &[])]);
}

#[test]
fn power_that_was_not_read_says_nothing() {
    // A meter that stays silent for a while after its relay went off.
    let mut guard = check(guard(1, &[]), &[(0, &[1_500.0], &[])]);
    for at in [5, 10, 20, 30, 40, 50] {
        let heard = [PortReading { relay: Some(false), watts: None, ..PortReading::default() }];
        assert_eq!(guard.look(&moment(at), &heard, &[], Follows::AtOnce), Seen::default());
    }
}

#[test]
fn a_relay_that_falls_under_high_load_may_have_cut_out() {
    let falls_back = |before: f64, at: u64, cause: Cause, back: bool| {
        let mut guard = check(guard(6, &[]), &[(0, &[before], &[])]);
        let off = PortReading { relay: Some(false), watts: Some(0.0), ..PortReading::default() };
        let follows = guard.follows(&moment(at), POLL, back);
        let seen = guard.look(&moment(at), &[off], &[(1, false, Some(cause))], follows);
        guard.word(&BTreeSet::new());
        (seen.alarms.first().map(|alarm| (alarm.hazard, alarm.watts)), guard)
    };
    let falls = |before, at, cause| falls_back(before, at, cause, false);
    // With a poll missed in between it may have restarted.
    assert_eq!(falls_back(3_400.0, 10, Cause::Local, true).0, None);
    let (alarm, guard) = falls(3_400.0, 5, Cause::Local);
    assert_eq!(alarm, Some((Hazard::CutOut, 3_400.0)));
    assert_eq!(guard.problem(), Some("port 1 went off by itself at 3400 W: it may have cut out"));
    assert_eq!(check(guard, &[(10, &[3_000.0], &[])]).problem(), None, "somebody has seen to it");
    // A hand at a lamp, a command, a power cut.
    assert_eq!(falls(3_300.0, 5, Cause::Local).0, None);
    assert_eq!(falls(3_400.0, 5, Cause::Command(Origin::Mqtt)).0, None);
    assert_eq!(falls(3_400.0, 20, Cause::Local).0, None);
}

#[test]
fn what_is_wrong_is_said_in_one_line_and_ports_keep_what_goes_on_through_new_settings() {
    let mut guard = check(
        guard(1, &[(1, 100.0, 0, OverloadAction::Latch)]),
        &[(0, &[200.0], &[(1, Hazard::Overload, 200.0)])],
    );
    let rules = PlugRules {
        limits: [(1, Limit { watts: Some(150.0), ..Limit::default() })].into(),
        ..PlugRules::default()
    };
    guard.fit(&rules, None, 1);
    assert!(guard.word(&[1].into()) && !guard.word(&[1].into()));
    assert_eq!(
        guard.problem(),
        Some(
            "the plug is overloaded: 200 W, allowed are 150 W; the plug was overloaded and is latched until it is released"
        )
    );
}
