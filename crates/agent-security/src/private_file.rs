//! Reads small files that hold secrets, and nothing that someone else could have put there or could read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use agent_config::Secret;
use rustix::fs::OFlags;
use rustix::process::geteuid;

/// Who else may look at a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Nobody: it is a secret.
    Owner,
    /// Anyone: it is public, but nobody else may change it.
    Everyone,
}

impl Readers {
    /// The bits of a mode that let someone do what he may not.
    fn forbidden(self) -> u32 {
        match self {
            Readers::Owner => 0o077,
            Readers::Everyone => 0o022,
        }
    }
}

/// Why a file with a secret is not used. Each has its own remedy.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// The file system says no.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A symbolic link, a folder, a pipe.
    #[error("{} is not an ordinary file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Others can read or change it.
    #[error(
        "others can use {} (mode {mode:03o}); if nobody else has seen or changed it, `chmod 600` it, otherwise replace it",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user.
    #[error("{} belongs to the user with id {owner}, neither this one nor root", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// It holds more than what it is for ever takes.
    #[error("{} is longer than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// How much is read.
        limit: usize,
    },
    /// It isn't text.
    #[error("{} is not text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
}

/// Opens a file of the program's own, as `options` say: through no link, for its owner alone where it is made, and without
/// waiting where somebody put a pipe in its place.
///
/// # Errors
/// What the system says; a link is `ELOOP`.
pub fn open_own(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// The text of the file at `path` without line ends at its end; `None` when there is no such file.
pub(crate) fn read(path: &Path, limit: usize, readers: Readers) -> Result<Option<Secret>, PrivateFileError> {
    match open_own(path, OpenOptions::new().read(true)) {
        Ok(file) => checked(path, &file, readers)
            .and_then(|()| text(path, file, limit))
            .map(Some),
        // Below what is no folder there is no file; who needs the folder says so.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            Err(PrivateFileError::NotAFile {
                path: path.to_owned(),
            })
        }
        Err(error) => Err(io_error("open", path, error)),
    }
}

/// Of the open file, not of the name: what the name leads to may be swapped meanwhile.
fn checked(path: &Path, file: &File, readers: Readers) -> Result<(), PrivateFileError> {
    let about = file
        .metadata()
        .map_err(|source| io_error("examine", path, source))?;
    let path = path.to_owned();
    if !about.is_file() {
        return Err(PrivateFileError::NotAFile { path });
    }
    let owner = about.uid();
    // Root could read it anyway; units often run with files that root put there.
    if owner != geteuid().as_raw() && owner != 0 {
        return Err(PrivateFileError::Foreign { path, owner });
    }
    let mode = about.mode() & 0o7777;
    if mode & readers.forbidden() != 0 {
        return Err(PrivateFileError::Open { path, mode });
    }
    Ok(())
}

fn text(path: &Path, file: File, limit: usize) -> Result<Secret, PrivateFileError> {
    // One byte over, to see that there is too much; the line end takes two at most.
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(3);
    let mut text = String::new();
    let read = file.take(most).read_to_string(&mut text);
    let text = Secret::from(text);
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(PrivateFileError::NotText {
                path: path.to_owned(),
            });
        }
        Err(source) => return Err(io_error("read", path, source)),
    }
    let line = text.expose().trim_end_matches(['\r', '\n']);
    if line.len() > limit {
        return Err(PrivateFileError::TooLong {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(Secret::from(line))
}

pub(crate) fn io_error(doing: &'static str, path: &Path, source: io::Error) -> PrivateFileError {
    PrivateFileError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}
