//! What the model has seen of which file, so that it doesn't overwrite what it has not seen.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

/// Files remembered in one session; the longest unused is forgotten first. Forgetting costs only the check.
const MAX_FILES: usize = 1024;

/// Enough of a file's metadata to notice that somebody else changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    // Unlike the modification time, this one can't be set back by a program that restores times.
    changed: (i64, i64),
}

impl Version {
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Versions by path, shared by all calls of a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadLedger {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    files: HashMap<PathBuf, (u64, Version)>,
    clock: u64,
}

impl ReadLedger {
    /// The model now knows this version.
    pub(crate) fn remember(&self, path: &Path, version: Version) {
        let mut seen = self.seen.lock();
        seen.clock += 1;
        let now = seen.clock;
        seen.files.insert(path.to_owned(), (now, version));
        if seen.files.len() > MAX_FILES {
            let oldest = seen
                .files
                .iter()
                .min_by_key(|(_, (at, _))| *at)
                .map(|(path, _)| path.clone());
            if let Some(oldest) = oldest {
                seen.files.remove(&oldest);
            }
        }
    }

    /// Whether the model saw this file in another version than `now`.
    pub(crate) fn is_stale(&self, path: &Path, now: Version) -> bool {
        self.seen
            .lock()
            .files
            .get(path)
            .is_some_and(|(_, version)| *version != now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_stale_only_when_it_was_seen_otherwise_and_memory_is_bounded() {
        let ledger = ReadLedger::default();
        let version = |length| Version {
            inode: 1,
            length,
            modified: (0, 0),
            changed: (0, 0),
        };
        assert!(!ledger.is_stale(Path::new("never"), version(1)));
        for at in 0..=MAX_FILES {
            ledger.remember(Path::new(&at.to_string()), version(1));
        }
        assert!(ledger.is_stale(Path::new("1"), version(2)));
        assert!(!ledger.is_stale(Path::new("1"), version(1)));
        assert!(
            !ledger.is_stale(Path::new("0"), version(2)),
            "the oldest was forgotten"
        );
        assert_eq!(ledger.seen.lock().files.len(), MAX_FILES);
    }
}
