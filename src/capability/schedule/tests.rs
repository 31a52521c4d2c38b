//! Schedules against plugs that are a list of answers.

use super::*;
use crate::capability::tests::{self, guard, now, refused};
use crate::capability::{DeviceResponse, local, open};
use crate::core::Lock;

fn play(request: ScheduleRequest, answers: Vec<DeviceResponse>) -> (Vec<Query>, Result<Schedule, String>) {
    tests::play(request, guard(), answers)
}

fn listed(rules: Vec<RawRule>) -> DeviceResponse {
    QueryReply::Schedule(rules).into()
}

fn change(id: i64, rule: RuleChange) -> ScheduleRequest {
    ScheduleRequest::change(RuleChange { id: Some(id), ..rule })
}

fn rule(id: i64) -> RawRule {
    let ports = vec![Some(true), None, None, None, None, None];
    RawRule { id, enabled: true, ports, days: Days::ALL, minute: 60, once: None }
}

#[test]
fn a_change_of_rules_begins_with_what_they_are() {
    let content = |on: &[u8], off: &[u8]| RuleChange {
        on: on.into(),
        off: off.into(),
        at: Some(1330),
        days: Some(Days::ALL),
        ..RuleChange::default()
    };
    let new =
        RawRule { ports: vec![None, Some(true), None, Some(false), None, None], minute: 1330, ..rule(0) };
    let add = ScheduleRequest::add;
    let untold = || DeviceResponse::Unsupported;
    let answers =
        vec![listed(vec![rule(7)]), untold(), listed(vec![rule(7), RawRule { id: 8, ..new.clone() }])];
    let (asked, end) = play(add(content(&[2], &[4])), answers);
    let edit = Query::Schedule(Access::Write(ScheduleEdit::Add(new)));
    assert_eq!(asked, [Query::Schedule(Access::Read), Query::Clock(ClockQuery::Read), edit]);
    assert!(matches!(end, Ok(Schedule { rules, clock: None }) if rules.len() == 2));
    let one = || listed(vec![rule(7)]);
    let (_, end) = play(add(content(&[2], &[4])), vec![one(), untold(), one()]);
    assert!(end.expect_err("it has not done so").contains("no such change"));

    let later = RuleChange { at: Some(90), enabled: Some(false), ..RuleChange::default() };
    let changed = RawRule { minute: 90, enabled: false, ..rule(7) };
    let (asked, end) = play(change(7, later), vec![one(), listed(vec![changed.clone()])]);
    assert_eq!(asked[1], Query::Schedule(Access::Write(ScheduleEdit::Change(changed))));
    assert!(end.is_ok());
    let (_, end) = play(ScheduleRequest::delete(9), vec![one()]);
    assert!(end.expect_err("which?").contains("no rule 9; there is 7"));
    // A lock refuses what the rule would do, also when it is put in force again.
    let (_, end) = play(add(content(&[], &[6])), vec![one()]);
    assert!(end.expect_err("locked on").contains("port 6"));
    assert!(play(add(content(&[6], &[])), vec![one(), untold(), listed(vec![rule(7), rule(8)])]).1.is_ok());
    let dormant =
        RawRule { enabled: false, ports: vec![None, None, None, None, None, Some(false)], ..rule(7) };
    let wake = RuleChange { enabled: Some(true), ..RuleChange::default() };
    let (_, end) = play(change(7, wake), vec![listed(vec![dormant])]);
    assert!(end.expect_err("locked on").contains("port 6"));
    refused(add(RuleChange { at: None, ..content(&[1], &[]) }), "a rule needs");
    refused(add(content(&[7], &[])), "no port 7");
    refused(add(content(&[1, 2], &[2])), "port 2 is named twice");
}

#[test]
fn a_rule_on_a_plug_with_a_wrong_clock_is_warned_of() {
    let content = RuleChange { on: vec![1], at: Some(60), days: Some(Days::ALL), ..RuleChange::default() };
    let said = |clock: DeviceResponse| {
        let add = ScheduleRequest::add(content.clone());
        let (_, end) = play(add, vec![listed(vec![]), clock, listed(vec![rule(7)])]);
        end.expect("an answer").clock.as_ref().and_then(warning)
    };
    let clock = |drift_s| {
        let local = DateTime::constant(2013, 12, 26, 0, 0, 0, 0);
        QueryReply::Clock(Some(Clock { local, drift_s })).into()
    };
    let wrong = said(clock(-407_246_400)).expect("a warning");
    assert!(wrong.contains("2013-12-26"), "{wrong}");
    for fine in [clock(3), DeviceResponse::Unsupported, DeviceResponse::Refused("no".into())] {
        assert_eq!(said(fine), None);
    }
}

