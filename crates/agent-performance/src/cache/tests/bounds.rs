use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;

use super::{MINUTE, cache, check_balance, put};
use crate::cache::{CacheLimits, CacheStatus, CachedResponse, Lookup, RequestCaching, ResponseCache};
use crate::memory::ResourceTracker;
use crate::metrics::MetricsCollector;

#[tokio::test(start_paused = true)]
async fn entries_last_as_long_as_they_may() {
    let cache = cache(10, 1000);
    put(&cache, "default", "a").await;
    cache
        .put("short".into(), Bytes::from("b"), Some(Duration::from_secs(1)))
        .await;
    cache
        .put("for ever".into(), Bytes::from("c"), Some(Duration::MAX))
        .await;
    cache
        .put("never".into(), Bytes::from("d"), Some(Duration::ZERO))
        .await;
    assert_eq!(cache.get("never").await, None);
    assert_eq!(cache.get_stats().refused, 1);

    tokio::time::advance(Duration::from_millis(999)).await;
    assert_eq!(cache.get("short").await.as_deref(), Some(&b"b"[..]));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(cache.get("short").await, None);
    tokio::time::advance(MINUTE).await;
    assert_eq!(cache.get_stats().entries, 2, "nobody has looked at `default`");
    assert_eq!(cache.cleanup_expired(), "default".len() + 1);
    assert_eq!(cache.cleanup_expired(), 0);

    tokio::time::advance(Duration::from_secs(1 << 30)).await;
    assert_eq!(cache.get("for ever").await.as_deref(), Some(&b"c"[..]));
    let stats = cache.get_stats();
    assert_eq!((stats.hits, stats.misses, stats.expirations), (2, 2, 2));
    assert_eq!(stats.hit_rate(), 0.5);
    assert_eq!((stats.entries, stats.bytes), (1, 9));
    assert_eq!(stats.average_entry_size(), 9.0);
    check_balance(&stats);
}

