//! Plugs with a meter, without one, and with one that does not always tell.

use super::*;

#[test]
fn a_plug_without_a_meter_is_hardly_ever_asked_for_it() {
    for (device, error) in [(0x2716, -4), (0x2717, -5), (0x947a, -4)] {
        let (mut dialect, none) = metered(device, Says::Error(error));
        assert_eq!(none, None);
        assert_eq!(relay(play(dialect.as_mut(), &DeviceRequest::Read, &[Says::Payload(ON)])), Some(true));
        // Also after the line broke.
        dialect.reset_session();
        let script = [Says::Hello(device, MAC, false), Says::Key, Says::Payload(ON)];
        assert_eq!(relay(play(dialect.as_mut(), &DeviceRequest::Read, &script)), Some(true));
    }
}

#[test]
fn a_meter_that_has_told_is_believed_to_be_none_only_after_several_refusals_and_not_for_good() {
    for error in [-4, -5] {
        let mut dialect = in_session();
        let no = [Says::Payload(ON), Says::Error(error)];
        let figure = [Says::Payload(ON), Says::Payload(FIVE_WATTS)];
        for _ in 1..MUTE {
            let read = reading(play(dialect.as_mut(), &DeviceRequest::Read, &no));
            assert_eq!((read.ports[0].watts, read.refused.len()), (None, 1));
        }
        assert_eq!(
            watts(play(dialect.as_mut(), &DeviceRequest::Read, &figure)),
            Some(5.0),
            "it was for once"
        );
        for _ in 0..MUTE {
            assert_eq!(watts(play(dialect.as_mut(), &DeviceRequest::Read, &no)), None);
        }
        for again in [&no, &figure] {
            for _ in 0..SPARED {
                assert_eq!(watts(play(dialect.as_mut(), &DeviceRequest::Read, &[Says::Payload(ON)])), None);
            }
            let told = watts(play(dialect.as_mut(), &DeviceRequest::Read, again));
            assert_eq!(told.is_some(), again[1..] == figure[1..]);
        }
        assert_eq!(watts(play(dialect.as_mut(), &DeviceRequest::Read, &figure)), Some(5.0));
    }
}

#[test]
fn a_meter_that_fails_for_once_costs_only_its_own_figure() {
    let mut dialect = in_session();
    let read = reading(play(dialect.as_mut(), &DeviceRequest::Read, &[Says::Payload(ON), Says::Error(-10)]));
    assert_eq!(read.ports, [PortReading { relay: Some(true), watts: None, ..PortReading::default() }]);
    assert_eq!(read.refused, ["the meter says error -10: cannot read"]);
    for _ in 0..5 {
        assert_eq!(
            watts(play(dialect.as_mut(), &DeviceRequest::Read, &[Says::Payload(ON), Says::Nothing])),
            None
        );
    }
    let script = [Says::Payload(ON), Says::Payload(FIVE_WATTS)];
    assert_eq!(watts(play(dialect.as_mut(), &DeviceRequest::Read, &script)), Some(5.0));
}

#[test]
fn a_meter_that_never_spoke_is_asked_rarely_after_a_few_silences() {
    let (mut dialect, _) = metered(0x2717, Says::Nothing);
    for _ in 1..MUTE {
        play(dialect.as_mut(), &DeviceRequest::Read, &[Says::Payload(ON), Says::Nothing]).expect("a reading");
    }
    let spared = |dialect: &mut dyn Dialect| {
        for _ in 0..SPARED {
            assert_eq!(watts(play(dialect, &DeviceRequest::Read, &[Says::Payload(ON)])), None);
        }
    };
    spared(dialect.as_mut());
    play(dialect.as_mut(), &DeviceRequest::Read, &[Says::Payload(ON), Says::Nothing])
        .expect("asked once more");
    spared(dialect.as_mut());
    let script = [Says::Payload(ON), Says::Payload(FIVE_WATTS)];
    assert_eq!(watts(play(dialect.as_mut(), &DeviceRequest::Read, &script)), Some(5.0), "it was the network");
}

#[test]
fn an_echo_of_the_question_is_no_figure_until_there_was_one() {
    let echo = Says::Payload(&[4]);
    let (mut dialect, none) = metered(0x1234, echo);
    assert_eq!(none, None);
    let script = |answer| [Says::Payload(ON), answer];
    assert_eq!(
        watts(play(dialect.as_mut(), &DeviceRequest::Read, &script(Says::Payload(FIVE_WATTS)))),
        Some(5.0)
    );
    assert_eq!(watts(play(dialect.as_mut(), &DeviceRequest::Read, &script(echo))), Some(0.0));
    // A type with a meter of the known kind shows nothing with the same bytes.
    assert_eq!(metered(0x2716, echo).1, Some(0.0));
    // A status in place of an answer is no milliwatt.
    assert_eq!(metered(0x7544, Says::Payload(ON)).1, None);
}

#[test]
fn the_other_meter_has_packed_digits() {
    let digits = |plain| metered(0x947a, Says::Payload(plain)).1;
    assert_eq!(digits(&[8, 0, 0xfe, 1, 5, 0x68, 0x25, 0]), Some(25.68));
    assert_eq!(digits(&[8, 0, 0xfe, 1, 5, 0x6a, 0x25, 0]), None);
    assert_eq!(digits(&wire::DECIMAL_METER), None, "an echo");
}

#[test]
fn more_than_a_socket_gives_is_refused() {
    let (_, watts) = metered(0x2716, Says::Payload(&[4, 0, 0, 0, 0xff, 0xff, 0xff]));
    assert_eq!(watts, None);
}
