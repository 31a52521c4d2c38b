//! Requests against plugs that are a list of answers, and the list of capabilities.

use super::*;
use crate::core::{Lock, Reading};

pub(super) fn now() -> Now {
    // 2026-11-21 12:00:00 in a zone an hour ahead.
    Now { up: Duration::ZERO, unix_ms: 1_795_258_800_000, utc_offset_s: 3600, dst_s: 0, nonce: 0 }
}

pub(super) fn guard() -> Guard {
    let locks = vec![Lock::None, Lock::None, Lock::None, Lock::None, Lock::None, Lock::On];
    Guard { who: "Strip".into(), ports: 6, control: true, locks, latched: false, followed: Vec::new() }
}

/// Plays a request against these answers; what was asked, and how it ended.
pub(super) fn play<R: Request>(
    request: R,
    guard: Guard,
    answers: Vec<DeviceResponse>,
) -> (Vec<Query>, Result<R::Answer, String>) {
    let mut conversation = match open(request, guard) {
        Ok(conversation) => conversation,
        Err(why) => return (Vec::new(), Err(why)),
    };
    let mut asked = Vec::new();
    for answer in answers {
        asked.push(conversation.query());
        match hear(&mut conversation, answer, &now()) {
            Ok(None) => {}
            Ok(Some(answer)) => return (asked, Ok(answer)),
            Err(failure) => return (asked, Err(failure.to_string())),
        }
    }
    panic!("{asked:?} and no end");
}

/// Nothing is asked for this request.
pub(super) fn refused<R: Request>(request: R, part: &str) {
    let why = open(request, guard()).expect_err("refused at the door");
    assert!(why.contains(part), "{why}");
}

#[test]
fn nothing_is_changed_that_is_read_only_and_raw_commands_heed_locks() {
    let read_only = Guard { control: false, ..guard() };
    let set = open(ClockRequest { set: true }, read_only.clone());
    assert!(set.expect_err("read-only").contains("read_only"));
    assert!(open(ClockRequest { set: false }, read_only).is_ok());
    let call = || Call { command: 511, arguments: None };
    refused(call(), "unlock");
    let free = Guard { locks: Vec::new(), ..guard() };
    let latched = Guard { latched: true, ..free.clone() };
    assert!(open(call(), free).is_ok());
    assert!(open(call(), latched).expect_err("latched").contains("overload_reset"));
}

#[test]
fn an_answer_to_something_else_is_no_answer() {
    let clock = || ClockRequest { set: false };
    let reading = DeviceResponse::Reading(Reading::default());
    assert!(play(clock(), guard(), vec![reading]).1.is_err());
    assert!(play(clock(), guard(), vec![QueryReply::Countdown(None).into()]).1.is_err());
}

#[test]
fn what_a_plug_has_shown_is_kept_by_name() {
    let mut able = Able::default();
    assert!(able.is_empty() && !able.has("clock"));
    able.insert("leader");
    able.insert("clock");
    able.insert("what comes later");
    let text = serde_json::to_string(&able).expect("text");
    assert_eq!(text, r#"["clock","leader"]"#);
    assert_eq!(serde_json::from_str::<Able>(&text).expect("names"), able);
    let newer = serde_json::from_str::<Able>(r#"["clock","leader","led"]"#).expect("names");
    assert_eq!(newer, able);
    assert!(able.has("clock") && !able.has("countdown"));
}
