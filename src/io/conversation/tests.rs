use super::*;
use crate::drivers::Request;
use crate::model::Reading;

/// Asks twice and takes only "yes" for an answer.
struct Twice {
    left: u32,
    datagram: bool,
    timeout: Duration,
}

impl Twice {
    fn next(&mut self) -> Step {
        if self.left == 0 {
            return Step::Done(Box::new(DeviceResponse::Reading(Reading::default())));
        }
        self.left -= 1;
        let what = if self.datagram { Message::Datagram(b"?".to_vec()) } else { Message::Get("/".into()) };
        Step::Send(Request { what, timeout: self.timeout })
    }
}

impl Dialect for Twice {
    fn start(&mut self, _: &DeviceRequest, _: &Now) -> Step {
        self.next()
    }

    fn handle_response(&mut self, reply: Reply<'_>, _: &Now) -> Result<Step, Failure> {
        match reply {
            Reply::Bytes(b"yes") => Ok(self.next()),
            Reply::Bytes(_) => Err(Failure::InvalidResponse("not yes".into())),
            Reply::Closed | Reply::Unreachable | Reply::Timeout => Err(reply.failure().unwrap()),
        }
    }
}

fn at(ms: u64) -> Now {
    Now { up: Duration::from_millis(ms), unix_ms: ms, utc_offset_s: 0, dst_s: 0, nonce: 0 }
}

fn begin(datagram: bool, left: u32) -> (Twice, Conversation) {
    let mut dialect = Twice { left, datagram, timeout: Duration::from_secs(1) };
    let limit = Duration::from_millis(1500);
    let (conversation, turn) = Conversation::begin(&mut dialect, &DeviceRequest::Read, limit, &at(0));
    assert!(matches!(turn, Turn::Send(_)));
    (dialect, conversation)
}

#[test]
fn a_datagram_is_repeated_ever_more_rarely_and_strays_are_passed_over() {
    let (mut dialect, mut talk) = begin(true, 2);
    assert_eq!(talk.wake_at(), Duration::from_millis(250));
    assert_eq!(talk.time(&mut dialect, &at(250)), Turn::Again);
    assert_eq!(talk.wake_at(), Duration::from_millis(750));
    assert_eq!(talk.hear(&mut dialect, Ok(b"noise"), &at(300)), Turn::Listen);
    assert_eq!(talk.time(&mut dialect, &at(750)), Turn::Again);
    assert_eq!(talk.wake_at(), Duration::from_millis(1000));
    assert!(matches!(talk.hear(&mut dialect, Ok(b"yes"), &at(900)), Turn::Send(_)));
    assert_eq!(talk.wake_at(), Duration::from_millis(1150));
    assert!(matches!(talk.hear(&mut dialect, Ok(b"yes"), &at(910)), Turn::Over(end) if end.is_ok()));
    assert_eq!(talk.requests(), 2);
}

#[test]
fn one_deadline_ends_it_and_a_stray_says_why() {
    let (mut dialect, mut talk) = begin(true, 2);
    talk.hear(&mut dialect, Ok(b"yes"), &at(900));
    talk.hear(&mut dialect, Ok(b"noise"), &at(1000));
    talk.time(&mut dialect, &at(1150));
    assert_eq!(talk.wake_at(), Duration::from_millis(1500), "600 ms of the limit are left for the second");
    let end = |failure| Turn::Over(Box::new(Err(failure)));
    assert_eq!(talk.time(&mut dialect, &at(1500)), end(Failure::InvalidResponse("not yes".into())));
    let (mut dialect, mut talk) = begin(true, 2);
    assert_eq!(talk.time(&mut dialect, &at(1000)), end(Failure::Timeout));
}

#[test]
fn why_nobody_could_be_reached_is_what_the_transport_said_whenever_that_was() {
    /// Tries another way, which fails too, and says that the first could not be reached.
    struct Both;
    impl Dialect for Both {
        fn start(&mut self, _: &DeviceRequest, _: &Now) -> Step {
            Step::Send(Request { what: Message::Get("/".into()), timeout: Duration::from_secs(1) })
        }
        fn handle_response(&mut self, reply: Reply<'_>, _: &Now) -> Result<Step, Failure> {
            match reply {
                Reply::Unreachable => Ok(Step::Send(Request {
                    what: Message::Datagram(b"?".to_vec()),
                    timeout: Duration::from_secs(1),
                })),
                Reply::Bytes(_) | Reply::Closed | Reply::Timeout => {
                    Err(Failure::Unreachable("nobody listens there".into()))
                }
            }
        }
    }
    for answer in [Err(Failure::Timeout), Ok(b"no".as_slice())] {
        let limit = Duration::from_secs(5);
        let (mut talk, _) = Conversation::begin(&mut Both, &DeviceRequest::Read, limit, &at(0));
        let refused = Failure::Unreachable("Connection refused (os error 111)".into());
        assert!(matches!(talk.hear(&mut Both, Err(refused.clone()), &at(1)), Turn::Send(_)));
        assert_eq!(talk.hear(&mut Both, answer, &at(2)), Turn::Over(Box::new(Err(refused))));
    }
}

#[test]
fn over_http_nonsense_ends_it_at_once_and_steps_are_counted() {
    let (mut dialect, mut talk) = begin(false, 2);
    assert!(matches!(talk.hear(&mut dialect, Ok(b"noise"), &at(1)), Turn::Over(end) if end.is_err()));
    let (mut dialect, mut talk) = begin(false, 1000);
    let turns = (0..).take_while(|_| matches!(talk.hear(&mut dialect, Ok(b"yes"), &at(1)), Turn::Send(_)));
    assert_eq!(turns.count(), MAX_STEPS as usize - 1);
    assert_eq!(talk.requests(), MAX_STEPS);
}
