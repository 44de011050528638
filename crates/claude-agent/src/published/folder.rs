//! The folder, opened once for each piece of work: names are looked up beneath the handle and links are not followed, so
//! that nobody who can write beside it has us read or write elsewhere.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::{FOLDER, MAX_FILE_BYTES, MAX_FILES};

/// Names looked at. Our own are pruned; only a folder that others fill has more.
const MAX_NAMES: usize = 1024;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The folder of published figures.
pub(super) struct Folder(OwnedFd);

/// A name in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Figures of the process with this number.
    Figures(u32),
    /// A file that is being written, by the process with this number.
    Unfinished(u32),
    /// Nothing of ours.
    Foreign(String),
}

impl Name {
    fn parse(name: &str) -> Self {
        let of = |suffix| name.strip_suffix(suffix)?.parse::<u32>().ok();
        let known = of(".json")
            .map(Name::Figures)
            .or_else(|| of(".new").map(Name::Unfinished));
        // Only as we write it: no sign, no zeros in front.
        known
            .filter(|known| known.text() == name)
            .unwrap_or_else(|| Name::Foreign(name.to_owned()))
    }

    pub(super) fn text(&self) -> String {
        match self {
            Name::Figures(pid) => format!("{pid}.json"),
            Name::Unfinished(pid) => format!("{pid}.new"),
            Name::Foreign(name) => name.clone(),
        }
    }
}

impl Folder {
    /// Opens the folder, made readable by its owner alone where it is missing.
    pub(super) fn make(data: &Path) -> io::Result<Self> {
        let path = data.join(FOLDER);
        match std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
        {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let folder = rustix::fs::openat(CWD, &path, DIRECTORY, Mode::empty())?;
        if rustix::fs::fstat(&folder)?.st_mode & 0o077 != 0 {
            rustix::fs::fchmod(&folder, Mode::RWXU)?;
        }
        Ok(Self(folder))
    }

    /// Opens the folder. `None` where there is none.
    pub(super) fn open(data: &Path) -> io::Result<Option<Self>> {
        match rustix::fs::openat(CWD, data.join(FOLDER), DIRECTORY, Mode::empty()) {
            Ok(folder) => Ok(Some(Self(folder))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn names(&self) -> io::Result<Vec<Name>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)?.take(MAX_NAMES) {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            if !matches!(&*name, "." | "..") {
                names.push(Name::parse(&name));
            }
        }
        Ok(names)
    }

    /// The bytes of a file of our own making and size.
    pub(super) fn read(&self, name: &Name) -> io::Result<Vec<u8>> {
        // Not to hang on a pipe that somebody put there.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.0, name.text(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::LOOP) => return Err(io::Error::other("it is a link")),
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it belongs to another user"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > MAX_FILE_BYTES {
            return Err(io::Error::other(format!(
                "it is larger than {MAX_FILE_BYTES} bytes"
            )));
        }
        Ok(bytes)
    }

    /// Replaces this process's file as a whole: a reader sees the old one or the new one. Not synced to the disk: figures
    /// of a machine that crashed are of no use.
    pub(super) fn write(&self, pid: u32, bytes: &[u8]) -> io::Result<()> {
        let (fresh, name) = (Name::Unfinished(pid).text(), Name::Figures(pid).text());
        self.remove(&Name::Unfinished(pid))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, &fresh, flags, Mode::RUSR | Mode::WUSR)?;
        let written = File::from(file).write_all(bytes);
        if let Err(error) = written {
            // Better none than half of one; the reason it failed is what counts.
            self.remove(&Name::Unfinished(pid)).ok();
            return Err(error);
        }
        Ok(rustix::fs::renameat(&self.0, fresh, &self.0, name)?)
    }

