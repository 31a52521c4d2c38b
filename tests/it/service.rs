//! The program under a service manager: it says when it is ready, that it lives and how it is, and
//! takes new settings on a signal.

use crate::cli::{Running, arg, program};
use crate::support::{STRIP, TIMEOUT, TestBridge, on, run, spawned, strip, until, with};
use plug2mqtt::io::store::Store;
use plug2mqtt::model::PersistedState;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where the program tells its manager how it is.
struct Manager {
    socket: UnixDatagram,
    told: Vec<String>,
}

impl Manager {
    fn hears(&mut self) -> &[String] {
        let mut text = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut text) {
            self.told.push(String::from_utf8_lossy(&text[..length]).into_owned());
        }
        &self.told
    }

    /// Waits until something was told after so many other things.
    async fn after(&mut self, mark: usize, what: &str) -> usize {
        let mut place = 0;
        until(what, || {
            let found = self.hears().iter().skip(mark).position(|told| told.contains(what));
            place = mark + found.unwrap_or_default();
            found.is_some()
        })
        .await;
        place
    }
}

#[test]
fn a_service_manager_hears_that_it_lives_and_new_settings_are_taken_on_a_signal() {
    run(async {
        let house = TestBridge::new(vec![strip()]).await;
        let file = house.settings_file("");
        let path = house.folder().join("manager");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut manager = Manager { socket, told: Vec::new() };
        let mut command = program(house.folder(), &["run", "-c", arg(&file)]);
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000");
        let mut bridge = Running(spawned(command.stdout(Stdio::null()).stderr(Stdio::null())));
        manager.after(0, "READY=1").await;
        manager.after(0, "STATUS=1 of 1 plugs online, connected to the broker").await;
        let mark = manager.hears().len();
        manager.after(mark, "WATCHDOG=1").await;
        let info = format!("plug2mqtt/{STRIP}/info");
        house.wait_after(0, "its name", with(&info, |info| info.contains("\"Office strip\""))).await;

        // What is not valid changes nothing.
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}\n[nonsense]\n")).unwrap();
        let mark = manager.hears().len();
        bridge.signal("HUP");
        let begun = manager.after(mark, "RELOADING=1\nMONOTONIC_USEC=").await;
        manager.after(begun, "READY=1").await;
        house.polls(0, 3).await;

        house.settings_file(&format!("[device.{STRIP}]\nname = \"Desk\"\n"));
        let (mark, messages) = (manager.hears().len(), house.mark());
        bridge.signal("HUP");
        let begun = manager.after(mark, "RELOADING=1\nMONOTONIC_USEC=").await;
        manager.after(begun, "READY=1").await;
        house.wait_after(messages, "the new name", with(&info, |info| info.contains("\"Desk\""))).await;
        house.shows("bridge/state", "online").await;

        // Valid, and yet of no use: those before are used again.
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(house.folder().join("occupied"), "").unwrap();
        let occupied = format!("directory = {:?}", house.folder().join("occupied"));
        let lines = text.lines().map(|line| if line.starts_with("directory") { &occupied } else { line });
        std::fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
        let (mark, messages) = (manager.hears().len(), house.mark());
        bridge.signal("HUP");
        let begun = manager.after(mark, "RELOADING=1\nMONOTONIC_USEC=").await;
        manager.after(begun, "READY=1").await;
        house.wait_after(messages, "going on", on("plug2mqtt/bridge/state", "online")).await;
        house.polls(0, 3).await;

        let mark = manager.hears().len();
        bridge.signal("TERM");
        manager.after(mark, "STOPPING=1").await;
        assert_eq!(tokio::time::timeout(TIMEOUT + Duration::from_secs(5), bridge.code()).await, Ok(Some(0)));
    });
}

#[test]
fn a_lock_that_is_a_link_empties_nothing_and_pipes_are_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let [precious, state] = ["precious", "state"].map(|name| dir.path().join(name));
    std::fs::write(&precious, "x").unwrap();
    std::fs::create_dir(&state).unwrap();
    std::os::unix::fs::symlink(&precious, state.join("lock")).unwrap();
    let refused = Store::open(&state).unwrap_err().to_string();
    assert!(refused.contains("lock") && refused.contains("symbolic link"), "{refused}");
    assert_eq!(std::fs::read(&precious).unwrap(), b"x");
    std::fs::remove_file(state.join("lock")).unwrap();
    let store = Store::open(&state).unwrap();
    let made = spawned(Command::new("mkfifo").arg(state.join("state.json"))).wait().unwrap();
    assert!(made.success());
    assert!(Store::peek(&state).unwrap_err().to_string().contains("is a pipe"));
    assert!(store.load().plugs.is_empty());
    store
        .save(&PersistedState { client_id: "plug2mqtt-abc123".into(), ..PersistedState::default() })
        .unwrap();
    assert_eq!(store.load().client_id, "plug2mqtt-abc123");
}