#[test]
fn a_date_that_is_past_is_refused_and_all_locked_ports_are_named() {
    let on = |day: i8, hour: u16| RuleChange {
        on: vec![1],
        at: Some(hour * 60),
        date: Some(jiff::civil::Date::constant(2026, 11, day)),
        ..RuleChange::default()
    };
    let add = ScheduleRequest::add;
    for (day, hour) in [(20, 13), (21, 11), (21, 12)] {
        let why = play(add(on(day, hour)), vec![listed(vec![])]).1.expect_err("past");
        assert!(why.contains("is past, it is 2026-11-21 12:00 here"), "{why}");
    }
    assert!(
        play(add(on(21, 13)), vec![listed(vec![]), DeviceResponse::Unsupported, listed(vec![rule(1)])])
            .1
            .is_ok()
    );
    let gone = DateTime::constant(2026, 11, 20, 6, 0, 0, 0);
    let gone = RawRule { enabled: false, ..rule(7) }.at(gone, &now()).expect("a rule");
    let wake = RuleChange { enabled: Some(true), ..RuleChange::default() };
    let why = play(change(7, wake), vec![listed(vec![gone.clone()])]).1.expect_err("it would never come");
    assert!(why.contains("2026-11-20 06:00 is past"), "{why}");
    let daily = RuleChange { enabled: Some(true), days: Some(Days::ALL), ..RuleChange::default() };
    let after = RawRule { enabled: true, days: Days::ALL, once: None, ..gone.clone() };
    assert!(
        play(change(7, daily), vec![listed(vec![gone]), DeviceResponse::Unsupported, listed(vec![after])])
            .1
            .is_ok()
    );

    let locks = vec![Lock::None, Lock::Off, Lock::None, Lock::None, Lock::None, Lock::On];
    let content = RuleChange { on: vec![1, 2], off: vec![6], ..on(22, 1) };
    let mut conversation = open(add(content), Guard { locks, ..guard() }).expect("a conversation");
    let why = conversation.take(QueryReply::Schedule(vec![]), &now()).expect_err("locked").to_string();
    assert!(why.contains("port 2 on, port 6 off at Strip"), "{why}");
}

#[test]
fn a_rule_that_comes_once_stays_where_it_is_unless_its_time_is_given() {
    // The vendor's app leaves a meaningless minute with such a rule; noon is 1 795 258 800.
    let once = RawRule { days: Days::default(), minute: 5, once: Some(1_795_262_417), ..rule(7) };
    let told = || listed(vec![once.clone()]);
    let changed = |content: RuleChange| {
        // Only a rule in force is worth a look at the clock.
        let clock = (content.enabled != Some(false)).then_some(DeviceResponse::Unsupported);
        let answers = [Some(told()), clock, Some(told())].into_iter().flatten().collect();
        let (asked, _) = play(change(7, content), answers);
        let Some(Query::Schedule(Access::Write(ScheduleEdit::Change(rule)))) = asked.last() else {
            panic!("{asked:?}")
        };
        (rule.once, rule.minute, rule.enabled)
    };
    let off = RuleChange { enabled: Some(false), ..RuleChange::default() };
    assert_eq!(changed(off), (once.once, 5, false));
    let later = RuleChange { at: Some(14 * 60), ..RuleChange::default() };
    assert_eq!(changed(later), (Some(1_795_266_000), 14 * 60, true));
    let next_day = RuleChange { date: Some(jiff::civil::date(2026, 11, 22)), ..RuleChange::default() };
    assert_eq!(changed(next_day), (Some(1_795_348_800), 13 * 60, true));
}

#[test]
fn a_rule_that_comes_once_keeps_its_local_date() {
    let rule = RawRule { id: 1, enabled: true, ports: vec![], days: Days::default(), minute: 0, once: None };
    assert_eq!(rule.comes(&now()), None);
    let rule = rule.at(local("2026-11-22,00:30:00").expect("a time"), &now()).expect("a rule");
    assert_eq!((rule.minute, rule.once), (30, Some(1_795_303_800)));
    for offset_s in [0, 3600, 7200] {
        let now = Now { utc_offset_s: offset_s, ..now() };
        assert_eq!(rule.comes(&now), local("2026-11-22,00:30:00"), "read with {offset_s} s");
    }
    let late = rule.at(local("2026-11-22,23:59:00").expect("a time"), &now()).expect("a rule");
    let summer = Now { utc_offset_s: 7200, ..now() };
    assert_eq!(late.comes(&summer), local("2026-11-22,23:59:00"));
    // As captured on a 1.30 station (cmd-516.md of mh-maxsmart-powerstation): the minute is stale.
    let app = RawRule { minute: 1384, once: Some(1_539_387_857), ..late };
    let summer = Now { dst_s: 3600, ..summer };
    assert_eq!(app.comes(&summer), local("2018-10-13,01:44:17"));
}
