//! Requests whose end is told in two ways.
//!
//! A head with both `content-length` and `transfer-encoding` is how one request is hidden in the body of another from whoever
//! stands in front. The HTTP library drops the length without a word, so that the two can only be seen in the bytes. They are
//! looked at while they come: where the second of the two names ends, its colon is overwritten, and the library refuses the head
//! as the malformed one that it is, after whatever came before it on the connection.
//!
//! Bodies with a length are counted, so that the next head is found. Behind a body in chunks nothing is looked at any more: the
//! connection of such a request ends with its answer (see `Pipeline::serve`).

use std::ops::ControlFlow;

/// What is kept of a line: the longest of the names, and a length with room for spaces and zeros around it.
const KEPT: usize = 64;

const LENGTH: &[u8] = b"content-length:";
const CODING: &[u8] = b"transfer-encoding:";

/// The first line of an HTTP/2 connection begins so.
const PREFACE: &[u8] = b"PRI ";

/// Where a connection's bytes stand.
#[derive(Debug)]
pub(super) enum Framing {
    Head(Head),
    /// Bytes of a body that are still to come.
    Body(u64),
    /// Not told by lengths: HTTP/2, chunks, or what will be refused.
    Unknown,
}

/// The head that is coming.
#[derive(Debug)]
pub(super) struct Head {
    line: [u8; KEPT],
    /// Bytes of the line so far, more than are kept perhaps.
    length: usize,
    /// Before its end, the line that names the method.
    first: bool,
    has_coding: bool,
    has_length: bool,
    /// What the length says, where it can be read.
    body: Option<u64>,
}

impl Default for Framing {
    fn default() -> Self {
        Framing::Head(Head::new())
    }
}

impl Framing {
    /// `bytes` are the next that came; a colon of them may be overwritten.
    pub(super) fn came(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self {
                Framing::Unknown => return,
                Framing::Body(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= taken as u64;
                    rest = &mut rest[taken..];
                    if *left == 0 {
                        *self = Framing::default();
                    }
                }
                Framing::Head(head) => {
                    let (taken, next) = match head.came(rest) {
                        ControlFlow::Continue(taken) => (taken, None),
                        ControlFlow::Break((taken, next)) => (taken, Some(next)),
                    };
                    rest = &mut rest[taken..];
                    if let Some(next) = next {
                        *self = next;
                    }
                }
            }
        }
    }
}

impl Head {
    fn new() -> Self {
        Head {
            line: [0; KEPT],
            length: 0,
            first: true,
            has_coding: false,
            has_length: false,
            body: None,
        }
    }

    /// Takes one line, or what there is of it; breaks with what comes next.
    fn came(&mut self, bytes: &mut [u8]) -> ControlFlow<(usize, Framing), usize> {
        let end = memchr::memchr(b'\n', bytes);
        let (taken, before) = (end.map_or(bytes.len(), |end| end + 1), self.length);
        for (kept, byte) in self.line.iter_mut().skip(before).zip(&bytes[..taken]) {
            *kept = *byte;
        }
        self.length += taken;
        if !self.first {
            for (name, other) in [(LENGTH, self.has_coding), (CODING, self.has_length)] {
                // Told once, when the line has grown to hold the name.
                if before >= name.len() || !self.begins_with(name) {
                    continue;
                }
                if other {
                    bytes[name.len() - 1 - before] = 0;
                    return ControlFlow::Break((taken, Framing::Unknown));
                }
                self.has_coding |= name == CODING;
                self.has_length |= name == LENGTH;
            }
        } else if self.begins_with(PREFACE) {
            return ControlFlow::Break((taken, Framing::Unknown));
        }
        match end {
            None => ControlFlow::Continue(taken),
            Some(_) => self.line_ended(taken),
        }
    }

    fn line_ended(&mut self, taken: usize) -> ControlFlow<(usize, Framing), usize> {
        let line = &self.line[..self.length.min(KEPT)];
        let is_empty = matches!(line, b"\n" | b"\r\n");
        if !is_empty && self.begins_with(LENGTH) {
            // A longer line is no length that the library would take, or one with a body that nobody counts.
            self.body = (self.length <= KEPT)
                .then(|| number(&line[LENGTH.len()..]))
                .flatten();
        }
        self.length = 0;
        // Empty lines before a request are nothing.
        let first = self.first;
        self.first &= is_empty;
        if !is_empty || first {
            return ControlFlow::Continue(taken);
        }
        let next = match (self.has_coding, self.has_length, self.body) {
            (false, false, _) | (false, true, Some(0)) => Framing::default(),
            (false, true, Some(length)) => Framing::Body(length),
            _ => Framing::Unknown,
        };
        ControlFlow::Break((taken, next))
    }

    fn begins_with(&self, name: &[u8]) -> bool {
        self.length >= name.len() && self.line[..name.len()].eq_ignore_ascii_case(name)
    }
}

fn number(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    // What `parse` takes and HTTP does not.
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    const LONG: &str = "POST / HTTP/1.1\r\nContent-Length:  22 \r\n\r\ntransfer-encoding: \n\n.";

    /// `text`, come in pieces of so many bytes.
    fn come(text: &str, piece: usize) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let mut framing = Framing::default();
        bytes.chunks_mut(piece).for_each(|piece| framing.came(piece));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_second_of_the_two_is_spoiled_wherever_it_stands() {
        let heads = [
            "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding| chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nx: y\r\ncontent-length| 4\r\n\r\n",
            "POST / HTTP/1.1\ncontent-length:4\ntransfer-encoding|chunked\n\n",
            "\r\n\r\nPOST / HTTP/1.1\r\nCONTENT-LENGTH: 4\r\nTRANSFER-ENCODING| gzip\r\n\r\n",
        ];
        for before in ["".to_owned(), PLAIN.to_owned(), [LONG, PLAIN, LONG].concat()] {
            for head in heads {
                let text = [&before, head].concat();
                for piece in 1..text.len() {
                    let sent = text.replace('|', ":");
                    assert_eq!(
                        come(&sent, piece),
                        text.replace('|', "\0"),
                        "in pieces of {piece}"
                    );
                }
            }
        }
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        let both = "\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n";
        let padded = format!(
            "POST / HTTP/1.1\r\ncontent-length: {}5\r\n\r\n{both}",
            "0".repeat(80)
        );
        for text in [
            PLAIN.repeat(3),
            LONG.repeat(3),
            format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{both}", both.len()),
            format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{both}"),
            format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{both}"),
            format!(
                "POST / HTTP/1.1\r\nx-content-length: 4\r\ntransfer-encodings: 1{}",
                "\r\n".repeat(2)
            ),
            format!("POST / HTTP/1.1\r\ncontent-length: +4\r\n\r\n{both}"),
            padded,
        ] {
            for piece in 1..text.len() {
                assert_eq!(come(&text, piece), text, "in pieces of {piece}");
            }
        }
    }
}
