//! How files are opened that somebody else may have put there: never followed or emptied where they
//! are written, never waited for, never read beyond a bound. How files are replaced: in one step.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A whole file that must not be larger than this. A pipe, a device and the like are refused: reading
/// them could wait for ever.
///
/// # Errors
///
/// When it cannot be read, is no file, or is larger ([`ErrorKind::FileTooLarge`]).
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    whole(File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?, max)
}

/// The same for a file that only this program writes: a symbolic link in its place is refused.
///
/// # Errors
///
/// As [`read`].
pub fn read_own(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    whole(unlinked(File::options().read(true), path)?, max)
}

fn whole(mut file: File, max: u64) -> io::Result<Vec<u8>> {
    let size = regular(&file)?;
    if size > max {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::new();
    // It may grow meanwhile, and files that are made up as they are read have no size.
    Read::by_ref(&mut file).take(max + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > max) {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// A file that exists only to be locked. It is made if it is not there; what it holds is left alone,
/// and a symbolic link in its place is refused.
///
/// # Errors
///
/// When it cannot be opened, or is something else than a file.
pub fn for_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = unlinked(&mut options, path)?;
    regular(&file)?;
    Ok(file)
}

/// Opens what is there itself, and not what a link leads to.
fn unlinked(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).map_err(|error| {
        match no_link(path) {
            Err(link) => link,
            Ok(()) => error,
        }
    })
}

/// A symbolic link in the place of what only this program writes is refused.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] for a link.
pub fn no_link(path: &Path) -> io::Result<()> {
    match path.symlink_metadata().is_ok_and(|place| place.is_symlink()) {
        true => Err(io::Error::new(ErrorKind::InvalidInput, "is a symbolic link; remove it")),
        false => Ok(()),
    }
}

/// A new file that only its owner may read.
///
/// # Errors
///
/// When something is there already ([`ErrorKind::AlreadyExists`]), or it cannot be made.
pub fn new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// A file that is on the disk, beside the one whose place it is to take. Only its owner may read it.
#[derive(Debug)]
pub struct Replacement {
    file: NamedTempFile,
    path: PathBuf,
}

impl Replacement {
    /// Writes what is to be at `path`.
    ///
    /// # Errors
    ///
    /// When the disk is full or the folder has gone; nothing is left behind then.
    pub fn write(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Self> {
        let mut file = NamedTempFile::new_in(folder(path))?;
        let mut text = BufWriter::new(&mut file);
        content(&mut text)?;
        text.flush()?;
        drop(text);
        file.as_file().sync_all()?;
        Ok(Self { file, path: path.into() })
    }

    /// Puts it there: whenever the power fails, the old file or the new one is there, and whole.
    ///
    /// # Errors
    ///
    /// When the folder has gone, or a folder is in the place.
    pub fn put(self) -> io::Result<()> {
        self.file.persist(&self.path)?;
        File::open(folder(&self.path))?.sync_all()
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The size of a file that is nothing else.
fn regular(file: &File) -> io::Result<u64> {
    let place = file.metadata()?;
    let kind = place.file_type();
    if kind.is_file() {
        return Ok(place.len());
    }
    if kind.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    let kind = match () {
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(io::Error::new(ErrorKind::InvalidInput, format!("is {kind} and not a file")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    #[test]
    fn only_files_are_read_and_only_so_far() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "12345").unwrap();
        symlink(&path, folder.path().join("link")).unwrap();
        assert_eq!(read(&folder.path().join("link"), 5).unwrap(), b"12345");
        let refused = read_own(&folder.path().join("link"), 5).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        assert_eq!(refused.to_string(), "is a symbolic link; remove it");
        symlink("nowhere", folder.path().join("dangling")).unwrap();
        assert_eq!(read_own(&folder.path().join("dangling"), 5).unwrap_err().kind(), refused.kind());
        assert_eq!(read_own(&path, 5).unwrap(), b"12345");
        assert_eq!(read_own(&folder.path().join("none"), 5).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(read(&path, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read(folder.path(), 4).unwrap_err().kind(), ErrorKind::IsADirectory);
        // Made up as it is read.
        assert_eq!(read(Path::new("/proc/self/status"), 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read(Path::new("/dev/zero"), 4).unwrap_err().to_string(), "is a device and not a file");
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(read(&pipe, 4).unwrap_err().to_string(), "is a pipe and not a file");
        assert_eq!(for_lock(&pipe).unwrap_err().to_string(), "is a pipe and not a file");
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let write = |text: &'static str| Replacement::write(&path, move |to| to.write_all(text.as_bytes()));
        write("12345").unwrap().put().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let torn = Replacement::write(&path, |to| {
            to.write_all(b"67")?;
            Err(ErrorKind::StorageFull.into())
        });
        assert_eq!(torn.unwrap_err().kind(), ErrorKind::StorageFull);
        drop(write("not put there").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"12345");
        write("678").unwrap().put().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"678");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_lock_empties_and_follows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let [precious, link, lock] = ["precious", "link", "lock"].map(|name| folder.path().join(name));
        fs::write(&precious, "12345").unwrap();
        symlink(&precious, &link).unwrap();
        assert!(for_lock(&link).unwrap_err().to_string().contains("symbolic link"));
        symlink(folder.path().join("nowhere"), folder.path().join("dangling")).unwrap();
        assert!(for_lock(&folder.path().join("dangling")).is_err());
        assert!(!folder.path().join("nowhere").exists());
        for_lock(&precious).unwrap();
        assert_eq!(fs::read(&precious).unwrap(), b"12345");
        for_lock(&lock).unwrap();
        for_lock(&lock).unwrap();
        assert!(new(&precious).is_err_and(|error| error.kind() == ErrorKind::AlreadyExists));
        assert!(new(&link).is_err_and(|error| error.kind() == ErrorKind::AlreadyExists));
        new(&folder.path().join("fresh")).unwrap();
    }
}
