//! Errands against plugs that are a list of answers.

use super::*;
use crate::model::{Clock, Days, LeaderWish, Name, PresenceSimulationWish, Role, Rule, RuleContent};
use std::time::Duration;

fn now() -> Moment {
    // 2026-11-21 12:00:00 in a zone an hour ahead.
    Moment { up: Duration::ZERO, unix_ms: 1_795_258_800_000, utc_offset_s: 3600, dst_s: 0, nonce: 0 }
}

fn guard() -> Guard {
    let locks = vec![Lock::None, Lock::None, Lock::None, Lock::None, Lock::None, Lock::On];
    Guard { who: "Strip".into(), ports: 6, control: true, locks, latched: false, followed: Vec::new() }
}

fn rule(id: i64) -> Rule {
    let ports = vec![Some(true), None, None, None, None, None];
    Rule { id, enabled: true, ports, days: Days::ALL, minute: 60, once: None }
}

fn roles(leader: u8, followers: &[u8]) -> Vec<Role> {
    let role = |port: u8| match port {
        port if port == leader => Role::Leader,
        port if followers.contains(&port) => Role::Follower,
        _ => Role::Neutral,
    };
    (1..=6).map(role).collect()
}

/// Plays an errand against these answers; what was asked, and how it ended.
fn play(
    errand: PlugRequest,
    answers: Vec<DeviceResponse>,
) -> (Vec<DeviceRequest>, Result<CapabilityState, String>) {
    let mut task = match Task::new(errand, guard()) {
        Ok(task) => task,
        Err(why) => return (Vec::new(), Err(why)),
    };
    let mut asked = Vec::new();
    for answer in answers {
        asked.push(task.ask());
        match task.hear(answer, &now()) {
            Ok(None) => {}
            Ok(Some(report)) => return (asked, Ok(report)),
            Err(failure) => return (asked, Err(failure.to_string())),
        }
    }
    panic!("{asked:?} and no end");
}

fn refused(errand: PlugRequest, part: &str) {
    let (asked, end) = play(errand, Vec::new());
    assert!(asked.is_empty());
    let why = end.expect_err("refused at the door");
    assert!(why.contains(part), "{why}");
}

#[test]
fn every_port_is_asked_for_its_timer_and_one_is_set() {
    let timer = Timer { minutes: 20, left_s: 1200 };
    let told = |timer| DeviceResponse::CapabilityRequest(CapabilityReply::Timer(timer));
    let answers = vec![told(None), told(Some(timer)), told(None), told(None), told(None), told(None)];
    let (asked, end) = play(PlugRequest::Countdown { port: None, minutes: None }, answers);
    let want: Vec<DeviceRequest> =
        (1..=6).map(|port| DeviceRequest::CapabilityRequest(CapabilityRequest::Timer(port))).collect();
    assert_eq!(asked, want);
    let Ok(CapabilityState::Countdowns(timers)) = end else { panic!("{end:?}") };
    assert_eq!((timers.len(), timers[1]), (6, (2, Some(timer))));
    let set = |minutes| PlugRequest::Countdown { port: Some(2), minutes: Some(minutes) };
    assert_eq!(
        play(set(20), vec![told(Some(timer))]).1,
        Ok(CapabilityState::Countdowns(vec![(2, Some(timer))]))
    );
    for (minutes, shown) in [(20, None), (0, Some(timer))] {
        assert!(play(set(minutes), vec![told(shown)]).1.is_err(), "it did not obey");
    }
    refused(PlugRequest::Countdown { port: Some(6), minutes: Some(5) }, "port 6 of Strip is locked");
    refused(PlugRequest::Countdown { port: Some(7), minutes: None }, "it has 1 to 6");
    refused(PlugRequest::Countdown { port: None, minutes: Some(5) }, "name it");
    refused(set(1441), "1 to 1440");
    assert!(
        Task::new(PlugRequest::Countdown { port: Some(6), minutes: Some(0) }, guard()).is_ok(),
        "only cancelled"
    );
}

