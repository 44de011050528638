//! The accounts of the pool and its idle buffers: one shelf a class, one budget for all.
//!
//! A shelf is a stack under a lock: the buffer that came back last is warm in the processor's cache, and what has
//! lain longest is at the bottom, where trimming takes it. Counters change under the lock of their shelf, so a
//! reader that holds all locks sees figures that belong together. Locks are taken in the order of the shelves.
//!
//! `allocated` is raised before a shelf knows of new bytes and lowered after it forgot them: it is never less than
//! the sum of the shelves, so the budget holds.

use std::collections::VecDeque;

use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// Six classes, and one shelf without places for what is larger than all of them.
const SHELVES: usize = 7;

pub(super) struct Shelves<T> {
    shelves: [Mutex<Shelf<T>>; SHELVES],
    allocated: AtomicU64,
    peak: AtomicU64,
    refused: AtomicU64,
    over_budget: AtomicU64,
    budget: u64,
    places: usize,
}

struct Shelf<T> {
    idle: VecDeque<Idle<T>>,
    counts: Counts,
}

struct Idle<T> {
    item: T,
    bytes: u64,
    since: u64,
}

/// A shelf's figures, or the sum of all.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) returned: u64,
    pub(super) discarded: u64,
    pub(super) trimmed: u64,
    pub(super) held: u64,
    pub(super) held_bytes: u64,
    pub(super) idle: u64,
    pub(super) idle_bytes: u64,
}

/// All figures at one moment.
pub(super) struct Snapshot {
    pub(super) counts: Counts,
    pub(super) peak: u64,
    pub(super) refused: u64,
    pub(super) over_budget: u64,
}

/// What a caller's buffer turned out to be when it came back.
pub(super) struct Return<T> {
    pub(super) item: T,
    pub(super) shelf: usize,
    pub(super) bytes: u64,
    pub(super) now: u64,
}

impl<T> Shelves<T> {
    /// `places` is how many idle buffers each class keeps at most.
    pub(super) fn new(places: usize, budget: u64) -> Self {
        Shelves {
            shelves: std::array::from_fn(|_| {
                Mutex::new(Shelf {
                    idle: VecDeque::new(),
                    counts: Counts::default(),
                })
            }),
            allocated: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            over_budget: AtomicU64::new(0),
            budget,
            places,
        }
    }

    pub(super) fn budget(&self) -> u64 {
        self.budget
    }

    /// An idle buffer and its bytes, which are the caller's from now on.
    pub(super) fn take(&self, shelf: usize) -> Option<(T, u64)> {
        let mut shelf = self.shelves[shelf].lock();
        let Idle { item, bytes, .. } = shelf.idle.pop_back()?;
        shelf.counts.hits += 1;
        shelf.counts.idle -= 1;
        shelf.counts.idle_bytes -= bytes;
        shelf.counts.held += 1;
        shelf.counts.held_bytes += bytes;
        Some((item, bytes))
    }

    /// Sets `bytes` of the budget aside for a new buffer and hands them to the caller; idle buffers make room.
    /// False when what callers hold leaves too little.
    pub(super) fn try_admit(&self, shelf: usize, bytes: u64) -> bool {
        if !self.reserve_making_room(bytes) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.count_miss(shelf, bytes);
        true
    }

    /// As [`try_admit`](Self::try_admit), but beyond the budget if need be.
    pub(super) fn admit(&self, shelf: usize, bytes: u64) {
        if !self.reserve_making_room(bytes) {
            self.over_budget.fetch_add(1, Ordering::Relaxed);
            let before = self.allocated.fetch_add(bytes, Ordering::Relaxed);
            self.peak
                .fetch_max(before.saturating_add(bytes), Ordering::Relaxed);
        }
        self.count_miss(shelf, bytes);
    }

    fn count_miss(&self, shelf: usize, bytes: u64) {
        let mut shelf = self.shelves[shelf].lock();
        shelf.counts.misses += 1;
        shelf.counts.held += 1;
        shelf.counts.held_bytes += bytes;
    }

    /// Ends a caller's hold of `bytes` taken from `shelf`. Gives back what is not kept.
    pub(super) fn give_back(&self, shelf: usize, bytes: u64, back: Option<Return<T>>) -> Option<T> {
        let Some(back) = back else {
            self.shelves[shelf].lock().leave(bytes).counts.discarded += 1;
            self.release(bytes);
            return None;
        };
        // What a buffer grew by is real already; it is kept only if the budget has room for it. The same goes for
        // one that was handed out beyond the budget.
        let grown = back.bytes.saturating_sub(bytes);
        if !self.reserve(grown) {
            self.shelves[shelf].lock().leave(bytes).counts.discarded += 1;
            self.release(bytes);
            return Some(back.item);
        }
        let (mut from, mut other) = self.lock_two(shelf, back.shelf);
        from.leave(bytes);
        let onto = other.as_mut().unwrap_or(&mut from);
        if back.shelf + 1 < SHELVES && onto.idle.len() < self.places {
            onto.counts.idle += 1;
            onto.counts.idle_bytes += back.bytes;
            onto.idle.push_back(Idle {
                item: back.item,
                bytes: back.bytes,
                since: back.now,
            });
            drop((from, other));
            self.release(bytes.saturating_sub(back.bytes));
            return None;
        }
        from.counts.discarded += 1;
        drop((from, other));
        self.release(bytes + grown);
        Some(back.item)
    }

