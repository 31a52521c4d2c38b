//! The state file: read once, written atomically with a checksum, two generations kept, never
//! trusted. One process at a time.

use crate::file;
use crate::hub::MAX_PLUGS;
use crate::model::Memory;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use tracing::{error, info};

/// What was written last, and what was written before.
const STATE: &str = "state.json";
const BEFORE: &str = "state.before.json";

/// Larger than a house can make it: what may be remembered always fits.
const MAX_FILE: u64 = 192 * 1024 * 1024;

/// The text of one plug, its announcement and its being blocked, at most: every name and list in it is bounded.
const MAX_PLUG: usize = 24 * 1024;

const _: () = assert!((MAX_PLUG * MAX_PLUGS) as u64 <= MAX_FILE, "all plugs fit into the file");

/// The state directory could not be used; the text names it and the remedy.
#[derive(Debug, thiserror::Error)]
#[error("state.directory {}: {problem}", directory.display())]
pub struct StoreError {
    directory: PathBuf,
    problem: String,
}

/// The state file in its directory, locked for this process.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    _lock: File,
}

impl Store {
    /// Opens the directory, making it (mode 0700) when it is not there, and locks it.
    ///
    /// # Errors
    ///
    /// When it cannot be made or written, or another process uses it.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let fail = |problem: String| StoreError { directory: directory.into(), problem };
        let remedy = "make it a directory this user may write, or set state.directory to another one";
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|e| fail(format!("cannot be made ({e}); {remedy}")))?;
        let lock = file::for_lock(&directory.join("lock"))
            .map_err(|e| fail(format!("the file lock in it cannot be used ({e}); {remedy}")))?;
        lock.try_lock().map_err(|_| {
            fail("is in use by another plug2mqtt; stop that one, or give this one its own directory".into())
        })?;
        Ok(Self { directory: directory.into(), _lock: lock })
    }

    /// What was remembered. A file that cannot be read is kept as `.bad` and reported; the one
    /// before it is used, or the program starts with nothing remembered.
    pub fn load(&self) -> Memory {
        let newest = self.recall(STATE);
        if let Some(memory) = newest {
            return memory;
        }
        self.recall(BEFORE).map(|memory| Memory { older: true, ..memory }).unwrap_or_default()
    }

    fn recall(&self, name: &str) -> Option<Memory> {
        let path = self.directory.join(name);
        match read(&path) {
            Ok(memory) => {
                let memory = memory?;
                info!(file = %path.display(), plugs = memory.plugs.len(), "remembered");
                Some(memory)
            }
            Err(problem) => {
                let bad = self.directory.join(format!("{name}.bad"));
                let kept = match set_aside(&path, &bad) {
                    Ok(()) => format!("it is kept as {}", bad.display()),
                    Err(error) => format!("it could not be set aside ({error})"),
                };
                error!(file = %path.display(), "what was remembered cannot be read ({problem}); {kept}; going on with what was written before, if anything");
                None
            }
        }
    }

    /// What another process remembers, without taking part: nothing is locked or set aside.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be read.
    pub fn peek(directory: &Path) -> anyhow::Result<Memory> {
        let look = |name: &str| {
            let path = directory.join(name);
            read(&path).map_err(|problem| anyhow::anyhow!("{}: {problem}", path.display()))
        };
        match look(STATE) {
            Ok(Some(memory)) => Ok(memory),
            Ok(None) => Ok(look(BEFORE)?.unwrap_or_default()),
            Err(problem) => look(BEFORE)?.ok_or(problem),
        }
    }

    /// Replaces the file in one step (mode 0600) and keeps the one before.
    ///
    /// # Errors
    ///
    /// When the disk is full or the directory has gone; what was written before is then untouched.
    pub fn save(&self, memory: &Memory) -> io::Result<()> {
        let (path, before) = (self.directory.join(STATE), self.directory.join(BEFORE));
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        let mut text = BufWriter::new(&mut file);
        write(memory, &mut text)?;
        text.flush()?;
        drop(text);
        file.as_file().sync_all()?;
        if path.is_file() {
            // Where there are no links, there is a moment without the newest.
            drop(fs::remove_file(&before));
            fs::hard_link(&path, &before).or_else(|_| fs::rename(&path, &before))?;
        }
        file.persist(path)?;
        File::open(&self.directory)?.sync_all()
    }
}

