//! The messages of a session: append, read back, compact.

use std::sync::Arc;

use agent_claude::messages::{Role, Usage};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use serde_json::value::RawValue;

use super::error::{Fault, StoreError};
use super::rows::{
    MAX_SEQ, checksum, from_time, message_id, number_of, role_text, seq_of, text, to_count, to_role, to_time,
};
use super::types::{Context, NewMessage, SessionId, StoredMessage, Summary};
use super::{MAX_BATCH, MAX_CONTEXT_BYTES, MAX_MESSAGE_BYTES, catalogue, spending, text as reading};

/// A message with all that can be worked out before the writer's turn.
pub(super) struct Prepared {
    role: Role,
    content: Box<RawValue>,
    searchable: String,
    usage: Option<Usage>,
    cost_usd: Option<f64>,
}

impl Prepared {
    pub(super) fn new(message: NewMessage) -> Result<Self, StoreError> {
        let content = message.content.get();
        if content.len() > MAX_MESSAGE_BYTES {
            return Err(StoreError::TooLarge {
                what: "content of a message, in bytes",
                size: content.len() as u64,
                limit: MAX_MESSAGE_BYTES as u64,
            });
        }
        Ok(Self {
            role: message.role,
            searchable: reading::searchable(content),
            content: message.content,
            usage: message.usage,
            cost_usd: message.cost_usd,
        })
    }

    pub(super) fn all(messages: Vec<NewMessage>) -> Result<Vec<Self>, StoreError> {
        if messages.len() > MAX_BATCH {
            return Err(StoreError::TooLarge {
                what: "messages in one append",
                size: messages.len() as u64,
                limit: MAX_BATCH as u64,
            });
        }
        messages.into_iter().map(Self::new).collect()
    }
}

pub(super) fn append(
    connection: &Connection,
    number: i64,
    messages: &[Prepared],
    now: DateTime<Utc>,
) -> Result<Vec<u64>, Fault> {
    let last = last_seq(connection, number)?;
    let new_last = last + messages.len() as u64;
    if new_last > MAX_SEQ {
        let what = "messages in a session";
        return Err(StoreError::TooLarge {
            what,
            size: new_last,
            limit: MAX_SEQ,
        }
        .into());
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO messages (id, role, created, checksum, content) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut index = connection.prepare_cached("INSERT INTO message_text (id, body) VALUES (?1, ?2)")?;
    for (message, seq) in messages.iter().zip(last + 1..) {
        let id = message_id(number, seq);
        insert.execute(params![
            id,
            role_text(message.role),
            from_time(now),
            checksum(seq, message.role, message.content.get()),
            message.content.get()
        ])?;
        if !message.searchable.is_empty() {
            index.execute(params![id, message.searchable])?;
        }
        if let Some(usage) = &message.usage {
            spending::record(connection, number, Some(seq), usage, message.cost_usd, now)?;
        }
    }
    connection
        .prepare_cached("UPDATE sessions SET last_seq = ?2, updated = max(updated, ?3) WHERE number = ?1")?
        .execute(params![number, new_last.cast_signed(), from_time(now)])?;
    Ok((last + 1..=new_last).collect())
}

/// One row more, and the next context begins after `upto_seq`; the messages stay.
pub(super) fn compact(
    connection: &Connection,
    id: SessionId,
    number: i64,
    upto_seq: u64,
    summary: &Prepared,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let last = last_seq(connection, number)?;
    let begin = summary_of(connection, number)?.map_or(0, |summary| summary.upto_seq);
    if !(begin + 1..=last).contains(&upto_seq) {
        let valid = (begin + 1, last);
        return Err(StoreError::NoSuchMessage {
            session: id,
            seq: upto_seq,
            valid,
        }
        .into());
    }
    connection.execute(
        "INSERT INTO compactions (session, upto_seq, role, created, checksum, content)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            number,
            upto_seq.cast_signed(),
            role_text(summary.role),
            from_time(now),
            checksum(upto_seq, summary.role, summary.content.get()),
            summary.content.get()
        ],
    )?;
    if let Some(usage) = &summary.usage {
        spending::record(connection, number, None, usage, summary.cost_usd, now)?;
    }
    Ok(())
}

pub(super) fn load_context(connection: &Connection, id: SessionId) -> Result<Context, Fault> {
    let session = catalogue::get(connection, id)?;
    let number = number_of(connection, id)?;
    let summary = summary_of(connection, number)?;
    let first = summary.as_ref().map_or(1, |summary| summary.upto_seq + 1);
    // To the end of what is there, not of what the session counts: a count that is too low is damage as well.
    let all = Span {
        number,
        first,
        last: MAX_SEQ,
    };
    let messages = read(connection, id, &all, MAX_CONTEXT_BYTES, AtLimit::Fail)?;
    let (found, counted) = (
        summary.as_ref().map_or(0, |s| s.upto_seq) + messages.len() as u64,
        session.messages,
    );
    if found != counted {
        let detail = format!("session {id} counts {counted} messages and has {found}");
        return Err(Fault::Damaged(detail));
    }
    Ok(Context {
        session,
        summary,
        messages,
    })
}

