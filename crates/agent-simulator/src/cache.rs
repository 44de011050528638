//! The prompt cache: what of a prompt was seen before, what is written now.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::tokens::Prompt;

/// Entries kept. Each is a hash and a time; 4096 of them follow a thousand conversations with four markers each.
const MAX_ENTRIES: usize = 4096;
/// The API looks this many blocks back from a marker for a prefix that is cached.
const LOOK_BACK: usize = 20;
/// Shorter prefixes are not cached, whatever their markers say.
const MIN_TOKENS: u64 = 1024;
const FIVE_MINUTES: Duration = Duration::from_secs(300);

/// Where a prompt's tokens came from; the fields add up to the whole prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CacheUse {
    pub(crate) input: u64,
    pub(crate) read: u64,
    pub(crate) written_5m: u64,
    pub(crate) written_1h: u64,
}

/// Known prefixes, each until its time is over. Bounded: the entry that expires first makes room.
#[derive(Debug, Default)]
pub(crate) struct PrefixCache {
    entries: Mutex<HashMap<u64, Entry>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    expires: Instant,
    lifetime: Duration,
}

impl PrefixCache {
    /// Splits a prompt into what is read, written and neither, and remembers what is written.
    pub(crate) fn account(&self, prompt: &Prompt, now: Instant) -> CacheUse {
        let mut entries = self.entries.lock();
        let markers: Vec<usize> = prompt
            .segments
            .iter()
            .enumerate()
            .filter(|(_, segment)| segment.marker.is_some() && segment.tokens >= MIN_TOKENS)
            .map(|(index, _)| index)
            .collect();
        let hit = markers.iter().rev().find_map(|marker| {
            let first = marker.saturating_sub(LOOK_BACK);
            (first..=*marker)
                .rev()
                .find(|index| known(&mut entries, prompt.segments[*index].prefix, now))
        });
        let mut account = CacheUse {
            read: hit.map_or(0, |index| prompt.segments[index].tokens),
            ..Default::default()
        };
        let mut covered = account.read;
        for marker in markers {
            let segment = prompt.segments[marker];
            let lifetime = segment.marker.unwrap_or(FIVE_MINUTES);
            if segment.tokens > covered {
                let written = segment.tokens - covered;
                if lifetime > FIVE_MINUTES {
                    account.written_1h += written;
                } else {
                    account.written_5m += written;
                }
                covered = segment.tokens;
                make_room(&mut entries, now);
            }
            entries.entry(segment.prefix).or_insert(Entry {
                expires: now + lifetime,
                lifetime,
            });
        }
        account.input = prompt.tokens().saturating_sub(covered);
        account
    }
}

/// Whether a prefix is cached; being read makes an entry live as long again.
fn known(entries: &mut HashMap<u64, Entry>, prefix: u64, now: Instant) -> bool {
    match entries.get_mut(&prefix) {
        Some(entry) if entry.expires > now => {
            entry.expires = now + entry.lifetime;
            true
        }
        Some(_) => {
            entries.remove(&prefix);
            false
        }
        None => false,
    }
}

fn make_room(entries: &mut HashMap<u64, Entry>, now: Instant) {
    if entries.len() < MAX_ENTRIES {
        return;
    }
    entries.retain(|_, entry| entry.expires > now);
    // A quarter at once, so that a full cache is not searched on every request.
    if entries.len() >= MAX_ENTRIES {
        let mut ages: Vec<(Instant, u64)> = entries
            .iter()
            .map(|(prefix, entry)| (entry.expires, *prefix))
            .collect();
        ages.sort_unstable();
        for (_, prefix) in ages.into_iter().take(MAX_ENTRIES / 4) {
            entries.remove(&prefix);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Prompt;
    use serde_json::json;

    fn prompt(texts: &[(&str, Option<&str>)]) -> Prompt {
        let blocks: Vec<_> = texts
            .iter()
            .map(|(text, ttl)| match ttl {
                None => json!({ "type": "text", "text": text }),
                Some(ttl) => json!({ "type": "text", "text": text, "cache_control": { "type": "ephemeral", "ttl": ttl } }),
            })
            .collect();
        Prompt::of(&json!({ "model": "m", "system": blocks }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_prefix_is_written_once_then_read_until_it_expires() {
        let cache = PrefixCache::default();
        let long = "x".repeat(8000);
        let first = prompt(&[(&long, Some("5m"))]);
        let written = cache.account(&first, Instant::now());
        assert_eq!(
            written,
            CacheUse {
                written_5m: 2000,
                ..Default::default()
            }
        );

        let longer = prompt(&[(&long, None), ("more words", Some("1h")), ("tail", None)]);
        let read = cache.account(&longer, Instant::now());
        assert_eq!(
            (read.read, read.written_1h, read.written_5m, read.input),
            (2000, 3, 0, 1)
        );

        tokio::time::advance(Duration::from_secs(301)).await;
        let late = cache.account(&first, Instant::now());
        assert_eq!(late.read, 0);
        assert_eq!(late.written_5m, 2000);
    }

    #[tokio::test(start_paused = true)]
    async fn short_or_unmarked_prompts_are_not_cached() {
        let cache = PrefixCache::default();
        for texts in [vec![("short", Some("5m"))], vec![("no marker", None)]] {
            let prompt = prompt(&texts);
            for _ in 0..2 {
                assert_eq!(cache.account(&prompt, Instant::now()).input, prompt.tokens());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_cache_stays_bounded() {
        let cache = PrefixCache::default();
        for number in 0..MAX_ENTRIES + 100 {
            let text = format!("{number}{}", "y".repeat(4100));
            cache.account(&prompt(&[(&text, Some("5m"))]), Instant::now());
        }
        assert!(cache.entries.lock().len() <= MAX_ENTRIES);
    }
}
