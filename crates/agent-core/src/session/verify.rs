//! The long check: is the store still what was written?

use rusqlite::Connection;

use super::error::Fault;
use super::rows::{checksum, seq_of, text, to_role};

/// Problems that are worth naming; the first is enough to act on.
const MAX_PROBLEMS: usize = 5;

/// The index against the text it was made of. Part of the write path because FTS5 takes the question as an insert.
pub(super) fn index(connection: &Connection) -> Result<(), Fault> {
    connection.execute(
        "INSERT INTO message_search (message_search, rank) VALUES ('integrity-check', 1)",
        [],
    )?;
    Ok(())
}

pub(super) fn structure_and_messages(connection: &Connection) -> Result<(), Fault> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({MAX_PROBLEMS})"))?;
    let problems: Vec<String> = check.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    if problems != ["ok"] {
        return Err(Fault::Damaged(problems.join("; ")));
    }
    checksums(
        connection,
        "messages",
        "SELECT id, role, checksum, content FROM messages",
    )?;
    checksums(
        connection,
        "compactions",
        "SELECT upto_seq, role, checksum, content FROM compactions",
    )
}

fn checksums(connection: &Connection, table: &str, sql: &str) -> Result<(), Fault> {
    let mut select = connection.prepare(sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        // A summary's place has no session above it: this is the same for both.
        if checksum(seq_of(id), to_role(text(row, 1)?)?, text(row, 3)?) != row.get::<_, u32>(2)? {
            return Err(Fault::Damaged(format!("row {id} of {table} was altered")));
        }
    }
    Ok(())
}
