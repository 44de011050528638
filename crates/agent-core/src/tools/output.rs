//! Text of any length kept in bounded memory: the beginning, the end, and how much lies between.

use agent_performance::memory::{MemoryPool, PooledBuffer};

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
    /// The first half; behind it, until it is full, what follows, and from then on a ring of the latest bytes.
    kept: PooledBuffer,
    /// Where the ring's oldest byte is, counted from its beginning.
    oldest: usize,
    half: usize,
    total: u64,
    /// Where the memory comes from with the first byte.
    pool: Option<MemoryPool>,
}

impl HeadTail {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            kept: PooledBuffer::detached(),
            oldest: 0,
            half: limit / 2,
            total: 0,
            pool: None,
        }
    }

    /// The same in a buffer of `pool`, which goes back when this is finished or dropped.
    pub fn pooled(limit: usize, pool: &MemoryPool) -> Self {
        Self {
            pool: Some(pool.clone()),
            ..Self::new(limit)
        }
    }

    /// Takes more bytes; costs no more memory once the limit is reached.
    pub fn push(&mut self, bytes: &[u8]) {
        if let Some(pool) = self.pool.take_if(|_| !bytes.is_empty()) {
            self.kept = pool.get_buffer(2 * self.half);
        }
        self.total += bytes.len() as u64;
        let room = 2 * self.half - self.kept.len();
        let (first, rest) = bytes.split_at(bytes.len().min(room));
        self.kept.extend_from_slice(first);
        self.turn(&rest[rest.len().saturating_sub(self.half)..]);
    }

    /// Writes at most a half's bytes over the oldest of the ring.
    fn turn(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let ring = &mut self.kept[self.half..];
        let (first, rest) = bytes.split_at(bytes.len().min(ring.len() - self.oldest));
        ring[self.oldest..][..first.len()].copy_from_slice(first);
        ring[..rest.len()].copy_from_slice(rest);
        self.oldest = (self.oldest + bytes.len()) % ring.len();
    }

    /// Bytes pushed so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The text; invalid UTF-8 becomes `U+FFFD`, and characters cut in two at the gap are left out whole.
    pub fn finish(mut self) -> Bounded {
        if self.kept.len() as u64 == self.total {
            return Bounded {
                text: String::from_utf8_lossy(&self.kept).into_owned(),
                left_out: 0,
            };
        }
        let (head, tail) = self.kept.split_at_mut(self.half);
        tail.rotate_left(self.oldest);
        let head = &head[..complete_chars(head)];
        let tail = &tail[broken_start(tail)..];
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
        assert!(kept.kept.capacity() <= 128 * 1024);
        assert_eq!(kept.finish().left_out, (1 << 30) - 64 * 1024);
    }

    #[test]
    fn a_pooled_one_gives_its_buffer_back_whatever_becomes_of_it() {
        let pool = MemoryPool::new();
        let held = || pool.get_stats().held_buffers;
        let mut kept = HeadTail::pooled(1000, &pool);
        kept.push(b"");
        assert_eq!(held(), 0, "nothing is taken before there is something to keep");
        kept.push(&[b'x'; 5000]);
        assert_eq!(held(), 1);
        drop(HeadTail::pooled(1000, &pool));
        assert_eq!(kept.finish().left_out, 4000);
        let mut dropped = HeadTail::pooled(1000, &pool);
        dropped.push(b"x");
        drop(dropped);
        let stats = pool.get_stats();
        assert_eq!(
            (stats.held_buffers, stats.idle_buffers, stats.cache_hits),
            (0, 1, 1)
        );
    }

    proptest! {
        #[test]
        fn however_text_is_cut_the_result_is_the_same_bounded_and_made_of_whole_characters(
            text in "[a-zä€😀]{0,60}", limit in 0usize..80, cuts in proptest::collection::vec(1usize..9, 0..20)
        ) {
            let pool = MemoryPool::new();
            let mut kept = if limit % 2 == 0 { HeadTail::new(limit) } else { HeadTail::pooled(limit, &pool) };
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
