//! Walks folders beneath the workspace for searches: in sorted order, within limits, never through a link, and
//! without what `.gitignore` leaves out.
//!
//! It goes from handle to handle, so a folder swapped for a link on the way is skipped, not followed.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agent_security::path::RelPath;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::{FileType, Mode, OFlags};
use tokio_util::sync::CancellationToken;

use super::glob::MAX_PATTERN;
use super::{PathFilter, ToolError};
use crate::workspace::{FileKind, Workspace, kind_at, open_regular_at};

/// Entries looked at by one search: a large monorepo. What is beyond needs a narrower path.
const MAX_ENTRIES: usize = 200_000;
/// How long one search may take; a model does better with part of the matches than with a turn that stands still.
const MAX_TIME: Duration = Duration::from_secs(60);
/// Folders below one another. Each costs a handle while it is walked.
const MAX_DEPTH: usize = 128;
/// Bytes read of one `.gitignore`; real ones have a few KiB.
const MAX_IGNORE_FILE: u64 = 256 * 1024;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Whether a search must end now.
pub(super) struct Stop<'a> {
    cancel: &'a CancellationToken,
    deadline: Instant,
}

impl<'a> Stop<'a> {
    pub(super) fn new(cancel: &'a CancellationToken) -> Self {
        Self {
            cancel,
            deadline: Instant::now() + MAX_TIME,
        }
    }

    pub(super) fn reached(&self) -> bool {
        self.cancel.is_cancelled() || Instant::now() >= self.deadline
    }
}

/// What a walk includes.
pub(super) struct Scope<'a> {
    /// Also hidden names and what `.gitignore` leaves out; `.git` itself never.
    all: bool,
    may_read: &'a PathFilter,
    stop: &'a Stop<'a>,
    max_entries: usize,
}

impl<'a> Scope<'a> {
    pub(super) fn new(all: bool, may_read: &'a PathFilter, stop: &'a Stop<'a>) -> Self {
        Self {
            all,
            may_read,
            stop,
            max_entries: MAX_ENTRIES,
        }
    }
}

/// Something found. Folders are reported before what is in them.
pub(super) struct Entry<'a> {
    /// Relative to the workspace.
    pub(super) path: &'a Path,
    pub(super) kind: FileKind,
    pub(super) folder: BorrowedFd<'a>,
    pub(super) name: &'a OsStr,
}

/// What the walk could not do, for a note in the result.
#[derive(Debug, Default)]
pub(super) struct Walked {
    entries: usize,
    unreadable: usize,
    cut_short: Option<String>,
}

impl Walked {
    /// Sentences for the result; empty when everything was seen.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.cut_short.iter().cloned().collect();
        if self.unreadable > 0 {
            notes.push(format!(
                "{} folders could not be read and were skipped",
                self.unreadable
            ));
        }
        notes
    }

    pub(super) fn is_complete(&self) -> bool {
        self.cut_short.is_none()
    }
}

/// Calls `visit` for everything below the folder `base`, until it breaks or a limit is reached.
pub(super) fn walk(
    workspace: &Workspace,
    base: &RelPath,
    scope: &Scope<'_>,
    visit: &mut dyn FnMut(&Entry<'_>) -> ControlFlow<()>,
) -> Result<Walked, ToolError> {
    let folder = workspace.open_folder(base)?;
    let mut walker = Walker {
        scope,
        visit,
        ignores: Vec::new(),
        walked: Walked::default(),
    };
    if !scope.all {
        // Ignore files above the base count as well.
        let mut above = base.parent();
        while let Some(path) = above {
            let folder = workspace.open_folder(&path)?;
            walker
                .ignores
                .insert(0, ignore_file(folder.as_fd(), path.as_path()));
            above = path.parent();
        }
    }
    let base = if base.is_root() {
        PathBuf::new()
    } else {
        base.as_path().to_owned()
    };
    // A break is the visitor's own end, or is noted in `walked`.
    let (ControlFlow::Continue(()) | ControlFlow::Break(())) = walker.folder(folder, &base);
    if scope.stop.cancel.is_cancelled() {
        return Err(ToolError::cancelled());
    }
    Ok(walker.walked)
}

struct Walker<'a> {
    scope: &'a Scope<'a>,
    visit: &'a mut dyn FnMut(&Entry<'_>) -> ControlFlow<()>,
    /// From the root down, one for each folder on the way.
    ignores: Vec<Gitignore>,
    walked: Walked,
}