    pub(super) fn remove(&self, name: &Name) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.0, name.text(), AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Size in bytes and time of the last change, in seconds and nanoseconds.
    fn stat(&self, name: &Name) -> Option<(u64, (i64, u64))> {
        let stat = rustix::fs::statat(&self.0, name.text(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let changed = (stat.st_mtime, stat.st_mtime_nsec);
        Some((u64::try_from(stat.st_size).unwrap_or(0), changed))
    }
}

/// Removes all but the newest files, and what writers that crashed left unfinished. Files that are not ours stay. Gives
/// the bytes removed.
///
/// # Errors
/// The folder can't be read. A missing one holds nothing.
pub(crate) fn prune(data: &Path) -> io::Result<u64> {
    let Some(folder) = Folder::open(data)? else {
        return Ok(0);
    };
    let mut files = Vec::new();
    let mut gone = Vec::new();
    for name in folder.names()? {
        let Some((bytes, changed)) = folder.stat(&name) else {
            continue;
        };
        match name {
            Name::Figures(_) => files.push((changed, bytes, name)),
            Name::Unfinished(pid) if super::read::is_running(pid) => {}
            Name::Unfinished(_) => gone.push((bytes, name)),
            Name::Foreign(_) => {}
        }
    }
    files.sort_by_key(|(changed, ..)| std::cmp::Reverse(*changed));
    gone.extend(
        files
            .into_iter()
            .skip(MAX_FILES)
            .map(|(_, bytes, name)| (bytes, name)),
    );
    let mut freed = 0;
    for (bytes, name) in gone {
        // One that can't be removed must not keep the others.
        match folder.remove(&name) {
            Ok(()) => freed += bytes,
            Err(error) => tracing::debug!(%error, name = name.text(), "old figures can't be removed"),
        }
    }
    Ok(freed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_as_we_write_them_are_ours() {
        for (name, expected) in [
            ("12.json", Some(Name::Figures(12))),
            ("12.new", Some(Name::Unfinished(12))),
            ("012.json", None),
            ("+12.json", None),
            ("99999999999.json", None),
            ("notes.json", None),
            (".json", None),
        ] {
            let expected = expected.unwrap_or_else(|| Name::Foreign(name.to_owned()));
            assert_eq!(Name::parse(name), expected);
        }
    }

    #[test]
    fn the_newest_are_kept_and_what_is_foreign_stays() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::make(data.path()).unwrap();
        for pid in 1..=20 {
            folder.write(pid + 4_000_000_000, b"{}").unwrap();
        }
        let path = data.path().join(FOLDER);
        std::fs::write(path.join("notes.txt"), "mine").unwrap();
        std::fs::write(path.join("4000000000.new"), "half").unwrap();
        let old = File::options()
            .write(true)
            .open(path.join("4000000020.json"))
            .unwrap();
        old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(prune(data.path()).unwrap(), 4 * 2 + 4);
        assert_eq!(folder.names().unwrap().len(), MAX_FILES + 1);
        assert!(path.join("notes.txt").exists() && !path.join("4000000020.json").exists());
    }

    #[test]
    fn links_are_neither_written_through_nor_read() {
        let data = tempfile::tempdir().unwrap();
        let elsewhere = data.path().join("elsewhere");
        std::fs::write(&elsewhere, "untouched").unwrap();
        let length = || elsewhere.metadata().unwrap().len();
        let folder = Folder::make(data.path()).unwrap();
        for name in ["7.json", "7.new"] {
            std::os::unix::fs::symlink(&elsewhere, data.path().join(FOLDER).join(name)).unwrap();
        }
        assert!(folder.read(&Name::Figures(7)).is_err());
        folder.write(7, b"{}").unwrap();
        assert_eq!(length(), 9, "what the links lead to is as it was");
        assert_eq!(folder.read(&Name::Figures(7)).unwrap(), b"{}");
    }

    #[test]
    fn a_folder_that_is_a_link_is_refused() {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir(data.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", data.path().join(FOLDER)).unwrap();
        assert!(Folder::make(data.path()).is_err() && Folder::open(data.path()).is_err());
    }
}
