//! Whoever answers a search and is no plug, or says what is not understood: told with what it said.

use crate::support::{run, spawned};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use tokio::net::UdpSocket;

/// Answers every datagram with this; brings back its port.
async fn answering(with: &'static [u8]) -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 256];
        while let Ok((_, from)) = socket.recv_from(&mut buffer).await {
            socket.send_to(with, from).await.unwrap();
        }
    });
    port
}

/// The program with a search that reaches only that port.
fn program(words: &[&str], port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plug2mqtt"));
    command.args(words).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for setting in [
        &*format!("maxsmart.udp_port={port}"),
        "maxsmart.http_port=9",
        "maxsmart.broadcast=[]",
        "maxsmart.hosts=127.0.0.1",
        "maxsmart.timeout=1s",
        "inplug.enabled=false",
    ] {
        command.args(["-s", setting]);
    }
    command
}

#[test]
fn an_answer_that_is_not_understood_is_shown_and_no_silence() {
    run(async {
        let port = answering(br#"{"response":90,"data":{"what":"odd","sak":"secret"}}"#).await;
        let child = spawned(&mut program(&["probe", "127.0.0.1"], port));
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let shown = r#"answered, and is not understood: {"response":90,"data":{"what":"odd","sak":"***"}}"#;
        assert!(out.contains(shown) && !out.contains("no response"), "{out}");
        assert_eq!(output.status.code(), Some(1));

        // Serial and name are enough, whatever the rest is like.
        let port = answering(br#"{"response":90,"data":{"sn":"SWP6000000000009","name":"ODD"}}"#).await;
        let child = spawned(&mut program(&["probe", "127.0.0.1"], port));
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(out.contains("answers on UDP") && out.contains("SWP6000000000009"), "{out}");
    });
}
