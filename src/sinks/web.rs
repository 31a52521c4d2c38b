//! The web listener: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever watches over
//! the process. Nothing here changes anything.

use super::mqtt::{Counters, resident};
use super::prometheus::{self, Bridge};
use crate::model::{Metrics, PlugId};
use axum::Router;
use axum::extract::Request;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header, uri::Authority};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tracing::{info, warn};

/// The hub answers within this time, or something is wrong with the program.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Connections at one time; further ones wait. Without an end to them the bridge would run out of
/// files.
const MAX_CLIENTS: usize = 32;

/// A connection ends after this time, whatever it is doing.
const LONGEST: Duration = Duration::from_secs(5);

/// How long a port may take to be given back by the run before, which has new settings now.
const GIVEN_BACK: Duration = Duration::from_secs(2);

/// Asks for figures; the answer comes back on the channel sent.
pub type Asks = mpsc::Sender<oneshot::Sender<Metrics>>;

/// What the listener shows.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Where figures come from.
    pub figures: Asks,
    /// The MQTT connection's figures.
    pub mqtt: Arc<Counters>,
    /// Version of the program.
    pub version: &'static str,
    /// When it was started, milliseconds since 1970.
    pub started_ms: u64,
    /// Names it may be asked by, besides its addresses and the machine's own names.
    pub hosts: Vec<String>,
}

/// The listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("web.listen {address}: {source}; choose another address, or leave it out for no listener")]
pub struct WebError {
    address: SocketAddr,
    source: io::Error,
}

/// Opens the listener and serves until `stop` says so. Gives the address it listens on.
///
/// # Errors
///
/// When the address is taken or not one of this machine.
pub async fn start(
    address: SocketAddr,
    sources: Sources,
    mut stop: watch::Receiver<bool>,
) -> Result<SocketAddr, WebError> {
    let fail = |source| WebError { address, source };
    let listener = bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    let door = Door { listener, places: Arc::new(Semaphore::new(MAX_CLIENTS)) };
    info!(listen = %bound, "web listener started: metrics at /metrics");
    tokio::spawn(async move {
        let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
        if let Err(why) = axum::serve(door, router(sources)).with_graceful_shutdown(stopped).await {
            warn!("web listener failed: {why}");
        }
    });
    Ok(bound)
}

/// Opens the port; one that the run before is only giving back is waited for.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let until = Instant::now() + GIVEN_BACK;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                sleep(Duration::from_millis(50)).await;
            }
            bound => return bound,
        }
    }
}

