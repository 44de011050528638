//! One daemon for one data folder: a lock on a file that the system gives back however the process ends.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use agent_security::private_file::open_own;

use super::{AppError, unavailable};

/// The file in the data folder.
const FILE: &str = "serve.lock";

/// A process number and a line break are at most 11 bytes; another program may have put anything there.
const MAX_BYTES: u64 = 32;

/// Held as long as the daemon runs.
#[derive(Debug)]
pub(super) struct DataLock(#[expect(dead_code, reason = "held: closing the file gives the lock back")] File);

impl DataLock {
    /// Makes the folder where it is missing, and takes the lock.
    ///
    /// # Errors
    /// Another daemon has it, or the folder can't be written.
    pub(super) fn take(data: &Path) -> Result<Self, AppError> {
        let unwritable = |error: io::Error| {
            unavailable(
                format!("the data folder {} can't be written: {error}", data.display()),
                "make it a folder that you may write, or name another one with --data-dir",
            )
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data)
            .map_err(unwritable)?;
        refuse_shared(data)?;
        let options = &mut OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = open_own(&data.join(FILE), options).map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(data, &mut file)),
            Err(TryLockError::Error(error)) => return Err(unwritable(error)),
        }
        // For whoever finds the lock taken; the lock itself is what counts.
        let written = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(unwritable)?;
        Ok(Self(file))
    }
}

/// Whoever can write the folder can put a token, a socket and sessions of their own in place of ours.
fn refuse_shared(data: &Path) -> Result<(), AppError> {
    let mode = data.metadata().map_or(0, |about| about.permissions().mode());
    if mode & 0o022 == 0 {
        return Ok(());
    }
    Err(unavailable(
        format!(
            "others can write the data folder {} (mode {:03o})",
            data.display(),
            mode & 0o777
        ),
        "look at who owns what is in it, then `chmod 700` it, or name another one with --data-dir",
    ))
}

fn taken(data: &Path, file: &mut File) -> AppError {
    let mut text = String::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(MAX_BYTES).read_to_string(&mut text));
    let owner = match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!("process {pid}"),
        _ => "another process".to_owned(),
    };
    unavailable(
        format!("{owner} serves the data folder {} already", data.display()),
        "use that daemon, end it first, or give this one a folder of its own with --data-dir",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    #[test]
    fn the_second_is_refused_and_told_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("not/yet/there");
        let first = DataLock::take(&data).unwrap();
        let refused = DataLock::take(&data).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("process {}", std::process::id())),
            "{refused}"
        );
        drop(first);
        DataLock::take(&data).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&data), mode(&data.join(FILE))), (0o700, 0o600));
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let take = |mode: u32| {
            std::fs::set_permissions(data.path(), Permissions::from_mode(mode)).unwrap();
            DataLock::take(data.path()).map_err(|error| error.to_string())
        };
        for mode in [0o777, 0o770, 0o1777] {
            let refused = take(mode).unwrap_err();
            assert!(refused.contains("others can write"), "{refused}");
            assert!(!data.path().join(FILE).exists());
        }
        assert!(take(0o755).is_ok());
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let data = tempfile::tempdir().unwrap();
        let elsewhere = data.path().join("elsewhere");
        std::fs::write(&elsewhere, "untouched").unwrap();
        std::os::unix::fs::symlink(&elsewhere, data.path().join(FILE)).unwrap();
        assert!(DataLock::take(data.path()).is_err());
        assert_eq!(
            std::fs::metadata(&elsewhere).unwrap().len(),
            "untouched".len() as u64
        );
    }
}
