//! Server-sent events from bytes that arrive in any pieces.
//!
//! Follows the WHATWG format: lines end in LF, CRLF or CR; a blank line ends an event; an event without data is
//! dropped. One buffer holds what is not yet handed out, events are borrowed from it, and no byte is looked at twice.

use std::ops::Range;
use std::time::Duration;

use memchr::{memchr, memchr2};

use super::DecodeError;
use super::sse_fields::{Fields, Place, SseEvent, Texts, borrow_usual, value};

/// The most bytes one event may have, unless told otherwise. The largest events carry a whole file as a tool result
/// or an encrypted search result, well under a request's own limit of 32 MB.
pub const DEFAULT_MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

/// The first allocation: about what one read of a socket yields, so that short streams never grow.
const FIRST_CAPACITY: usize = 8 * 1024;

/// How the API writes an event: these, and an LF after each value.
const USUAL_NAME: &[u8] = b"event: ";
const USUAL_DATA: &[u8] = b"\ndata: ";

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Decodes a stream of events, whatever the chunks.
///
/// ```
/// # use agent_claude::stream::SseDecoder;
/// let mut decoder = SseDecoder::new();
/// let mut names = Vec::new();
/// for chunk in ["event: pi", "ng\r\ndata: {}\r", "\n\r\nevent: x"] {
///     decoder.push(chunk.as_bytes());
///     while let Some(event) = decoder.next_event()? {
///         names.push(event.name.unwrap_or_default().to_owned());
///     }
/// }
/// assert_eq!(names, ["ping"]);
/// # Ok::<(), agent_claude::stream::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct SseDecoder {
    buffer: Vec<u8>,
    /// Where the event being read begins; all before it is done with.
    start: usize,
    /// Where the line being read begins.
    line: usize,
    /// No line ends in `line..scanned`: the search goes on from here, so that a long line is searched once.
    scanned: usize,
    fields: Fields,
    /// A name or id that came after data: joining more data lines in place would overwrite it.
    late_name: Vec<u8>,
    late_id: Vec<u8>,
    /// The last line ended in CR; an LF that follows is part of that end.
    after_cr: bool,
    begun: bool,
    failed: Option<DecodeError>,
    max_event_bytes: usize,
}

impl Default for SseDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl SseDecoder {
    /// A decoder with the default limit of [`DEFAULT_MAX_EVENT_BYTES`].
    pub fn new() -> Self {
        Self::with_max_event_bytes(DEFAULT_MAX_EVENT_BYTES)
    }

