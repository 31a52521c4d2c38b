//! What a strip does on its sockets: HTTP in all its modes, and answers to discovery.

use std::net::{SocketAddr, SocketAddrV4};
use std::rc::Rc;
use std::time::Duration;

use plug2mqtt::sim;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::{Fleet, Mode, Relay, Strip, address};
use crate::measure::now_us;

const MAX_REQUEST: usize = 2048;
/// Commands by their numbers.
const STATUS: &str = "511";
const SWITCH: &str = "200";
const CLOCK: &str = "502";
/// A client closes a served connection a moment after it may already have opened the next; only what lasts longer counts as two at once.
const OVERLAP_GRACE: Duration = Duration::from_millis(5);

pub(super) fn bind(address: SocketAddrV4, backlog: u32) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address.into())?;
    socket.listen(backlog)
}

/// The HTTP side of one strip through all its modes.
pub(super) async fn listen(fleet: Rc<Fleet>, strip: Rc<Strip>, mut listener: Option<TcpListener>) {
    let address = SocketAddrV4::new(address(strip.index), fleet.http_port);
    let mut modes = strip.mode.subscribe();
    loop {
        let mode = *modes.borrow_and_update();
        match mode {
            Mode::Refuse => {
                listener = None;
                let _ = modes.changed().await;
            }
            Mode::Vanish => {
                listener = None;
                let _deaf = deafen(address).await;
                let _ = modes.changed().await;
            }
            Mode::Healthy | Mode::Hang | Mode::Stall | Mode::Crawl => {
                let current = match listener.take() {
                    Some(current) => current,
                    None => bind(address, 64).expect("the address was ours a moment ago"),
                };
                tokio::select! {
                    Ok((stream, _)) = current.accept() => { spawn_local(answer(fleet.clone(), strip.clone(), stream)); }
                    _ = modes.changed() => {}
                }
                listener = Some(current);
            }
        }
    }
}

/// A listener whose queue is full: the kernel drops further connection attempts, as if the strip had been unplugged.
async fn deafen(address: SocketAddrV4) -> (TcpListener, Vec<TcpStream>) {
    let listener = bind(address, 0).expect("the address was ours a moment ago");
    let mut fill = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(50), TcpStream::connect(address)).await {
        fill.push(stream);
    }
    (listener, fill)
}

async fn answer(fleet: Rc<Fleet>, strip: Rc<Strip>, mut stream: TcpStream) {
    strip.open.set(strip.open.get() + 1);
    if strip.open.get() > 1 {
        spawn_local(note_overlap(strip.clone()));
    } else {
        let mut report = strip.report.borrow_mut();
        report.max_open = report.max_open.max(1);
    }
    if let Some(target) = read_target(&mut stream).await {
        fleet.enter();
        let _ = respond(&fleet, &strip, &mut stream, &target).await;
        fleet.leave();
        let _ = stream.shutdown().await;
    }
    wait_for_close(&mut stream).await;
    strip.open.set(strip.open.get() - 1);
}

async fn note_overlap(strip: Rc<Strip>) {
    sleep(OVERLAP_GRACE).await;
    let mut report = strip.report.borrow_mut();
    report.max_open = report.max_open.max(strip.open.get());
}

async fn wait_for_close(stream: &mut TcpStream) {
    let mut rest = [0; 64];
    while matches!(stream.read(&mut rest).await, Ok(1..)) {}
}

async fn read_target(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::with_capacity(256);
    while !request.ends_with(b"\r\n\r\n") {
        if request.len() > MAX_REQUEST || stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&request);
    text.split(' ').nth(1).map(str::to_owned)
}

async fn respond(fleet: &Fleet, strip: &Strip, stream: &mut TcpStream, target: &str) -> std::io::Result<()> {
    let command = command(target);
    if command == STATUS {
        strip.note_poll();
    }
    if strip.mode() == Mode::Hang {
        wait_for_close(stream).await;
        return Ok(());
    }
    if !fleet.delay.get().is_zero() {
        sleep(fleet.delay.get()).await;
    }
    let Some(bytes) = say(fleet, strip, command, target) else { return Ok(()) };
    match strip.mode() {
        Mode::Stall => {
            stream.write_all(&bytes[..bytes.len() - 40]).await?;
            wait_for_close(stream).await;
            Ok(())
        }
        Mode::Crawl => crawl(stream, &bytes).await,
        Mode::Healthy | Mode::Hang | Mode::Refuse | Mode::Vanish => {
            if command == STATUS {
                note_good(fleet, strip);
            }
            stream.write_all(&bytes).await
        }
    }
}

fn note_good(fleet: &Fleet, strip: &Strip) {
    let now_us = now_us();
    fleet.polled(strip.index, now_us);
    let mut report = strip.report.borrow_mut();
    if report.first_good_us == 0 {
        report.first_good_us = now_us;
    }
}

/// Ends at once when the client closes: a connection it has given up must not count as open.
async fn crawl(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        if timeout(Duration::from_millis(100), wait_for_close(stream)).await.is_ok() {
            break;
        }
    }
    Ok(())
}

fn command(target: &str) -> &str {
    let query = target.split_once("cmd=").map_or("", |(_, query)| query);
    query.split_once('&').map_or(query, |(command, _)| command)
}

/// What the strip answers. It closes the connection for all that is asked rarely, so that polls are what is measured.
fn say(fleet: &Fleet, strip: &Strip, command: &str, target: &str) -> Option<Vec<u8>> {
    if command == STATUS && fleet.tremble.get() {
        strip.tremble();
    }
    if ![STATUS, SWITCH, CLOCK].contains(&command) {
        return None;
    }
    let mut plug = strip.plug.borrow_mut();
    let reply = plug.http(fleet.now_s(), &sim::Request::get(target));
    if command == SWITCH
        && let Some(sim::Switched { port, on }) = plug.switched().last()
    {
        fleet.relays.borrow_mut().push(Relay { strip: strip.index, port, on, at_us: now_us() });
    }
    reply
}

async fn greet(fleet: &Fleet, strip: &Strip, voice: &UdpSocket, to: SocketAddr, bytes: &[u8]) {
    if matches!(strip.mode(), Mode::Healthy | Mode::Stall | Mode::Crawl) {
        let answers = strip.plug.borrow_mut().datagram(fleet.now_s(), bytes);
        for answer in answers {
            let _ = voice.send_to(&answer, to).await;
        }
    }
}

pub(super) async fn hear_unicast(fleet: Rc<Fleet>, strip: Rc<Strip>, voice: Rc<UdpSocket>) {
    let mut buffer = [0; 1024];
    loop {
        if let Ok((length, from)) = voice.recv_from(&mut buffer).await {
            greet(&fleet, &strip, &voice, from, &buffer[..length]).await;
        }
    }
}

/// Answers a broadcast for every strip in any order, a few at a time so that a usual receive buffer holds them.
pub(super) async fn hear_broadcast(fleet: Rc<Fleet>, shared: UdpSocket, voices: Vec<Rc<UdpSocket>>) {
    let mut buffer = [0; 1024];
    let mut choir: Vec<_> = fleet.strips.iter().zip(&voices).collect();
    loop {
        let Ok((length, from)) = shared.recv_from(&mut buffer).await else { continue };
        fastrand::shuffle(&mut choir);
        for (index, (strip, voice)) in choir.iter().enumerate() {
            greet(&fleet, strip, voice, from, &buffer[..length]).await;
            if index % 16 == 15 {
                sleep(Duration::from_millis(2)).await;
            }
        }
    }
}
