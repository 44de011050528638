//! What can go wrong in the session store, one variant a remedy.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::types::SessionId;

/// An error of the session store. [`describe`](Self::describe) says what happened to what,
/// [`advice`](Self::advice) what to do about it; `Display` prints both.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// No session has this id, prefix or ending.
    NotFound {
        /// What was asked for.
        wanted: String,
    },
    /// The session is there, the position in it is not.
    NoSuchMessage {
        /// The session.
        session: SessionId,
        /// The position that was asked for.
        seq: u64,
        /// The positions that would do, smallest and largest; none does where the first is the larger.
        valid: (u64, u64),
    },
    /// A prefix names more than one session.
    Ambiguous {
        /// What was typed.
        prefix: String,
        /// The sessions it could mean with their titles, newest first, at most
        /// [`MAX_CANDIDATES`](super::MAX_CANDIDATES).
        candidates: Vec<(SessionId, String)>,
    },
    /// Another run owns the session.
    InUse {
        /// The session.
        session: SessionId,
        /// The process that owns it, where it could be read; may be this process.
        pid: Option<u32>,
    },
    /// The file is not what was written. Nothing was changed.
    Corrupt {
        /// The store.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The file is something else than a session store; it was left alone.
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What it is.
        detail: String,
    },
    /// No space is left. What was stored before is safe; the failed call stored nothing.
    Full {
        /// The store.
        path: PathBuf,
    },
    /// The file, its folder or its file system can't be written.
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
    },
    /// A newer version of this program wrote the store.
    NewerSchema {
        /// The store.
        path: PathBuf,
        /// The schema version of the file.
        found: i64,
        /// The newest schema version that this program knows.
        supported: i64,
    },
    /// Another process, or a crowd of readers in this one, held the store for longer than we wait.
    Locked {
        /// The store.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// Something is over its limit; nothing of it was stored.
    TooLarge {
        /// What, with its unit.
        what: &'static str,
        /// How large it is.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The store was closed.
    Closed,
    /// The operating system or SQLite failed in another way.
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// A stable word for the kind of error, for structured output.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::NoSuchMessage { .. } => "no_such_message",
            Self::Ambiguous { .. } => "ambiguous",
            Self::InUse { .. } => "in_use",
            Self::Corrupt { .. } => "corrupt",
            Self::NotAStore { .. } => "not_a_store",
            Self::Full { .. } => "full",
            Self::ReadOnly { .. } => "read_only",
            Self::NewerSchema { .. } => "newer_schema",
            Self::Locked { .. } => "locked",
            Self::TooLarge { .. } => "too_large",
            Self::Closed => "closed",
            Self::Io { .. } => "io",
        }
    }

    /// What happened, to what.
    pub fn describe(&self) -> String {
        match self {
            Self::NotFound { wanted } => format!("there is no session `{wanted}`"),
            Self::NoSuchMessage {
                session,
                seq,
                valid: (first, last),
            } if first > last => {
                format!("message {seq} of session {session} can't be used: none can (the last is {last})")
            }
            Self::NoSuchMessage {
                session,
                seq,
                valid: (first, last),
            } => {
                format!("message {seq} of session {session} can't be used: {first} to {last} can")
            }
            Self::Ambiguous { prefix, candidates } => {
                let listed = candidates.iter().map(|(id, title)| format!("\n  {id}  {title}"));
                format!(
                    "`{prefix}` could be any of these sessions:{}",
                    listed.collect::<String>()
                )
            }
            Self::InUse {
                session,
                pid: Some(pid),
            } => {
                format!("session {session} is in use by process {pid}")
            }
            Self::InUse { session, pid: None } => format!("session {session} is in use by another process"),
            Self::Corrupt { path, detail } => {
                format!(
                    "the session store {} is damaged: {detail}. Nothing in it was changed",
                    path.display()
                )
            }
            Self::NotAStore { path, detail } => {
                format!("{} is not a session store: {detail}", path.display())
            }
            Self::Full { path } => format!(
                "no space is left for the session store {}; this change was not stored, everything before it is",
                path.display()
            ),
            Self::ReadOnly { path } => format!("the session store can't write {}", path.display()),
            Self::NewerSchema {
                path,
                found,
                supported,
            } => format!(
                "the session store {} was written by a newer version (schema {found}, this program knows {supported})",
                path.display()
            ),
            Self::Locked { path, waited } => {
                format!(
                    "the session store {} was busy for {} s",
                    path.display(),
                    waited.as_secs()
                )
            }
            Self::TooLarge { what, size, limit } => {
                format!("{what}: {size} is over the limit of {limit}; nothing of it was stored")
            }
            Self::Closed => "the session store was closed".into(),
            Self::Io { path, action, source } => {
                format!("{action} {} failed: {source}", path.display())
            }
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> String {
        match self {
            Self::NotFound { .. } => "`claude-agent sessions list` shows what there is".into(),
            Self::NoSuchMessage { .. } => "`claude-agent sessions show` lists the messages".into(),
            Self::Ambiguous { .. } => "type more of the id".into(),
            Self::InUse { .. } => {
                "wait for that run or stop it, or fork the session and go on in the fork".into()
            }
            Self::Corrupt { path, .. } => recovery(path),
            Self::NotAStore { .. } => {
                "give the path of the store itself, or of a file that does not exist yet".into()
            }
            Self::Full { .. } => "free some space on that file system and try again".into(),
            Self::ReadOnly { path } => format!(
                "make it writable for this user (`ls -ld -- {}` shows whose it is), or choose another --data-dir",
                quote(path)
            ),
            Self::NewerSchema { .. } => "update this program, or choose another --data-dir".into(),
            Self::Locked { .. } => "try again; if it stays so, look for a hung `claude-agent` process".into(),
            Self::TooLarge { .. } => "make it smaller, or split it".into(),
            Self::Closed => "open it again".into(),
            Self::Io { .. } => "look at the file and its disk, then try again".into(),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. To go on: {}", self.describe(), self.advice())
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source.as_ref()),
            _ => None,
        }
    }
}

