//! Small files of the watch: read up to a limit, written in one step, for their owner alone.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest file here is a report: a panic of 16 KiB, as JSON at most six times that, and some lines.
const MAX_BYTES: u64 = 256 * 1024;

/// What a link leads to is no file of ours.
const NO_LINKS: i32 = OFlags::NOFOLLOW.bits().cast_signed();

pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The value in `file`; none where there is no such file. What is no such value is an error of kind `InvalidData`.
pub(super) fn read<T: DeserializeOwned>(file: &Path) -> io::Result<Option<T>> {
    let opened = match OpenOptions::new().read(true).custom_flags(NO_LINKS).open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    opened.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(Some(serde_json::from_str(&text)?))
}

/// Writes beside the place first, then moves. Not synced to the disk: who reads it is the next process on this machine, and
/// when the machine itself stopped there is no crash of ours to tell of.
pub(super) fn write(file: &Path, value: &impl Serialize) -> io::Result<()> {
    let beside = file.with_extension("new");
    let options = &mut OpenOptions::new();
    let options = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(NO_LINKS);
    let mut opened = options.open(&beside)?;
    opened.write_all(&serde_json::to_vec_pretty(value)?)?;
    std::fs::rename(&beside, file)
}

/// Removes a file that need not be there.
pub(super) fn remove(file: &Path) {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, file = %file.display(), "not removed");
        }
        _ => {}
    }
}
