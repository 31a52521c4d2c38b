//! The program's own log as a service manager or a terminal gets it.

use crate::cli::{Running, arg, program, ran};
use crate::support::{STRIP, TestBridge, on, run, spawned, strip};
use std::io::{Read, Write};
use std::process::Stdio;

/// A pipe that is full, and whose other end nobody reads yet.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut filling = writer.try_clone().unwrap();
    // More than any pipe holds: this thread hangs until somebody reads.
    let (begun, begins) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for _ in 0..256 {
            filling.write_all(&[b'x'; 4096]).ok()?;
            begun.send(()).ok()?;
        }
        Some(())
    });
    while begins.recv_timeout(std::time::Duration::from_millis(300)).is_ok() {}
    (reader, writer)
}

#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    run(async {
        let house = TestBridge::new(vec![strip()]).await;
        let file = house.settings_file("[log]\nlevel = \"trace\"\n");
        let (reader, writer) = full_pipe();
        let mut command = program(house.folder(), &["run", "-c", arg(&file)]);
        let mut bridge = Running(spawned(command.stdout(Stdio::null()).stderr(writer)));
        drop(command);
        house.shows(&format!("{STRIP}/availability"), "online").await;
        house.polls(0, 10).await;
        let result = house.command(&format!("{STRIP}/1/set"), "OFF").await;
        assert_eq!(result["status"], "ok", "{result}");
        let mark = house.mark();
        bridge.signal("TERM");
        assert_eq!(bridge.code().await, Some(0));
        house.wait_after(mark, "the last word", on("plug2mqtt/bridge/state", "offline")).await;
        drop(reader);
    });
}

#[test]
fn a_start_that_fails_ends_although_nobody_reads_why() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = format!("broker.listen={}", taken.local_addr().unwrap());
        let (_reader, writer) = full_pipe();
        let words = ["run", "-s", &listen, "-s", "maxsmart.enabled=false", "-s", "state.directory=s"];
        let mut command = program(folder.path(), &words);
        let mut bridge = Running(spawned(command.stdout(Stdio::null()).stderr(writer)));
        assert_eq!(bridge.code().await, Some(78));
    });
}

#[test]
fn a_flood_of_one_kind_of_line_is_cut_and_counted() {
    run(async {
        let house = TestBridge::new(vec![strip()]).await;
        let file = house.settings_file("");
        let mut command = program(house.folder(), &["run", "-c", arg(&file)]);
        let mut bridge = Running(spawned(command.stdout(Stdio::null()).stderr(Stdio::piped())));
        let mut stderr = bridge.0.stderr.take().unwrap();
        let log = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        house.shows(&format!("{STRIP}/availability"), "online").await;
        let mark = house.mark();
        for n in 0..500 {
            house.publish(&format!("{STRIP}/1/set"), format!("nonsense {n}"), false).await;
        }
        house.publish(&format!("{STRIP}/1/set"), "OFF", false).await;
        house.result(mark, STRIP, |result| result["status"] == "ok").await;
        bridge.signal("TERM");
        assert_eq!(bridge.code().await, Some(0));
        let log = log.await.unwrap().unwrap();
        let lines = log.lines().filter(|line| line.contains("nonsense")).count();
        assert!(lines < 150 && log.contains("more lines like this"), "{lines} lines:\n{log}");
    });
}

#[test]
fn every_command_obeys_the_level_and_nobody_gets_colours_who_is_no_terminal() {
    run(async {
        let house = TestBridge::new(vec![strip()]).await;
        let file = house.settings_file("");
        let (file, folder) = (arg(&file), house.folder());
        let (quiet, verbose, set) = tokio::join!(
            ran(folder, &["status", "office strip", "-c", file]),
            ran(folder, &["-vv", "status", "office strip", "-c", file]),
            ran(folder, &["status", "office strip", "-c", file, "-s", "log.level=trace"]),
        );
        assert_eq!(quiet.2, "");
        for (code, _, err) in [verbose, set] {
            assert!(code == Some(0) && err.contains("TRACE") && !err.contains('\u{1b}'), "{err}");
        }
        // A variable inherited from a service whose output goes elsewhere takes no times away.
        let mut command = program(folder, &["-vv", "status", "office strip", "-c", file]);
        command.env("JOURNAL_STREAM", "8:12345");
        let child = spawned(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(err.lines().all(|line| line.starts_with("20")), "{err}");
    });
}