    /// A decoder that fails on an event of more than `max_event_bytes`: field names, comments and line ends count, the
    /// blank line that ends it does not.
    pub fn with_max_event_bytes(max_event_bytes: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            line: 0,
            scanned: 0,
            fields: Fields::default(),
            late_name: Vec::new(),
            late_id: Vec::new(),
            after_cr: false,
            begun: false,
            failed: None,
            max_event_bytes,
        }
    }

    /// Takes the next bytes.
    ///
    /// Take all events out before the next push: then the buffer never holds more than the largest event allowed and
    /// one chunk. A failed decoder takes nothing.
    pub fn push(&mut self, chunk: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.drop_done();
        let needed = self.buffer.len() + chunk.len();
        if needed > self.buffer.capacity() {
            let doubled = (self.buffer.capacity() * 2)
                .max(FIRST_CAPACITY)
                .min(self.max_event_bytes);
            self.buffer.reserve_exact(doubled.max(needed) - self.buffer.len());
        }
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole event; `None` when more bytes are needed.
    ///
    /// # Errors
    /// When the event is too long or not UTF-8. The same error is returned from then on.
    #[inline]
    pub fn next_event(&mut self) -> Result<Option<SseEvent<'_>>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if let Some((name, data)) = self.find_usual() {
            let event = borrow_usual(&self.buffer, name, data);
            return event
                .map(Some)
                .inspect_err(|error| self.failed = Some(error.clone()));
        }
        let (start, fields) = match self.read_fields() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.fail(&error);
                return Err(error);
            }
        };
        let event = Texts {
            bytes: &self.buffer[start..],
            late_name: &self.late_name,
            late_id: &self.late_id,
        };
        event
            .borrow(fields)
            .map(Some)
            .inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// Bytes of an event that is not whole yet; more than zero at the end of a stream means that it was cut.
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// How many bytes the buffer has room for.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    fn fail(&mut self, error: &DecodeError) {
        self.failed = Some(error.clone());
        self.buffer = Vec::new();
        (self.start, self.line, self.scanned) = (0, 0, 0);
    }

    /// Moves what is left to the front, when that costs no more than what was read since the last move: everything
    /// was taken out (so that the rest came with the last chunk), or less is left than is done with.
    fn drop_done(&mut self) {
        let left = self.buffer.len() - self.start;
        if self.start == 0 || (self.scanned < self.buffer.len() && left > self.start) {
            return;
        }
        self.buffer.copy_within(self.start.., 0);
        self.buffer.truncate(left);
        self.line -= self.start;
        self.scanned -= self.start;
        self.start = 0;
    }

    /// A short cut for what nearly every event of the API is, an `event` line and a `data` line: name and data, in two
    /// searches. Tried only where nothing was searched yet, so that pieces of an event cost one search in vain.
    #[inline]
    fn find_usual(&mut self) -> Option<(Range<usize>, Range<usize>)> {
        if self.scanned != self.start || self.after_cr {
            return None;
        }
        let name = self.start + USUAL_NAME.len();
        let rest = self.buffer[self.start..].strip_prefix(USUAL_NAME)?;
        let name_end = name + memchr2(b'\n', b'\r', rest)?;
        let data = name_end + USUAL_DATA.len();
        let rest = self.buffer[name_end..].strip_prefix(USUAL_DATA)?;
        let data_end = data + memchr2(b'\n', b'\r', rest)?;
        let fits = data_end + 1 - self.start <= self.max_event_bytes;
        if !fits || !self.buffer[data_end..].starts_with(b"\n\n") {
            return None;
        }
        (self.start, self.line, self.scanned) = (data_end + 2, data_end + 2, data_end + 2);
        self.begun = true;
        Some((name..name_end, data..data_end))
    }

    /// Reads lines up to the end of an event that has data: where it starts, and what it has.
    #[inline]
    fn read_fields(&mut self) -> Result<Option<(usize, Fields)>, DecodeError> {
        if !self.begun && !self.skip_byte_order_mark() {
            return Ok(None);
        }
        while let Some(line) = self.next_line()? {
            if line.is_empty() {
                let start = std::mem::replace(&mut self.start, self.line);
                let fields = std::mem::take(&mut self.fields);
                if fields.data.is_some() {
                    return Ok(Some((start, fields)));
                }
            } else if !self.take_field(line) && self.fields.is_empty() {
                // A comment between events: part of none, so that comments for ever fill nothing.
                self.start = self.line;
            }
        }
        Ok(None)
    }

    /// False while the first bytes may still turn out to be a byte order mark.
    #[cold]
    fn skip_byte_order_mark(&mut self) -> bool {
        let head = &self.buffer[..self.buffer.len().min(BYTE_ORDER_MARK.len())];
        if head == BYTE_ORDER_MARK {
            (self.start, self.line, self.scanned) = (head.len(), head.len(), head.len());
        } else if BYTE_ORDER_MARK.starts_with(head) {
            return false;
        }
        self.begun = true;
        true
    }

    /// The next whole line, without its end.
    #[inline]
    fn next_line(&mut self) -> Result<Option<Range<usize>>, DecodeError> {
        if self.after_cr && self.line < self.buffer.len() {
            self.after_cr = false;
            if self.buffer[self.line] == b'\n' {
                if self.start == self.line {
                    self.start += 1;
                }
                self.line += 1;
                self.scanned = self.line;
            }
        }
        let found = memchr2(b'\n', b'\r', &self.buffer[self.scanned..]);
        let end = found.map_or(self.buffer.len(), |at| self.scanned + at);
        if end - self.start > self.max_event_bytes {
            return Err(DecodeError::EventTooLarge {
                limit: self.max_event_bytes,
            });
        }
        if found.is_none() {
            self.scanned = end;
            return Ok(None);
        }
        self.after_cr = self.buffer[end] == b'\r';
        let line = self.line..end;
        self.line = end + 1;
        self.scanned = self.line;
        Ok(Some(line))
    }

    /// Takes in a line that is not blank. False when it is a comment or a field that means nothing.
    #[inline]
    fn take_field(&mut self, line: Range<usize>) -> bool {
        let bytes = &self.buffer[line.clone()];
        if let Some(rest) = bytes.strip_prefix(b"data") {
            value(rest).is_some_and(|skip| self.add_data(line.start + 4 + skip..line.end))
        } else if let Some(rest) = bytes.strip_prefix(b"event") {
            value(rest).is_some_and(|skip| self.set_name(line.start + 5 + skip..line.end))
        } else if let Some(rest) = bytes.strip_prefix(b"id") {
            value(rest).is_some_and(|skip| self.set_id(line.start + 2 + skip..line.end))
        } else if let Some(rest) = bytes.strip_prefix(b"retry") {
            value(rest).is_some_and(|skip| self.set_retry(line.start + 5 + skip..line.end))
        } else {
            false
        }
    }

    /// Appends a data line to those before it, in place: what lies between is no longer needed, and the line's own
    /// name and end leave room for the LF that joins them.
    #[inline]
    fn add_data(&mut self, value: Range<usize>) -> bool {
        match &mut self.fields.data {
            None => self.fields.data = Some(value.start - self.start..value.end - self.start),
            Some(data) => {
                let end = self.start + data.end;
                self.buffer[end] = b'\n';
                data.end += 1 + value.len();
                self.buffer.copy_within(value, end + 1);
            }
        }
        true
    }

    fn set_name(&mut self, value: Range<usize>) -> bool {
        self.fields.name = Some(if self.fields.data.is_none() {
            Place::Buffer(value.start - self.start..value.end - self.start)
        } else {
            self.late_name.clear();
            self.late_name.extend_from_slice(&self.buffer[value]);
            Place::Late
        });
        true
    }

    fn set_id(&mut self, value: Range<usize>) -> bool {
        let bytes = &self.buffer[value.clone()];
        if memchr(0, bytes).is_some() {
            return false;
        }
        self.fields.id = Some(if self.fields.data.is_none() {
            Place::Buffer(value.start - self.start..value.end - self.start)
        } else {
            self.late_id.clear();
            self.late_id.extend_from_slice(bytes);
            Place::Late
        });
        true
    }

    fn set_retry(&mut self, value: Range<usize>) -> bool {
        let digits = &self.buffer[value];
        if !digits.iter().all(u8::is_ascii_digit) {
            return false;
        }
        let milliseconds = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok());
        if let Some(milliseconds) = milliseconds {
            self.fields.retry = Some(Duration::from_millis(milliseconds));
        }
        milliseconds.is_some()
    }
}
