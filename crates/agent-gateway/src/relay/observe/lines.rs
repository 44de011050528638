//! Finds the events in a stream of bytes as they pass. Nothing is copied but what someone reads: the ends of lines that
//! were cut by a chunk, and the data of the few events that tell the usage.

use memchr::memchr2;

/// Longest data line kept whole. The events that are read are small, but `message_start` may carry a long id or container.
const MAX_KEPT: usize = 64 << 10;

/// Bytes of a line kept to tell its field: enough for the longest event name that means something here.
const MAX_FIELD: usize = 64;

/// The events that mean something to a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// No `event` line yet.
    #[default]
    Unnamed,
    MessageStart,
    /// A piece of content.
    Delta,
    MessageDelta,
    MessageStop,
    Ping,
    Error,
    Other,
}

impl Kind {
    fn of(name: &[u8]) -> Self {
        match name {
            b"content_block_delta" => Kind::Delta,
            b"message_start" => Kind::MessageStart,
            b"message_delta" => Kind::MessageDelta,
            b"message_stop" => Kind::MessageStop,
            b"ping" => Kind::Ping,
            b"error" => Kind::Error,
            _ => Kind::Other,
        }
    }

    /// Its data is read.
    fn is_read(self) -> bool {
        matches!(self, Kind::MessageStart | Kind::MessageDelta | Kind::Error)
    }
}

/// Where in the stream we are.
#[derive(Debug, Default)]
pub(super) struct Lines {
    kind: Kind,
    has_data: bool,
    /// The beginning of a line that a chunk cut.
    cut: Vec<u8>,
    /// The cut line is longer than what is kept of it.
    overlong: bool,
    /// In a line: bytes came after the last line end.
    in_line: bool,
    /// The data of the event, where it is read and more than one line or chunk brings it.
    data: Vec<u8>,
    after_cr: bool,
}

impl Lines {
    /// True where an event of our own can be put in without harm to one that has begun.
    pub(super) fn between_events(&self) -> bool {
        !self.in_line && !self.has_data && self.kind == Kind::Unnamed
    }

    /// Passes `chunk`; `event` is called at the end of each event in it, with its data where that is read.
    pub(super) fn pass(&mut self, chunk: &[u8], mut event: impl FnMut(Kind, &[u8])) {
        let mut rest = chunk;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            if rest[0] == b'\n' {
                rest = &rest[1..];
            }
        }
        while let Some(end) = memchr2(b'\n', b'\r', rest) {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            if self.in_line {
                self.keep(line);
                self.in_line = false;
                let cut = std::mem::take(&mut self.cut);
                let overlong = std::mem::take(&mut self.overlong);
                self.line(&cut, overlong, &mut event);
            } else {
                self.line(line, false, &mut event);
            }
            let cr = rest[end] == b'\r';
            self.after_cr = cr && after.is_empty();
            rest = after.strip_prefix(b"\n").filter(|_| cr).unwrap_or(after);
        }
        if !rest.is_empty() {
            self.keep(rest);
        }
    }

    /// Keeps what is needed of a line that goes on in the next chunk.
    fn keep(&mut self, piece: &[u8]) {
        self.in_line = true;
        let limit = if self.kind.is_read() { MAX_KEPT } else { MAX_FIELD };
        let room = limit.saturating_sub(self.cut.len());
        self.overlong |= piece.len() > room;
        self.cut.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn line(&mut self, line: &[u8], overlong: bool, event: &mut impl FnMut(Kind, &[u8])) {
        if line.is_empty() && !overlong {
            if self.has_data {
                event(self.kind, &self.data);
            }
            self.kind = Kind::Unnamed;
            self.has_data = false;
            self.data = Vec::new();
        } else if let Some(data) = value(line, b"data") {
            if self.kind.is_read() && !overlong && self.data.len() + data.len() < MAX_KEPT {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(data);
            }
            self.has_data = true;
        } else if let Some(name) = value(line, b"event") {
            self.kind = Kind::of(name);
        }
    }
}

