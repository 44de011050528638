//! Reading and writing beneath the workspace's handle. No step here follows a link.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{File, Metadata};
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path};

use agent_security::path::RelPath;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::resolve::{pass, swapped_or_io};
use super::{DIRECTORY, Workspace, WorkspaceError};

/// Bytes of a file that is written whole. More than any source file; a model's answer is far smaller anyway.
pub(crate) const MAX_WRITE: usize = 10 * 1024 * 1024;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A named pipe: opening one can block.
    Pipe,
    /// A socket.
    Socket,
    /// A device: opening one can have effects.
    Device,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Link => "a symbolic link",
            Self::Pipe => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}

impl FileKind {
    pub(crate) fn of(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            FileType::Fifo => Self::Pipe,
            FileType::Socket => Self::Socket,
            _ => Self::Device,
        }
    }
}

/// A regular file opened for reading.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: File,
    /// Of the opened file itself, not of its name.
    pub metadata: Metadata,
}

/// What `name` in `folder` is, links not followed.
pub(crate) fn kind_at(folder: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<FileKind> {
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileKind::of(FileType::from_raw_mode(stat.st_mode)))
}

/// Opens the regular file `name` in `folder`. `path` is for the error.
///
/// The kind is looked at before, because opening a pipe or a device can have effects, and again afterwards on
/// the handle, because the name may have been swapped. `NONBLOCK` is for that case.
pub(crate) fn open_regular_at(
    folder: BorrowedFd<'_>,
    name: &OsStr,
    path: &Path,
) -> Result<Opened, WorkspaceError> {
    const READ: OFlags = OFlags::RDONLY
        .union(OFlags::NOFOLLOW)
        .union(OFlags::NONBLOCK)
        .union(OFlags::NOCTTY)
        .union(OFlags::CLOEXEC);
    match kind_at(folder, name).map_err(|errno| failed(path, "read", errno))? {
        FileKind::File => {}
        FileKind::Link => {
            return Err(WorkspaceError::Swapped {
                path: path.to_owned(),
            });
        }
        kind => {
            return Err(WorkspaceError::NotAFile {
                path: path.to_owned(),
                kind,
            });
        }
    }
    let file = rustix::fs::openat(folder, name, READ, Mode::empty())
        .map(File::from)
        .map_err(|errno| failed(path, "read", errno))?;
    let metadata = file.metadata().map_err(|source| WorkspaceError::Io {
        path: path.to_owned(),
        doing: "read",
        source,
    })?;
    if metadata.is_file() {
        Ok(Opened { file, metadata })
    } else {
        Err(WorkspaceError::Swapped {
            path: path.to_owned(),
        })
    }
}

impl Workspace {
    /// Opens a regular file for reading; never blocks on pipes and never opens devices.
    ///
    /// # Errors
    /// See [`WorkspaceError`]; a link anywhere on the way counts as swapped, because `path` was resolved.
    pub fn open_file(&self, path: &RelPath) -> Result<Opened, WorkspaceError> {
        let path = path.as_path();
        let Some(name) = path.file_name() else {
            return Err(WorkspaceError::NotAFile {
                path: path.to_owned(),
                kind: FileKind::Folder,
            });
        };
        let folder = self.folder_above(path)?;
        open_regular_at(folder.as_fd(), name, path)
    }

    /// Opens a folder for listing.
    ///
    /// # Errors
    /// See [`WorkspaceError`].
    pub fn open_folder(&self, path: &RelPath) -> Result<OwnedFd, WorkspaceError> {
        let path = path.as_path();
        let (folder, name) = match path.file_name() {
            Some(name) => (self.folder_above(path)?, name),
            None => (self.duplicate_root()?, OsStr::new(".")),
        };
        rustix::fs::openat(&folder, name, DIRECTORY, Mode::empty()).map_err(|errno| match errno {
            Errno::NOTDIR => match kind_at(folder.as_fd(), name) {
                Ok(FileKind::Link) | Err(_) => WorkspaceError::Swapped {
                    path: path.to_owned(),
                },
                Ok(kind) => WorkspaceError::NotAFolder {
                    path: path.to_owned(),
                    kind,
                },
            },
            errno => failed(path, "listed", errno),
        })
    }

    /// Replaces or makes the file at `path`, folders on the way included. Others see the old content or the new
    /// one, never a mixture; after a power cut as well. Permission bits of an existing file stay.
    ///
    /// # Errors
    /// See [`WorkspaceError`]; the old content is untouched then.
    pub fn write_file(&self, path: &RelPath, content: &[u8]) -> Result<Metadata, WorkspaceError> {
        let path = path.as_path();
        let Some(name) = path.file_name() else {
            return Err(WorkspaceError::NotAFile {
                path: path.to_owned(),
                kind: FileKind::Folder,
            });
        };
        let folder = self.make_folders_above(path)?;
        let mode = mode_to_keep(folder.as_fd(), name, path)?;
        replace(folder.as_fd(), name, mode, content).map_err(|source| WorkspaceError::Io {
            path: path.to_owned(),
            doing: "written",
            source,
        })
    }