/// The log and the lock files go along: a log left beside a new store would be played into it. `mkdir` without
/// `-p` fails rather than mixing two damaged stores.
fn recovery(path: &Path) -> String {
    let aside = path.with_extension("damaged");
    let (file, aside) = (quote(path), quote(&aside));
    let name = quote(Path::new(path.file_name().unwrap_or_default()));
    format!(
        "keep the file. Move it aside, and the next start makes a new store: \
         `mkdir {aside} && mv -- {file}* {aside}/`. Old sessions can be recovered from there: \
         `cd {aside} && sqlite3 {name} .recover | sqlite3 recovered.db`, with an sqlite3 from sqlite.org where the \
         installed one was built without `.recover`"
    )
}

/// For a POSIX shell, so that the command can be pasted whatever the path holds.
fn quote(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// What an operation inside a transaction can end with; the store's path is added where it leaves the thread.
#[derive(Debug)]
pub(super) enum Fault {
    Store(StoreError),
    Sql(rusqlite::Error),
    /// Data that SQLite hands out and that we did not write so.
    Damaged(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    pub(super) fn at(self, path: &Path, action: &'static str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Damaged(detail) => StoreError::Corrupt {
                path: path.into(),
                detail,
            },
            Self::Sql(error) => from_sql(path, action, error),
        }
    }
}

fn from_sql(path: &Path, action: &'static str, error: rusqlite::Error) -> StoreError {
    use rusqlite::Error as Sql;
    use rusqlite::ErrorCode as Code;
    let path = path.to_path_buf();
    let Some(code) = error.sqlite_error_code() else {
        return match error {
            // Our statements ask for the types that our schema holds.
            Sql::FromSqlConversionFailure(..)
            | Sql::IntegralValueOutOfRange(..)
            | Sql::InvalidColumnType(..)
            | Sql::Utf8Error(..) => StoreError::Corrupt {
                path,
                detail: error.to_string(),
            },
            _ => StoreError::Io {
                path,
                action,
                source: Box::new(error),
            },
        };
    };
    match code {
        Code::DatabaseBusy | Code::DatabaseLocked => StoreError::Locked {
            path,
            waited: super::connection::BUSY_WAIT,
        },
        Code::DatabaseCorrupt | Code::NotADatabase => StoreError::Corrupt {
            path,
            detail: error.to_string(),
        },
        Code::DiskFull => StoreError::Full { path },
        Code::ReadOnly | Code::PermissionDenied => StoreError::ReadOnly { path },
        // SQLite reports a log index that can't grow as a plain I/O failure.
        Code::SystemIoFailure if super::files::is_disk_full(&path) => StoreError::Full { path },
        Code::TooBig => StoreError::TooLarge {
            what: "a value for the session store, in bytes",
            size: super::MAX_MESSAGE_BYTES as u64 + 1,
            limit: super::MAX_MESSAGE_BYTES as u64,
        },
        _ => StoreError::Io {
            path,
            action,
            source: Box::new(error),
        },
    }
}

/// For failures of the file system itself.
pub(super) fn from_io(path: &Path, action: &'static str, error: io::Error) -> StoreError {
    let path = path.to_path_buf();
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly { path },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full { path },
        _ => StoreError::Io {
            path,
            action,
            source: Box::new(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn kind_of(code: i32) -> &'static str {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        from_sql(Path::new("/nowhere/sessions.db"), "testing", error).kind()
    }

    #[test]
    fn every_sqlite_code_has_its_remedy() {
        let cases = [
            (ffi::SQLITE_FULL, "full"),
            (ffi::SQLITE_READONLY, "read_only"),
            (ffi::SQLITE_READONLY_DBMOVED, "read_only"),
            (ffi::SQLITE_PERM, "read_only"),
            (ffi::SQLITE_BUSY, "locked"),
            (ffi::SQLITE_BUSY_SNAPSHOT, "locked"),
            (ffi::SQLITE_CORRUPT, "corrupt"),
            (ffi::SQLITE_CORRUPT_VTAB, "corrupt"),
            (ffi::SQLITE_NOTADB, "corrupt"),
            (ffi::SQLITE_TOOBIG, "too_large"),
            (ffi::SQLITE_IOERR_READ, "io"),
            (ffi::SQLITE_CANTOPEN, "io"),
        ];
        for (code, kind) in cases {
            assert_eq!(kind_of(code), kind, "SQLite code {code}");
        }
    }

    #[test]
    fn every_io_kind_has_its_remedy() {
        let cases = [
            (io::ErrorKind::PermissionDenied, "read_only"),
            (io::ErrorKind::ReadOnlyFilesystem, "read_only"),
            (io::ErrorKind::StorageFull, "full"),
            (io::ErrorKind::Other, "io"),
        ];
        for (kind, expected) in cases {
            assert_eq!(from_io(Path::new("/x"), "testing", kind.into()).kind(), expected);
        }
    }

    #[test]
    fn the_advice_for_a_damaged_store_can_be_pasted() {
        let error = StoreError::Corrupt {
            path: "/home/o'neil/my data/sessions.db".into(),
            detail: "d".into(),
        };
        let advice = error.advice();
        assert!(
            advice.contains(r"mv -- '/home/o'\''neil/my data/sessions.db'* "),
            "{advice}"
        );
        assert!(error.to_string().contains(".recover"), "{error}");
    }
}
