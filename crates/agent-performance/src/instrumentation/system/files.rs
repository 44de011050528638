//! Small files of the kernel, read within a limit.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The longest of the files read here, `/proc/stat` of a machine with hundreds of processors, is longer; what is needed
/// of it is its first line.
const MOST_BYTES: u64 = 64 * 1024;

/// Where `/proc` and `/sys` are.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    root: PathBuf,
}

impl Files {
    pub(crate) fn of_the_machine() -> Self {
        Self::under(Path::new("/"))
    }

    pub(crate) fn under(root: &Path) -> Self {
        Files {
            root: root.to_owned(),
        }
    }

    /// The text of `path`, which is given without a leading slash; none when it can't be read.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let mut bytes = Vec::new();
        let file = File::open(self.root.join(path)).ok()?;
        file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// How many entries the directory has, counting no further than `most`.
    pub(super) fn entries(&self, path: &str, most: usize) -> Option<usize> {
        let entries = std::fs::read_dir(self.root.join(path)).ok()?;
        Some(entries.take(most).count())
    }
}

/// The first word after `key` on the line that begins with it.
pub(super) fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key))?
        .split_whitespace()
        .next()
}

/// The number of kibibytes after `key`, as bytes.
pub(super) fn kibibytes_of(text: &str, key: &str) -> Option<u64> {
    value_of(text, key)?.parse::<u64>().ok()?.checked_mul(1024)
}
