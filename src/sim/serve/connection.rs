//! HTTP as a plug does it: one request per connection, answered and closed.

use super::super::{Answer, Model, Request};
use super::state::State;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

const LARGEST_HEAD: usize = 8192;
const LARGEST_BODY: usize = 64 << 10;

/// Takes connections and talks on all of them at once.
pub(super) async fn accept<M: Model>(state: Arc<State<M>>, listener: TcpListener) {
    let mut talks = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                talks.spawn(talk(Open::new(&state), stream));
            }
            Err(error) => return tracing::error!(%error, "simulated plug takes no connections any more"),
        }
        while talks.try_join_next().is_some() {}
    }
}

/// Counts a connection for as long as it lives, however it ends.
struct Open<M: Model>(Arc<State<M>>);

impl<M: Model> Open<M> {
    fn new(state: &Arc<State<M>>) -> Self {
        let mut desk = state.desk();
        desk.open += 1;
        desk.most_open = desk.most_open.max(desk.open);
        Self(Arc::clone(state))
    }
}

impl<M: Model> Drop for Open<M> {
    fn drop(&mut self) {
        self.0.desk().open -= 1;
    }
}

async fn talk<M: Model>(open: Open<M>, mut stream: TcpStream) {
    let state = &open.0;
    if !state.reachable() {
        return hang(&mut stream).await;
    }
    let Some((head, body)) = read(&mut stream).await else { return };
    let Some((method, target)) = line(&head) else { return };
    tracing::trace!(method, target = %target.escape_debug(), "request to simulated plug");
    state.desk().arrived += 1;
    let (answer, delay) = state.http(&Request { method, target, body: &body });
    sleep(delay).await;
    match answer {
        Answer::Hang => hang(&mut stream).await,
        Answer::Close => {}
        Answer::Whole(bytes) => {
            // The client may leave early; that is its right.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Answer::Drip(bytes, pause) => {
            for byte in bytes {
                if stream.write_u8(byte).await.is_err() {
                    return;
                }
                sleep(pause).await;
            }
        }
    }
}

/// Holds the connection in silence until the client gives up.
async fn hang(stream: &mut TcpStream) {
    let mut buffer = [0; 256];
    while matches!(stream.read(&mut buffer).await, Ok(length) if length > 0) {}
}

/// Head and body of a request, as long as its `Content-Length` says.
async fn read(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if bytes.len() > LARGEST_HEAD || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8(bytes).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())
    });
    let length: usize = length.unwrap_or(Some(0)).filter(|length| *length <= LARGEST_BODY)?;
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    body.truncate(length);
    Some((head, body))
}

/// Method and target of a request; blanks in the target are kept, since some clients send raw JSON.
fn line(head: &str) -> Option<(&str, &str)> {
    let (method, rest) = head.lines().next()?.split_once(' ')?;
    let (target, _version) = rest.rsplit_once(" HTTP/1.")?;
    Some((method, target))
}
