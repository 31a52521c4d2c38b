//! One conversation: the dialect says what to send, the transports carry it, one deadline ends it.

use super::clock::Clock;
use super::http::Http;
use super::udp::{MAX_DATAGRAM, Question};
use crate::drivers::{Dialect, MAX_STEPS, Message, Reply, Step};
use crate::model::{Answer, Ask, Failure, Place};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Holds a conversation to its end. Brings back what came of it and how many requests it took.
///
/// # Errors
///
/// See [`Failure`]; the deadline gives [`Failure::Silent`].
pub async fn talk(
    http: &Http,
    clock: &mut Clock,
    dialect: &mut dyn Dialect,
    place: Place,
    ask: &Ask,
    limit: Duration,
) -> (Result<Answer, Failure>, u32) {
    let deadline = Instant::now() + limit;
    let mut requests = 0;
    let mut step = dialect.ask(ask, &clock.now());
    loop {
        let request = match step {
            Step::Done(answer) => return (Ok(*answer), requests),
            Step::Send(request) => request,
        };
        let patience = request.patience.min(deadline.saturating_duration_since(Instant::now()));
        if requests >= MAX_STEPS || patience.is_zero() {
            return (Err(Failure::Silent), requests);
        }
        requests += 1;
        let heard = match request.what {
            Message::Get(target) => {
                let reply = timeout(patience, http.get(place, &target)).await;
                hear(dialect, clock, reply.unwrap_or(Err(Failure::Silent)))
            }
            Message::Post(target, body) => {
                let reply = timeout(patience, http.post(place, &target, body)).await;
                hear(dialect, clock, reply.unwrap_or(Err(Failure::Silent)))
            }
            Message::Datagram(bytes) => Box::pin(exchange(dialect, clock, place, &bytes, patience)).await,
        };
        step = match heard {
            Ok(step) => step,
            Err(failure) => return (Err(failure), requests),
        };
    }
}

/// Lets the dialect have a reply, or the lack of one.
fn hear(
    dialect: &mut dyn Dialect,
    clock: &mut Clock,
    reply: Result<Vec<u8>, Failure>,
) -> Result<Step, Failure> {
    let now = clock.now();
    match reply {
        Ok(bytes) => dialect.hear(Reply::Bytes(&bytes), &now),
        Err(failure) => {
            let reply = match failure {
                Failure::Closed => Reply::Closed,
                Failure::Silent => Reply::Silent,
                Failure::Unreachable(_) => Reply::Unreachable,
                // The transport itself could make nothing of it.
                Failure::Nonsense(_) | Failure::Stranger(_) | Failure::Denied(_) => return Err(failure),
            };
            // The transport knows better why it could not get there.
            dialect.hear(reply, &now).map_err(|theirs| match (&theirs, &failure) {
                (Failure::Unreachable(_), Failure::Unreachable(_)) => failure,
                _ => theirs,
            })
        }
    }
}

/// One question by datagram: strays and answers that make no sense are passed over until the time
/// is up.
async fn exchange(
    dialect: &mut dyn Dialect,
    clock: &mut Clock,
    place: Place,
    bytes: &[u8],
    patience: Duration,
) -> Result<Step, Failure> {
    let mut question = match Question::ask(place, bytes, patience).await {
        Ok(question) => question,
        Err(failure) => return hear(dialect, clock, Err(failure)),
    };
    let mut buffer = vec![0; MAX_DATAGRAM];
    let mut stray = None;
    loop {
        match question.answer(&mut buffer).await {
            Ok(length) => {
                let heard =
                    dialect.hear(Reply::Bytes(buffer.get(..length).unwrap_or_default()), &clock.now());
                match heard {
                    Err(failure @ (Failure::Nonsense(_) | Failure::Stranger(_))) => stray = Some(failure),
                    heard => return heard,
                }
            }
            Err(failure) => return stray.map_or_else(|| hear(dialect, clock, Err(failure)), Err),
        }
    }
}
