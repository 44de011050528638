//! Child processes written down, so that a crash leaves none behind for longer than until the next start.
//!
//! Each process of the program writes a file of its own, named by its number and start time, so that two that
//! share a data folder never disturb each other's children. It holds one JSON object a line: who writes, then each
//! child's beginning and end. At the next start [`reap_orphans`] looks for files whose writer is gone.
//!
//! A number alone never gets a process killed, as numbers are used again: the start time must match, too. Children
//! that left their group and lost their parent are found by a mark in their environment, which
//! [`ChildLedger::mark`] gives to whoever starts them.

mod file;
mod proc;
mod reap;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use file::{Child, LedgerFile, Owner};
pub use reap::{ReapReport, Reaped, reap_orphans};

/// Folder of the ledgers, within the data folder.
const FOLDER: &str = "children";

/// Children alive at once. Far above what one agent runs (tools, MCP servers); a file of them stays under 200 KiB.
const MAX_CHILDREN: usize = 1024;

/// Characters kept of a command's name.
const MAX_COMMAND: usize = 64;

/// The environment variable that marks a child and whatever it starts.
const MARK: &str = "CLAUDE_AGENT_CHILD_OF";

/// This process's account of its children. Clones share it; the file goes away with the last of them and of their
/// entries.
#[derive(Clone, Debug)]
pub struct ChildLedger {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    file: Mutex<LedgerFile>,
    mark: String,
}

/// One child's line in the ledger, struck out on drop. Keep it until the child has been waited for.
#[derive(Debug)]
#[must_use = "the child is struck out of the ledger when this is dropped"]
pub struct ChildEntry {
    ledger: ChildLedger,
    child: Child,
}

impl ChildLedger {
    /// Begins this process's ledger in `data_folder`. The first lines of a file are small: no call here blocks for
    /// longer than such a write does.
    ///
    /// # Errors
    /// `/proc` or the folder can't be used.
    pub fn open(data_folder: &Path) -> io::Result<Self> {
        let owner = Owner::this_process()?;
        let mark = owner.mark();
        let file = LedgerFile::create(&data_folder.join(FOLDER), owner)?;
        Ok(ChildLedger {
            shared: Arc::new(Shared {
                file: Mutex::new(file),
                mark,
            }),
        })
    }

    /// Name and value of an environment variable for every child: by it, descendants that hid from their group are
    /// found.
    pub fn mark(&self) -> (&'static str, &str) {
        (MARK, &self.shared.mark)
    }

    /// Writes a child down, at once after it was started. Of `command` only the program's name is kept: arguments
    /// can hold secrets.
    ///
    /// # Errors
    /// The child is gone already, too many are alive, or the file can't be written.
    pub fn record(&self, pid: u32, command: &str) -> io::Result<ChildEntry> {
        let stat = proc::stat(pid)?;
        let name = Path::new(command)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let child = Child {
            pid,
            group: stat.group,
            start: stat.start,
            command: name[..name.floor_char_boundary(MAX_COMMAND)].to_owned(),
        };
        self.shared.file.lock().begin(child.clone())?;
        Ok(ChildEntry {
            ledger: self.clone(),
            child,
        })
    }

    /// Where the ledger is.
    pub fn path(&self) -> PathBuf {
        self.shared.file.lock().path().to_owned()
    }
}

impl Drop for ChildEntry {
    fn drop(&mut self) {
        let mut file = self.ledger.shared.file.lock();
        if let Err(error) = file.end(&self.child) {
            // Harmless: the start time keeps the line from ever matching another process.
            tracing::warn!(%error, command = %self.child.command, "a child's end could not be written down");
        }
    }
}

fn folder_of(data_folder: &Path) -> PathBuf {
    data_folder.join(FOLDER)
}
