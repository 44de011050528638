//! The tables, their version, and the check that a file holds them.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::error::{Fault, StoreError};

/// `CASS` ("Claude agent session store"): tells our files from other SQLite files.
const APPLICATION_ID: i64 = 0x4341_5353;

/// The schema that this program reads and writes.
pub(super) const SCHEMA_VERSION: i64 = 2;

/// A message's row id holds its session's number and its `seq`, so that a session is one range of the table:
/// it is read in order without an index, and appending touches the same few pages however long the session is.
///
/// `AUTOINCREMENT`: the number of a deleted session is never given to another.
/// `ANY` for the workspace: a path that is not UTF-8 is kept as a blob.
/// `message_text` holds what a person would search for; the index of it keeps no second copy.
/// `distrusted` says where a stranger's words in the session are from; it stands here and not only in the messages, so that no compaction, fork or
/// resumption loses it.
/// `usage` rows outlive their session: a day's spending does not shrink when history is deleted.
const SCHEMA: &str = r#"
CREATE TABLE sessions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    workspace ANY NOT NULL,
    model TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    forked_from TEXT,
    forked_at INTEGER,
    last_seq INTEGER NOT NULL DEFAULT 0,
    cost_usd REAL NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL DEFAULT 0,
    unpriced INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cache_read_tokens INTEGER NOT NULL DEFAULT 0,
    cache_creation_tokens INTEGER NOT NULL DEFAULT 0,
    distrusted TEXT
) STRICT;
CREATE INDEX sessions_updated ON sessions (updated);
CREATE INDEX sessions_workspace ON sessions (workspace, updated);

CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    role TEXT NOT NULL,
    created INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    content TEXT NOT NULL
) STRICT;

CREATE TABLE compactions (
    session INTEGER NOT NULL REFERENCES sessions (number) ON DELETE CASCADE,
    upto_seq INTEGER NOT NULL,
    role TEXT NOT NULL,
    created INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (session, upto_seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage (
    id INTEGER PRIMARY KEY,
    session INTEGER REFERENCES sessions (number) ON DELETE SET NULL,
    seq INTEGER,
    created INTEGER NOT NULL,
    cost_usd REAL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_creation_tokens INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_session ON usage (session, seq);
CREATE INDEX usage_created ON usage (created);

CREATE TABLE message_text (
    id INTEGER PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    body TEXT NOT NULL
) STRICT;
CREATE VIRTUAL TABLE message_search USING fts5 (
    body, content = 'message_text', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TRIGGER message_text_added AFTER INSERT ON message_text BEGIN
    INSERT INTO message_search (rowid, body) VALUES (new.id, new.body);
END;
CREATE TRIGGER message_text_removed AFTER DELETE ON message_text BEGIN
    INSERT INTO message_search (message_search, rowid, body) VALUES ('delete', old.id, old.body);
END;
"#;

/// Fills a new, private, empty file with an empty store.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    let fill = || {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // Nobody knows the file yet and the caller syncs it before anybody does. Changing to WAL here means that
        // no two processes ever race for that change; closing the only connection removes the log again.
        connection.execute_batch(&format!(
            "PRAGMA synchronous = OFF;
             BEGIN;
             {SCHEMA}
             PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {SCHEMA_VERSION};
             COMMIT;
             PRAGMA journal_mode = WAL;"
        ))?;
        connection.close().map_err(|(_, error)| error)
    };
    fill().map_err(|error| Fault::from(error).at(path, "creating"))
}

/// The version that is there already: a page is written, nothing changes.
pub(super) fn write_version(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("PRAGMA user_version = {SCHEMA_VERSION}"))
}

/// Reads enough to know that the file is ours, whole at its top, and of a version that we understand; gives that version.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let read = || -> Result<(i64, i64, i64), Fault> {
        let number =
            |sql: &str| -> Result<i64, Fault> { Ok(connection.query_row(sql, [], |row| row.get(0))?) };
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN \
             ('sessions', 'messages', 'compactions', 'usage', 'message_text', 'message_search')";
        Ok((
            number("PRAGMA application_id")?,
            number("PRAGMA user_version")?,
            number(tables)?,
        ))
    };
    let (application, version, tables) = read().map_err(|fault| fault.at(path, "opening"))?;
    if application != APPLICATION_ID {
        let detail = "it is an SQLite database of another program".into();
        return Err(StoreError::NotAStore {
            path: path.into(),
            detail,
        });
    }
    if version > SCHEMA_VERSION {
        return Err(StoreError::NewerSchema {
            path: path.into(),
            found: version,
            supported: SCHEMA_VERSION,
        });
    }
    if version < 1 || tables != 6 {
        let detail = format!("its schema (version {version}, {tables} of 6 tables) was never written by us");
        return Err(StoreError::Corrupt {
            path: path.into(),
            detail,
        });
    }
    Ok(version)
}
