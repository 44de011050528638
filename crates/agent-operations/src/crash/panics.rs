//! The last panic of a running daemon, for the report if it dies of it.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::files;

const FILE: &str = "panic.json";

/// The text of a panic with its backtrace is a few kilobytes; its beginning says most.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// A thread's name is a word.
const MAX_THREAD_BYTES: usize = 64;

/// A panic. Most end a task and not the process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotedPanic {
    /// When.
    pub at: DateTime<Utc>,
    /// The name of its thread; `main` ends the process.
    pub thread: String,
    /// What it said, without secrets.
    pub text: String,
}

/// Writes panics down. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PanicNotes {
    file: PathBuf,
}

impl PanicNotes {
    pub(super) fn new(folder: &Path) -> Self {
        PanicNotes {
            file: folder.join(FILE),
        }
    }

    /// Notes a panic of this thread; `text` has no secrets left in it. What can't be written is not: a hook has nobody to tell.
    pub fn note(&self, text: &str) {
        let thread = std::thread::current();
        let cut = |text: &str, most| text[..text.floor_char_boundary(most)].to_owned();
        let panic = NotedPanic {
            at: Utc::now(),
            thread: cut(thread.name().unwrap_or("unnamed"), MAX_THREAD_BYTES),
            text: cut(text, MAX_TEXT_BYTES),
        };
        drop(files::write(&self.file, &panic));
    }
}

pub(super) fn read(folder: &Path) -> Option<NotedPanic> {
    files::read(&folder.join(FILE)).unwrap_or_else(|error| {
        tracing::warn!(%error, "the last panic of the daemon before can't be read");
        None
    })
}

pub(super) fn forget(folder: &Path) {
    files::remove(&folder.join(FILE));
}
