//! One conversation carried out: what it wants sent goes over HTTP or as a datagram, what comes back
//! goes into it.

use super::clock::Clock;
use super::conversation::{Conversation, Turn};
use super::http::Http;
use super::udp::{MAX_DATAGRAM, Wire};
use crate::drivers::{Dialect, Message};
use crate::model::{DeviceRequest, DeviceResponse, Endpoint, Failure};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Holds a conversation to its end. Brings back what came of it and how many requests it took.
///
/// # Errors
///
/// See [`Failure`]; the deadline gives [`Failure::Timeout`].
pub async fn talk(
    http: &Http,
    clock: &mut Clock,
    dialect: &mut dyn Dialect,
    place: Endpoint,
    ask: &DeviceRequest,
    limit: Duration,
) -> (Result<DeviceResponse, Failure>, u32) {
    let (mut conversation, mut turn) = Conversation::begin(dialect, ask, limit, &clock.now());
    loop {
        turn = match turn {
            Turn::Over(result) => return (*result, conversation.requests()),
            Turn::Send(Message::Datagram(bytes)) => {
                Box::pin(exchange(clock, dialect, &mut conversation, place, &bytes)).await
            }
            Turn::Send(Message::Get(target)) => {
                let until = Instant::from_std(clock.instant(conversation.wake_at()));
                let reply = timeout_at(until, http.get(place, &target)).await;
                hear(clock, dialect, &mut conversation, reply.unwrap_or(Err(Failure::Timeout)))
            }
            Turn::Send(Message::Post(target, body)) => {
                let until = Instant::from_std(clock.instant(conversation.wake_at()));
                let reply = timeout_at(until, http.post(place, &target, body)).await;
                hear(clock, dialect, &mut conversation, reply.unwrap_or(Err(Failure::Timeout)))
            }
            // Only datagrams are repeated and waited for again.
            Turn::Again | Turn::Listen => conversation.time(dialect, &clock.now()),
        };
    }
}

fn hear(
    clock: &mut Clock,
    dialect: &mut dyn Dialect,
    conversation: &mut Conversation,
    reply: Result<Vec<u8>, Failure>,
) -> Turn {
    conversation.hear(dialect, reply.as_deref().map_err(Clone::clone), &clock.now())
}

/// One question by datagram, until the conversation goes on.
async fn exchange(
    clock: &mut Clock,
    dialect: &mut dyn Dialect,
    conversation: &mut Conversation,
    place: Endpoint,
    bytes: &[u8],
) -> Turn {
    let wire = match Wire::to(place).await {
        Ok(wire) => wire,
        Err(failure) => return hear(clock, dialect, conversation, Err(failure)),
    };
    let mut buffer = vec![0; MAX_DATAGRAM];
    let mut turn = Turn::Again;
    loop {
        if turn == Turn::Again
            && let Err(failure) = wire.send(bytes).await
        {
            return hear(clock, dialect, conversation, Err(failure));
        }
        let until = Instant::from_std(clock.instant(conversation.wake_at()));
        turn = match timeout_at(until, wire.receive(&mut buffer)).await {
            Ok(Ok(length)) => {
                let datagram = buffer.get(..length).unwrap_or_default();
                conversation.hear(dialect, Ok(datagram), &clock.now())
            }
            Ok(Err(failure)) => hear(clock, dialect, conversation, Err(failure)),
            Err(_) => conversation.time(dialect, &clock.now()),
        };
        if !matches!(turn, Turn::Again | Turn::Listen) {
            return turn;
        }
    }
}
