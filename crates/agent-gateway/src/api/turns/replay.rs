//! The latest events of one turn, ready to be sent: what lets readers come late, come back, and read side by side.
//!
//! A reader has a place in here, not a queue of its own, so its slowness costs no memory. Who falls behind the oldest
//! event that is kept has missed some, and is told.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use serde::Serialize;

/// Events kept of one turn. An answer of 8,000 tokens comes in about as many pieces: a reader that was away for a few
/// minutes finds the beginning.
pub(super) const MAX_EVENTS: usize = 8_192;

/// Bytes kept of one turn, whatever the events hold; the last event stays even when it alone is larger.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// Events handed to a reader in one piece: what one write to a socket takes.
const PIECE_BYTES: usize = 64 * 1024;

/// The kept events; numbered from 1.
#[derive(Debug, Default)]
pub(super) struct Replay {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Events that were let go.
    gone: u64,
    ended: bool,
}

/// What there is for a reader.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Frames, and the number of the last event in them.
    Frames(Bytes, u64),
    /// The next event is not kept any more; this is the first that is.
    Missed(u64),
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    Ended,
}

impl Replay {
    /// Keeps `event` under the next number. After the last one (`is_last`) readers are sent away.
    pub(super) fn push(&mut self, event: &impl Serialize, is_last: bool) {
        let frame = frame(Some(self.last() + 1), event);
        self.bytes += frame.len();
        self.frames.push_back(frame);
        self.ended |= is_last;
        while self.frames.len() > 1 && (self.frames.len() > MAX_EVENTS || self.bytes > MAX_BYTES) {
            self.bytes -= self.frames.pop_front().map_or(0, |frame| frame.len());
            self.gone += 1;
        }
    }

    /// What comes after event `seen`.
    pub(super) fn after(&self, seen: u64) -> Next {
        let Some(skip) = seen.checked_sub(self.gone) else {
            return Next::Missed(self.gone + 1);
        };
        let mut rest = usize::try_from(skip)
            .ok()
            .filter(|skip| *skip < self.frames.len())
            .map(|skip| self.frames.range(skip..));
        let Some(first) = rest.as_mut().and_then(Iterator::next) else {
            return if self.ended { Next::Ended } else { Next::Nothing };
        };
        let rest: Vec<&Bytes> = within(
            PIECE_BYTES - first.len().min(PIECE_BYTES),
            rest.into_iter().flatten(),
        );
        if rest.is_empty() {
            return Next::Frames(first.clone(), seen + 1);
        }
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        piece.extend_from_slice(first);
        rest.iter().for_each(|frame| piece.extend_from_slice(frame));
        Next::Frames(piece.freeze(), seen + 1 + rest.len() as u64)
    }

    /// The number of the last event; 0 before the first.
    pub(super) fn last(&self) -> u64 {
        self.gone + self.frames.len() as u64
    }

    /// Bytes that the events take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// As many of `frames` as fit into `room`.
fn within<'a>(mut room: usize, frames: impl Iterator<Item = &'a Bytes>) -> Vec<&'a Bytes> {
    frames
        .take_while(|frame| {
            let fits = frame.len() <= room;
            room = room.saturating_sub(frame.len());
            fits
        })
        .collect()
}

/// One event as it goes over the wire. JSON holds no line break, so one `data` line is enough.
pub(super) fn frame(id: Option<u64>, event: &impl Serialize) -> Bytes {
    let mut text = id
        .map(|id| format!("id: {id}\n"))
        .unwrap_or_default()
        .into_bytes();
    text.extend_from_slice(b"data: ");
    let begin = text.len();
    if let Err(error) = serde_json::to_writer(&mut text, event) {
        // Nothing that we send has a part that JSON can't hold; a reader is told all the same.
        tracing::error!(%error, "an event can't be written as JSON");
        text.truncate(begin);
        text.extend_from_slice(br#"{"type":"warning","message":"an event could not be written"}"#);
    }
    text.extend_from_slice(b"\n\n");
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn replay(events: usize, size: usize) -> Replay {
        let mut replay = Replay::default();
        for _ in 0..events {
            replay.push(&"x".repeat(size), false);
        }
        replay
    }

    #[test]
    fn readers_go_on_after_what_they_saw() {
        let mut replay = Replay::default();
        assert_eq!(replay.after(0), Next::Nothing);
        replay.push(&"a", false);
        replay.push(&"b", true);
        let both = "id: 1\ndata: \"a\"\n\nid: 2\ndata: \"b\"\n\n";
        assert_eq!(replay.after(0), Next::Frames(both.into(), 2));
        assert_eq!(replay.after(1), Next::Frames("id: 2\ndata: \"b\"\n\n".into(), 2));
        assert_eq!(replay.after(2), Next::Ended);
        assert_eq!(replay.last(), 2);
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_bytes() {
        let many = replay(MAX_EVENTS + 10, 1);
        assert_eq!(
            (many.frames.len(), many.last()),
            (MAX_EVENTS, MAX_EVENTS as u64 + 10)
        );
        assert_eq!(many.after(9), Next::Missed(11));
        assert!(matches!(many.after(10), Next::Frames(..)));
        let large = replay(40, MAX_BYTES / 10);
        assert!(
            large.bytes() <= MAX_BYTES && large.frames.len() == 9,
            "{}",
            large.frames.len()
        );
        let huge = replay(3, MAX_BYTES * 2);
        assert_eq!((huge.frames.len(), huge.last()), (1, 3));
        assert!(matches!(huge.after(2), Next::Frames(frame, 3) if frame.len() > MAX_BYTES));
    }

    #[test]
    fn a_text_with_line_breaks_stays_one_line() {
        let frame = frame(None, &"a\nb\r\u{2028}");
        let text = std::str::from_utf8(&frame).unwrap();
        assert_eq!(text.lines().count(), 2, "{text:?}");
    }

    proptest! {
        /// Whoever reads on from where it is gets every event once, in order, in pieces of bounded size.
        #[test]
        fn nothing_is_lost_or_repeated(sizes in prop::collection::vec(0usize..40_000, 1..40)) {
            let mut replay = Replay::default();
            for (at, size) in sizes.iter().enumerate() {
                replay.push(&format!("{at} {}", "x".repeat(*size)), at + 1 == sizes.len());
            }
            let mut seen = match replay.after(0) { Next::Missed(first) => first - 1, _ => 0 };
            let mut ids = Vec::new();
            while let Next::Frames(piece, last) = replay.after(seen) {
                prop_assert!(last > seen && (piece.len() <= PIECE_BYTES || last == seen + 1));
                let text = std::str::from_utf8(&piece).unwrap();
                ids.extend(text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse::<u64>().unwrap()));
                seen = last;
            }
            prop_assert_eq!(replay.after(seen), Next::Ended);
            let first = ids[0];
            prop_assert_eq!(ids, (first..=sizes.len() as u64).collect::<Vec<_>>());
        }
    }
}
