//! How often a counter was raised by each small number: one uncontended atomic addition for each time.

use super::sync::{AtomicU64, Ordering};

/// Shards of a counter. Eight: as many threads as record at once in an agent, at a cache line pair each.
pub(crate) const SHARDS: usize = 8;

/// Increments below this have a count of their own; larger ones are recorded as samples.
pub(crate) const SMALL: usize = 16;

/// Sixteen counters fill the pair of cache lines that a processor fetches together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard([AtomicU64; SMALL]);

/// Counts of increments by 0, 1, … 15, by shard.
#[derive(Debug, Default)]
pub(crate) struct SmallCounts([Shard; SHARDS]);

impl SmallCounts {
    /// Counts one increment by `size`, which is below [`SMALL`].
    #[inline]
    pub(crate) fn add(&self, shard: usize, size: usize) {
        self.0[shard % SHARDS].0[size % SMALL].fetch_add(1, Ordering::Relaxed);
    }

    /// How often each size was counted so far. No count ever falls from one call to the next.
    pub(crate) fn totals(&self) -> [u64; SMALL] {
        let mut totals = [0; SMALL];
        for shard in &self.0 {
            for (total, count) in totals.iter_mut().zip(&shard.0) {
                *total += count.load(Ordering::Relaxed);
            }
        }
        totals
    }
}
