use std::time::Duration;

/// Entries that a cache keeps unless told otherwise. Bookkeeping of an entry takes about 250 bytes beside its key and
/// value, so this many small ones add at most 4 MiB to the bound on bytes.
const DEFAULT_ENTRIES: usize = 16_384;

/// What a [`ResponseCache`](super::ResponseCache) may hold, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Entries at most. With 0 nothing is ever kept.
    pub entries: usize,
    /// Bytes of all keys and values together at most. A single entry over this is refused.
    pub bytes: usize,
    /// How long an entry lasts when `put` names no other time. `Duration::MAX` is for ever; zero keeps nothing.
    pub ttl: Duration,
}

impl Default for CacheLimits {
    /// 16,384 entries, 100 MiB, five minutes.
    fn default() -> Self {
        CacheLimits {
            entries: DEFAULT_ENTRIES,
            bytes: 100 << 20,
            ttl: Duration::from_secs(300),
        }
    }
}
