use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::{cache, check_balance};
use crate::cache::{FetchError, Fetched, RequestCaching};

/// Two threads on every public operation, while the test looks at the figures: they add up at each moment.
#[test]
fn figures_are_true_while_two_threads_hammer() {
    let cache = cache(64, 64 * 40);
    let (done, lookups) = (AtomicBool::new(false), AtomicU64::new(0));
    let work = |seed: u64| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            for n in 0..20_000u64 {
                let random = (n ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
                let key = (random % 200).to_string();
                let value = || Bytes::from(format!("{key} {n}"));
                match random % 101 {
                    0 => cache.invalidate(&key).await,
                    1 => assert!(cache.halve() <= 64 * 40),
                    2 => assert_eq!(cache.cleanup_expired(), 0),
                    3 => cache.put(key.clone(), value(), Some(Duration::ZERO)).await,
                    4 if n % 50 == 0 => cache.clear().await,
                    5..30 => cache.put(key.clone(), value(), None).await,
                    // Those that meet share their outcome, the failures too.
                    30..55 => {
                        let fetch = || async {
                            match random % 101 {
                                50.. => Err("broken".to_owned()),
                                _ => Ok(Fetched::Keep {
                                    value: value(),
                                    ttl: None,
                                }),
                            }
                        };
                        match cache.get_or_fetch(&key, RequestCaching::Use, fetch).await {
                            Ok(found) => assert!(found.value.starts_with(key.as_bytes())),
                            Err(error) => assert_eq!(error, FetchError::Fetch("broken".to_owned())),
                        }
                        lookups.fetch_add(1, Ordering::SeqCst);
                    }
                    _ => {
                        if let Some(value) = cache.get(&key).await {
                            assert!(value.starts_with(key.as_bytes()), "another key's value");
                        }
                        lookups.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        });
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let stats = cache.get_stats();
                check_balance(&stats);
                assert!(stats.entries <= 64 && stats.bytes <= 64 * 40, "{stats:?}");
            }
        });
        let workers = [scope.spawn(|| work(1)), scope.spawn(|| work(77))];
        let ended = workers.map(|worker| worker.join());
        done.store(true, Ordering::SeqCst);
        assert!(ended.iter().all(Result::is_ok));
    });
    let stats = cache.get_stats();
    assert_eq!(stats.hits + stats.misses, lookups.load(Ordering::SeqCst));
    assert!(
        stats.hits > 0 && stats.evictions > 0 && stats.replacements > 0,
        "{stats:?}"
    );
}
