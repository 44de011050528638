//! Why something beneath the workspace could not be done, in words that the model can act on.

use std::io;
use std::path::PathBuf;

use agent_security::path::PathDenied;

use super::FileKind;
use crate::tools::ToolError;

/// Paths are relative to the workspace, except for the root itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceError {
    /// The workspace itself can't be opened.
    #[error("the workspace {} can't be opened: {source}; give an existing folder that you may read", path.display())]
    Root {
        /// As given.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The path may not be used, as it is spelled.
    #[error(transparent)]
    Denied(#[from] PathDenied),
    /// A link leads to a name that no path in a request can spell.
    #[error("{requested:?} leads to {}, a name that can't be used here ({reason}); use another file", path.display())]
    BadTarget {
        /// As requested.
        requested: String,
        /// Where it leads.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Deeper than the limit.
    #[error("{} lies more than {limit} folders deep, which is not supported; use a shorter path", path.display())]
    TooDeep {
        /// The path.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// A symbolic link leads out.
    #[error("{} is a symbolic link to {}, which leads out of the workspace; only files inside it can be used", link.display(), target.display())]
    LinkLeaves {
        /// Where the link is.
        link: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// Too many links on the way.
    #[error("{} goes through more than {limit} symbolic links (a loop?); use the file's real path", path.display())]
    TooManyLinks {
        /// The path.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// Something on the way is no folder.
    #[error("{} is {kind}, not a folder, so there is nothing beneath it; look with list_directory", path.display())]
    NotAFolder {
        /// What is no folder.
        path: PathBuf,
        /// What it is.
        kind: FileKind,
    },
    /// There is no such file.
    #[error("{} does not exist in the workspace; look with list_directory or glob", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// Not a regular file.
    #[error("{} is {kind}, not a regular file{}", path.display(), advice(*kind))]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: FileKind,
    },
    /// What was resolved is not there any more: something was swapped.
    #[error("{} changed while it was being opened (it became a symbolic link, or was moved); nothing was done. Try again", path.display())]
    Swapped {
        /// The path.
        path: PathBuf,
    },
    /// The file is write-protected.
    #[error("{} is write-protected; nothing was changed. If it is really meant to change, run chmod u+w on it first", path.display())]
    WriteProtected {
        /// The path.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{} could not be {doing}: {source}{}", path.display(), remedy(source))]
    Io {
        /// The path.
        path: PathBuf,
        /// What was tried: "read", "written", …
        doing: &'static str,
        /// The reason.
        source: io::Error,
    },
}

fn advice(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Folder => "; use list_directory to see what is in it",
        _ => "; it is not opened, because that could block or have effects",
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; nothing was changed. The disk is full: free some space, then try again"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "; nothing was changed. The file system is read-only: tell the user"
        }
        io::ErrorKind::PermissionDenied => "; the agent has no permission for that: tell the user",
        io::ErrorKind::InvalidFilename => "; choose a shorter name",
        _ => "",
    }
}

impl From<WorkspaceError> for ToolError {
    fn from(error: WorkspaceError) -> Self {
        Self::new(error.to_string())
    }
}