    /// The first shelf, and the second when it is another one; locked in order.
    fn lock_two(
        &self,
        first: usize,
        second: usize,
    ) -> (MutexGuard<'_, Shelf<T>>, Option<MutexGuard<'_, Shelf<T>>>) {
        match first.cmp(&second) {
            std::cmp::Ordering::Equal => (self.shelves[first].lock(), None),
            std::cmp::Ordering::Less => {
                let first = self.shelves[first].lock();
                (first, Some(self.shelves[second].lock()))
            }
            std::cmp::Ordering::Greater => {
                let second = self.shelves[second].lock();
                (self.shelves[first].lock(), Some(second))
            }
        }
    }

    /// Takes away what has been idle since `cutoff` or longer.
    pub(super) fn take_idle_since(&self, cutoff: u64) -> (Vec<T>, u64) {
        let mut taken = Vec::new();
        let mut bytes = 0;
        for shelf in &self.shelves {
            let mut shelf = shelf.lock();
            while shelf.idle.front().is_some_and(|oldest| oldest.since <= cutoff) {
                bytes += shelf.take_oldest(&mut taken);
            }
        }
        self.release(bytes);
        (taken, bytes)
    }

    /// Takes idle buffers away, largest class first, until at most `limit` bytes of them are left.
    pub(super) fn take_idle_beyond(&self, limit: u64) -> (Vec<T>, u64) {
        let mut shelves = self.lock_all();
        let mut idle: u64 = shelves.iter().map(|shelf| shelf.counts.idle_bytes).sum();
        let mut taken = Vec::new();
        let mut freed = 0;
        for shelf in shelves.iter_mut().rev() {
            while idle > limit && !shelf.idle.is_empty() {
                let bytes = shelf.take_oldest(&mut taken);
                idle -= bytes;
                freed += bytes;
            }
        }
        drop(shelves);
        self.release(freed);
        (taken, freed)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let shelves = self.lock_all();
        let mut sum = Counts::default();
        for shelf in &shelves {
            sum.add(&shelf.counts);
        }
        Snapshot {
            counts: sum,
            peak: self.peak.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            over_budget: self.over_budget.load(Ordering::Relaxed),
        }
    }

    fn lock_all(&self) -> [MutexGuard<'_, Shelf<T>>; SHELVES] {
        std::array::from_fn(|shelf| self.shelves[shelf].lock())
    }

    fn reserve_making_room(&self, bytes: u64) -> bool {
        if self.reserve(bytes) {
            return true;
        }
        if bytes > self.budget {
            return false;
        }
        // Room made here can be taken by another thread; after as many tries as there are shelves it is honest to
        // say that the pool is exhausted.
        for _ in 0..SHELVES {
            let allocated = self.allocated.load(Ordering::Relaxed);
            let missing = allocated.saturating_add(bytes).saturating_sub(self.budget);
            let idle = self.snapshot().counts.idle_bytes;
            drop(self.take_idle_beyond(idle.saturating_sub(missing)));
            if self.reserve(bytes) {
                return true;
            }
        }
        false
    }

    fn reserve(&self, bytes: u64) -> bool {
        if bytes == 0 {
            return self.allocated.load(Ordering::Relaxed) <= self.budget;
        }
        let reserved = self
            .allocated
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |allocated| {
                allocated
                    .checked_add(bytes)
                    .filter(|allocated| *allocated <= self.budget)
            });
        if let Ok(before) = reserved {
            self.peak.fetch_max(before + bytes, Ordering::Relaxed);
        }
        reserved.is_ok()
    }

    fn release(&self, bytes: u64) {
        if bytes > 0 {
            self.allocated.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl<T> Shelf<T> {
    fn leave(&mut self, bytes: u64) -> &mut Self {
        self.counts.returned += 1;
        self.counts.held -= 1;
        self.counts.held_bytes -= bytes;
        self
    }

    /// Moves the longest idle buffer to `taken`; its bytes.
    fn take_oldest(&mut self, taken: &mut Vec<T>) -> u64 {
        let Some(Idle { item, bytes, .. }) = self.idle.pop_front() else {
            return 0;
        };
        self.counts.idle -= 1;
        self.counts.idle_bytes -= bytes;
        self.counts.trimmed += 1;
        taken.push(item);
        bytes
    }
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.returned += other.returned;
        self.discarded += other.discarded;
        self.trimmed += other.trimmed;
        self.held += other.held;
        self.held_bytes += other.held_bytes;
        self.idle += other.idle;
        self.idle_bytes += other.idle_bytes;
    }
}
