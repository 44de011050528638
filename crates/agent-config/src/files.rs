//! The one place that reads and writes files: every read has a limit, every write is whole or not at all.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::problem::ConfigError;

/// Room kept behind the content, so that finding the end of the file needs no larger buffer.
const SPARE: usize = 64;

/// What kind of file may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allow {
    /// Only a regular one: a pipe or device that lies where a file is expected would hold up the start for ever.
    Regular,
    /// Anything: the user named it, and `<(…)` in a shell is a pipe.
    Any,
    /// Only a regular one that nobody but its owner may read.
    Private,
}

/// Why a file could not be used.
#[derive(Debug)]
pub(crate) enum FileFault {
    Missing,
    NotRegular,
    Exposed { mode: u32 },
    TooLarge { limit: u64 },
    NotUtf8 { line: u32 },
    Unreadable(io::Error),
}

impl FileFault {
    /// What would be right, for the file at `path`.
    pub(crate) fn valid(&self, path: &Path) -> String {
        match self {
            Self::Missing => "the path of a file that exists".to_owned(),
            Self::NotRegular => "a regular file".to_owned(),
            Self::Exposed { .. } => format!("mode 0600 (type: chmod 600 '{}')", path.display()),
            Self::TooLarge { limit } => format!("a file of at most {limit} bytes"),
            Self::NotUtf8 { .. } => "a file of UTF-8 text".to_owned(),
            Self::Unreadable(_) => "a file that this user may read".to_owned(),
        }
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("does not exist"),
            Self::NotRegular => f.write_str("is not a regular file"),
            Self::Exposed { mode } => write!(f, "may be read by other users (mode {mode:04o})"),
            Self::TooLarge { limit } => write!(f, "is larger than {limit} bytes"),
            Self::NotUtf8 { .. } => f.write_str("is not UTF-8 text"),
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
        }
    }
}

impl From<io::Error> for FileFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing,
            _ => Self::Unreadable(error),
        }
    }
}

/// Reads a text of at most `limit` bytes. The buffer is overwritten when it is dropped: it may hold credentials.
pub(crate) fn read_text(path: &Path, limit: u64, allow: Allow) -> Result<Zeroizing<String>, FileFault> {
    // Before opening, because opening a pipe waits for its other end.
    if allow != Allow::Any && !fs::metadata(path)?.is_file() {
        return Err(FileFault::NotRegular);
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if allow == Allow::Private {
        check_private(&metadata)?;
    }
    // Room for all of it at once: a buffer that grows leaves copies behind that nothing overwrites.
    let room = usize::try_from(metadata.len().min(limit)).unwrap_or(0) + SPARE;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(FileFault::TooLarge { limit });
    }
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let bytes = Zeroizing::new(error.into_bytes());
            let breaks = bytes[..valid].iter().filter(|byte| **byte == b'\n').count();
            Err(FileFault::NotUtf8 {
                line: u32::try_from(breaks).unwrap_or(u32::MAX).saturating_add(1),
            })
        }
    }
}

/// Whether other users may read the file at `path`. A file that is not there exposes nothing.
pub(crate) fn check_exposure(path: &Path) -> Result<(), FileFault> {
    match fs::metadata(path) {
        Ok(metadata) => check_private(&metadata),
        Err(_) => Ok(()),
    }
}

#[cfg(unix)]
fn check_private(metadata: &fs::Metadata) -> Result<(), FileFault> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(FileFault::Exposed { mode })
    }
}

#[cfg(not(unix))]
fn check_private(_: &fs::Metadata) -> Result<(), FileFault> {
    // Windows keeps a user's folders private by access lists that folders inherit; there is no mode to look at.
    Ok(())
}

/// What a write does to a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    Replace,
    Keep,
}

/// Writes a file that only its owner may read: beside its place first, then moved there in one step. A crash leaves
/// the old file or the new one. Missing folders are made, for the owner alone.
pub(crate) fn write_private(path: &Path, text: &str, existing: Existing) -> Result<(), ConfigError> {
    let failed = |action| {
        move |source| ConfigError::Write {
            path: path.to_owned(),
            action,
            source,
        }
    };
    // A link is followed: who keeps the configuration elsewhere and links to it wants it written there.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match target.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    create_private_folder(folder).map_err(failed("create its folder"))?;
    let mut builder = tempfile::Builder::new();
    let mut file = builder
        .prefix(".claude-agent-")
        .tempfile_in(folder)
        .map_err(failed("create a file beside it"))?;
    file.write_all(text.as_bytes()).map_err(failed("write it"))?;
    file.as_file().sync_all().map_err(failed("write it to disk"))?;
    let moved = match existing {
        Existing::Replace => file.persist(&target),
        Existing::Keep => file.persist_noclobber(&target),
    };
    moved.map_err(|error| failed("put it in its place")(error.error))?;
    sync_folder(folder).map_err(failed("write its folder to disk"))
}

#[cfg(unix)]
fn create_private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn create_private_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Makes the new name itself durable. Only Unix lets a folder be opened for that.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(PathBuf::from(folder))?.sync_all()
    } else {
        Ok(())
    }
}
