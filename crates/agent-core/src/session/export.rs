//! A session as one JSON document, written page by page.

use std::io::{self, Write};
use std::path::Path;

use agent_claude::messages::Role;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;

use super::error::{StoreError, from_io};
use super::readers::Readers;
use super::rows::number_of;
use super::spending::{self, MessageUsage};
use super::types::{SessionId, SessionInfo, StoredMessage};
use super::{catalogue, messages};

/// Content that is held at once: the memory of an export does not depend on the session's length.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Names the format, so that an importer can tell.
const FORMAT: &str = "claude-agent-session/1";

#[derive(Serialize)]
struct MessageOut<'a> {
    seq: u64,
    role: Role,
    created: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a MessageUsage>,
    content: &'a RawValue,
}

#[derive(Serialize)]
struct SummaryOut<'a> {
    upto_seq: u64,
    role: Role,
    created: DateTime<Utc>,
    content: &'a RawValue,
}

/// `{"format": …, "session": {…}, "compactions": […], "messages": […]}` with a line for each message; contents are
/// the stored bytes.
pub(super) fn json<W: Write>(readers: &Readers, id: SessionId, out: &mut W) -> Result<(), StoreError> {
    let session = readers.read_blocking(|c| catalogue::get(c, id))?;
    written(|| {
        write!(out, "{{\"format\":\"{FORMAT}\",\"session\":")?;
        serde_json::to_writer(&mut *out, &session)?;
        write!(out, ",\"compactions\":[")
    })?;
    let (mut seq, mut between) = (0, "\n");
    while let Some(summary) = readers.read_blocking(|c| messages::summary_after(c, id, seq))? {
        seq = summary.upto_seq;
        let entry = SummaryOut {
            upto_seq: summary.upto_seq,
            role: summary.role,
            created: summary.created,
            content: &summary.content,
        };
        written(|| write_entry(out, between, &entry))?;
        between = ",\n";
    }
    written(|| write!(out, "],\"messages\":["))?;
    let mut between = "\n";
    each_message(readers, &session, |message, usage| {
        let entry = MessageOut {
            usage,
            seq: message.seq,
            role: message.role,
            created: message.created,
            content: &message.content,
        };
        write_entry(out, between, &entry)?;
        between = ",\n";
        Ok(())
    })?;
    written(|| {
        out.write_all(b"\n]}\n")?;
        out.flush()
    })
}

/// Hands over the messages that the session had at the beginning. No transaction stays open between the pages: a
/// slow reader of the export must not keep the store's log from being emptied.
pub(super) fn each_message(
    readers: &Readers,
    session: &SessionInfo,
    mut write: impl FnMut(&StoredMessage, Option<&MessageUsage>) -> io::Result<()>,
) -> Result<(), StoreError> {
    let mut next = 1;
    while next <= session.messages {
        let (page, usage) = readers.read_blocking(|c| {
            let page = messages::page(c, session.id, next, session.messages, PAGE_BYTES)?;
            let last = page.last().map_or(0, |message| message.seq);
            let usage = spending::of_messages(c, number_of(c, session.id)?, next, last)?;
            Ok((page, usage))
        })?;
        for message in &page {
            written(|| write(message, usage.get(&message.seq)))?;
        }
        next += page.len() as u64;
    }
    Ok(())
}

pub(super) fn written<T>(write: impl FnOnce() -> io::Result<T>) -> Result<T, StoreError> {
    write().map_err(|error| from_io(Path::new("the export"), "writing", error))
}

fn write_entry<W: Write>(out: &mut W, between: &str, entry: &impl Serialize) -> io::Result<()> {
    out.write_all(between.as_bytes())?;
    Ok(serde_json::to_writer(out, entry)?)
}
