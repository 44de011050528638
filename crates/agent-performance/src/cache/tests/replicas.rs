//! Several replicas over a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;

use super::{MINUTE, check_balance};
use crate::cache::{
    CacheLimits, CachedResponse, Fetched, Lookup, RequestCaching, ResponseCache, SharedCacheStats, Source,
};
use crate::lifecycle::Lifecycle;
use crate::metrics::MetricsCollector;
use crate::shared::tests::server::RedisServer;
use crate::shared::tests::{config, eventually, up};
use crate::shared::{Shared, SharedConfig};

/// A cache of its own over its own connection, ready to share.
struct Replica {
    cache: ResponseCache,
    shared: Shared,
    metrics: MetricsCollector,
    lifecycle: Lifecycle,
}

impl Replica {
    async fn of(server: &RedisServer) -> Self {
        let replica = Self::over(config(&server.url()));
        up(&replica.shared).await;
        replica.listening().await;
        replica
    }

    fn over(config: SharedConfig) -> Self {
        let lifecycle = Lifecycle::new();
        let metrics = MetricsCollector::new();
        let shared = Shared::connect(config, &lifecycle);
        let limits = CacheLimits {
            entries: 1000,
            bytes: 4 << 20,
            ttl: MINUTE,
        };
        let cache = ResponseCache::with_limits(limits).with_shared(&shared, Some(&metrics));
        Replica {
            cache,
            shared,
            metrics,
            lifecycle,
        }
    }

    /// The first thing heard is that there is a connection; from then on it writes.
    async fn listening(&self) {
        eventually("it listens", async || self.stats().invalidations > 0).await;
    }

    fn stats(&self) -> SharedCacheStats {
        self.cache.get_shared_stats().unwrap()
    }

    async fn put(&self, key: &str, value: &'static [u8]) {
        self.cache
            .put(key.to_owned(), Bytes::from_static(value), None)
            .await;
    }

    /// Puts, and waits until all can read it.
    async fn share(&self, key: &str, value: &'static [u8]) {
        let before = self.stats().written;
        self.put(key, value).await;
        eventually("it is written", async || self.stats().written > before).await;
    }

    async fn get(&self, key: &str) -> Option<Bytes> {
        self.cache.get(key).await
    }
}

#[tokio::test]
async fn what_one_stores_the_other_finds_with_its_age() {
    let server = RedisServer::start();
    let (one, two) = (Replica::of(&server).await, Replica::of(&server).await);
    one.share("k", b"value").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let found = two.cache.lookup("k", RequestCaching::Use).await;
    let Lookup::Hit { value, age } = found else {
        panic!("{found:?}")
    };
    assert_eq!(value, b"value"[..]);
    assert!(age >= Duration::from_millis(1100) && age < MINUTE / 2, "{age:?}");

    // From memory now, ageing on.
    server.ask(&[b"DEL", b"test:cache:k"]);
    let again = two.cache.lookup("k", RequestCaching::Use).await;
    assert!(
        matches!(again, Lookup::Hit { age: later, .. } if later >= age),
        "{again:?}"
    );
    let young = RequestCaching::UseUpTo(Duration::from_secs(1));
    assert_eq!(two.cache.lookup("k", young).await, Lookup::Miss);

    let stats = two.cache.get_stats();
    assert_eq!((stats.hits, stats.misses), (2, 1));
    check_balance(&stats);
    let shared = two.stats();
    assert_eq!((shared.hits, shared.misses, shared.foreign), (1, 1, 0));
    let counted = |name| two.metrics.get_metric_statistics(name).unwrap().sum;
    assert_eq!(
        (counted("shared.cache_hits"), counted("shared.cache_misses")),
        (1.0, 1.0)
    );
}

#[tokio::test]
async fn a_cache_may_come_later_than_the_connection() {
    let server = RedisServer::start();
    let one = Replica::of(&server).await;
    let late = ResponseCache::new(1 << 20, MINUTE).with_shared(&one.shared, None);
    eventually("it shares", async || {
        late.put("k".into(), Bytes::from_static(b"v"), None).await;
        late.get_shared_stats().unwrap().written > 0
    })
    .await;
    assert!(one.get("k").await.is_some());
}

