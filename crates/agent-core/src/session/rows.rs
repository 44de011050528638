//! How values stand in the tables: row ids, times, roles, paths, checksums.

use std::path::{Path, PathBuf};

use agent_claude::messages::Role;
use chrono::{DateTime, Utc};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};

use super::error::{Fault, StoreError};
use super::types::SessionId;

/// Bits of a message's row id that are its `seq`; the session's number is above them.
const SEQ_BITS: u32 = 32;

/// The largest `seq`: four thousand million messages.
pub(super) const MAX_SEQ: u64 = (1 << SEQ_BITS) - 1;

pub(super) fn message_id(number: i64, seq: u64) -> i64 {
    (number << SEQ_BITS) | seq.min(MAX_SEQ).cast_signed()
}

pub(super) fn seq_of(message_id: i64) -> u64 {
    message_id.cast_unsigned() & MAX_SEQ
}

pub(super) fn number_of(connection: &Connection, id: SessionId) -> Result<i64, Fault> {
    let mut find = connection.prepare_cached("SELECT number FROM sessions WHERE id = ?1")?;
    let number = find.query_row([id.to_string()], |row| row.get(0)).optional()?;
    Ok(number.ok_or_else(|| StoreError::NotFound {
        wanted: id.to_string(),
    })?)
}

/// Milliseconds: what a person can tell apart.
pub(super) fn from_time(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

pub(super) fn to_time(milliseconds: i64) -> Result<DateTime<Utc>, Fault> {
    DateTime::from_timestamp_millis(milliseconds)
        .ok_or_else(|| Fault::Damaged(format!("{milliseconds} is not a time")))
}

pub(super) fn to_id(text: &str) -> Result<SessionId, Fault> {
    text.parse()
        .map_err(|_| Fault::Damaged(format!("`{text}` is not the id of a session")))
}

/// A count or position; none of ours is negative.
pub(super) fn to_count(value: i64) -> Result<u64, Fault> {
    u64::try_from(value).map_err(|_| Fault::Damaged(format!("{value} is not a count")))
}

pub(super) fn role_text(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::System => "system",
    }
}

pub(super) fn to_role(text: &str) -> Result<Role, Fault> {
    match text {
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "system" => Ok(Role::System),
        other => Err(Fault::Damaged(format!("`{other}` is not a role"))),
    }
}

/// A column of text, without a copy.
pub(super) fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, Fault> {
    Ok(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?)
}

/// SQLite finds damage to its structure, not to the text inside it. Covers the place (a message's `seq`, the last
/// `seq` of a summary) too; not the session, so that a fork's rows keep theirs.
pub(super) fn checksum(seq: u64, role: Role, content: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seq.to_le_bytes());
    hasher.update(role_text(role).as_bytes());
    hasher.update(content.as_bytes());
    hasher.finalize()
}

/// Text, or the bytes of a path that is not UTF-8.
pub(super) fn from_path(path: &Path) -> Value {
    match path.to_str() {
        Some(text) => Value::Text(text.into()),
        None => Value::Blob(path.as_os_str().as_encoded_bytes().into()),
    }
}

pub(super) fn to_path(value: ValueRef<'_>) -> Result<PathBuf, Fault> {
    match value {
        ValueRef::Text(text) => {
            let damaged = |_| Fault::Damaged("a workspace is text that is not UTF-8".into());
            Ok(PathBuf::from(std::str::from_utf8(text).map_err(damaged)?))
        }
        #[cfg(unix)]
        ValueRef::Blob(bytes) => {
            use std::os::unix::ffi::OsStrExt;
            Ok(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
        }
        other => Err(Fault::Damaged(format!(
            "a workspace is stored as {}",
            other.data_type()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_ids_keep_number_and_seq() {
        for number in [1, 7, i64::from(i32::MAX)] {
            for seq in [0, 1, 20_000, MAX_SEQ] {
                assert_eq!(seq_of(message_id(number, seq)), seq);
                assert_eq!(message_id(number, seq) >> SEQ_BITS, number);
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_utf8_survives() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"/tmp/\xff\xfe"));
        let value = from_path(path);
        assert_eq!(to_path(ValueRef::from(&value)).expect("readable"), path);
    }
}
