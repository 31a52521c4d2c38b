use super::super::status::status;
use super::*;
use crate::model::{PowerUnit, Reading};
use std::time::Duration;

fn at(unix_ms: u64, utc_offset_s: i32, dst_s: i32) -> Now {
    Now { up: Duration::ZERO, unix_ms, utc_offset_s, dst_s, nonce: 0 }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn discovery_carries_local_time_and_the_zone_without_summer_time() {
    // 2018-10-07 08:48:42 UTC, summer time in Switzerland.
    let summer = at(1_538_902_122_000, 7200, 3600);
    assert_eq!(text(&discovery(true, &summer)), "00dv=all,2018-10-07,10:48:42,13;");
    let west = at(1_538_902_122_000, -5 * 3600, 0);
    assert_eq!(text(&discovery(true, &west)), "00dv=all,2018-10-07,03:48:42,7;");
    assert_eq!(text(&discovery(false, &summer)), "00dv=all;");
}

#[test]
fn requests_are_written_as_the_vendors_app_writes_them() {
    let sn = Some("SWP6000000000001");
    assert_eq!(
        relay(sn, 0, true),
        "/?cmd=200&json=%7B%22sn%22%3A%22SWP6000000000001%22%2C%22port%22%3A0%2C%22state%22%3A1%7D"
    );
    assert_eq!(relay(None, 3, false), "/?cmd=200&json=%7B%22port%22%3A3%2C%22state%22%3A0%7D");
    assert_eq!(text(&v3_status(sn)), r#"V3{"sn":"SWP6000000000001","cmd":90}"#);
    assert_eq!(text(&v3_relay(sn, 2, true)), r#"V3{"sn":"SWP6000000000001","cmd":20,"port":2,"state":1}"#);
}

fn read(body: &[u8]) -> Reading {
    status(body, 511, None, PowerUnit::Auto).expect("a reading")
}

fn watts(json: &str, unit: PowerUnit) -> (Vec<Option<f64>>, usize) {
    let body = format!(r#"{{"response":511,"code":200,"data":{{"watt":[{json}],"switch":[1,1,1,1,1,1]}}}}"#);
    let reading = status(body.as_bytes(), 511, None, unit).expect("a reading");
    (reading.ports.iter().map(|port| port.watts).collect(), reading.refused.len())
}

#[test]
fn watts_are_told_from_milliwatts_value_by_value() {
    let check = |json: &str, unit, want: [Option<f64>; 6], refused: usize| {
        assert_eq!(watts(json, unit), (want.to_vec(), refused), "{json} {unit:?}");
    };
    let auto = PowerUnit::Auto;
    check(
        r#""5.20",5200,5.2," 7 ","1e2",0"#,
        auto,
        [Some(5.2), Some(5.2), Some(5.2), Some(7.0), Some(100.0), Some(0.0)],
        0,
    );
    check(
        r#"5,5.5,"5",-0.0,5000,3680000"#,
        PowerUnit::Watts,
        [Some(5.0), Some(5.5), Some(5.0), Some(0.0), Some(5000.0), None],
        1,
    );
    check(
        r#"5000,"5000",5000.0,0,1,2"#,
        PowerUnit::Milliwatts,
        [Some(5.0), Some(5.0), Some(5.0), Some(0.0), Some(0.001), Some(0.002)],
        0,
    );
}

#[test]
fn nonsense_is_refused_value_by_value() {
    let (values, refused) = watts(r#""NaN","inf",-1,null,"5001",[]"#, PowerUnit::Auto);
    assert_eq!(values, [None; 6]);
    assert_eq!(refused, 4, "what is told of it is bounded");
    let (values, _) = watts(r#""1e999","-0.5","","watt",true,{}"#, PowerUnit::Auto);
    assert_eq!(values, [None; 6]);
    let (values, refused) = watts(r#""3.3""#, PowerUnit::Auto);
    assert_eq!(
        (values, refused),
        (vec![Some(3.3), None, None, None, None, None], 0),
        "a short array is used as far as it goes"
    );
}

#[test]
fn relays_in_every_spelling() {
    let body = br#"{"response":511,"code":200,"data":{"switch":[1,0,true,"1","on",2]}}"#;
    let reading = read(body);
    let relays: Vec<_> = reading.ports.iter().map(|port| port.relay).collect();
    assert_eq!(relays, [Some(true), Some(false), Some(true), Some(true), None, None]);
    assert_eq!(reading.refused.len(), 2);
}

#[test]
fn the_number_of_ports_comes_from_the_longest_word_of_the_plug_and_is_bounded() {
    let many = vec!["1"; 1000].join(",");
    let body = format!(r#"{{"response":511,"code":200,"data":{{"switch":[{many}]}}}}"#);
    let reading = read(body.as_bytes());
    assert_eq!((reading.ports.len(), reading.refused.len()), (MAX_PORTS, 1));
}

#[test]
fn replies_that_are_not_answers() {
    let check = |body: &[u8], want: fn(&Failure) -> bool| {
        let failure = status(body, 511, None, PowerUnit::Auto).expect_err("no data");
        assert!(want(&failure), "{} -> {failure:?}", text(body));
    };
    check(br#"{"response":511,"code":400}"#, |f| matches!(f, Failure::Rejected(_)));
    check(br#"{"response":513,"code":200,"data":{}}"#, |f| matches!(f, Failure::InvalidResponse(_)));
    check(
        br#"{"response":511,"code":200}"#,
        |f| matches!(f, Failure::InvalidResponse(what) if what == NO_DATA),
    );
    for bad in [
        &b""[..],
        b"<html>",
        b"{",
        b"\xff\xfe{}",
        br#"{"response":511}"#,
        b"[]",
        br#"{"response":"x","code":200}"#,
    ] {
        check(bad, |f| matches!(f, Failure::InvalidResponse(_)));
    }
}

#[test]
fn control_characters_inside_json_are_survived() {
    let body = b"junk{\"response\":\"511\",\"code\":200,\x01\"data\":{\"watt\":[\"1\x022.5\"],\"switch\":[1]}}\0\0trailing";
    let reading = read(body);
    assert_eq!(reading.ports.first().and_then(|port| port.watts), Some(12.5));
}

#[test]
fn identity_is_serial_else_mac_else_unknown() {
    let check = |sn: &str, mac: &str, want: Option<&str>| {
        let body =
            serde_json::json!({"response": 0, "data": {"sn": sn, "name": "X", "mac": mac}}).to_string();
        let id = hello(body.as_bytes()).expect("a hello").id();
        assert_eq!(id.as_ref().map(PlugId::as_str), want, "{sn:?} {mac:?}");
    };
    check("SWP6000000000001", "02:00:00:00:00:01", Some("maxsmart-swp6000000000001"));
    for garbage in ["", "\u{1}\u{2}\u{3}\u{4}\u{5}", "SWP6é", "SWP 6", "000", "0000000000000000", "a/b#c+d"]
    {
        check(garbage, "02:00:00:00:00:01", Some("maxsmart-020000000001"));
        check(garbage, "00:00:00:00:00:00", None);
    }
}

#[test]
fn strangers_on_the_port_are_not_plugs() {
    for bad in [
        &b"00dv=all;"[..],
        b"",
        br#"{"response":1,"data":{"sn":"SWP6000000000001"}}"#,
        br#"{"response":90,"data":{"sn":"SWP6000000000001","mac":"02:00:00:00:00:01"}}"#,
        br#"{"response":0,"sn":"SWP6000000000001"}"#,
        br#"{"response":0}"#,
        br#"{"response":0,"data":{}}"#,
        br#"{"response":0,"data":[1]}"#,
        br#"{"response":0,"data":{"mac":"x"}}"#,
        b"V3{\"response\":90}",
    ] {
        assert!(hello(bad).is_none(), "{}", text(bad));
    }
}

#[test]
fn serial_and_name_together_make_a_plug_whatever_is_around_them() {
    for text in [
        r#"{"response":90,"data":{"sn":"SWP6000000000001","name":"STRIP"}}"#,
        r#"{"data":{"sn":"SWP6000000000001","name":"STRIP","ver":"1.30"}}"#,
        r#"{"response":"0","sn":"SWP6000000000001","name":"STRIP"}"#,
    ] {
        let hello = hello(text.as_bytes()).expect(text);
        assert_eq!(hello.id(), PlugId::new("maxsmart-swp6000000000001"), "{text}");
    }
}

#[test]
fn a_v3_reply_of_another_plug_is_a_stranger() {
    let theirs = br#"V3{"response":90,"code":200,"sn":"SWW6000000000002","data":{"watt":[0],"switch":[0]}}"#;
    assert_eq!(mine(theirs, Some("SWW6000000000001")), Err(Failure::WrongDevice("SWW6000000000002".into())));
    assert!(mine(theirs, Some("sww6000000000002")).is_ok());
    assert!(mine(theirs, None).is_ok());
}

#[test]
fn hardware_ids_in_both_spellings() {
    let check = |json: &str, want: Option<&str>| {
        let object: Map<String, Value> = serde_json::from_str(json).expect("JSON");
        let id = hardware_id(&object, &mut DeviceInfo::default());
        assert_eq!(id.as_ref().map(PlugId::as_str), want, "{json}");
    };
    check(
        r#"{"plcmac":"02:00:00:00:00:01","cpuid":"AABBCCDDEEFF554433221100"}"#,
        Some("maxsmart-020000000001"),
    );
    check(r#"{"pclmac":"020000000001"}"#, Some("maxsmart-020000000001"));
    check(r#"{"plcmac":"","cpuid":"AABBCCDDEEFF554433221100"}"#, Some("maxsmart-aabbccddeeff554433221100"));
    check(r#"{"cpuid":"zz"}"#, None);
}