#[tokio::test]
async fn an_entry_lives_in_all_places_as_long_as_it_may_and_no_longer() {
    let server = RedisServer::start();
    let (one, two) = (Replica::of(&server).await, Replica::of(&server).await);
    let ttl = Some(Duration::from_secs(2));
    let began = Instant::now();
    one.cache.put("k".into(), Bytes::from_static(b"v"), ttl).await;
    eventually("it is written", async || one.stats().written == 1).await;
    assert!(two.get("k").await.is_some() || began.elapsed() > Duration::from_secs(2));
    eventually("it expires", async || {
        one.get("k").await.is_none() && two.get("k").await.is_none()
    })
    .await;
    assert!(began.elapsed() >= Duration::from_secs(2));
    one.cache
        .put("never".into(), Bytes::from_static(b"v"), Some(Duration::ZERO))
        .await;
    one.share("after", b"v").await;
    assert_eq!(two.get("never").await, None);
}

#[tokio::test]
async fn streams_come_out_of_the_other_replica_as_they_went_in() {
    let server = RedisServer::start();
    let (one, two) = (Replica::of(&server).await, Replica::of(&server).await);
    let body = Bytes::from_static(b"hello");
    let whole = CachedResponse::whole(StatusCode::OK, &HeaderMap::new(), &[], body).unwrap();
    one.cache.put_response("k", &whole, None).await;
    eventually("it is written", async || one.stats().written == 1).await;
    let found = two.cache.lookup_response("k", RequestCaching::Use).await;
    assert_eq!(found.into_value(), Some(whole));
    // Bytes that are no response: gone for both.
    one.share("plain", b"not a response").await;
    let found = two.cache.lookup_response("plain", RequestCaching::Use).await;
    assert_eq!(found, Lookup::Miss);
    eventually("it is gone for both", async || one.get("plain").await.is_none()).await;
}

#[tokio::test]
async fn one_of_many_that_ask_looks_and_none_fetches_what_another_replica_has() {
    let server = RedisServer::start();
    let (one, two) = (Replica::of(&server).await, Replica::of(&server).await);
    one.share("k", b"value").await;
    let fetches = Arc::new(AtomicUsize::new(0));
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (cache, fetches) = (two.cache.clone(), Arc::clone(&fetches));
        requests.spawn(async move {
            let fetch = || async {
                fetches.fetch_add(1, Ordering::Relaxed);
                Ok::<_, String>(Fetched::Pass(Bytes::from_static(b"fetched")))
            };
            cache.get_or_fetch("k", RequestCaching::Use, fetch).await.unwrap()
        });
    }
    for found in requests.join_all().await {
        assert_eq!(found.value, b"value"[..]);
        assert!(matches!(found.source, Source::Cached { .. }), "{found:?}");
    }
    assert_eq!((fetches.load(Ordering::Relaxed), two.stats().hits), (0, 1));
    let stats = two.cache.get_stats();
    assert_eq!((stats.hits, stats.misses), (50, 0));

    let kept = || async {
        let value = Bytes::from_static(b"fetched");
        Ok::<_, String>(Fetched::Keep { value, ttl: None })
    };
    two.cache
        .get_or_fetch("new", RequestCaching::Use, kept)
        .await
        .unwrap();
    eventually("what is fetched is shared", async || two.stats().written == 1).await;
    assert_eq!(one.get("new").await.as_deref(), Some(&b"fetched"[..]));
}

#[tokio::test]
async fn a_removal_reaches_the_memory_of_all() {
    let server = RedisServer::start();
    let (one, two) = (Replica::of(&server).await, Replica::of(&server).await);
    for key in ["a", "b c", "d"] {
        one.share(key, b"v").await;
        assert!(two.get(key).await.is_some());
    }
    two.cache.invalidate("b c").await;
    assert_eq!(two.get("b c").await, None, "gone at once where it was asked for");
    eventually("gone elsewhere", async || one.get("b c").await.is_none()).await;
    assert!(one.get("a").await.is_some() && two.get("a").await.is_some());

    server.ask(&[b"SET", b"test:another", b"stays"]);
    one.cache.clear().await;
    eventually("all is gone", async || {
        two.get("a").await.is_none() && two.get("d").await.is_none()
    })
    .await;
    assert_eq!(server.ask(&[b"KEYS", b"test:cache:*"]), "*0\r\n");
    assert_eq!(server.ask(&[b"GET", b"test:another"]), "$5\r\nstays\r\n");
    one.share("a", b"again").await;
    assert_eq!(two.get("a").await.as_deref(), Some(&b"again"[..]));
}