    fn duplicate_root(&self) -> Result<OwnedFd, WorkspaceError> {
        self.handle()
            .try_clone_to_owned()
            .map_err(|source| WorkspaceError::Io {
                path: ".".into(),
                doing: "opened",
                source,
            })
    }

    fn folder_above(&self, path: &Path) -> Result<OwnedFd, WorkspaceError> {
        let mut folder = self.duplicate_root()?;
        for part in parts_above(path) {
            folder = pass(folder.as_fd(), part).map_err(|errno| match errno {
                Errno::NOENT => WorkspaceError::NotFound {
                    path: path.to_owned(),
                },
                errno => swapped_or_io(path, errno),
            })?;
        }
        Ok(folder)
    }

    fn make_folders_above(&self, path: &Path) -> Result<OwnedFd, WorkspaceError> {
        let mut folder = self.duplicate_root()?;
        for part in parts_above(path) {
            folder = match pass(folder.as_fd(), part) {
                Err(Errno::NOENT) => {
                    match rustix::fs::mkdirat(&folder, part, Mode::from_raw_mode(0o777)) {
                        // Somebody was faster: fine, as long as it is a folder.
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(errno) => return Err(failed(path, "written", errno)),
                    }
                    pass(folder.as_fd(), part).map_err(|errno| swapped_or_io(path, errno))?
                }
                passed => passed.map_err(|errno| swapped_or_io(path, errno))?,
            };
        }
        Ok(folder)
    }
}

fn parts_above(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.parent()
        .unwrap_or(Path::new(""))
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => Some(part),
            // A checked path has no other kinds.
            _ => None,
        })
}

/// The permission bits of the file that is to be replaced; none when it is new.
fn mode_to_keep(folder: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<Option<u32>, WorkspaceError> {
    let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(failed(path, "written", errno)),
    };
    match FileKind::of(FileType::from_raw_mode(stat.st_mode)) {
        FileKind::File => {}
        FileKind::Link => {
            return Err(WorkspaceError::Swapped {
                path: path.to_owned(),
            });
        }
        kind => {
            return Err(WorkspaceError::NotAFile {
                path: path.to_owned(),
                kind,
            });
        }
    }
    // Renaming over a file needs no right to write it, so the protection is honoured by hand. The bits are asked
    // as well as the kernel, which lets root write anything.
    let protected = stat.st_mode & 0o222 == 0
        || rustix::fs::accessat(folder, name, rustix::fs::Access::WRITE_OK, AtFlags::EACCESS)
            .is_err_and(|errno| matches!(errno, Errno::ACCESS | Errno::PERM));
    if protected {
        return Err(WorkspaceError::WriteProtected {
            path: path.to_owned(),
        });
    }
    // Not the set-user-id bits: new content has to earn them again.
    Ok(Some(stat.st_mode & 0o777))
}

fn replace(
    folder: BorrowedFd<'_>,
    name: &OsStr,
    mode: Option<u32>,
    content: &[u8],
) -> std::io::Result<Metadata> {
    const NEW: OFlags = OFlags::WRONLY
        .union(OFlags::CREATE)
        .union(OFlags::EXCL)
        .union(OFlags::NOFOLLOW)
        .union(OFlags::CLOEXEC);
    let name_nobody_knows = format!(".claude-agent-{}.tmp", uuid::Uuid::new_v4().simple()).into();
    let mut temporary = Temporary {
        folder,
        name: name_nobody_knows,
        renamed: false,
    };
    let mut file = File::from(rustix::fs::openat(
        folder,
        &temporary.name,
        NEW,
        Mode::from_raw_mode(0o666),
    )?);
    if let Some(mode) = mode {
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    file.write_all(content)?;
    file.sync_all()?;
    rustix::fs::renameat(folder, &temporary.name, folder, name)?;
    temporary.renamed = true;
    // The rename itself is durable once the folder is. Some file systems can't sync folders: then the file is
    // written all the same, so this is no failure. `PATH` handles can't be synced, hence the new one.
    if let Ok(folder) = rustix::fs::openat(folder, ".", DIRECTORY, Mode::empty()) {
        let _unsupported = rustix::fs::fsync(folder);
    }
    let metadata = file.metadata()?;
    debug_assert!(metadata.nlink() <= 1, "a fresh file has one name");
    Ok(metadata)
}

/// A file under a name nobody knows, removed unless it was renamed.
struct Temporary<'folder> {
    folder: BorrowedFd<'folder>,
    name: OsString,
    renamed: bool,
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.renamed {
            return;
        }
        // Never made, or the disk is in trouble: there is nothing better to do with the failure here.
        let _litter = rustix::fs::unlinkat(self.folder, &self.name, AtFlags::empty());
    }
}

fn failed(path: &Path, doing: &'static str, errno: Errno) -> WorkspaceError {
    let path = path.to_owned();
    match errno {
        Errno::NOENT => WorkspaceError::NotFound { path },
        Errno::LOOP | Errno::MLINK => WorkspaceError::Swapped { path },
        errno => WorkspaceError::Io {
            path,
            doing,
            source: errno.into(),
        },
    }
}