/// Messages `first..=last` as far as `bytes` go, but at least one where there is one.
pub(super) fn page(
    connection: &Connection,
    id: SessionId,
    first: u64,
    last: u64,
    bytes: usize,
) -> Result<Vec<StoredMessage>, Fault> {
    let number = number_of(connection, id)?;
    let span = Span {
        number,
        first: first.max(1),
        last: last.min(last_seq(connection, number)?),
    };
    let messages = read(connection, id, &span, bytes, AtLimit::Stop)?;
    if messages.is_empty() && span.len() > 0 {
        return Err(missing(id, span.first));
    }
    Ok(messages)
}

struct Span {
    number: i64,
    first: u64,
    last: u64,
}

impl Span {
    fn len(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }
}

#[derive(Clone, Copy)]
enum AtLimit {
    Stop,
    Fail,
}

fn read(
    connection: &Connection,
    session: SessionId,
    span: &Span,
    bytes: usize,
    at_limit: AtLimit,
) -> Result<Vec<StoredMessage>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT id, role, created, checksum, content FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
    )?;
    let mut rows = select.query([
        message_id(span.number, span.first),
        message_id(span.number, span.last),
    ])?;
    let mut messages = Vec::new();
    let mut read = 0;
    while let Some(row) = rows.next()? {
        let seq = seq_of(row.get(0)?);
        if seq != span.first + messages.len() as u64 {
            return Err(missing(session, span.first + messages.len() as u64));
        }
        let role = text(row, 1)?;
        let content = text(row, 4)?;
        read += content.len();
        if read > bytes {
            match at_limit {
                AtLimit::Stop if messages.is_empty() => {}
                AtLimit::Stop => break,
                AtLimit::Fail => {
                    return Err(StoreError::TooLarge {
                        what: "context of a session, in bytes (compact it or fork it at an earlier message)",
                        size: read as u64,
                        limit: bytes as u64,
                    }
                    .into());
                }
            }
        }
        let (role, content) = intact(seq, role, content, row.get(3)?)
            .ok_or_else(|| Fault::Damaged(format!("message {seq} of session {session} was altered")))?;
        messages.push(StoredMessage {
            seq,
            role,
            content,
            created: to_time(row.get(2)?)?,
        });
    }
    Ok(messages)
}

/// The content if it is what was stored.
fn intact(seq: u64, role: &str, content: &str, stored: u32) -> Option<(Role, Arc<RawValue>)> {
    let role = to_role(role).ok()?;
    if checksum(seq, role, content) != stored {
        return None;
    }
    let content = RawValue::from_string(content.to_owned()).ok()?;
    Some((role, Arc::from(content)))
}

fn missing(session: SessionId, seq: u64) -> Fault {
    Fault::Damaged(format!("message {seq} of session {session} is missing"))
}

pub(super) fn last_seq(connection: &Connection, number: i64) -> Result<u64, Fault> {
    let mut select = connection.prepare_cached("SELECT last_seq FROM sessions WHERE number = ?1")?;
    to_count(select.query_row([number], |row| row.get(0))?)
}

fn summary_of(connection: &Connection, number: i64) -> Result<Option<Summary>, Fault> {
    summary(
        connection,
        "WHERE session = ?1 ORDER BY upto_seq DESC LIMIT 1",
        params![number],
    )
}

/// The first summary that reaches past `seq`.
pub(super) fn summary_after(
    connection: &Connection,
    id: SessionId,
    seq: u64,
) -> Result<Option<Summary>, Fault> {
    let number = number_of(connection, id)?;
    let rest = "WHERE session = ?1 AND upto_seq > ?2 ORDER BY upto_seq LIMIT 1";
    summary(connection, rest, params![number, seq.cast_signed()])
}

fn summary(
    connection: &Connection,
    rest: &str,
    values: impl rusqlite::Params,
) -> Result<Option<Summary>, Fault> {
    let sql = format!("SELECT upto_seq, role, created, checksum, content FROM compactions {rest}");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(values)?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let upto_seq = to_count(row.get(0)?)?;
    let role = text(row, 1)?;
    let content = text(row, 4)?;
    let (role, content) = intact(upto_seq, role, content, row.get(3)?)
        .ok_or_else(|| Fault::Damaged(format!("the summary of messages up to {upto_seq} was altered")))?;
    Ok(Some(Summary {
        upto_seq,
        role,
        content,
        created: to_time(row.get(2)?)?,
    }))
}
