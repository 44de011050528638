//! Sessions as wholes: make, find, list, name, remove.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};

use super::error::{Fault, StoreError};
use super::rows::{from_path, from_time, message_id, number_of, text, to_count, to_id, to_path, to_time};
use super::types::{Cost, Fork, ListFilter, NewSession, SessionId, SessionInfo};
use super::{MAX_CANDIDATES, MAX_LIST, MAX_TITLE_BYTES};

/// The columns that [`info`] reads, in its order.
const COLUMNS: &str = "id, title, workspace, model, created, updated, forked_from, forked_at, last_seq, \
     cost_usd, requests, unpriced, input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens, \
     distrusted";

pub(super) fn check_title(title: &str) -> Result<(), StoreError> {
    check_name("title of a session, in bytes", title)
}

pub(super) fn check_name(what: &'static str, name: &str) -> Result<(), StoreError> {
    match name.len() {
        size if size > MAX_TITLE_BYTES => Err(StoreError::TooLarge {
            what,
            size: size as u64,
            limit: MAX_TITLE_BYTES as u64,
        }),
        _ => Ok(()),
    }
}

pub(super) fn create(
    connection: &Connection,
    id: SessionId,
    new: &NewSession,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO sessions (id, title, workspace, model, created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        )?
        .execute(params![
            id.to_string(),
            new.title.as_deref().unwrap_or_default(),
            from_path(&new.workspace),
            new.model,
            from_time(now),
        ])?;
    Ok(())
}

pub(super) fn get(connection: &Connection, id: SessionId) -> Result<SessionInfo, Fault> {
    select(connection, "WHERE id = ?1", params![id.to_string()])?
        .pop()
        .ok_or_else(|| {
            StoreError::NotFound {
                wanted: id.to_string(),
            }
            .into()
        })
}

/// Those of `ids` that there are, in no order.
pub(super) fn get_all(connection: &Connection, ids: &[SessionId]) -> Result<Vec<SessionInfo>, Fault> {
    if ids.len() > MAX_LIST {
        return Err(StoreError::TooLarge {
            what: "sessions asked for at once",
            size: ids.len() as u64,
            limit: MAX_LIST as u64,
        }
        .into());
    }
    // Ids are hexadecimal digits and dashes: nothing in them needs escaping.
    let ids: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    let ids = format!("[{}]", ids.join(","));
    select(
        connection,
        "WHERE id IN (SELECT value FROM json_each(?1))",
        params![ids],
    )
}

pub(super) fn list(connection: &Connection, filter: &ListFilter) -> Result<Vec<SessionInfo>, Fault> {
    let limit = filter.limit.min(MAX_LIST).cast_signed();
    let offset = i64::try_from(filter.offset).unwrap_or(i64::MAX);
    // The number decides between sessions of the same millisecond.
    const ORDER: &str = "ORDER BY updated DESC, number DESC LIMIT ?1 OFFSET ?2";
    match &filter.workspace {
        None => select(connection, ORDER, params![limit, offset]),
        Some(workspace) => select(
            connection,
            &format!("WHERE workspace = ?3 {ORDER}"),
            params![limit, offset, from_path(workspace)],
        ),
    }
}

/// The one session whose id begins or ends with `part`: the beginning is what people copy, the end is what tells
/// sessions of one minute apart.
pub(super) fn resolve(connection: &Connection, part: &str) -> Result<SessionId, Fault> {
    let part = part.trim().to_ascii_lowercase();
    let not_found = || {
        Fault::Store(StoreError::NotFound {
            wanted: part.chars().take(64).collect(),
        })
    };
    // Nothing else occurs in an id, and nothing else may reach the pattern.
    if part.is_empty() || part.len() > 36 || !part.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        return Err(not_found());
    }
    let mut find = connection.prepare_cached(
        "SELECT id, title FROM sessions WHERE id LIKE ?1 || '%' OR id LIKE '%' || ?1
         ORDER BY updated DESC, number DESC LIMIT ?2",
    )?;
    let mut rows = find.query(params![part, MAX_CANDIDATES.cast_signed()])?;
    let mut candidates = Vec::new();
    while let Some(row) = rows.next()? {
        candidates.push((to_id(text(row, 0)?)?, row.get(1)?));
    }
    match candidates.as_slice() {
        [] => Err(not_found()),
        [(only, _)] => Ok(*only),
        _ => Err(StoreError::Ambiguous {
            prefix: part,
            candidates,
        }
        .into()),
    }
}

pub(super) fn rename(connection: &Connection, id: SessionId, title: &str) -> Result<(), Fault> {
    let number = number_of(connection, id)?;
    connection.execute(
        "UPDATE sessions SET title = ?2 WHERE number = ?1",
        params![number, title],
    )?;
    Ok(())
}

pub(super) fn distrust(connection: &Connection, number: i64, source: &str) -> Result<(), Fault> {
    connection.execute(
        "UPDATE sessions SET distrusted = ?2 WHERE number = ?1 AND distrusted IS NULL",
        params![number, source],
    )?;
    Ok(())
}

/// The messages with their text and their place in the index; what was spent stays on record.
pub(super) fn delete(connection: &Connection, id: SessionId) -> Result<(), Fault> {
    let number = number_of(connection, id)?;
    connection.execute(
        "DELETE FROM messages WHERE id BETWEEN ?1 AND ?2",
        [message_id(number, 0), message_id(number, u64::MAX)],
    )?;
    connection.execute("DELETE FROM sessions WHERE number = ?1", [number])?;
    Ok(())
}

fn select(
    connection: &Connection,
    rest: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<SessionInfo>, Fault> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM sessions {rest}"))?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(info(row)?);
    }
    Ok(found)
}

fn info(row: &Row<'_>) -> Result<SessionInfo, Fault> {
    let forked_from: Option<String> = row.get(6)?;
    let forked_at: Option<i64> = row.get(7)?;
    let fork = |(session, seq): (String, i64)| -> Result<Fork, Fault> {
        Ok(Fork {
            session: to_id(&session)?,
            seq: to_count(seq)?,
        })
    };
    let count = |column: usize| to_count(row.get(column)?);
    Ok(SessionInfo {
        id: to_id(text(row, 0)?)?,
        title: row.get(1)?,
        workspace: to_path(row.get_ref(2)?)?,
        model: row.get(3)?,
        created: to_time(row.get(4)?)?,
        updated: to_time(row.get(5)?)?,
        forked_from: forked_from.zip(forked_at).map(fork).transpose()?,
        messages: count(8)?,
        cost: Cost {
            usd: row.get(9)?,
            requests: count(10)?,
            unpriced: count(11)?,
            input_tokens: count(12)?,
            output_tokens: count(13)?,
            cache_read_input_tokens: count(14)?,
            cache_creation_input_tokens: count(15)?,
        },
        distrusted: row.get(16)?,
    })
}
