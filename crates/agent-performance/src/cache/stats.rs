/// Exact figures of a cache, all of the same moment.
///
/// What was stored is either still there or left in one of four ways, so at every moment
/// `insertions = entries + replacements + evictions + expirations + invalidations`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Look-ups answered from the cache.
    pub hits: u64,
    /// Look-ups that found nothing, or only what had expired.
    pub misses: u64,
    /// Of the misses, those that were answered by another caller's fetch.
    pub coalesced: u64,
    /// Look-ups not made: the request forbade it, or the cache was off.
    pub bypasses: u64,
    /// Values stored.
    pub insertions: u64,
    /// Values that a newer one under the same key took the place of.
    pub replacements: u64,
    /// Values dropped to keep within the bounds, or under memory pressure.
    pub evictions: u64,
    /// Values dropped because their time was over.
    pub expirations: u64,
    /// Values dropped on request.
    pub invalidations: u64,
    /// Values not stored: larger than the whole cache, or with no time to live.
    pub refused: u64,
    /// Values held now. One whose time is over counts until it is asked for, swept or evicted: it takes its memory.
    pub entries: u64,
    /// Bytes of the keys and values held now.
    pub bytes: u64,
}

impl CacheStats {
    /// Part of the look-ups answered from the cache, 0 to 1; 0 before the first.
    pub fn hit_rate(&self) -> f64 {
        ratio(self.hits, self.hits + self.misses)
    }

    /// Bytes of key and value, on average over the entries held now; 0 without any.
    pub fn average_entry_size(&self) -> f64 {
        ratio(self.bytes, self.entries)
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
