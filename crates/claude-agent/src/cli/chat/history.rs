//! What was typed before, kept in a file of bounded size that only its owner reads.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Entries that are kept: as many as a shell keeps by default.
const MAX_ENTRIES: usize = 500;

/// A file that somebody blew up is not read whole.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Longer entries are used in this chat and not written to the file.
const MAX_ENTRY_BYTES: usize = 8 * 1024;

/// Earlier entries, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: Vec<String>,
    file: Option<PathBuf>,
}

impl History {
    /// Reads the file; a missing one is an empty history. An unreadable one too: history is a convenience, and the
    /// file is left as it is.
    pub(super) fn open(file: PathBuf) -> Self {
        match read(&file) {
            Ok(entries) => Self {
                entries,
                file: Some(file),
            },
            Err(_) => Self::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn in_memory(entries: &[&str]) -> Self {
        Self {
            entries: entries.iter().map(|&entry| entry.to_owned()).collect(),
            file: None,
        }
    }

    /// The entry `steps` before the text being written; 1 is the newest.
    pub(super) fn back(&self, steps: usize) -> Option<&str> {
        let at = self.entries.len().checked_sub(steps)?;
        self.entries.get(at).map(String::as_str)
    }

    /// Adds an entry and writes the file; a repeated entry is kept once.
    pub(super) fn add(&mut self, entry: &str) -> io::Result<()> {
        if self.entries.last().is_some_and(|last| last == entry) {
            return Ok(());
        }
        self.entries.push(entry.to_owned());
        if self.entries.len() > MAX_ENTRIES {
            self.entries.remove(0);
        }
        match &self.file {
            Some(file) => write(file, &self.entries),
            None => Ok(()),
        }
    }
}

/// One JSON string a line, so that an entry may have several lines.
fn read(file: &Path) -> io::Result<Vec<String>> {
    let file = match File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

fn write(file: &Path, entries: &[String]) -> io::Result<()> {
    let temporary = file.with_extension("new");
    let mut out = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    for entry in entries.iter().filter(|entry| entry.len() <= MAX_ENTRY_BYTES) {
        serde_json::to_writer(&mut out, entry)?;
        out.write_all(b"\n")?;
    }
    std::fs::rename(temporary, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn entries_survive_in_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history");
        let mut history = History::open(file.clone());
        history.add("one").unwrap();
        history.add("two\nlines").unwrap();
        history.add("two\nlines").unwrap();
        let again = History::open(file.clone());
        assert_eq!(again.entries, ["one", "two\nlines"]);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_file_stays_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut history = History::open(folder.path().join("history"));
        for n in 0..MAX_ENTRIES + 10 {
            history.add(&n.to_string()).unwrap();
        }
        assert_eq!(history.back(1), Some("509"));
        assert_eq!(
            History::open(folder.path().join("history")).entries.len(),
            MAX_ENTRIES
        );
    }

    #[test]
    fn a_damaged_file_does_not_stop_the_chat() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history");
        std::fs::write(&file, b"\"good\"\n{broken\n").unwrap();
        assert_eq!(History::open(file).entries, ["good"]);
    }
}
