//! The two ways a plug can be read, and what is said when neither reads it.

use super::*;

#[test]
fn a_plug_that_no_way_reads_is_what_its_own_way_says_whichever_was_tried_first() {
    let code_400 = r#"V3{"response":90,"code":400}"#;
    let empty = r#"V3{"response":90,"code":200,"data":{}}"#;
    let null = r#"V3{"response":90,"code":200,"data":null}"#;
    let closed = Failure::Unreachable("nobody listens there".into());
    let v3s = [NO_DATA_90, empty, null, code_400].map(bytes);
    let mut cases: Vec<(&str, Reply<'_>, Reply<'_>, Failure)> =
        v3s.iter().map(|v3| ("2.11", Reply::Unreachable, *v3, closed.clone())).collect();
    cases.push(("1.30", Reply::Unreachable, Reply::Timeout, closed.clone()));
    cases.push(("1.30", Reply::Closed, Reply::Timeout, Failure::Closed));
    cases.push(("1.30", Reply::Timeout, Reply::Unreachable, Failure::Timeout));
    cases.push(("5.11", Reply::Unreachable, Reply::Timeout, Failure::Timeout));
    cases.push(("5.11", Reply::Closed, bytes(code_400), Failure::Rejected("code 400 to command 90".into())));
    for (firmware, http, v3, want) in cases {
        let mut plug = dialect(firmware);
        for turn in 0..2 {
            let mut step = Ok(plug.start(&DeviceRequest::Read, &now()));
            while let Ok(Step::Send(Request { what, .. })) = &step {
                let reply = match what {
                    Message::Get(_) => http,
                    Message::Datagram(question) if question.starts_with(b"00dv") => Reply::Timeout,
                    Message::Datagram(_) | Message::Post(..) => v3,
                };
                step = plug.handle_response(reply, &now());
            }
            assert_eq!(step, Err(want.clone()), "{firmware} {http:?} {v3:?} {turn}");
            // What comes later changes nothing.
            assert_eq!(plug.handle_response(bytes(NO_DATA_90), &now()), Err(want.clone()));
            plug.reset_session();
        }
    }
}
