//! The files of a log, and reading them line by line.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::line::MAX_LINE;
use super::{AuditError, Record};
use crate::private_file::open_own;

/// A segment is called after the number of its first line, with so many digits that names sort as numbers do.
const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";

/// The file that names the last line.
pub(super) const HEAD: &str = "head";

/// More than a number and a hash.
pub(super) const HEAD_BYTES: usize = 128;

pub(super) fn path_of(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{first:020}{SUFFIX}"))
}

/// The segments, the oldest first, each with the number of its first line. A folder that is not there has none.
pub(super) fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, AuditError> {
    let failed = |source| io("read", folder, source);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok());
        if let Some(first) = number {
            found.push((first, folder.join(name)));
        }
    }
    found.sort();
    Ok(found)
}

/// Opens without following a link: a log leads nowhere else.
pub(super) fn open(path: &Path, options: &mut std::fs::OpenOptions) -> Result<File, AuditError> {
    open_own(path, options).map_err(|source| io("open", path, source))
}

pub(super) fn io(doing: &'static str, path: &Path, source: std::io::Error) -> AuditError {
    AuditError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// A line of a segment, without its end.
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    /// The last one, which has no end.
    Torn(&'a [u8]),
    /// Longer than any that is written.
    TooLong,
}

/// Hands on each line of a file until `each` says that it is enough. Memory is that of one line.
pub(super) fn lines<E>(
    path: &Path,
    mut each: impl FnMut(u64, Line<'_>) -> Result<bool, E>,
) -> Result<Result<(), E>, AuditError> {
    let mut reader = BufReader::new(open(path, File::options().read(true))?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let most = MAX_LINE as u64 + 1;
        let read = reader.by_ref().take(most).read_until(b'\n', &mut line);
        if read.map_err(|source| io("read", path, source))? == 0 {
            break;
        }
        let next = match line.split_last() {
            Some((b'\n', rest)) => Line::Whole(rest),
            _ if line.len() > MAX_LINE => Line::TooLong,
            _ => Line::Torn(&line),
        };
        match each(number, next) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}

/// Hands every record that can be read to `each`, the oldest first; gives the number of lines that can't. Whether nothing was changed
/// is for [`verify`](super::verify()) to say.
///
/// # Errors
/// A file can't be read.
pub fn read(folder: &Path, mut each: impl FnMut(Record)) -> Result<u64, AuditError> {
    let mut unread = 0;
    for (_, path) in list(folder)? {
        let done = lines(&path, |_, line| {
            match line {
                Line::Whole(line) => match Record::open(line) {
                    Ok((record, _)) => each(record),
                    Err(_) => unread += 1,
                },
                Line::Torn(_) | Line::TooLong => unread += 1,
            }
            Ok::<_, std::convert::Infallible>(true)
        })?;
        match done {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }
    Ok(unread)
}
