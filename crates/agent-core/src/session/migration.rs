//! Brings the store of an older version up to date, in one transaction, after a copy of it was made.
//!
//! Killed at any moment the store is what it was before or what it is afterwards, and the copy is whole or not there.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::error::{Fault, StoreError, from_io};
use super::files::beside;
use super::schema::SCHEMA_VERSION;

/// What is known of sessions that were stored before the source was kept.
const EARLIER: &str = "a page that was fetched earlier";

/// Adds what version 2 has: where a stranger's words in a session are from. A session of version 1 that ever called `web_fetch` holds some; what is
/// looked for can't stand in a text, where its quotes are escaped.
const FROM_1_TO_2: &str = "UPDATE sessions SET distrusted = ?1 WHERE distrusted IS NULL AND EXISTS (
    SELECT 1 FROM messages
    WHERE messages.id BETWEEN (sessions.number << 32) AND ((sessions.number << 32) | 4294967295)
    AND instr(messages.content, '\"web_fetch\"') > 0)";

/// Makes of the store at `path`, whose version is `found`, one of this version. Several processes may do so at once.
pub(super) fn bring_up_to_date(connection: &Connection, path: &Path, found: i64) -> Result<(), StoreError> {
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    back_up(connection, path, found)?;
    let changed = change(connection);
    if changed.is_err() {
        // Nothing to roll back when it was the beginning that failed.
        drop(connection.execute_batch("ROLLBACK"));
    }
    changed.map_err(|fault| fault.at(path, "bringing up to date"))
}

/// The name of the copy that is made of a store of this version.
fn copy_of(path: &Path, version: i64) -> PathBuf {
    beside(path, &format!(".version-{version}"))
}

fn back_up(connection: &Connection, path: &Path, found: i64) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let io = |error| from_io(path, "copying, before it is changed,", error);
    // Mode 0600 and a name of its own; SQLite fills an empty file.
    let copy = tempfile::Builder::new()
        .prefix(".session-store-copy-")
        .tempfile_in(folder)
        .map_err(io)?;
    let fill = || -> Result<i64, Fault> {
        let name = copy
            .path()
            .to_str()
            .ok_or_else(|| Fault::Damaged("the path of the store is not text".to_owned()))?;
        connection.execute("VACUUM INTO ?1", [name])?;
        let copied = Connection::open_with_flags(copy.path(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(copied.query_row("PRAGMA user_version", [], |row| row.get(0))?)
    };
    let copied = fill().map_err(|fault| fault.at(path, "copying"))?;
    if copied != found {
        // Another process has brought it up to date meanwhile, and made the copy.
        return Ok(());
    }
    copy.as_file().sync_all().map_err(io)?;
    copy.persist(copy_of(path, found))
        .map_err(|error| io(error.error))?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io)
}

fn change(connection: &Connection) -> Result<(), Fault> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    // A program of the older version that still runs writes its own number when it checks that it can write.
    if number("SELECT count(*) FROM pragma_table_info('sessions') WHERE name = 'distrusted'")? == 0 {
        connection.execute_batch("ALTER TABLE sessions ADD COLUMN distrusted TEXT")?;
    }
    connection.execute(FROM_1_TO_2, [EARLIER])?;
    connection.execute_batch(&format!("PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"))?;
    Ok(())
}
