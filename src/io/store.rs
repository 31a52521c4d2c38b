//! The state file: read once, written atomically with a checksum, two generations kept, never
//! trusted. One process at a time.

use crate::file;
use crate::hub::MAX_PLUGS;
use crate::model::PersistedState;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use tracing::{error, info, warn};

/// What was written last, and what was written before.
const STATE: &str = "state.json";
const BEFORE: &str = "state.before.json";

/// Larger than a house can make it: what may be remembered always fits.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// The text of one plug, its being blocked and what a sink keeps of it, at most: every name and list in it is
/// bounded.
const MAX_PLUG: usize = 32 * 1024;

/// A file is a copy when it came here so much later than its text was written, milliseconds; clocks of
/// file servers may differ by less.
const COPIED_MS: u128 = 600_000;

const _: () = assert!((MAX_PLUG * MAX_PLUGS) as u64 <= MAX_FILE, "all plugs fit into the file");

/// The state directory could not be used; the text names it and the remedy.
#[derive(Debug, thiserror::Error)]
#[error("state.directory {}: {problem}", directory.display())]
pub struct StoreError {
    directory: PathBuf,
    problem: String,
}

/// What another process remembers could not be read; the text names the file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct PeekError {
    path: PathBuf,
    problem: Unread,
}

impl PeekError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self.problem {
            Unread::Forbidden => {
                "this user may not read it: run this as the user the bridge runs as, for instance with sudo -u, or as root"
            }
            Unread::Foreign(_) => "the program does not start with it: put a file in its place, or remove it",
            Unread::Other(_) => {
                "the program sets a damaged file aside and begins anew; restore state.json from a backup to keep names and meters"
            }
        }
    }
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("permission denied")]
    Forbidden,
    /// A link, a pipe and the like.
    #[error("{0}")]
    Foreign(String),
    #[error("{0}")]
    Other(String),
}

/// The state file in its directory, locked for this process.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    /// Locked, and holds the number of the state that was written last.
    lock: File,
}