impl Walker<'_> {
    fn folder(&mut self, folder: OwnedFd, path: &Path) -> ControlFlow<()> {
        if self.ignores.len() > MAX_DEPTH {
            self.walked.unreadable += 1;
            return ControlFlow::Continue(());
        }
        self.ignores.push(if self.scope.all {
            Gitignore::empty()
        } else {
            ignore_file(folder.as_fd(), path)
        });
        let flow = self.entries(&folder, path);
        self.ignores.pop();
        flow
    }

    fn entries(&mut self, folder: &OwnedFd, path: &Path) -> ControlFlow<()> {
        let room = self.scope.max_entries - self.walked.entries;
        let Ok(listed) = list(folder.as_fd(), room) else {
            self.walked.unreadable += 1;
            return ControlFlow::Continue(());
        };
        self.walked.entries += listed.entries.len();
        for (name, kind) in listed.entries {
            if self.scope.stop.reached() {
                let seconds = MAX_TIME.as_secs();
                return self.cut(format!("stopped after {seconds} s; search a narrower path"));
            }
            let at = path.join(&name);
            if self.is_left_out(&at, &name, kind) {
                continue;
            }
            (self.visit)(&Entry {
                path: &at,
                kind,
                folder: folder.as_fd(),
                name: &name,
            })?;
            if kind == FileKind::Folder {
                match rustix::fs::openat(folder, &name, FOLDER, Mode::empty()) {
                    Ok(below) => self.folder(below, &at)?,
                    Err(_) => self.walked.unreadable += 1,
                }
            }
        }
        if listed.more {
            let limit = self.scope.max_entries;
            return self.cut(format!("stopped after {limit} entries; search a narrower path"));
        }
        ControlFlow::Continue(())
    }

    fn cut(&mut self, why: String) -> ControlFlow<()> {
        self.walked.cut_short = Some(why);
        ControlFlow::Break(())
    }

    fn is_left_out(&self, path: &Path, name: &OsStr, kind: FileKind) -> bool {
        if name == ".git" || !(self.scope.may_read)(path) {
            return true;
        }
        if self.scope.all {
            return false;
        }
        // The nearest file with an opinion wins, as in git.
        let ignored = self
            .ignores
            .iter()
            .rev()
            .map(|file| file.matched(path, kind == FileKind::Folder));
        name.as_bytes().starts_with(b".")
            || ignored
                .into_iter()
                .find(|opinion| !opinion.is_none())
                .is_some_and(|opinion| opinion.is_ignore())
    }
}

/// The entries of one folder.
pub(super) struct Listed {
    /// Sorted by name.
    pub(super) entries: Vec<(OsString, FileKind)>,
    /// There were more than asked for.
    pub(super) more: bool,
}

/// At most `limit` entries of `folder`, without `.` and `..`.
pub(super) fn list(folder: BorrowedFd<'_>, limit: usize) -> rustix::io::Result<Listed> {
    let mut listed = Listed {
        entries: Vec::new(),
        more: false,
    };
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        if listed.entries.len() == limit {
            listed.more = true;
            break;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => match kind_at(folder, name) {
                Ok(kind) => kind,
                // Removed since it was listed.
                Err(_) => continue,
            },
            kind => FileKind::of(kind),
        };
        listed.entries.push((name.to_owned(), kind));
    }
    listed.entries.sort_unstable();
    Ok(listed)
}