fn set_aside(path: &Path, bad: &Path) -> io::Result<()> {
    if bad.is_dir() {
        fs::remove_dir_all(bad)?;
    } else if bad.exists() {
        // A folder cannot take the place of a file.
        fs::remove_file(bad)?;
    }
    fs::rename(path, bad)
}

/// What a file holds; `None` when there is none.
fn read(path: &Path) -> Result<Option<Memory>, String> {
    match file::read(path, MAX_FILE) {
        Ok(text) => decode(&text).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(too_large()),
        Err(error) => Err(error.to_string()),
    }
}

fn too_large() -> String {
    format!("more than {} MiB", MAX_FILE >> 20)
}

/// The text of the file: what is remembered, and a checksum over exactly its bytes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    state: &'a RawValue,
    /// CRC-32 of the text of `state`, eight hexadecimal digits.
    crc32: String,
}

/// Passes bytes on and sums them up.
struct Summed<W> {
    to: W,
    crc32: crc32fast::Hasher,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.crc32.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes the text of a state file. It is never in memory as a whole: a fleet's is megabytes.
fn write(memory: &Memory, mut to: impl Write) -> io::Result<()> {
    to.write_all(b"{\"state\":")?;
    let mut state = Summed { to: &mut to, crc32: crc32fast::Hasher::new() };
    serde_json::to_writer(&mut state, memory)?;
    let crc32 = state.crc32.finalize();
    writeln!(to, ",\"crc32\":\"{crc32:08x}\"}}")
}

/// The text of a state file.
///
/// # Errors
///
/// Never for a memory this program made.
pub fn encode(memory: &Memory) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    write(memory, &mut text)?;
    Ok(text)
}