/// What follows the name of a field, if the line is of that field.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(name)? {
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        [] => Some(&[]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use agent_claude::stream::SseDecoder;
    use proptest::prelude::*;

    use super::*;

    fn events(chunks: &[&[u8]]) -> (Vec<(Kind, String)>, Lines) {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            lines.pass(chunk, |kind, data| {
                seen.push((kind, String::from_utf8_lossy(data).into_owned()))
            });
        }
        (seen, lines)
    }

    const STREAM: &[u8] = b"event: message_start\ndata: {\"a\":1}\n\n: note\n\nevent: ping\r\ndata: {}\r\n\r\n\
        event:content_block_delta\rdata: x\r\rdata: unnamed\n\nevent: error\ndata: 1\ndata:2\nid: 7\n\nevent: none\n\n\
        event: message_stop\ndata\n\n";

    #[test]
    fn every_cut_gives_the_same_events() {
        let (whole, lines) = events(&[STREAM]);
        let kinds: Vec<_> = whole.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(
            kinds,
            [
                Kind::MessageStart,
                Kind::Ping,
                Kind::Delta,
                Kind::Unnamed,
                Kind::Error,
                Kind::MessageStop
            ]
        );
        assert_eq!(whole[0].1, "{\"a\":1}");
        assert_eq!(whole[4].1, "1\n2");
        assert_eq!(whole[1].1, "", "data that nobody reads is not kept");
        assert!(lines.between_events());
        for at in 0..STREAM.len() {
            let (cut, lines) = events(&[&STREAM[..at], &STREAM[at..]]);
            assert_eq!(cut, whole, "cut at {at}");
            assert!(lines.between_events());
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(events(&bytes).0, whole);
    }

    #[test]
    fn an_event_under_way_is_seen_as_such() {
        for (bytes, between) in [
            (&b""[..], true),
            (b"e", false),
            (b"event: ping", false),
            (b"event: ping\n", false),
            (b"event: ping\ndata: {}\n", false),
            (b"event: ping\ndata: {}\n\n", true),
            (b": comment\n", true),
            (b": comment", false),
        ] {
            assert_eq!(
                events(&[bytes]).1.between_events(),
                between,
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    #[test]
    fn long_lines_are_not_kept() {
        let mut lines = Lines::default();
        let mut seen = 0;
        for name in ["ping", "message_start"] {
            lines.pass(format!("event: {name}\ndata: ").as_bytes(), |_, _| {});
            for _ in 0..1000 {
                lines.pass(&[b'x'; 1000], |_, _| {});
                assert!(lines.cut.capacity() <= 2 * MAX_KEPT);
            }
            lines.pass(b"\n\n", |_, data| {
                assert!(data.is_empty());
                seen += 1;
            });
        }
        assert_eq!(seen, 2);
        assert_eq!(
            (lines.cut.capacity(), lines.data.capacity()),
            (0, 0),
            "nothing is held between events"
        );
    }

    proptest! {
        /// The decoder of the client judges what an event is; it knows names and data of any length.
        #[test]
        fn it_sees_the_events_that_the_client_sees(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just("event: message_delta"), Just("event: ping"), Just("event:error"), Just("data: {}"), Just("data"),
                    Just("data:x"), Just(": c"), Just("id: 1"), Just("\n"), Just("\r\n"), Just("\r"), Just("\n\n"), Just("dat"),
                ],
                0..40,
            ),
            at in any::<prop::sample::Index>(),
        ) {
            let stream = pieces.concat();
            let mut decoder = SseDecoder::new();
            decoder.push(stream.as_bytes());
            let mut expected = Vec::new();
            while let Some(event) = decoder.next_event().unwrap() {
                expected.push(event.name.map_or(Kind::Unnamed, |name| Kind::of(name.as_bytes())));
            }
            let (first, second) = stream.as_bytes().split_at(at.index(stream.len() + 1));
            let seen: Vec<_> = events(&[first, second]).0.into_iter().map(|(kind, _)| kind).collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
