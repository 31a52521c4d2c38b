use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[test]
fn a_fault_of_tls_is_known_again_whatever_its_text() {
    let expired = |seconds: u32| {
        let error = format!("certificate expired: verification time {seconds} (UNIX), but not");
        Lost::Tls(error.clone(), remedy(&error).expect("a remedy"))
    };
    let (first, again) = (expired(1), expired(2));
    assert!(first.kind() == again.kind() && first.is_refusal());
    let issuer = remedy("invalid peer certificate: UnknownIssuer").expect("a remedy");
    assert!(first.kind() != Lost::Tls(String::new(), issuer).kind());
}

/// Why a connection ends to a port that says this to whoever comes, and closes or resets.
async fn ended(says: &'static [u8], resets: bool, tls: Option<Tls>) -> Lost {
    let door = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = door.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = door.accept().await {
            let mut first = [0; 8];
            drop(stream.read(&mut first).await);
            drop(stream.write_all(says).await);
            if resets {
                // What is unread resets.
                drop(stream);
            } else {
                drop(stream.shutdown().await);
                while stream.read(&mut first).await.is_ok_and(|length| length > 0) {}
            }
        }
    });
    let address = Address {
        host: "127.0.0.1".into(),
        port,
        tls,
        login: None,
        client_id: "test".into(),
        keep_alive: Duration::from_secs(60),
    };
    let receive = |_: &str, _: &[u8], _: bool| Heard::Must(());
    let opened = Link::open(&address, None, &Arc::default(), &Pulse::unwatched(), receive);
    match opened.expect("a link").next().await {
        Said::Down(why) => why,
        Said::Connected | Said::Subscribed(_) | Said::Received(()) => panic!("no broker is there"),
    }
}

#[tokio::test]
async fn a_port_for_tls_or_for_none_is_named_as_the_mix_up_it_may_be() {
    // An alert of TLS, and a web server.
    for says in [b"".as_slice(), b"\x15\x03\x03\x00\x02\x02\x0a", b"HTTP/1.1 400 Bad Request\r\n\r\n"] {
        for resets in [true, false] {
            let why = ended(says, resets, None).await;
            let text = why.to_string();
            assert!(text.starts_with("the connection ended before the broker let us in"), "{text}");
            assert!(text.ends_with("if this is its TLS port, use mqtts://"), "{text}");
            assert!(!text.contains("Mqtt state") && !why.is_refusal(), "{text}");
        }
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_port_without_tls_is_named_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, crate::sinks::mqtt::tls::AUTHORITY).expect("a file");
    let tls = || Some(Tls { ca_file: Some(file.clone()), client: None });
    for resets in [true, false] {
        let why = ended(b"", resets, tls()).await;
        let text = why.to_string();
        assert!(text.starts_with("the connection ended in the TLS handshake ("), "{text}");
        assert!(text.ends_with("use its TLS port, often 8883, or mqtt://"), "{text}");
        assert!(!text.contains("I/O") && !why.is_refusal(), "{text}");
    }
    let text = ended(b"\x20\x02\x00\x05", false, tls()).await.to_string();
    assert!(text.contains("does not speak TLS at this port"), "{text}");
}