/// What the ignore files of one folder say. `path` is the folder, relative to the workspace.
fn ignore_file(folder: BorrowedFd<'_>, path: &Path) -> Gitignore {
    let root = if path == Path::new(".") {
        Path::new("")
    } else {
        path
    };
    let mut builder = GitignoreBuilder::new(root);
    let name = OsStr::new(".gitignore");
    let Ok(opened) = open_regular_at(folder, name, path) else {
        return Gitignore::empty();
    };
    let mut content = Vec::new();
    if opened
        .file
        .take(MAX_IGNORE_FILE)
        .read_to_end(&mut content)
        .is_err()
    {
        return Gitignore::empty();
    }
    for line in String::from_utf8_lossy(&content).lines() {
        // A line that is no pattern is skipped, as git does.
        if line.len() <= MAX_PATTERN {
            drop(builder.add_line(None, line));
        }
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;

    use super::*;
    use crate::tools::testing::Bench;

    fn names(bench: &Bench, max_entries: usize, stop: &Stop<'_>) -> (Vec<String>, Vec<String>) {
        let may_read: PathFilter = Arc::new(|_| true);
        let scope = Scope {
            max_entries,
            ..Scope::new(false, &may_read, stop)
        };
        let mut names = Vec::new();
        let walked = walk(&bench.workspace, &RelPath::root(), &scope, &mut |entry| {
            names.push(entry.path.to_string_lossy().into_owned());
            ControlFlow::Continue(())
        });
        (names, walked.expect("walked").notes())
    }

    #[test]
    fn reaching_a_limit_ends_the_walk_with_a_note() {
        let bench = Bench::new();
        for name in ["a", "b/c", "b/d", "e"] {
            bench.file(name, "");
        }
        let cancel = CancellationToken::new();
        let (all, notes) = names(&bench, 5, &Stop::new(&cancel));
        assert_eq!((all.join(" ").as_str(), notes.len()), ("a b b/c b/d e", 0));
        let (some, notes) = names(&bench, 4, &Stop::new(&cancel));
        assert!(some.len() < 5);
        assert_eq!(notes, ["stopped after 4 entries; search a narrower path"]);
        let (none, notes) = names(
            &bench,
            5,
            &Stop {
                cancel: &cancel,
                deadline: Instant::now(),
            },
        );
        assert!(none.is_empty());
        assert_eq!(notes, ["stopped after 60 s; search a narrower path"]);
    }

    #[test]
    fn a_folder_swapped_for_a_link_is_never_walked() {
        let bench = Bench::new();
        let outside = tempfile::tempdir().expect("a folder");
        fs::write(outside.path().join("canary"), "").expect("a file");
        let swapped = bench.path("swapped");
        let done = CancellationToken::new();
        let cancel = CancellationToken::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.is_cancelled() {
                    let _inside = fs::create_dir(&swapped);
                    let _outside = fs::remove_dir(&swapped).and_then(|()| symlink(outside.path(), &swapped));
                    let _gone = fs::remove_file(&swapped);
                }
            });
            for _ in 0..3000 {
                let (names, _) = names(&bench, 100, &Stop::new(&cancel));
                assert!(!names.iter().any(|name| name.contains("canary")), "{names:?}");
            }
            done.cancel();
        });
    }

    #[test]
    fn ignore_files_above_count_and_the_nearest_opinion_wins() {
        let bench = Bench::new();
        bench
            .file(".gitignore", "*.log\n/only-root\nbuild/\n[bad\n")
            .file("sub/.gitignore", "!keep.log\n");
        for name in [
            "x.log",
            "only-root",
            "build/x",
            "sub/keep.log",
            "sub/x.log",
            "sub/only-root",
            "sub/build/x",
        ] {
            bench.file(name, "");
        }
        let cancel = CancellationToken::new();
        let (names, _) = names(&bench, 100, &Stop::new(&cancel));
        assert_eq!(names, ["sub", "sub/keep.log", "sub/only-root"]);
    }
}
