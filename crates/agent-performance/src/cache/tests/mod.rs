mod bounds;
mod coalescing;
mod hammer;
mod headers;
mod keys;
mod replay;
mod replicas;

use std::time::Duration;

use bytes::Bytes;

use super::{CacheLimits, CacheStats, ResponseCache};

const MINUTE: Duration = Duration::from_secs(60);

fn cache(entries: usize, bytes: usize) -> ResponseCache {
    ResponseCache::with_limits(CacheLimits {
        entries,
        bytes,
        ttl: MINUTE,
    })
}

async fn put(cache: &ResponseCache, key: &str, value: &'static str) {
    cache
        .put(key.to_owned(), Bytes::from_static(value.as_bytes()), None)
        .await;
}

/// Every value stored is either there or went one of the four ways.
fn check_balance(stats: &CacheStats) {
    let gone = stats.replacements + stats.evictions + stats.expirations + stats.invalidations;
    assert_eq!(stats.insertions, stats.entries + gone, "{stats:?}");
    assert!(stats.coalesced <= stats.misses, "{stats:?}");
}