#[test]
fn a_change_of_rules_begins_with_what_they_are() {
    let content = |on: &[u8], off: &[u8]| RuleContent {
        on: on.into(),
        off: off.into(),
        at: Some(1330),
        days: Some(Days::ALL),
        ..RuleContent::default()
    };
    let listed = |rules: Vec<Rule>| DeviceResponse::CapabilityRequest(CapabilityReply::Rules(rules));
    let new = Rule { ports: vec![None, Some(true), None, Some(false), None, None], minute: 1330, ..rule(0) };
    let add = |content| PlugRequest::Schedule(Some(RuleWish::Add(content)));
    let untold = || DeviceResponse::Unsupported;
    let answers = vec![listed(vec![rule(7)]), untold(), listed(vec![rule(7), Rule { id: 8, ..new.clone() }])];
    let (asked, end) = play(add(content(&[2], &[4])), answers);
    let change = CapabilityRequest::ChangeRules(RuleChange::Add(new));
    assert_eq!(
        asked,
        [CapabilityRequest::Rules, CapabilityRequest::Clock, change].map(DeviceRequest::CapabilityRequest)
    );
    assert!(matches!(end, Ok(CapabilityState::Schedule(rules, None)) if rules.len() == 2));
    let one = || listed(vec![rule(7)]);
    let (_, end) = play(add(content(&[2], &[4])), vec![one(), untold(), one()]);
    assert!(end.expect_err("it has not done so").contains("no such change"));

    let later = RuleContent { at: Some(90), enabled: Some(false), ..RuleContent::default() };
    let changed = Rule { minute: 90, enabled: false, ..rule(7) };
    let (asked, end) = play(
        PlugRequest::Schedule(Some(RuleWish::Change(7, later))),
        vec![one(), listed(vec![changed.clone()])],
    );
    assert_eq!(
        asked[1],
        DeviceRequest::CapabilityRequest(CapabilityRequest::ChangeRules(RuleChange::Change(changed)))
    );
    assert!(end.is_ok());
    let (_, end) = play(PlugRequest::Schedule(Some(RuleWish::Delete(9))), vec![one()]);
    assert!(end.expect_err("which?").contains("no rule 9; there is 7"));
    // A lock refuses what the rule would do, also when it is put in force again.
    let (_, end) = play(add(content(&[], &[6])), vec![one()]);
    assert!(end.expect_err("locked on").contains("port 6"));
    assert!(play(add(content(&[6], &[])), vec![one(), untold(), listed(vec![rule(7), rule(8)])]).1.is_ok());
    let dormant = Rule { enabled: false, ports: vec![None, None, None, None, None, Some(false)], ..rule(7) };
    let wake = RuleContent { enabled: Some(true), ..RuleContent::default() };
    let (_, end) = play(PlugRequest::Schedule(Some(RuleWish::Change(7, wake))), vec![listed(vec![dormant])]);
    assert!(end.expect_err("locked on").contains("port 6"));
    refused(add(RuleContent { at: None, ..content(&[1], &[]) }), "a rule needs");
    refused(add(content(&[7], &[])), "no port 7");
}

#[test]
fn a_rule_on_a_plug_with_a_wrong_clock_is_warned_of() {
    let content = RuleContent { on: vec![1], at: Some(60), days: Some(Days::ALL), ..RuleContent::default() };
    let said = |clock: DeviceResponse| {
        let listed = |rules: Vec<Rule>| DeviceResponse::CapabilityRequest(CapabilityReply::Rules(rules));
        let add = PlugRequest::Schedule(Some(RuleWish::Add(content.clone())));
        let (_, end) = play(add, vec![listed(vec![]), clock, listed(vec![rule(7)])]);
        let Ok(CapabilityState::Schedule(_, told)) = end else { panic!("{end:?}") };
        told.as_ref().and_then(warning)
    };
    let clock = |drift_s| {
        let local = DateTime::constant(2013, 12, 26, 0, 0, 0, 0);
        DeviceResponse::CapabilityRequest(CapabilityReply::Clock(Some(Clock { local, drift_s })))
    };
    let wrong = said(clock(-407_246_400)).expect("a warning");
    assert!(wrong.contains("2013-12-26"), "{wrong}");
    for fine in [clock(3), DeviceResponse::Unsupported, DeviceResponse::Refused("no".into())] {
        assert_eq!(said(fine), None);
    }
}

