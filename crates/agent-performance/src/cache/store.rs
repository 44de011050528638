//! The table behind the cache: entries in a queue, evicted by SIEVE. No lock and no clock in here: the caller has both.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::CacheStats;
use crate::memory::Tracked;

/// No slot. Also bounds the number of entries.
const NONE: u32 = u32::MAX;

pub(super) struct Store {
    index: HashMap<Arc<str>, u32>,
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    oldest: u32,
    newest: u32,
    /// Where the search for a victim goes on; `NONE` begins again at the oldest.
    hand: u32,
    max_entries: usize,
    max_bytes: usize,
    bytes: usize,
    pub(super) counts: CacheStats,
}

#[derive(Default)]
struct Slot {
    entry: Option<Entry>,
    older: u32,
    newer: u32,
}

/// What a slot holds. Handed out when it leaves the store, so that the caller frees the memory outside of its lock.
pub(super) struct Entry {
    key: Arc<str>,
    value: Bytes,
    stored: Instant,
    /// `None` is never.
    expires: Option<Instant>,
    visited: bool,
    /// Counted as a live resource for as long as it is.
    _tracked: Option<Tracked>,
}

/// From when to when an entry is good.
#[derive(Clone, Copy)]
pub(super) struct Lifetime {
    pub(super) stored: Instant,
    /// `None` is never.
    pub(super) expires: Option<Instant>,
}

impl Entry {
    pub(super) fn weight(&self) -> usize {
        weight(&self.key, &self.value)
    }

    fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

pub(super) fn weight(key: &str, value: &Bytes) -> usize {
    key.len() + value.len()
}

pub(super) enum Hit {
    Fresh { value: Bytes, stored: Instant },
    Absent,
    Expired(#[expect(dead_code, reason = "carried out of the lock to be dropped there")] Entry),
}

impl Store {
    pub(super) fn new(max_entries: usize, max_bytes: usize) -> Self {
        Store {
            index: HashMap::new(),
            slots: Vec::new(),
            vacant: Vec::new(),
            oldest: NONE,
            newest: NONE,
            hand: NONE,
            max_entries: max_entries.min(NONE as usize),
            max_bytes,
            bytes: 0,
            counts: CacheStats::default(),
        }
    }

    /// Counts neither hit nor miss: the caller may have more to ask of what is found.
    pub(super) fn find(&mut self, key: &str, now: Instant) -> Hit {
        let Some(&at) = self.index.get(key) else {
            return Hit::Absent;
        };
        let entry = self.entry_mut(at);
        if entry.is_expired(now) {
            self.counts.expirations += 1;
            return Hit::Expired(self.take(at));
        }
        entry.visited = true;
        Hit::Fresh {
            value: entry.value.clone(),
            stored: entry.stored,
        }
    }

    /// Stores, and returns what had to go.
    pub(super) fn put(
        &mut self,
        key: &str,
        value: Bytes,
        now: Instant,
        lifetime: Lifetime,
        tracked: Option<Tracked>,
    ) -> Vec<Entry> {
        let weight = weight(key, &value);
        let previous = self.index.get(key).copied().map(|at| self.take(at));
        let mut gone = Vec::from_iter(previous);
        let entry = Entry {
            key: Arc::from(key),
            value,
            stored: lifetime.stored,
            expires: lifetime.expires,
            visited: false,
            _tracked: tracked,
        };
        if weight > self.max_bytes || self.max_entries == 0 || entry.is_expired(now) {
            // What was there before is out of date all the same.
            self.counts.refused += 1;
            self.counts.invalidations += gone.len() as u64;
            return gone;
        }
        self.counts.replacements += gone.len() as u64;
        self.counts.insertions += 1;
        while self.index.len() >= self.max_entries || self.bytes > self.max_bytes - weight {
            gone.push(self.evict(now));
        }
        self.insert(entry);
        gone
    }

    pub(super) fn invalidate(&mut self, key: &str) -> Option<Entry> {
        let at = *self.index.get(key)?;
        self.counts.invalidations += 1;
        Some(self.take(at))
    }

    /// Leaves the counts. What is returned is the old table, to be dropped by the caller.
    pub(super) fn clear(&mut self) -> Store {
        let mut empty = Store::new(self.max_entries, self.max_bytes);
        empty.counts = self.counts;
        empty.counts.invalidations += self.index.len() as u64;
        std::mem::replace(self, empty)
    }

    /// Evicts until at most `bytes` are held.
    pub(super) fn shrink_to(&mut self, bytes: usize, now: Instant) -> Vec<Entry> {
        let mut gone = Vec::new();
        while self.bytes > bytes {
            gone.push(self.evict(now));
        }
        gone
    }

    /// Takes the expired ones out of the slots `from..from + count`. `None` when there are no more slots.
    pub(super) fn sweep(&mut self, from: usize, count: usize, now: Instant) -> Option<Vec<Entry>> {
        let end = self.slots.len().min(from.saturating_add(count));
        if from >= end {
            return None;
        }
        let mut gone = Vec::new();
        for at in from..end {
            let expired = self.slots[at]
                .entry
                .as_ref()
                .is_some_and(|entry| entry.is_expired(now));
            if expired {
                self.counts.expirations += 1;
                gone.push(self.take(at as u32));
            }
        }
        Some(gone)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn stats(&self) -> CacheStats {
        CacheStats {
            entries: self.index.len() as u64,
            bytes: self.bytes as u64,
            ..self.counts
        }
    }

    /// Each step of the hand either ends in a victim or uses up the mark that a hit has made: O(1) over time.
    fn evict(&mut self, now: Instant) -> Entry {
        loop {
            let at = if self.hand == NONE { self.oldest } else { self.hand };
            let newer = self.slots[at as usize].newer;
            let entry = self.entry_mut(at);
            let expired = entry.is_expired(now);
            if expired || !entry.visited {
                if expired {
                    self.counts.expirations += 1;
                } else {
                    self.counts.evictions += 1;
                }
                self.hand = at;
                return self.take(at);
            }
            entry.visited = false;
            self.hand = newer;
        }
    }

    fn insert(&mut self, entry: Entry) {
        let at = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // Below `max_entries`, which fits.
            (self.slots.len() - 1) as u32
        });
        self.bytes += entry.weight();
        self.index.insert(Arc::clone(&entry.key), at);
        self.slots[at as usize] = Slot {
            entry: Some(entry),
            older: self.newest,
            newer: NONE,
        };
        match self.newest {
            NONE => self.oldest = at,
            newest => self.slots[newest as usize].newer = at,
        }
        self.newest = at;
    }

    fn take(&mut self, at: u32) -> Entry {
        let Slot { entry, older, newer } = std::mem::take(&mut self.slots[at as usize]);
        let entry = entry.expect("slots named by the index, the queue or a sweep are filled");
        match older {
            NONE => self.oldest = newer,
            older => self.slots[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.slots[newer as usize].older = older,
        }
        if self.hand == at {
            self.hand = newer;
        }
        self.vacant.push(at);
        self.index.remove(&entry.key);
        self.bytes -= entry.weight();
        entry
    }

    fn entry_mut(&mut self, at: u32) -> &mut Entry {
        let entry = self.slots[at as usize].entry.as_mut();
        entry.expect("slots named by the index or the queue are filled")
    }
}
