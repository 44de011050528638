//! The folder that an agent works in, as a handle that nothing beneath it can lead out of.
//!
//! A requested path is handled in two steps. [`Workspace::resolve`] follows the symbolic links that stay inside
//! and says what the path really names: that is what the policy judges, next to the names that led there. Every later access walks exactly this
//! name from the root handle and follows no link at all. A link that is swapped in between is refused, so what
//! was judged and what is touched are the same, and neither can be outside.
//!
//! What this does not do: hold back commands (they are other programs), or see through hard links and mounts.

mod error;
mod file;
mod resolve;
#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_security::path::{RelPath, check_relative};
use rustix::fs::{Mode, OFlags};

pub use error::WorkspaceError;
pub use file::{FileKind, Opened};
pub(crate) use file::{MAX_WRITE, kind_at, open_regular_at};

use crate::tools::ReadLedger;
use resolve::Found;

/// How directories are opened: enough to look up what is beneath them, and never through a link.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A folder opened once for one session; cheap to clone.
#[derive(Clone, Debug)]
pub struct Workspace {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Without links, absolute.
    root: PathBuf,
    /// As it was given: an absolute path may be spelled either way.
    given: PathBuf,
    handle: OwnedFd,
    ledger: ReadLedger,
}

/// What a requested path really names, beneath the workspace.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The way there without links. Missing folders and files at its end are possible.
    pub path: RelPath,
    /// What is there; none when nothing is yet.
    pub kind: Option<FileKind>,
    /// The other names that led there: as it was requested, and the links on the way. What is protected by such a name
    /// is protected from a request that uses it.
    pub also: Vec<RelPath>,
}

impl Workspace {
    /// Opens `folder`.
    ///
    /// # Errors
    /// It doesn't exist, is no folder, or may not be read.
    pub fn open(folder: &Path) -> Result<Self, WorkspaceError> {
        let failed = |source: std::io::Error| WorkspaceError::Root {
            path: folder.to_owned(),
            source,
        };
        let given = std::path::absolute(folder).map_err(failed)?;
        let root = folder.canonicalize().map_err(failed)?;
        let handle =
            rustix::fs::open(&root, DIRECTORY, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                root,
                given,
                handle,
                ledger: ReadLedger::default(),
            }),
        })
    }

    /// The folder's absolute path without links. To show and to start commands in; files are opened beneath the
    /// handle instead.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// What `requested` (relative to the root, or absolute beneath it) really names. Nothing is opened but the
    /// folders on the way.
    ///
    /// # Errors
    /// The path leads out of the workspace, by its spelling or by a link; it runs through something that is no
    /// folder; or a folder on the way can't be read.
    pub fn resolve(&self, requested: &str) -> Result<Resolved, WorkspaceError> {
        let inner = &self.inner;
        let checked = check_relative(&inner.root, requested)
            .or_else(|denied| check_relative(&inner.given, requested).map_err(|_| denied))?;
        let Found { path, kind, links } = resolve::resolve(self.handle(), &inner.root, checked.as_path())?;
        let spelled = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &path
        };
        let bad = |reason| WorkspaceError::BadTarget {
            requested: requested.to_owned(),
            path: path.clone(),
            reason,
        };
        // The target of a link may have a name that no request could spell; it is judged like one.
        let text = spelled
            .to_str()
            .ok_or_else(|| bad("it is not UTF-8".to_owned()))?;
        let path = check_relative(&inner.root, text).map_err(|denied| bad(denied.to_string()))?;
        // A link whose name no request could spell is in no rule either.
        let links = links
            .iter()
            .filter_map(|link| check_relative(&inner.root, link.to_str()?).ok());
        let mut also: Vec<RelPath> = std::iter::once(checked).chain(links).collect();
        also.dedup();
        also.retain(|name| *name != path);
        Ok(Resolved { path, kind, also })
    }

    pub(crate) fn ledger(&self) -> &ReadLedger {
        &self.inner.ledger
    }

    fn handle(&self) -> BorrowedFd<'_> {
        self.inner.handle.as_fd()
    }
}
