//! A plug's side of the gateway's socket, byte by byte.

use super::LARGEST;
use plug2mqtt::gateway::codec::{Connect, Delivery, Level, Packet, Publish, QoS, decode, encode};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Looks at no issuer and no name, as a plug.
#[derive(Debug)]
struct Anybody(CryptoProvider);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS 1.2 as a plug speaks it.
pub(super) fn tls() -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS12]).expect("TLS 1.2");
    let anybody = Arc::new(Anybody(ring::default_provider()));
    builder.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth()
}

/// What comes from the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    ConnAck(u8),
    SubAck(Vec<u8>),
    UnsubAck,
    PubAck(u16),
    Pong,
    Command(String, Vec<u8>),
    Closed,
}

/// How a plug logs in.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) uuid: String,
    pub(super) mac: String,
    pub(super) password: String,
    pub(super) keep_alive_s: u16,
    pub(super) level: Level,
}

/// A connection.
pub(super) struct Caller {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Caller {
    /// From an address of its own.
    pub(super) async fn from(ip: [u8; 4], gateway: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((IpAddr::V4(Ipv4Addr::from(ip)), 0).into()).expect("an address");
        let stream = socket.connect(gateway).await.expect("a connection");
        let name = ServerName::from(gateway.ip());
        let stream = TlsConnector::from(Arc::new(tls())).connect(name, stream).await.expect("TLS");
        Self { stream, buffer: Vec::new() }
    }

    pub(super) async fn new(gateway: SocketAddr) -> Self {
        Self::from([127, 0, 0, 1], gateway).await
    }

    /// A plug that is let in and takes commands.
    pub(super) async fn plug(gateway: SocketAddr, login: &Login) -> Self {
        let mut caller = Self::new(gateway).await;
        assert_eq!(caller.log_in(login).await, Heard::ConnAck(0));
        caller.subscribe(login).await;
        caller
    }

    pub(super) async fn log_in(&mut self, login: &Login) -> Heard {
        self.write(&connect(login)).await;
        self.hear().await
    }

    pub(super) async fn subscribe(&mut self, login: &Login) {
        let topic = format!("/appliance/{}/subscribe", login.uuid);
        self.send(&Packet::Subscribe(1, vec![(&topic, QoS::AtLeastOnce)])).await;
        assert_eq!(self.hear().await, Heard::SubAck(vec![0]));
    }

    pub(super) async fn publish(&mut self, topic: &str, payload: &[u8], id: u16) {
        self.write(&message(topic, payload, id)).await;
    }

    pub(super) async fn send(&mut self, packet: &Packet<'_>) {
        self.write(&encode(packet).expect("it fits")).await;
    }

    /// Whether it is still connected is seen when something is heard.
    pub(super) async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    pub(super) async fn hear(&mut self) -> Heard {
        loop {
            if let Some((packet, size)) = decode(&self.buffer, LARGEST).expect("a packet") {
                let heard = match &packet {
                    Packet::ConnAck(code) => Heard::ConnAck(*code),
                    Packet::SubAck(_, codes) => Heard::SubAck(codes.clone()),
                    Packet::PubAck(id) => Heard::PubAck(*id),
                    Packet::PingResp => Heard::Pong,
                    Packet::Publish(message) => Heard::Command(message.topic.into(), message.payload.into()),
                    Packet::UnsubAck(_) => Heard::UnsubAck,
                    Packet::Connect(_)
                    | Packet::Foreign(_)
                    | Packet::ExactlyOnce(..)
                    | Packet::Subscribe(..)
                    | Packet::Unsubscribe(..)
                    | Packet::PingReq
                    | Packet::Disconnect => panic!("{packet:?}"),
                };
                self.buffer.drain(..size);
                return heard;
            }
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return Heard::Closed,
                Ok(read) => self.buffer.extend(&chunk[..read]),
            }
        }
    }
}

/// The bytes of a CONNECT.
pub(super) fn connect(login: &Login) -> Vec<u8> {
    let Login { uuid, mac, password, keep_alive_s, level } = login;
    let client_id = format!("fmware:{uuid}_0123456789abcdef");
    let packet = Connect {
        level: *level,
        clean: true,
        keep_alive_s: *keep_alive_s,
        client_id: &client_id,
        will: None,
        username: Some(mac),
        password: Some(password.as_bytes()),
    };
    encode(&Packet::Connect(packet)).expect("it fits")
}

/// The bytes of a message with QoS 1.
pub(super) fn message(topic: &str, payload: &[u8], id: u16) -> Vec<u8> {
    let (dup, delivery, retain) = (false, Delivery::AtLeastOnce(id), false);
    encode(&Packet::Publish(Publish { dup, delivery, retain, topic, payload })).expect("it fits")
}
