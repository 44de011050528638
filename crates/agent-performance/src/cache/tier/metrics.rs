use std::sync::atomic::{AtomicU64, Ordering};

use super::SharedCacheStats;
use crate::metrics::{Counter, MetricsCollector, NO_TAGS};

/// Counts for the figures of this cache, and for the collector where there is one.
pub(super) struct TierMetrics {
    hits: Count,
    misses: Count,
    foreign: Count,
    written: Count,
    dropped: Count,
    invalidations: Count,
}

struct Count(AtomicU64, Option<Counter>);

impl Count {
    fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        if let Some(counter) = &self.1 {
            counter.increment(1);
        }
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl TierMetrics {
    pub(super) fn new(collector: Option<&MetricsCollector>) -> Self {
        let count = |name| {
            let counter = collector.map(|collector| collector.counter(name, NO_TAGS));
            Count(AtomicU64::new(0), counter)
        };
        TierMetrics {
            hits: count("shared.cache_hits"),
            misses: count("shared.cache_misses"),
            foreign: count("shared.cache_foreign"),
            written: count("shared.cache_written"),
            dropped: count("shared.cache_dropped"),
            invalidations: count("shared.cache_invalidations"),
        }
    }

    pub(super) fn looked_up(&self, found: bool) {
        let count = if found { &self.hits } else { &self.misses };
        count.one();
    }

    pub(super) fn foreign(&self) {
        self.foreign.one();
    }

    pub(super) fn written(&self) {
        self.written.one();
    }

    pub(super) fn dropped(&self) {
        self.dropped.one();
    }

    pub(super) fn invalidated(&self) {
        self.invalidations.one();
    }

    pub(super) fn stats(&self) -> SharedCacheStats {
        SharedCacheStats {
            hits: self.hits.value(),
            misses: self.misses.value(),
            foreign: self.foreign.value(),
            written: self.written.value(),
            dropped: self.dropped.value(),
            invalidations: self.invalidations.value(),
        }
    }
}
