//! The fields of one event: where they are in the decoder's buffer, and as text.

use std::ops::Range;
use std::time::Duration;

use super::DecodeError;

/// One event, borrowed from its decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// The `event` field; absent is not the same as empty.
    pub name: Option<&'a str>,
    /// The `data` lines, joined by LF.
    pub data: &'a str,
    /// The `id` field.
    pub id: Option<&'a str>,
    /// The `retry` field: how long to wait before connecting again.
    pub retry: Option<Duration>,
}

/// What is known of the event being read. Places are counted from its start.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    pub(super) name: Option<Place>,
    pub(super) data: Option<Range<usize>>,
    pub(super) id: Option<Place>,
    pub(super) retry: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(super) enum Place {
    Buffer(Range<usize>),
    Late,
}

impl Fields {
    pub(super) fn is_empty(&self) -> bool {
        self.name.is_none() && self.data.is_none() && self.id.is_none() && self.retry.is_none()
    }
}

/// Where the value begins in what follows a field's name; `None` when the name goes on.
#[inline]
pub(super) fn value(after_name: &[u8]) -> Option<usize> {
    match after_name {
        [b':', b' ', ..] => Some(2),
        [b':', ..] => Some(1),
        [] => Some(0),
        _ => None,
    }
}

/// The event of a name and the data that follows it, checked to be text at one go.
#[inline]
pub(super) fn borrow_usual(
    buffer: &[u8],
    name: Range<usize>,
    data: Range<usize>,
) -> Result<SseEvent<'_>, DecodeError> {
    match std::str::from_utf8(&buffer[name.start..data.end]) {
        Ok(both) => {
            let (name, data) = (&both[..name.len()], &both[data.start - name.start..]);
            Ok(SseEvent {
                name: Some(name),
                data,
                id: None,
                retry: None,
            })
        }
        Err(_) => {
            let name = Some(text(&buffer[name], "event")?);
            Ok(SseEvent {
                name,
                data: text(&buffer[data], "data")?,
                id: None,
                retry: None,
            })
        }
    }
}

/// The bytes that an event's fields are in.
pub(super) struct Texts<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) late_name: &'a [u8],
    pub(super) late_id: &'a [u8],
}

impl<'a> Texts<'a> {
    #[inline]
    pub(super) fn borrow(self, fields: Fields) -> Result<SseEvent<'a>, DecodeError> {
        let name = match fields.name {
            Some(Place::Buffer(range)) => Some(text(&self.bytes[range], "event")?),
            Some(Place::Late) => Some(text(self.late_name, "event")?),
            None => None,
        };
        let id = match fields.id {
            Some(Place::Buffer(range)) => Some(text(&self.bytes[range], "id")?),
            Some(Place::Late) => Some(text(self.late_id, "id")?),
            None => None,
        };
        let data = text(&self.bytes[fields.data.unwrap_or_default()], "data")?;
        Ok(SseEvent {
            name,
            data,
            id,
            retry: fields.retry,
        })
    }
}

#[inline]
fn text<'a>(bytes: &'a [u8], field: &'static str) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|error| DecodeError::InvalidUtf8 {
        field,
        at: error.valid_up_to(),
    })
}