#[test]
fn a_date_that_is_past_is_refused_and_all_locked_ports_are_named() {
    let listed = |rules: Vec<Rule>| DeviceResponse::CapabilityRequest(CapabilityReply::Rules(rules));
    let on = |day: i8, hour: u16| RuleContent {
        on: vec![1],
        at: Some(hour * 60),
        date: Some(jiff::civil::Date::constant(2026, 11, day)),
        ..RuleContent::default()
    };
    let add = |content| PlugRequest::Schedule(Some(RuleWish::Add(content)));
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
    let gone = Rule { enabled: false, ..rule(7) }.at(gone, &now()).expect("a rule");
    let change = |content| PlugRequest::Schedule(Some(RuleWish::Change(7, content)));
    let wake = RuleContent { enabled: Some(true), ..RuleContent::default() };
    let why = play(change(wake), vec![listed(vec![gone.clone()])]).1.expect_err("it would never come");
    assert!(why.contains("2026-11-20 06:00 is past"), "{why}");
    let daily = RuleContent { enabled: Some(true), days: Some(Days::ALL), ..RuleContent::default() };
    let after = Rule { enabled: true, days: Days::ALL, once: None, ..gone.clone() };
    assert!(
        play(change(daily), vec![listed(vec![gone]), DeviceResponse::Unsupported, listed(vec![after])])
            .1
            .is_ok()
    );

    let locks = vec![Lock::None, Lock::Off, Lock::None, Lock::None, Lock::None, Lock::On];
    let content = RuleContent { on: vec![1, 2], off: vec![6], ..on(22, 1) };
    let mut task = Task::new(add(content), Guard { locks, ..guard() }).expect("a task");
    let why = task.hear(listed(vec![]), &now()).expect_err("locked").to_string();
    assert!(why.contains("port 2 on, port 6 off at Strip"), "{why}");
}

#[test]
fn a_leader_keeps_the_slaves_there_are_and_locked_ports_follow_nobody() {
    let is = |leader, followers: &[u8]| LeaderGroup { roles: roles(leader, followers), limit_w: Some(5) };
    let told =
        |group: &LeaderGroup| DeviceResponse::CapabilityRequest(CapabilityReply::Leader(group.clone()));
    let lead = |leader, followers: &[u8]| {
        PlugRequest::Leader(Some(LeaderWish {
            leader: Some(leader),
            followers: followers.into(),
            limit_w: None,
        }))
    };
    let (before, after) = (is(1, &[2, 3]), is(2, &[3]));
    let (asked, end) = play(lead(Some(2), &[]), vec![told(&before), told(&after)]);
    assert_eq!(asked[1], DeviceRequest::CapabilityRequest(CapabilityRequest::SetLeader(after.clone())));
    assert_eq!(end, Ok(CapabilityState::Leader(after)));
    let none = is(0, &[]);
    assert_eq!(
        play(lead(None, &[]), vec![told(&before), told(&none)]).1,
        Ok(CapabilityState::Leader(none.clone()))
    );
    assert!(play(lead(Some(1), &[]), vec![told(&none)]).1.expect_err("nobody follows").contains("followers"));
    assert!(play(lead(Some(1), &[6]), vec![told(&none)]).1.expect_err("locked").contains("port 6"));
    assert!(play(lead(Some(1), &[2]), vec![told(&none), told(&none)]).1.is_err(), "it did not obey");
    // Those that followed before it was ended.
    let guard = Guard { followed: vec![2, 3], ..guard() };
    let mut task = Task::new(lead(Some(1), &[]), guard).expect("a task");
    assert_eq!(task.hear(told(&none), &now()), Ok(None));
    assert_eq!(task.ask(), DeviceRequest::CapabilityRequest(CapabilityRequest::SetLeader(before)));
}

