//! Text of any length kept in bounded memory: the beginning, the end, and how much lies between.

use std::collections::VecDeque;

/// Text within a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounded {
    /// The text, with a marker where something was left out.
    pub text: String,
    /// Bytes left out.
    pub left_out: u64,
}

/// Collects bytes; keeps the first and the last half of its limit and counts the rest.
#[derive(Debug)]
pub struct HeadTail {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half: usize,
    total: u64,
}

impl HeadTail {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            half: limit / 2,
            total: 0,
        }
    }

    /// Takes more bytes; costs no more memory once the limit is reached.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (first, rest) = bytes.split_at(bytes.len().min(self.half - self.head.len()));
        self.head.extend_from_slice(first);
        let rest = &rest[rest.len().saturating_sub(self.half)..];
        let excess = (self.tail.len() + rest.len()).saturating_sub(self.half);
        self.tail.drain(..excess);
        self.tail.extend(rest);
    }

    /// Bytes pushed so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The text; invalid UTF-8 becomes `U+FFFD`, and characters cut in two at the gap are left out whole.
    pub fn finish(self) -> Bounded {
        let tail: Vec<u8> = self.tail.into();
        let kept = (self.head.len() + tail.len()) as u64;
        if kept == self.total {
            let mut all = self.head;
            all.extend_from_slice(&tail);
            return Bounded {
                text: String::from_utf8_lossy(&all).into_owned(),
                left_out: 0,
            };
        }
        let head = &self.head[..complete_chars(&self.head)];
        let tail = &tail[broken_start(&tail)..];
        let left_out = self.total - (head.len() + tail.len()) as u64;
        let text = format!(
            "{}\n… {left_out} bytes left out of {} …\n{}",
            String::from_utf8_lossy(head),
            self.total,
            String::from_utf8_lossy(tail)
        );
        Bounded { text, left_out }
    }
}

/// Keeps head and tail of `text` when it is longer than `limit` bytes.
pub fn bound_text(text: &str, limit: usize) -> Bounded {
    if text.len() <= limit {
        return Bounded {
            text: text.to_owned(),
            left_out: 0,
        };
    }
    let mut kept = HeadTail::new(limit);
    kept.push(text.as_bytes());
    kept.finish()
}

/// The length of `bytes` without a character that was cut at the end.
pub(super) fn complete_chars(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        // `error_len` is none exactly when the input ended inside a character. Only the last few bytes can be
        // one, so an invalid byte further up is not mistaken for it.
        Err(_) => {
            let from = bytes.len().saturating_sub(3);
            (from..bytes.len())
                .find(|&at| {
                    bytes[at] >= 0xC0
                        && std::str::from_utf8(&bytes[at..]).is_err_and(|error| error.error_len().is_none())
                })
                .unwrap_or(bytes.len())
        }
    }
}

/// How many bytes at the start belong to a character that was cut.
fn broken_start(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take(3)
        .take_while(|byte| (0x80..0xC0).contains(*byte))
        .count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits_is_kept_as_it_is() {
        for text in ["", "a", "exactly ten"] {
            assert_eq!(
                bound_text(text, 11),
                Bounded {
                    text: text.to_owned(),
                    left_out: 0
                }
            );
        }
    }

    #[test]
    fn what_does_not_fit_keeps_both_ends_and_says_how_much_is_gone() {
        let bounded = bound_text("aaaaa-middle-zzzzz", 10);
        assert_eq!(bounded.text, "aaaaa\n… 8 bytes left out of 18 …\nzzzzz");
        assert_eq!(bounded.left_out, 8);
    }

    #[test]
    fn a_gigabyte_costs_no_more_than_the_limit() {
        let mut kept = HeadTail::new(64 * 1024);
        let block = [b'y'; 64 * 1024];
        for _ in 0..(1 << 30) / block.len() {
            kept.push(&block);
        }
        assert_eq!(kept.total(), 1 << 30);
        assert!(kept.head.capacity() + kept.tail.capacity() <= 256 * 1024);
        assert_eq!(kept.finish().left_out, (1 << 30) - 64 * 1024);
    }

    proptest! {
        #[test]
        fn however_text_is_cut_the_result_is_the_same_bounded_and_made_of_whole_characters(
            text in "[a-zä€😀]{0,60}", limit in 0usize..80, cuts in proptest::collection::vec(1usize..9, 0..20)
        ) {
            let mut kept = HeadTail::new(limit);
            let mut rest = text.as_bytes();
            for cut in cuts {
                let (first, second) = rest.split_at(cut.min(rest.len()));
                kept.push(first);
                rest = second;
            }
            kept.push(rest);
            let bounded = kept.finish();
            prop_assert!(!bounded.text.contains(char::REPLACEMENT_CHARACTER));
            if bounded.left_out > 0 {
                let (head, tail) = (bounded.text.find("\n…"), bounded.text.rfind("…\n"));
                let head = &bounded.text[..head.expect("a marker")];
                let tail = &bounded.text[tail.expect("a marker") + "…\n".len()..];
                prop_assert!(text.starts_with(head) && text.ends_with(tail));
                prop_assert!(head.len() + tail.len() <= limit);
                prop_assert_eq!(head.len() + tail.len() + usize::try_from(bounded.left_out).unwrap(), text.len());
            } else {
                prop_assert_eq!(bounded.text, text);
            }
        }
    }
}
