//! Follows symbolic links by hand, holding the folders passed on the way, so that `..` in a link's target goes
//! back to a handle that was really passed and never above the root.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::file::{FileKind, kind_at};
use super::{DIRECTORY, WorkspaceError};

/// The kernel's own limit for links in one look-up.
const MAX_LINKS: usize = 40;
/// Folders on a path. Deeper ones exist only by accident, and each costs a handle while resolving.
const MAX_DEPTH: usize = 128;

/// Passing through a folder needs the right to search it, not to list it.
#[cfg(target_os = "linux")]
const PASS: OFlags = DIRECTORY.union(OFlags::PATH);
#[cfg(not(target_os = "linux"))]
const PASS: OFlags = DIRECTORY;

struct Way<'root> {
    root: BorrowedFd<'root>,
    passed: Vec<(OsString, OwnedFd)>,
}

impl Way<'_> {
    fn here(&self) -> BorrowedFd<'_> {
        self.passed.last().map_or(self.root, |(_, folder)| folder.as_fd())
    }

    fn name(&self) -> PathBuf {
        self.passed.iter().map(|(name, _)| name).collect()
    }
}

/// What a path turned out to be.
pub(super) struct Found {
    /// The way there without links.
    pub(super) path: PathBuf,
    /// What is there; none when nothing is yet.
    pub(super) kind: Option<FileKind>,
    /// The links that were followed, by names without links.
    pub(super) links: Vec<PathBuf>,
}

/// The name of `path` without links, and what is there. `root_path` is where `root` lies, to recognise absolute
/// links that point back inside.
pub(super) fn resolve(root: BorrowedFd<'_>, root_path: &Path, path: &Path) -> Result<Found, WorkspaceError> {
    let mut way = Way {
        root,
        passed: Vec::new(),
    };
    // Reversed: the next component is the last.
    let mut pending: Vec<OsString> = reversed(path);
    let mut links: Vec<PathBuf> = Vec::new();
    let mut last_target = PathBuf::new();
    while let Some(part) = pending.pop() {
        let at = way.name().join(&part);
        if part == ".." {
            if way.passed.pop().is_none() {
                // Requests themselves hold no `..`, so it came out of a link.
                let link = links.pop().unwrap_or_default();
                return Err(WorkspaceError::LinkLeaves {
                    link,
                    target: last_target,
                });
            }
            continue;
        }
        let kind = match kind_at(way.here(), &part) {
            Ok(kind) => kind,
            Err(Errno::NOENT) => {
                let path = missing(&way, &part, pending, path)?;
                return Ok(Found {
                    path,
                    kind: None,
                    links,
                });
            }
            Err(errno) => return Err(io(&at, errno)),
        };
        match kind {
            FileKind::Link => {
                if links.len() == MAX_LINKS {
                    return Err(WorkspaceError::TooManyLinks {
                        path: path.to_owned(),
                        limit: MAX_LINKS,
                    });
                }
                let target = read_link(way.here(), &part).map_err(|errno| io(&at, errno))?;
                let inside = if target.is_absolute() {
                    let leaves = || WorkspaceError::LinkLeaves {
                        link: at.clone(),
                        target: target.clone(),
                    };
                    let inside = target.strip_prefix(root_path).map_err(|_| leaves())?;
                    way.passed.clear();
                    inside
                } else {
                    &target
                };
                pending.extend(reversed(inside));
                links.push(at);
                last_target = target;
            }
            FileKind::Folder => {
                if way.passed.len() >= MAX_DEPTH {
                    return Err(WorkspaceError::TooDeep {
                        path: path.to_owned(),
                        limit: MAX_DEPTH,
                    });
                }
                let folder = pass(way.here(), &part).map_err(|errno| swapped_or_io(&at, errno))?;
                way.passed.push((part, folder));
            }
            _ if pending.is_empty() => {
                return Ok(Found {
                    path: at,
                    kind: Some(kind),
                    links,
                });
            }
            _ => return Err(WorkspaceError::NotAFolder { path: at, kind }),
        }
    }
    Ok(Found {
        path: way.name(),
        kind: Some(FileKind::Folder),
        links,
    })
}

/// Nothing is there: the rest of the way is taken as it is spelled.
fn missing(
    way: &Way<'_>,
    part: &OsStr,
    pending: Vec<OsString>,
    requested: &Path,
) -> Result<PathBuf, WorkspaceError> {
    let mut path = way.name().join(part);
    for part in pending.into_iter().rev() {
        if part == ".." {
            // Only out of a link's target. What lies beyond a missing folder can't be known.
            return Err(WorkspaceError::NotFound {
                path: requested.to_owned(),
            });
        }
        path.push(part);
    }
    Ok(path)
}

/// Opens the folder `name` beneath `folder`, to go on from there.
pub(super) fn pass(folder: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(folder, name, PASS, Mode::empty())
}

/// A component that is not the folder it was a moment ago was swapped.
pub(super) fn swapped_or_io(path: &Path, errno: Errno) -> WorkspaceError {
    match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::MLINK => WorkspaceError::Swapped {
            path: path.to_owned(),
        },
        errno => io(path, errno),
    }
}

fn io(path: &Path, errno: Errno) -> WorkspaceError {
    WorkspaceError::Io {
        path: path.to_owned(),
        doing: "reached",
        source: errno.into(),
    }
}

fn read_link(folder: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<PathBuf> {
    let target = rustix::fs::readlinkat(folder, name, Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
}

fn reversed(path: &Path) -> Vec<OsString> {
    let mut parts: Vec<OsString> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        })
        .collect();
    parts.reverse();
    parts
}