#[test]
fn a_rule_that_comes_once_stays_where_it_is_unless_its_time_is_given() {
    // The vendor's app leaves a meaningless minute with such a rule; noon is 1 795 258 800.
    let once = Rule { days: Days::default(), minute: 5, once: Some(1_795_262_417), ..rule(7) };
    let told = || DeviceResponse::CapabilityRequest(CapabilityReply::Rules(vec![once.clone()]));
    let changed = |content: RuleContent| {
        // Only a rule in force is worth a look at the clock.
        let clock = (content.enabled != Some(false)).then_some(DeviceResponse::Unsupported);
        let answers = [Some(told()), clock, Some(told())].into_iter().flatten().collect();
        let (asked, _) = play(PlugRequest::Schedule(Some(RuleWish::Change(7, content))), answers);
        let Some(DeviceRequest::CapabilityRequest(CapabilityRequest::ChangeRules(RuleChange::Change(rule)))) =
            asked.last()
        else {
            panic!("{asked:?}")
        };
        (rule.once, rule.minute, rule.enabled)
    };
    let off = RuleContent { enabled: Some(false), ..RuleContent::default() };
    assert_eq!(changed(off), (once.once, 5, false));
    let later = RuleContent { at: Some(14 * 60), ..RuleContent::default() };
    assert_eq!(changed(later), (Some(1_795_266_000), 14 * 60, true));
    let next_day = RuleContent { date: Some(jiff::civil::date(2026, 11, 22)), ..RuleContent::default() };
    assert_eq!(changed(next_day), (Some(1_795_348_800), 13 * 60, true));
}

#[test]
fn random_switching_keeps_what_is_not_said_and_spares_locked_ports() {
    let off = Presence { enabled: false, days: Days::default(), from: 0, to: 0, ports: vec![false; 6] };
    let told =
        |presence: &Presence| DeviceResponse::CapabilityRequest(CapabilityReply::Presence(presence.clone()));
    let on = PresenceSimulationWish { enabled: Some(true), ..PresenceSimulationWish::default() };
    let wish = |wish: &PresenceSimulationWish| PlugRequest::PresenceSimulation(Some(wish.clone()));
    assert!(play(wish(&on), vec![told(&off)]).1.expect_err("when?").contains("days"));
    let whole = PresenceSimulationWish {
        days: Some(Days::ALL),
        from: Some(1080),
        to: Some(1380),
        ports: vec![2],
        ..on
    };
    let ports = vec![false, true, false, false, false, false];
    let lived = Presence { enabled: true, days: Days::ALL, from: 1080, to: 1380, ports };
    assert_eq!(
        play(wish(&whole), vec![told(&off), told(&lived)]).1,
        Ok(CapabilityState::PresenceSimulation(lived))
    );
    let locked = PresenceSimulationWish { ports: vec![6], ..whole };
    assert!(play(wish(&locked), vec![told(&off)]).1.expect_err("locked").contains("port 6"));
}

#[test]
fn a_name_that_the_plug_does_not_tell_is_kept_here() {
    let name = Name::clean("Flur").expect("a name");
    let rename = || PlugRequest::Rename { port: 2, name: name.clone() };
    let kept = |told: Option<&str>| {
        let told = CapabilityReply::Name(told.and_then(Name::clean));
        let Ok(CapabilityState::Renamed { kept_here, .. }) =
            play(rename(), vec![DeviceResponse::CapabilityRequest(told)]).1
        else {
            panic!("a report")
        };
        kept_here
    };
    assert_eq!(kept(Some("Flur")), None);
    assert!(kept(Some("PORT2")).is_some_and(|why| why.contains("PORT2")));
    assert!(kept(None).is_some());
    assert!(play(rename(), vec![DeviceResponse::Unsupported]).1.expect_err("no").contains(UNKNOWN_SKILL));
}

#[test]
fn nothing_is_changed_that_is_read_only_and_raw_commands_heed_locks() {
    let read_only = Guard { control: false, ..guard() };
    let set = Task::new(PlugRequest::Clock { set: true }, read_only.clone());
    assert!(set.expect_err("read-only").contains("read_only"));
    assert!(Task::new(PlugRequest::Clock { set: false }, read_only).is_ok());
    refused(PlugRequest::Call { command: 511, arguments: None }, "unlock");
    let free = Guard { locks: Vec::new(), ..guard() };
    let latched = Guard { latched: true, ..free.clone() };
    assert!(Task::new(PlugRequest::Call { command: 511, arguments: None }, free).is_ok());
    let call = Task::new(PlugRequest::Call { command: 511, arguments: None }, latched);
    assert!(call.expect_err("latched").contains("overload_reset"));
}

#[test]
fn an_answer_to_something_else_is_no_answer() {
    let reading = DeviceResponse::Reading(crate::model::Reading::default());
    assert!(play(PlugRequest::Clock { set: false }, vec![reading]).1.is_err());
    let timer = DeviceResponse::CapabilityRequest(CapabilityReply::Timer(None));
    assert!(play(PlugRequest::Clock { set: false }, vec![timer]).1.is_err());
}