impl Store {
    /// Opens the directory, making it (mode 0700) when it is not there, and locks it.
    ///
    /// # Errors
    ///
    /// When it cannot be made or written, another process uses it, or what is remembered there may not be
    /// read.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let fail = |problem: String| StoreError { directory: directory.into(), problem };
        let remedy = "make it a directory this user may write, or set state.directory to another one";
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|e| fail(format!("cannot be made ({e}); {remedy}")))?;
        let lock = file::for_lock(&directory.join("lock"))
            .map_err(|e| fail(format!("cannot be written (its file lock: {e}); {remedy}")))?;
        lock.try_lock().map_err(|_| {
            fail("is in use by another plug2mqtt; stop that one, or give this one its own directory".into())
        })?;
        // Not damaged, and not to be set aside: another user's, or nothing that this program has made.
        for name in [STATE, BEFORE] {
            let Err(error) = file::read_own(&directory.join(name), 0) else { continue };
            if error.kind() == io::ErrorKind::PermissionDenied {
                return Err(fail(format!(
                    "{name} in it may not be read by this user; run as the one that wrote it (sudo -u), or give it to this one with chown"
                )));
            }
            if error.kind() == io::ErrorKind::InvalidInput {
                return Err(fail(format!("{name} in it {error}")));
            }
        }
        Ok(Self { directory: directory.into(), lock })
    }

    /// What was remembered. A file that cannot be read is kept as `.bad` and reported; the one
    /// before it is used, or the program starts with nothing remembered.
    pub fn load(&self) -> PersistedState {
        if let Some(memory) = self.recall(STATE) {
            let why = self.put_back(&memory);
            if let Some(why) = why {
                warn!(file = %self.directory.join(STATE).display(), "{why}; its pending timed switches are dropped");
            }
            return PersistedState { older: why.is_some(), ..memory };
        }
        self.recall(BEFORE).map(|memory| PersistedState { older: true, ..memory }).unwrap_or_default()
    }

    /// How it is known that this is not what was written last, but an older file that somebody has put back.
    fn put_back(&self, memory: &PersistedState) -> Option<&'static str> {
        let path = self.directory.join(STATE);
        if self.last_written() > memory.generation {
            return Some("an older state was put in the place of the newest");
        }
        let changed = fs::metadata(path).and_then(|about| about.modified()).ok()?;
        let changed_ms = changed.duration_since(UNIX_EPOCH).ok()?.as_millis();
        let apart = changed_ms.abs_diff(u128::from(memory.written_ms));
        (memory.written_ms > 0 && apart > COPIED_MS)
            .then_some("it was not written when it came here: it is a copy, or the clock was set")
    }

    fn recall(&self, name: &str) -> Option<PersistedState> {
        let path = self.directory.join(name);
        match read(&path) {
            Ok(memory) => {
                let memory = memory?;
                info!(file = %path.display(), plugs = memory.plugs.len(), "state loaded");
                Some(memory)
            }
            Err(problem) => {
                let bad = self.directory.join(format!("{name}.bad"));
                let kept = match set_aside(&path, &bad) {
                    Ok(()) => format!("it is kept as {}", bad.display()),
                    Err(error) => format!("it could not be set aside ({error})"),
                };
                error!(file = %path.display(), "state file unreadable ({problem}); {kept}; using the previous one, if any");
                None
            }
        }
    }

    /// What another process remembers, without taking part: nothing is locked or set aside.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be read, or this user may not see whether it is there.
    pub fn peek(directory: &Path) -> Result<PersistedState, PeekError> {
        let look = |name: &str| {
            let path = directory.join(name);
            read(&path).map_err(|problem| PeekError { path, problem })
        };
        match look(STATE) {
            Ok(Some(memory)) => Ok(memory),
            Ok(None) => Ok(look(BEFORE)?.unwrap_or_default()),
            // Of two that cannot be read, the newer is the one to speak of.
            Err(problem) => look(BEFORE).ok().flatten().ok_or(problem),
        }
    }

    /// Replaces the file in one step (mode 0600) and keeps the one before.
    ///
    /// # Errors
    ///
    /// When the disk is full or the directory has gone; what was written before is then untouched.
    pub fn save(&self, memory: &PersistedState) -> io::Result<()> {
        let (path, before) = (self.directory.join(STATE), self.directory.join(BEFORE));
        let new = file::Replacement::write(&path, |to| write(memory, to))?;
        if path.is_file() {
            // Where there are no links, there is a moment without the newest.
            drop(fs::remove_file(&before));
            fs::hard_link(&path, &before).or_else(|_| fs::rename(&path, &before))?;
        }
        new.put()?;
        // Without it an older file in its place may pass for the newest; what is remembered is safe.
        drop(self.lock.write_all_at(format!("{:020}\n", memory.generation).as_bytes(), 0));
        Ok(())
    }

    /// The number of the state that was written last, as far as that is known.
    fn last_written(&self) -> u64 {
        let mut text = [0; 20];
        let read = self.lock.read_exact_at(&mut text, 0);
        let text = read.ok().and_then(|()| std::str::from_utf8(&text).ok());
        text.and_then(|text| text.parse().ok()).unwrap_or_default()
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
fn read(path: &Path) -> Result<Option<PersistedState>, Unread> {
    match file::read_own(path, MAX_FILE) {
        Ok(text) => decode(&text).map(Some).map_err(Unread::Other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Unread::Forbidden),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(Unread::Other(too_large())),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(Unread::Foreign(error.to_string())),
        Err(error) => Err(Unread::Other(error.to_string())),
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
fn write(memory: &PersistedState, mut to: impl Write) -> io::Result<()> {
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
pub fn encode(memory: &PersistedState) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    write(memory, &mut text)?;
    Ok(text)
}

/// What the text of a state file holds.
///
/// # Errors
///
/// When it is torn, was changed, is too large, or was written by a newer version; says which.
pub fn decode(text: &[u8]) -> Result<PersistedState, String> {
    if text.len() as u64 > MAX_FILE {
        return Err(too_large());
    }
    let envelope: Envelope<'_> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let state = envelope.state.get();
    if envelope.crc32 != format!("{:08x}", crc32fast::hash(state.as_bytes())) {
        return Err("its checksum does not fit; it is damaged or was edited".into());
    }
    let Version { version } = serde_json::from_str(state).map_err(|error| error.to_string())?;
    let memory = match version {
        ..2 => upgrade::from_1(state),
        PersistedState::VERSION => serde_json::from_str(state),
        newer => return Err(format!("written by a newer version ({newer})")),
    };
    memory.map_err(|error| error.to_string())
}

/// The version of a state; all else is looked at when that is known.
#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    version: u32,
}

mod upgrade;

#[cfg(test)]
mod tests;
