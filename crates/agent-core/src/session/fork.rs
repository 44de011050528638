//! A session that begins as the first part of another.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::error::{Fault, StoreError};
use super::messages::last_seq;
use super::rows::{from_time, message_id, number_of};
use super::types::SessionId;

/// Copies the rows: then either session can be deleted, compacted or exported without a thought for the other.
/// A copy is as distrustful as its original, wherever it branches off: asking once too often does no harm.
/// What the original spent stays with it, so that no dollar counts twice.
pub(super) fn fork(
    connection: &Connection,
    source: SessionId,
    at: Option<u64>,
    copy: SessionId,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let from = number_of(connection, source)?;
    let last = last_seq(connection, from)?;
    let at = at.unwrap_or(last);
    if at > last {
        return Err(StoreError::NoSuchMessage {
            session: source,
            seq: at,
            valid: (0, last),
        }
        .into());
    }
    connection.execute(
        "INSERT INTO sessions (id, title, workspace, model, created, updated, forked_from, forked_at, last_seq, distrusted)
         SELECT ?2, title, workspace, model, ?3, ?3, id, ?4, ?4, distrusted FROM sessions WHERE number = ?1",
        params![from, copy.to_string(), from_time(now), at.cast_signed()],
    )?;
    let to = number_of(connection, copy)?;
    let range = params![
        message_id(from, 1),
        message_id(from, at),
        message_id(to, 0) - message_id(from, 0)
    ];
    connection.execute(
        "INSERT INTO messages (id, role, created, checksum, content)
         SELECT id + ?3, role, created, checksum, content FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
        range,
    )?;
    connection.execute(
        "INSERT INTO message_text (id, body)
         SELECT id + ?3, body FROM message_text WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
        range,
    )?;
    connection.execute(
        "INSERT INTO compactions (session, upto_seq, role, created, checksum, content)
         SELECT ?2, upto_seq, role, created, checksum, content FROM compactions
         WHERE session = ?1 AND upto_seq <= ?3",
        params![from, to, at.cast_signed()],
    )?;
    Ok(())
}
