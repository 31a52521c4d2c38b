//! The state file: read once, written atomically, never trusted. One process at a time.

use crate::model::Memory;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use tracing::{error, info};

/// Larger than a house can make it.
const MAX_FILE: u64 = 16 * 1024 * 1024;

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
    path: PathBuf,
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
        let lock = File::create(directory.join("lock"))
            .map_err(|e| fail(format!("cannot be written ({e}); {remedy}")))?;
        lock.try_lock().map_err(|_| {
            fail("is in use by another plug2mqtt; stop that one, or give this one its own directory".into())
        })?;
        Ok(Self { path: directory.join("state.json"), directory: directory.into(), _lock: lock })
    }

    /// What was remembered. A file that cannot be read is kept as `state.json.bad` and reported;
    /// the program then starts with nothing remembered.
    pub fn load(&self) -> Memory {
        match read(&self.path) {
            Ok(memory) => {
                info!(file = %self.path.display(), plugs = memory.plugs.len(), "remembered");
                memory
            }
            Err(problem) => {
                let bad = self.directory.join("state.json.bad");
                let kept = self.set_aside(&bad);
                error!(
                    file = %self.path.display(),
                    "what was remembered cannot be read ({problem}); {}; starting with nothing remembered",
                    match kept {
                        Ok(()) => format!("it is kept as {}", bad.display()),
                        Err(error) => format!("it could not be set aside ({error})"),
                    }
                );
                Memory::default()
            }
        }
    }

    /// What another process remembers, without taking part: nothing is locked or set aside.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be read.
    pub fn peek(directory: &Path) -> anyhow::Result<Memory> {
        let path = directory.join("state.json");
        read(&path).map_err(|problem| anyhow::anyhow!("{}: {problem}", path.display()))
    }

    fn set_aside(&self, bad: &Path) -> io::Result<()> {
        if bad.is_dir() {
            fs::remove_dir_all(bad)?;
        } else if bad.exists() {
            // A folder cannot take the place of a file.
            fs::remove_file(bad)?;
        }
        fs::rename(&self.path, bad)
    }

    /// Replaces the file in one step (mode 0600).
    ///
    /// # Errors
    ///
    /// When the disk is full or the directory has gone; the old file is then untouched.
    pub fn save(&self, memory: &Memory) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        serde_json::to_writer(&mut file, memory)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        File::open(&self.directory)?.sync_all()
    }
}

fn read(path: &Path) -> Result<Memory, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Memory::default()),
        Err(error) => return Err(error.to_string()),
    };
    let mut text = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_FILE {
        return Err(format!("more than {} MiB", MAX_FILE >> 20));
    }
    let memory: Memory = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if memory.version > Memory::VERSION {
        return Err(format!("written by a newer version ({})", memory.version));
    }
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn open(directory: &Path) -> Store {
        Store::open(directory).expect("an empty directory can be used")
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

    #[test]
    fn what_cannot_be_read_is_set_aside() {
        let newer = br#"{"version":99}"#;
        for content in [&b"{\"version\":1,"[..], b"", b"\xff\xfe", b"42", newer, br#"{"plugs":{"A B":1}}"#] {
            let dir = tempfile::tempdir().expect("temp dir");
            let store = open(dir.path());
            fs::write(dir.path().join("state.json"), content).expect("written");
            assert_eq!(store.load(), Memory::default());
            assert_eq!(fs::read(dir.path().join("state.json.bad")).expect("kept"), content);
            store.save(&Memory::default()).expect("can go on");
        }
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