/// What the text of a state file holds.
///
/// # Errors
///
/// When it is torn, was changed, is too large, or was written by a newer version; says which.
pub fn decode(text: &[u8]) -> Result<Memory, String> {
    if text.len() as u64 > MAX_FILE {
        return Err(too_large());
    }
    let envelope: Envelope<'_> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let state = envelope.state.get();
    if envelope.crc32 != format!("{:08x}", crc32fast::hash(state.as_bytes())) {
        return Err("its checksum does not fit; it is damaged or was edited".into());
    }
    let memory: Memory = serde_json::from_str(state).map_err(|error| error.to_string())?;
    if memory.version > Memory::VERSION {
        return Err(format!("written by a newer version ({})", memory.version));
    }
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Announced, Energy, Facts, Hours, Lock, Mac, Name, Offer, Options, Place, PlugId, PortOptions,
        PortTally, PowerUnit, Remembered, Revert, Shape, Since, Tally,
    };
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    fn open(directory: &Path) -> Store {
        Store::open(directory).expect("an empty directory can be used")
    }

    #[test]
    fn a_file_that_may_only_be_read_is_read_and_replaced() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join(STATE);
        fs::write(&path, encode(&named("plug2mqtt-abc123")).expect("text")).expect("it is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("it is locked");
        let store = open(dir.path());
        assert_eq!(store.load(), named("plug2mqtt-abc123"));
        store.save(&named("plug2mqtt-def456")).expect("it is replaced");
        assert_eq!(store.load(), named("plug2mqtt-def456"));
    }

    #[test]
    fn what_is_saved_comes_back_and_only_we_may_read_it() {
        let dir = tempfile::tempdir().expect("temp dir");
        let inner = dir.path().join("state");
        let store = open(&inner);
        assert_eq!(store.load(), Memory::default());
        let memory = Memory { version: 1, client_id: "plug2mqtt-abc123".into(), ..Memory::default() };
        store.save(&memory).expect("saved");
        assert_eq!(store.load(), memory);
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&inner), mode(&inner.join("state.json"))), (0o700, 0o600));
    }

    fn sealed(state: &str) -> Vec<u8> {
        format!(r#"{{"crc32":"{:08x}","state":{state}}}"#, crc32fast::hash(state.as_bytes())).into_bytes()
    }

    fn named(client_id: &str) -> Memory {
        Memory { version: 1, client_id: client_id.into(), ..Memory::default() }
    }

    #[test]
    fn what_cannot_be_read_is_set_aside() {
        let (newer, odd) = (sealed(r#"{"version":99}"#), sealed(r#"{"plugs":{"A B":1}}"#));
        let changed = sealed(r#"{"version":1}"#)
            .iter()
            .map(|b| if *b == b'1' { b'2' } else { *b })
            .collect::<Vec<u8>>();
        for content in [&b"{\"version\":1,"[..], b"", b"\xff\xfe", b"42", b"{}", &newer, &odd, &changed] {
            let dir = tempfile::tempdir().expect("temp dir");
            let store = open(dir.path());
            fs::write(dir.path().join("state.json"), content).expect("written");
            assert_eq!(store.load(), Memory::default());
            assert_eq!(fs::read(dir.path().join("state.json.bad")).expect("kept"), content);
            store.save(&Memory::default()).expect("can go on");
        }
    }

    #[test]
    fn a_torn_file_is_known_at_every_byte_and_the_one_before_is_used() {
        let dir = tempfile::tempdir().expect("temp dir");
        let store = open(dir.path());
        store.save(&named("first")).expect("saved");
        store.save(&named("second")).expect("saved");
        assert_eq!(store.load(), named("second"));
        let whole = fs::read(dir.path().join("state.json")).expect("there");
        // Without the line end it is still whole.
        for length in 0..whole.len() - 1 {
            let torn = whole.get(..length).expect("shorter");
            assert!(decode(torn).is_err(), "{length}");
            fs::write(dir.path().join("state.json"), torn).expect("written");
            assert_eq!(store.load(), Memory { older: true, ..named("first") });
        }
        assert_eq!(Store::peek(dir.path()).expect("the one before"), named("first"));
        store.save(&named("third")).expect("can go on");
        assert_eq!(store.load(), named("third"));
    }

    #[test]
    fn killed_between_its_two_renames_nothing_is_lost() {
        let dir = tempfile::tempdir().expect("temp dir");
        let store = open(dir.path());
        store.save(&named("first")).expect("saved");
        fs::rename(dir.path().join("state.json"), dir.path().join("state.before.json")).expect("renamed");
        assert_eq!(store.load(), Memory { older: true, ..named("first") });
        assert_eq!(Store::peek(dir.path()).expect("read"), named("first"));
    }

    #[test]
    fn one_changed_byte_is_noticed() {
        let whole = encode(&named("plug2mqtt-abc123")).expect("text");
        for place in 0..whole.len() - 1 {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            assert_ne!(decode(&changed).ok(), Some(named("plug2mqtt-abc123")), "{place}");
        }
    }

    #[test]
    fn more_than_a_house_can_make_is_set_aside_without_being_read() {
        let dir = tempfile::tempdir().expect("temp dir");
        let store = open(dir.path());
        let file = File::create(dir.path().join("state.json")).expect("made");
        // Takes no room on a disk; reading all of it would take a long time.
        file.set_len(1 << 40).expect("a sparse file");
        assert!(read(&dir.path().join("state.json")).is_err_and(|why| why == "more than 192 MiB"));
        assert_eq!(store.load(), Memory::default());
        assert!(dir.path().join("state.json.bad").is_file());
    }

    /// A plug with everything there can be, each as long as it can be.
    fn largest(n: usize) -> (PlugId, Remembered) {
        let id = PlugId::new(&format!("maxsmart-{n:055}")).expect("64 characters");
        let name = || Name::clean(&"\u{1f50c}".repeat(Name::MAX_CHARS));
        let text = || name().map(String::from);
        let (ports, count) = (1..=16_u8, usize::from(16_u8));
        let energy = Energy::from_kwh(crate::model::MAX_KWH).expect("an amount");
        let facts = Facts {
            name: name(),
            port_names: vec![name(); count],
            manufacturer: "Max Hauri".into(),
            model: "MaxSmart Power Station with a name that is long".into(),
            model_id: text(),
            serial: text(),
            mac: Mac::parse("02:00:00:00:00:01"),
            firmware: text(),
            hardware: text(),
            cpuid: text(),
            server: text(),
        };
        let yes = true;
        let offer = Offer {
            ports: 16,
            power: yes,
            current: yes,
            voltage: yes,
            signal: yes,
            clock: yes,
            timer: yes,
            master: yes,
            presence: yes,
        };
        let options = Options {
            poll_interval_ms: Some(u64::MAX),
            power_change: Some(-1.797_693_134_862_315_7e308),
            current_change: Some(-1.797_693_134_862_315_7e308),
            power_unit: Some(PowerUnit::MilliW),
            read_only: Some(false),
            port: ports.clone().map(|port| (port, PortOptions { lock: Some(Lock::Both) })).collect(),
        };
        let hours = Hours {
            first: 400_000_000,
            origin: 400_000_000,
            utc_offset_s: -43_200,
            ports: 16,
            metered_s: vec![3600; 26],
            drawn: vec![u16::MAX; 26 * count],
            running: Vec::new(),
            running_ms: 0,
        };
        let tally = Tally {
            ports: vec![PortTally { energy, watts: 4_999.123_456_789_012_5 }; count],
            unmetered_ms: u64::MAX / 2,
            unix_ms: 1_795_000_000_000,
            certain_ms: Some(1_795_000_000_000),
            since: Since { day: 400_000, month: 40_000, ports: vec![[energy, energy]; count] },
            hours: Some(Box::new(hours)),
        };
        let kept = Remembered {
            driver: "maxsmart".into(),
            place: Place { ip: std::net::Ipv6Addr::from(u128::MAX).into(), http: u16::MAX, udp: u16::MAX },
            hardware: Some(id.clone()),
            facts: facts.into(),
            offer,
            name: name(),
            port_names: ports.clone().filter_map(|port| Some((port, name()?))).collect(),
            options,
            reverts: ports.clone().map(|port| (port, Revert { unix_ms: u64::MAX, on: false })).collect(),
            latched: ports.collect(),
            tally,
            deleted: false,
        };
        (id, kept)
    }

    #[test]
    fn the_largest_plugs_there_can_be_fit_and_come_back() {
        const SOME: usize = 32;
        let plugs: BTreeMap<PlugId, Remembered> = (0..SOME).map(largest).collect();
        let shape = |kept: &Remembered| Shape {
            prefix: "p".repeat(256),
            mode: "component".into(),
            port_devices: "child".into(),
            offer: kept.offer,
        };
        // Twice as many announcements are kept, for plugs that are known no more.
        let announced = plugs.iter().map(|(id, kept)| (id.clone(), shape(kept)));
        let gone = (SOME..2 * SOME).map(largest).map(|(id, kept)| (id, shape(&kept)));
        let memory = Memory {
            version: Memory::VERSION,
            client_id: "plug2mqtt-abc123".into(),
            adopt: Some(false),
            blocked: (0..SOME).map(|n| largest(n + 2 * SOME).0).collect(),
            announced: Announced { plugs: announced.chain(gone).collect() },
            plugs,
            ..Memory::default()
        };
        let text = encode(&memory).expect("text");
        let each = text.len() / SOME;
        assert!(each <= MAX_PLUG, "{each} bytes for each plug");
        // Nothing is lost by a save, a start and another save.
        let dir = tempfile::tempdir().expect("temp dir");
        open(dir.path()).save(&memory).expect("saved");
        let loaded = open(dir.path()).load();
        assert_eq!(loaded, memory);
        let now = crate::io::clock::Clock::start().now();
        let hub =
            crate::hub::Hub::new(crate::bridge::rules(&crate::config::Settings::default()), loaded, &now);
        let again = hub.memory();
        assert_eq!((&again.adopt, &again.blocked), (&memory.adopt, &memory.blocked));
        for (id, old) in &memory.plugs {
            let new = again.plugs.get(id).expect("known");
            assert_eq!(
                (&new.name, &new.port_names, &new.options),
                (&old.name, &old.port_names, &old.options)
            );
            assert_eq!(new.tally.ports, old.tally.ports);
        }
        open(dir.path()).save(&again).expect("saved");
        assert_eq!(open(dir.path()).load().plugs.len(), SOME);
    }

    #[test]
    fn a_directory_in_the_place_of_the_file_is_set_aside() {
        let dir = tempfile::tempdir().expect("temp dir");
        let store = open(dir.path());
        fs::create_dir(dir.path().join("state.json")).expect("made");
        assert_eq!(store.load(), Memory::default());
        assert!(dir.path().join("state.json.bad").is_dir());
        store.save(&Memory::default()).expect("can go on");
    }

    #[test]
    fn a_directory_in_use_or_not_a_directory_is_refused_with_a_remedy() {
        let dir = tempfile::tempdir().expect("temp dir");
        let _first = open(dir.path());
        let second = Store::open(dir.path()).expect_err("locked").to_string();
        assert!(second.contains("another plug2mqtt"), "{second}");
        let file = dir.path().join("file");
        fs::write(&file, "x").expect("written");
        let third = Store::open(&file).expect_err("not a directory").to_string();
        assert!(third.contains("set state.directory"), "{third}");
    }
}