/// Lets only so many in at one time.
struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Listener for Door {
    type Io = Client;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Client, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("nobody closes it");
        let (stream, from) = Listener::accept(&mut self.listener).await;
        (Client { stream, ends: Box::pin(sleep(LONGEST)), _place: place }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that gives its place back when its time is up.
struct Client {
    stream: TcpStream,
    ends: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Client {
    /// The connection, while it may last.
    fn stream(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        match self.ends.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(Pin::new(&mut self.stream)),
        }
    }
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream(context)?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream(context)?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn router(sources: Sources) -> Router {
    let mut own = sources.hosts.clone();
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    own.extend([format!("{name}.local"), name, "localhost".into()]);
    let own: Arc<[String]> = own.into();
    Router::new()
        .route("/", get(start_page))
        .route("/metrics", get(metrics))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .with_state(sources)
        .layer(middleware::from_fn(move |request, next| known(Arc::clone(&own), request, next)))
}

/// Turns away who comes by a name that is not ours: a page on the web can point its own name at this
/// address and read along.
async fn known(own: Arc<[String]>, request: Request, next: Next) -> Response {
    let hosts = request.headers().get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let target = request.uri().authority().map(Authority::as_str);
    match hosts.chain(target).all(|host| is_own(host, &own)) {
        true => next.run(request).await,
        false => FOREIGN.into_response(),
    }
}

const FOREIGN: (StatusCode, &str) = (
    StatusCode::MISDIRECTED_REQUEST,
    "this is not a name of this bridge; ask by its address, or list the name in web.hosts\n",
);

/// Whether a host, with or without port, is an address or one of these names.
fn is_own(host: &str, own: &[String]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let host = authority.host().trim_end_matches('.');
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok() || own.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// Says where one is.
async fn start_page(State(sources): State<Sources>) -> Html<String> {
    Html(format!(
        "<!doctype html>\n<title>plug2mqtt</title>\n<h1>plug2mqtt {}</h1>\n\
         <p>Makes LAN smart plugs switches and sensors over MQTT. Here are figures only:</p>\n<ul>\n\
         <li><a href=\"/metrics\">/metrics</a> for Prometheus</li>\n\
         <li><a href=\"/healthz\">/healthz</a> whether the program lives</li>\n\
         <li><a href=\"/readyz\">/readyz</a> whether it has a broker and has asked every plug</li>\n</ul>\n",
        sources.version
    ))
}

impl Sources {
    async fn figures(&self) -> Option<Metrics> {
        let (answer, figures) = oneshot::channel();
        let asked = async {
            self.figures.send(answer).await.ok()?;
            figures.await.ok()
        };
        timeout(TIMEOUT, asked).await.ok().flatten()
    }
}

const SILENT: (StatusCode, &str) = (StatusCode::SERVICE_UNAVAILABLE, "the hub does not answer\n");

async fn metrics(State(sources): State<Sources>, headers: HeaderMap) -> impl IntoResponse {
    let Some(figures) = sources.figures().await else { return SILENT.into_response() };
    let bridge = Bridge {
        version: sources.version,
        started_s: sources.started_ms as f64 / 1000.0,
        tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        resident: resident(),
        mqtt: sources.mqtt.counts(),
    };
    let Ok(text) = prometheus::openmetrics(figures, bridge) else { return SILENT.into_response() };
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or("");
    let (kind, text) = match accepted.contains("application/openmetrics-text") {
        true => ("application/openmetrics-text; version=1.0.0; charset=utf-8", text),
        false => ("text/plain; version=0.0.4; charset=utf-8", prometheus::plain(&text)),
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The program lives when its hub answers.
async fn alive(State(sources): State<Sources>) -> (StatusCode, &'static str) {
    if sources.mqtt.standing_by() {
        return (StatusCode::OK, "alive\n");
    }
    match sources.figures().await {
        Some(_) => (StatusCode::OK, "alive\n"),
        None => SILENT,
    }
}

/// It is of use when it has a broker and has asked every plug it knows.
async fn ready(State(sources): State<Sources>) -> (StatusCode, &'static str) {
    if sources.mqtt.standing_by() {
        return (StatusCode::SERVICE_UNAVAILABLE, "another bridge acts on this base topic\n");
    }
    match sources.figures().await {
        Some(figures) => readiness(sources.mqtt.counts().connected, &figures),
        None => SILENT,
    }
}

fn readiness(connected: bool, figures: &Metrics) -> (StatusCode, &'static str) {
    // Who has no address cannot be asked before a search finds it, if it is there at all.
    let somewhere = |id: &PlugId| figures.view.plugs.get(id).is_some_and(|plug| plug.ip.is_some());
    let mut awaited = figures.plugs.iter().filter(|(id, _)| somewhere(id));
    match (connected, awaited.all(|(_, plug)| plug.polls.iter().next().is_some())) {
        (true, true) => (StatusCode::OK, "ready\n"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "no connection to the broker\n"),
        (true, false) => (StatusCode::SERVICE_UNAVAILABLE, "not all known plugs were asked yet\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PlugFigures, PlugView, View};

    #[test]
    fn only_names_of_this_bridge_are_its_own() {
        let own = ["localhost".to_owned(), "plugs.lan".to_owned()];
        for host in [
            "127.0.0.1",
            "127.0.0.1:8099",
            "[::1]:8099",
            "[fe80::1]",
            "LOCALHOST:1",
            "plugs.lan.",
            "Plugs.lan:80",
        ] {
            assert!(is_own(host, &own), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8099",
            "a b",
            "127.0.0.1@evil.example",
            "[::1",
            "0x7f.1",
        ] {
            assert!(!is_own(host, &own), "{host}");
        }
    }

    #[test]
    fn ready_is_who_has_a_broker_and_has_asked_every_plug_that_has_an_address() {
        let [asked, lost] = ["m-asked", "m-lost"].map(|id| PlugId::new(id).unwrap());
        let mut figures = Metrics::default();
        let mut add = |id: &PlugId, ip: Option<&str>, polls: PlugFigures| {
            let plug = PlugView { ip: ip.map(Into::into), ..PlugView::unknown(id.clone()) };
            let mut view = View::clone(&figures.view);
            view.plugs.insert(id.clone(), Arc::new(plug));
            figures.view = Arc::new(view);
            figures.plugs.insert(id.clone(), polls);
            readiness(true, &figures)
        };
        let waits = (StatusCode::SERVICE_UNAVAILABLE, "not all known plugs were asked yet\n");
        let ready = (StatusCode::OK, "ready\n");
        assert_eq!(add(&asked, Some("192.0.2.1"), PlugFigures::default()), waits);
        let mut polled = PlugFigures::default();
        polled.polls.count("timeout");
        assert_eq!(add(&asked, Some("192.0.2.1"), polled), ready, "whatever came of it");
        assert_eq!(add(&lost, None, PlugFigures::default()), ready, "nobody can ask it");
        assert_eq!(add(&lost, Some("192.0.2.2"), PlugFigures::default()), waits);
        assert_eq!(readiness(false, &figures).0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn a_port_that_is_being_given_back_is_waited_for_and_one_that_is_taken_is_not_for_long() {
        let before = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = before.local_addr().expect("an address");
        assert!(bind(address).await.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse));
        let (bound, ()) = tokio::join!(bind(address), async {
            sleep(Duration::from_millis(200)).await;
            drop(before);
        });
        assert_eq!(bound.expect("given back").local_addr().expect("an address"), address);
    }
}
