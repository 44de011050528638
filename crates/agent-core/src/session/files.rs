//! The store's file and folder: who may read them, what they must not be, and how a new file comes to be.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::error::{StoreError, from_io};

/// The store at its real place. The folder is made where it is missing; a store that is missing is left to
/// `create`, which must fill a temporary file that then takes the name in one step. So no one ever sees half a
/// store, and an empty file under this name is damage, not a beginning.
pub(super) fn prepare(
    path: &Path,
    create: impl FnOnce(&Path) -> Result<(), StoreError>,
) -> Result<PathBuf, StoreError> {
    let not_a_file = |detail: &str| StoreError::NotAStore {
        path: path.into(),
        detail: detail.into(),
    };
    let name = path
        .file_name()
        .ok_or_else(|| not_a_file("the path names no file"))?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_private_folder(folder).map_err(|e| from_io(folder, "creating", e))?;
    // SQLite is told to follow no links at all; those of the folder's own path are the user's business.
    let folder = folder
        .canonicalize()
        .map_err(|e| from_io(folder, "resolving", e))?;
    let path = folder.join(name);
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            refuse_orphaned_log(&path)?;
            create_whole(&folder, &path, create)?;
        }
        Err(error) => return Err(from_io(&path, "examining", error)),
        Ok(_) => {}
    }
    check_existing(&path)?;
    Ok(path)
}

/// Whether the file system that holds `path` has no room for even a few pages.
pub(super) fn is_disk_full(path: &Path) -> bool {
    /// SQLite grows the log's index by 32 KiB at a time.
    const NEEDED: u64 = 64 * 1024;
    let folder = path.parent().unwrap_or(Path::new("/"));
    rustix::fs::statvfs(folder).is_ok_and(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) < NEEDED)
}

/// Opens (and makes) a file that only this user can read and that is no link.
pub(super) fn open_private(path: &Path, create: Creation) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(matches!(create, Creation::IfMissing));
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    }
    options.open(path)
}

pub(super) enum Creation {
    Never,
    IfMissing,
}

pub(super) fn create_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// A path beside the store: `sessions.db` and `-wal` give `sessions.db-wal`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn create_whole(
    folder: &Path,
    path: &Path,
    create: impl FnOnce(&Path) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    // Mode 0600 from the start; SQLite gives its log and the log's index the mode of the store.
    let temporary = tempfile::Builder::new()
        .prefix(".new-session-store-")
        .tempfile_in(folder)
        .map_err(|e| from_io(folder, "creating a file in", e))?;
    create(temporary.path())?;
    temporary
        .as_file()
        .sync_all()
        .map_err(|e| from_io(path, "writing", e))?;
    match temporary.persist_noclobber(path) {
        Ok(_) => {}
        // Another process was faster; its store is as good.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(from_io(path, "creating", error.error)),
    }
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(|e| from_io(folder, "writing", e))
}

/// SQLite would play such a log into whatever is created beside it.
fn refuse_orphaned_log(path: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(beside(path, "-wal")) {
        Ok(log) if log.len() > 0 => Err(StoreError::Corrupt {
            path: path.into(),
            detail: "its write-ahead log is there, the store itself is gone".into(),
        }),
        _ => Ok(()),
    }
}

fn check_existing(path: &Path) -> Result<(), StoreError> {
    let found = fs::symlink_metadata(path).map_err(|e| from_io(path, "examining", e))?;
    let not_a_store = |detail: &str| StoreError::NotAStore {
        path: path.into(),
        detail: detail.into(),
    };
    if found.is_symlink() {
        return Err(not_a_store("it is a symbolic link, and those are not followed"));
    }
    if !found.is_file() {
        return Err(not_a_store("it is not a regular file"));
    }
    let file = open_private(path, Creation::Never).map_err(|e| from_io(path, "opening", e))?;
    #[cfg(unix)]
    keep_private(&file, path)?;
    if found.len() == 0 {
        return Err(StoreError::Corrupt {
            path: path.into(),
            detail: "it is empty".into(),
        });
    }
    Ok(())
}

/// A store that was copied about may have lost its mode.
#[cfg(unix)]
fn keep_private(file: &File, path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = file
        .metadata()
        .map_err(|e| from_io(path, "examining", e))?
        .permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o600);
        file.set_permissions(permissions)
            .map_err(|e| from_io(path, "making private", e))?;
    }
    Ok(())
}