#[tokio::test(start_paused = true)]
async fn what_memory_holds_counts_when_it_is_found_and_as_young_as_asked_for() {
    let cache = cache(10, 1000);
    let body = Bytes::from_static(b"{}");
    let stored = CachedResponse::whole(StatusCode::OK, &HeaderMap::new(), &[], body).unwrap();
    cache.put_response("k", &stored, None).await;
    put(&cache, "rubbish", "v").await;
    tokio::time::advance(Duration::from_millis(2900)).await;
    let held = cache.held_response("k", RequestCaching::Use);
    assert_eq!(held, Some((stored, Duration::from_millis(2900))));
    assert_eq!((cache.get_stats().hits, cache.get_stats().misses), (1, 0));

    let young = RequestCaching::UseUpTo(Duration::from_secs(2));
    for caching in [RequestCaching::Refresh, RequestCaching::Bypass, young] {
        assert_eq!(cache.held_response("k", caching), None);
    }
    assert_eq!(cache.held_response("rubbish", RequestCaching::Use), None);
    assert_eq!(cache.held_response("other", RequestCaching::Use), None);
    cache.set_enabled(false);
    assert_eq!(cache.held_response("k", RequestCaching::Use), None);
    let stats = cache.get_stats();
    assert_eq!(
        (stats.hits, stats.misses, stats.bypasses),
        (1, 0, 0),
        "left to whoever asks on"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lookup_tells_status_and_age_and_obeys_the_request() {
    let cache = cache(10, 1000);
    put(&cache, "k", "v").await;
    tokio::time::advance(Duration::from_millis(2900)).await;
    let hit = cache.lookup("k", RequestCaching::Use).await;
    assert_eq!((hit.status(), hit.age_seconds()), (CacheStatus::Hit, Some(2)));
    assert_eq!(hit.status().to_string(), "hit");
    let young = RequestCaching::UseUpTo(Duration::from_secs(2));
    assert_eq!(cache.lookup("k", young).await, Lookup::Miss);
    for caching in [RequestCaching::Refresh, RequestCaching::Bypass] {
        let lookup = cache.lookup("k", caching).await;
        assert_eq!(
            (lookup.status(), lookup.age_seconds()),
            (CacheStatus::Bypass, None)
        );
    }
    let stats = cache.get_stats();
    assert_eq!((stats.hits, stats.misses, stats.bypasses), (1, 1, 2));
}

#[tokio::test]
async fn bytes_and_entries_are_bounded_at_every_moment() {
    let small = cache(3, 1000);
    for key in ["a", "b", "c", "d"] {
        put(&small, key, "1").await;
        assert!(small.get_stats().entries <= 3);
    }
    assert_eq!(small.get("a").await, None);
    assert_eq!(small.get_stats().evictions, 1);

    let tight = cache(100, 100);
    for n in 0..20 {
        tight.put(format!("{n:02}"), Bytes::from(vec![0; 18]), None).await;
        assert!(tight.get_stats().bytes <= 100);
    }
    let stats = tight.get_stats();
    assert_eq!((stats.entries, stats.bytes, stats.evictions), (5, 100, 15));
    // One that takes all of it.
    tight.put("k".into(), Bytes::from(vec![0; 99]), None).await;
    assert_eq!(tight.get_stats().entries, 1);
    check_balance(&tight.get_stats());
}

#[tokio::test]
async fn what_is_larger_than_the_cache_is_refused_and_the_stale_value_goes() {
    let cache = cache(10, 10);
    put(&cache, "key", "1234567").await;
    put(&cache, "key", "12345678").await;
    assert_eq!(cache.get("key").await, None);
    cache
        .put("x".repeat(1 << 20), Bytes::from(vec![1; 1 << 24]), None)
        .await;
    let stats = cache.get_stats();
    assert_eq!((stats.refused, stats.invalidations, stats.bytes), (2, 1, 0));
    check_balance(&stats);

    for nothing in [
        super::cache(0, 10),
        super::cache(10, 0),
        ResponseCache::new(10, Duration::ZERO),
    ] {
        put(&nothing, "k", "v").await;
        assert_eq!(nothing.get("k").await, None);
        assert_eq!(nothing.get_stats().refused, 1);
    }
    let everything = ResponseCache::new(usize::MAX, Duration::MAX);
    put(&everything, "k", "v").await;
    assert!(everything.get("k").await.is_some());
}

#[tokio::test]
async fn what_is_asked_for_again_outlives_what_came_once() {
    let cache = cache(4, 1000);
    put(&cache, "wanted", "1").await;
    for n in 0..100 {
        assert!(cache.get("wanted").await.is_some(), "after {n} others");
        cache.put(format!("once {n}"), Bytes::from("2"), None).await;
    }
    // And without a second request for any of them, the oldest goes first.
    let queue = super::cache(2, 1000);
    for key in ["a", "b", "c"] {
        put(&queue, key, "1").await;
    }
    assert_eq!((queue.get("a").await, queue.get_stats().evictions), (None, 1));
    assert!(queue.get("b").await.is_some() && queue.get("c").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn the_expired_make_room_before_the_living() {
    let cache = cache(2, 1000);
    cache
        .put("old".into(), Bytes::from("1"), Some(Duration::from_secs(1)))
        .await;
    assert!(cache.get("old").await.is_some(), "marked by a hit");
    put(&cache, "new", "2").await;
    tokio::time::advance(Duration::from_secs(2)).await;
    put(&cache, "newer", "3").await;
    assert!(cache.get("new").await.is_some() && cache.get("newer").await.is_some());
    let stats = cache.get_stats();
    assert_eq!((stats.evictions, stats.expirations), (0, 1));
}

#[tokio::test]
async fn pressure_shrinks_and_off_means_off() {
    let cache = cache(100, 10_000);
    for n in 0..100 {
        cache.put(format!("{n:02}"), Bytes::from(vec![0; 98]), None).await;
    }
    assert_eq!(cache.halve(), 5000);
    assert_eq!(cache.get_stats().bytes, 5000);
    assert_eq!(cache.shrink_to(1050), 4000);
    assert_eq!(cache.get_stats().entries, 10);
    assert_eq!(cache.shrink_to(usize::MAX), 0);

    cache.set_enabled(false);
    assert_eq!(cache.get_stats().bytes, 0);
    put(&cache, "k", "v").await;
    assert_eq!(cache.lookup("k", RequestCaching::Use).await, Lookup::Bypass);
    cache.set_enabled(true);
    assert_eq!(cache.get("k").await, None);
    put(&cache, "k", "v").await;
    assert!(cache.get("k").await.is_some());
    cache.clear().await;
    assert_eq!((cache.get("k").await, cache.get_stats().bytes), (None, 0));
    assert_eq!(cache.shrink_to(0), 0);
    check_balance(&cache.get_stats());
}

#[tokio::test]
async fn hostile_keys_are_just_keys() {
    let cache = cache(100, 1 << 21);
    let long = "k".repeat(1 << 20);
    let keys = [
        "",
        "\0",
        "\r\nx-cache: hit",
        "../..",
        "\u{202e}",
        "é",
        "e\u{301}",
        long.as_str(),
    ];
    for (n, key) in keys.iter().enumerate() {
        cache
            .put((*key).to_owned(), Bytes::from(vec![n as u8]), None)
            .await;
    }
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(cache.get(key).await.as_deref(), Some(&[n as u8][..]), "{n}");
        cache.invalidate(key).await;
        cache.invalidate(key).await;
        assert_eq!(cache.get(key).await, None);
    }
    assert_eq!((cache.get_stats().bytes, cache.get_stats().invalidations), (0, 8));
}

#[tokio::test]
async fn a_slice_of_a_large_buffer_does_not_keep_the_buffer() {
    let cache = cache(10, 1000);
    let buffer = Bytes::from(vec![7; 1 << 20]);
    cache.put("k".into(), buffer.slice(10..20), None).await;
    assert!(buffer.is_unique());
}

#[tokio::test]
async fn the_collector_is_told_the_same() {
    let collector = MetricsCollector::new();
    let limits = CacheLimits {
        entries: 2,
        bytes: 100,
        ttl: MINUTE,
    };
    let tracker = ResourceTracker::new();
    let cache = ResponseCache::with_observers(limits, &collector, &tracker);
    for key in ["a", "b", "c"] {
        put(&cache, key, "1").await;
        cache.get(key).await;
    }
    cache.get("nothing").await;
    let told = |name: &str| {
        collector
            .get_metric_statistics(name)
            .map(|statistics| statistics.sum)
    };
    assert_eq!(told("cache.hits"), Some(3.0));
    assert_eq!(told("cache.misses"), Some(1.0));
    assert_eq!(told("cache.insertions"), Some(3.0));
    assert_eq!(told("cache.evictions"), Some(1.0));
    let held = collector.get_metrics(Some("cache.bytes"));
    let last = held
        .get("cache.bytes")
        .and_then(|samples| samples.last())
        .unwrap();
    assert_eq!(last.value, cache.get_stats().bytes as f64);
    let live = || {
        let info = tracker.get_resource_info();
        (info["cache_entries"].count, info["cache_entries"].total_size)
    };
    assert_eq!(live(), (2, cache.get_stats().bytes));
    cache.clear().await;
    assert_eq!(live(), (0, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Put { key: u8, size: usize, seconds: u64 },
    Get(u8),
    Invalidate(u8),
    Wait(u64),
    Sweep,
    Shrink(usize),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..12u8, 0..60usize, 0..9u64).prop_map(|(key, size, seconds)| Step::Put { key, size, seconds }),
        8 => (0..12u8).prop_map(Step::Get),
        1 => (0..12u8).prop_map(Step::Invalidate),
        2 => (0..4u64).prop_map(Step::Wait),
        1 => Just(Step::Sweep),
        1 => (0..120usize).prop_map(Step::Shrink),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    /// Whatever is done in whatever order: a value that is found is the last one put and not expired, the bounds hold,
    /// and the figures add up.
    #[test]
    fn found_is_fresh_and_last_and_the_figures_balance(steps in prop::collection::vec(step(), 1..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let cache = cache(5, 120);
            // Key to the value last put, and the second at which it expires.
            let mut last = std::collections::HashMap::new();
            let (mut now, mut gets, mut mark) = (0, 0, 0u8);
            for step in steps {
                match step {
                    Step::Put { key, size, seconds } => {
                        mark = mark.wrapping_add(1);
                        let value = Bytes::from(vec![mark; size]);
                        last.insert(key, (value.clone(), now + seconds));
                        cache.put(key.to_string(), value, Some(Duration::from_secs(seconds))).await;
                    }
                    Step::Get(key) => {
                        gets += 1;
                        if let Some(value) = cache.get(&key.to_string()).await {
                            let (expected, expires) = &last[&key];
                            assert_eq!(&value, expected);
                            assert!(*expires > now);
                        }
                    }
                    Step::Invalidate(key) => {
                        cache.invalidate(&key.to_string()).await;
                        last.remove(&key);
                    }
                    Step::Wait(seconds) => {
                        tokio::time::advance(Duration::from_secs(seconds)).await;
                        now += seconds;
                    }
                    Step::Sweep => assert!(cache.cleanup_expired() <= 120),
                    Step::Shrink(bytes) => {
                        let before = cache.get_stats().bytes;
                        let freed = cache.shrink_to(bytes) as u64;
                        let after = cache.get_stats().bytes;
                        assert_eq!(before - after, freed);
                        assert!(after <= bytes as u64);
                    }
                    Step::Clear => {
                        cache.clear().await;
                        last.clear();
                    }
                }
                let stats = cache.get_stats();
                assert!(stats.entries <= 5 && stats.bytes <= 120, "{stats:?}");
                assert_eq!(stats.hits + stats.misses, gets);
                check_balance(&stats);
            }
            cache.shrink_to(0);
            assert_eq!(cache.get_stats().bytes, 0);
        });
    }
}
