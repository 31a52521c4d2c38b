//! The key under which a plug is paired: from the settings, from a file, or made. It is never printed.

use super::{NAME, section};
use crate::bridge::state_directory;
use crate::cli::Fault;
use crate::config::Settings;
use crate::file::{self, Replacement};
use anyhow::{Context as _, Result, bail};
use secrecy::{ExposeSecret as _, SecretString};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The largest key file.
const LARGEST_FILE: u64 = 1024;

/// The longest key; the vendor's has 32 characters.
const LONGEST: usize = 64;

/// A key, and where it is kept.
#[derive(Debug)]
pub(super) struct Key {
    text: SecretString,
    path: Option<PathBuf>,
    is_new: bool,
}

impl Key {
    /// The key that there is; `None` where there is none.
    ///
    /// # Errors
    ///
    /// When its file cannot be read, is no key, or may be read by others.
    pub(super) fn find(settings: &Settings, flag: Option<&Path>) -> Result<Option<Self>> {
        let set = section(settings).and_then(|family| family.own.text("key"));
        if let (None, Some(text)) = (flag, set) {
            return Ok(Some(Self { text: text.into(), path: None, is_new: false }));
        }
        let path = place(settings, flag);
        match read(&path)? {
            Some(text) => Ok(Some(Self { text, path: Some(path), is_new: false })),
            None => Ok(None),
        }
    }

    /// The key of a plug that was paired: where none is known, the empty one, as some programs write it.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find), and when the file that was named is not there.
    pub(super) fn known(settings: &Settings, flag: Option<&Path>) -> Result<Self> {
        match (Self::find(settings, flag)?, flag) {
            (Some(key), _) => Ok(key),
            (None, Some(flag)) => {
                bail!(Fault::Usage(format!("{}: there is no such key file", flag.display())))
            }
            (None, None) => Ok(Self { text: String::new().into(), path: None, is_new: false }),
        }
    }

    /// The key that there is, or a new one that is not written down yet.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find).
    pub(super) fn found_or_made(settings: &Settings, flag: Option<&Path>) -> Result<Self> {
        if let Some(key) = Self::find(settings, flag)? {
            return Ok(key);
        }
        let mut bytes = [0_u8; 16];
        let mut rest = bytes.as_mut_slice();
        while !rest.is_empty() {
            let got = rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty())
                .context("the system gives no random numbers for a key")?;
            rest = rest.get_mut(got..).unwrap_or_default();
        }
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { text: text.into(), path: Some(place(settings, flag)), is_new: true })
    }

    /// Writes a new key down, for its owner alone.
    ///
    /// # Errors
    ///
    /// When that cannot be done.
    pub(super) fn keep(&self) -> Result<()> {
        let Some(path) = self.path.as_deref().filter(|_| self.is_new) else { return Ok(()) };
        let written = || {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            let text = self.expose();
            Replacement::write(path, |to| to.write_all(text.as_bytes()).and_then(|()| to.write_all(b"\n")))?
                .put()
        };
        written().map_err(|error| {
            let path = path.display();
            Fault::Settings(format!(
                "the new key cannot be written to {path} ({error}), so nothing was told to the plug; name another file with --key-file"
            ))
            .into()
        })
    }

    /// The key itself.
    pub(super) fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// Where it comes from, for people.
    pub(super) fn whence(&self) -> String {
        match (&self.path, self.is_new) {
            (Some(path), true) => format!("new, kept in {}", path.display()),
            (Some(path), false) => format!("from {}", path.display()),
            (None, _) if self.expose().is_empty() => "the empty one: none is set".into(),
            (None, _) => format!("{NAME}.key of the settings"),
        }
    }

    /// The line of the settings that makes the bridge use it, where it does not yet.
    pub(super) fn setting(&self) -> Option<String> {
        let path = self.path.as_deref()?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        Some(format!("{NAME}.key_file = {:?}", path.display().to_string()))
    }
}

fn place(settings: &Settings, flag: Option<&Path>) -> PathBuf {
    flag.map_or_else(|| state_directory(settings).join(format!("{NAME}.key")), Path::to_path_buf)
}

/// The key in a file; `None` where there is no file.
fn read(path: &Path) -> Result<Option<SecretString>> {
    let shown = path.display();
    let bytes = match file::read(path, LARGEST_FILE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => bail!(Fault::Settings(format!("the key file {shown} cannot be read: {error}"))),
    };
    let mode = path.metadata().map_or(0, |place| place.mode());
    if mode & 0o077 != 0 {
        bail!(Fault::Settings(format!(
            "the key file {shown} may be read by others (mode {:03o}); `chmod 600 {shown}`",
            mode & 0o777
        )));
    }
    let text = String::from_utf8(bytes).unwrap_or_default();
    let text = text.trim_end_matches(['\n', '\r']);
    if !(1..=LONGEST).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!(Fault::Settings(format!(
            "the key file {shown} holds no key: one line of 1 to {LONGEST} printable characters"
        )));
    }
    Ok(Some(text.into()))
}