#[tokio::test]
async fn without_the_server_each_goes_on_from_memory_and_shares_again_after_it() {
    let mut server = RedisServer::start();
    let (one, two) = (Replica::of(&server).await, Replica::of(&server).await);
    one.share("k", b"value").await;
    assert!(two.get("k").await.is_some());
    server.kill();
    for replica in [&one, &two] {
        eventually("it is noticed", async || !replica.shared.is_up()).await;
        assert!(replica.get("k").await.is_some());
        replica.put("alone", b"own").await;
        assert!(replica.get("alone").await.is_some());
        assert!(replica.stats().dropped > 0);
    }
    server.revive();
    up(&one.shared).await;
    up(&two.shared).await;
    assert!(one.get("k").await.is_some(), "nothing was removed meanwhile");
    eventually("they share again", async || {
        one.put("later", b"shared").await;
        two.get("later").await.is_some()
    })
    .await;
}

#[tokio::test]
async fn a_removal_during_an_outage_is_made_up_for_after_it() {
    let server = RedisServer::start();
    let short = || {
        config(&server.url())
            .with_command_timeout(Duration::from_millis(200))
            .unwrap()
    };
    let (one, two) = (Replica::over(short()), Replica::over(short()));
    for replica in [&one, &two] {
        up(&replica.shared).await;
        replica.listening().await;
    }
    one.share("k", b"value").await;
    assert!(two.get("k").await.is_some());
    // Frozen, not killed: the entry is still there afterwards.
    server.freeze();
    eventually("it is noticed", async || {
        one.shared.set("probe", b"v", MINUTE).await.is_err() && !one.shared.is_up()
    })
    .await;
    one.cache.invalidate("k").await;
    assert_eq!(one.get("k").await, None);
    server.thaw();
    eventually("gone for the other", async || two.get("k").await.is_none()).await;
    assert_eq!(one.get("k").await, None);
    eventually("gone from the server", async || {
        server.ask(&[b"EXISTS", b"test:cache:k"]) == ":0\r\n"
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_missed_a_removal_forgets_all_it_had() {
    let server = RedisServer::start();
    let (one, two) = (Replica::of(&server).await, Replica::of(&server).await);
    one.share("k", b"value").await;
    assert!(two.get("k").await.is_some());
    // Two loses its connection; the server counts a removal that it does not hear.
    server.ask(&[b"MULTI"]);
    server.ask(&[b"INCR", b"test:cache-sequence"]);
    server.ask(&[b"DEL", b"test:cache:k"]);
    server.ask(&[b"CLIENT", b"KILL", b"TYPE", b"pubsub"]);
    eventually("it is made up for", async || two.get("k").await.is_none()).await;
}

#[tokio::test]
async fn a_server_that_lost_its_count_is_believed_and_used_again() {
    let server = RedisServer::start();
    let one = Replica::of(&server).await;
    one.cache.invalidate("x").await;
    eventually("it is counted", async || {
        server.ask(&[b"GET", b"test:cache-sequence"]) == "$1\r\n1\r\n"
    })
    .await;
    server.ask(&[b"FLUSHALL"]);
    eventually("it writes again", async || {
        one.put("k", b"v").await;
        one.stats().written > 0
    })
    .await;
}

#[tokio::test]
async fn hostile_values_are_misses_and_are_counted() {
    let server = RedisServer::start();
    let (one, two) = (Replica::of(&server).await, Replica::of(&server).await);
    one.share("real", b"value").await;
    let real = server.ask(&[b"GET", b"test:cache:real"]);
    assert!(real.starts_with("$21\r\nASC1"), "{real:?}");
    let minute = b"60000";
    let huge = vec![b'x'; 3 << 20];
    let foreign: [(&str, &[u8]); 4] = [
        ("text", b"hello"),
        ("short", b"ASC1"),
        ("huge", &huge),
        ("binary", &[0xff; 100]),
    ];
    for (key, value) in foreign {
        let name = format!("test:cache:{key}");
        server.ask(&[b"SET", name.as_bytes(), value, b"PX", minute]);
    }
    server.ask(&[b"LPUSH", b"test:cache:list", b"x"]);
    // Another key's entry, and one that is for ever.
    server.ask(&[b"COPY", b"test:cache:real", b"test:cache:copied"]);
    server.ask(&[b"PERSIST", b"test:cache:real"]);
    let keys = ["text", "short", "huge", "binary", "list", "copied", "real"];
    for key in keys {
        assert_eq!(two.get(key).await, None, "{key}");
    }
    assert_eq!(two.stats().foreign, keys.len() as u64);
    assert!(two.shared.is_up());
    // Messages that are none.
    for message in [
        &b""[..],
        b"nonsense",
        b"-1 k",
        b"18446744073709551615",
        b"\xff\xfe",
    ] {
        server.ask(&[b"PUBLISH", b"test:0:events", message]);
    }
    // What is foreign gives way to what is fetched.
    two.share("list", b"mine").await;
    assert_eq!(one.get("list").await.as_deref(), Some(&b"mine"[..]));
}

#[tokio::test]
async fn what_is_too_large_stays_in_memory() {
    let server = RedisServer::start();
    let (one, two) = (Replica::of(&server).await, Replica::of(&server).await);
    let large = Bytes::from(vec![1; (1 << 20) + 1]);
    one.cache.put("large".into(), large.clone(), None).await;
    let long = "x".repeat(513);
    one.cache.put(long.clone(), Bytes::from_static(b"v"), None).await;
    assert_eq!(one.stats().dropped, 2);
    assert_eq!(one.get("large").await, Some(large));
    one.share("small", b"v").await;
    assert_eq!((two.get("large").await, two.get(&long).await), (None, None));
    one.cache.invalidate(&long).await;
    assert_eq!(one.get(&long).await, None);
}

#[tokio::test]
async fn a_server_that_stops_answering_costs_writers_nothing_and_the_queue_stays_bounded() {
    let server = RedisServer::start();
    let one = Replica::of(&server).await;
    server.freeze();
    let value = Bytes::from(vec![1; 1 << 20]);
    let began = Instant::now();
    for at in 0..100 {
        one.cache.put(format!("k{at}"), value.clone(), None).await;
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    // Sixteen wait, and the one or two that the worker took.
    assert!(one.stats().dropped >= 100 - 18, "{:?}", one.stats());
    server.thaw();
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_costs_the_first_look_up_one_time_out() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let timeout = Duration::from_millis(200);
    let url = format!("redis://{}", mute.local_addr().unwrap());
    let began = Instant::now();
    let one = Replica::over(config(&url).with_command_timeout(timeout).unwrap());
    assert_eq!(one.get("k").await, None);
    assert!(began.elapsed() >= timeout);
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(one.get("k").await, None);
        one.put("other", b"v").await;
        one.cache.invalidate("other").await;
    }
    assert!(
        began.elapsed() < Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn the_tasks_end_with_the_lifecycle_after_what_is_queued_is_written() {
    let server = RedisServer::start();
    let (one, two) = (Replica::of(&server).await, Replica::of(&server).await);
    for at in 0..100 {
        one.cache
            .put(format!("k{at}"), Bytes::from_static(b"v"), None)
            .await;
    }
    let report = one.lifecycle.shutdown(crate::shared::tests::PATIENCE).await;
    assert!(report.is_clean(), "{report:?}");
    assert!(two.get("k99").await.is_some());
    // And with the cache: nothing keeps a dropped one alive.
    let Replica { cache, lifecycle, .. } = two;
    drop(cache);
    eventually("the writer ends", async || {
        !lifecycle.running().contains(&"shared-cache-writer".to_owned())
    })
    .await;
}
