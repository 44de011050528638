//! How a connection to the store is opened: the settings that keep it durable, strict and small.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::error::{Fault, StoreError};

/// How long a statement waits for another process. The longest thing that one of ours does in a transaction is
/// to copy or delete a very long session: a second or two.
pub(super) const BUSY_WAIT: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
pub(super) enum Access {
    Write,
    Read,
}

pub(super) fn open(path: &Path, access: Access) -> Result<Connection, StoreError> {
    configured(path, access).map_err(|error| Fault::from(error).at(path, "opening"))
}

fn configured(path: &Path, access: Access) -> rusqlite::Result<Connection> {
    // Readers open for writing too: a reader of a log must be able to write the log's index.
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    // The file may have been swapped by someone else: nothing in it may run code or reach past its tables.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Twice the largest message: a row is a message and a little more.
    let longest = i32::try_from(2 * super::MAX_MESSAGE_BYTES).unwrap_or(i32::MAX);
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, longest)?;
    // mmap off: a file that someone truncates would end the process with SIGBUS instead of an error.
    // cell_size_check: damaged pages are seen when they are read, not when they are used.
    connection.execute_batch(
        "PRAGMA foreign_keys = ON;
         PRAGMA cell_size_check = ON;
         PRAGMA mmap_size = 0;
         PRAGMA temp_store = MEMORY;",
    )?;
    connection.execute_batch(match access {
        // WAL first: a store that was recovered by hand is not in that mode. FULL: a commit is on the disk when
        // it returns. 2 MiB of cache hold the upper levels of every tree. After a burst the log is cut
        // to 4 MiB, what it grows to between two checkpoints. secure_delete: deleted text is overwritten.
        Access::Write => {
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA cache_size = -2048;
             PRAGMA journal_size_limit = 4194304;
             PRAGMA secure_delete = ON;"
        }
        // A session is read once, from one end to the other: the operating system's cache serves that as well.
        Access::Read => "PRAGMA cache_size = -2048; PRAGMA query_only = ON;",
    })?;
    Ok(connection)
}
