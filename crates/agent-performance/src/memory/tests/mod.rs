//! The pool through its public face.

mod sequences;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{
    LARGEST_CLASS, MAX_REQUEST, MemoryPool, PoolConfig, PoolExhausted, PoolStats, PooledBuffer,
    ResourceTracker, SIZE_CLASSES, Zeroing,
};
use crate::clock::Clock;

const KIB: usize = 1024;

#[track_caller]
fn consistent(pool: &MemoryPool) -> PoolStats {
    let stats = pool.get_stats();
    assert_eq!(stats.allocations, stats.cache_hits + stats.cache_misses);
    assert_eq!(stats.held_buffers, stats.allocations - stats.deallocations);
    assert_eq!(stats.total_allocated_bytes, stats.held_bytes + stats.idle_bytes);
    assert!(stats.peak_allocated_bytes >= stats.total_allocated_bytes);
    assert_eq!(stats.held_bytes == 0, stats.held_buffers == 0);
    assert_eq!(stats.idle_bytes == 0, stats.idle_buffers == 0);
    stats
}

fn with_budget(budget: usize) -> MemoryPool {
    MemoryPool::with_config(PoolConfig {
        budget: budget as u64,
        ..PoolConfig::default()
    })
}

#[test]
fn a_buffer_comes_back_and_is_used_again() {
    let pool = MemoryPool::new();
    let mut first = pool.get_buffer(5_000);
    assert!(first.is_empty() && first.capacity() >= 5_000);
    first.put_slice(b"left over");
    let address = first.as_ptr();
    assert_eq!(consistent(&pool).held_bytes, 16 * KIB as u64);
    pool.return_buffer(first);
    let stats = consistent(&pool);
    assert_eq!((stats.held_bytes, stats.idle_bytes), (0, 16 * KIB as u64));
    let again = pool.get_buffer(16 * KIB);
    assert_eq!(again.as_ptr(), address);
    assert!(again.is_empty(), "nothing of its earlier content is seen");
    let stats = consistent(&pool);
    assert_eq!((stats.cache_hits, stats.cache_misses), (1, 1));
    assert!((stats.hit_rate() - 0.5).abs() < f64::EPSILON);
    assert_eq!(stats.peak_allocated_bytes, 16 * KIB as u64);
}

/// What was done to a 4 KiB buffer, and the bytes that are idle after its return.
#[test]
fn what_comes_back_is_kept_only_if_it_is_whole() {
    type Use = fn(&mut PooledBuffer) -> Vec<Bytes>;
    let whole = 4 * KIB as u64;
    let cases: [(&str, Use, Option<u64>); 12] = [
        ("unused", |_| Vec::new(), Some(whole)),
        ("filled", |buffer| fill(buffer, 4 * KIB), Some(whole)),
        (
            "read",
            |buffer| {
                fill(buffer, 4000);
                buffer.advance(3999);
                Vec::new()
            },
            Some(whole),
        ),
        (
            "split and dropped",
            |buffer| {
                fill(buffer, 100);
                drop(buffer.split());
                Vec::new()
            },
            Some(whole),
        ),
        (
            "split, frozen, dropped",
            |buffer| {
                fill(buffer, 100);
                drop(buffer.split().freeze());
                Vec::new()
            },
            Some(whole),
        ),
        (
            "split and kept",
            |buffer| {
                fill(buffer, 100);
                vec![buffer.split().freeze()]
            },
            None,
        ),
        (
            "one byte kept",
            |buffer| {
                fill(buffer, 100);
                vec![buffer.split_to(1).freeze()]
            },
            None,
        ),
        ("tail kept", |buffer| vec![buffer.split_off(4000).freeze()], None),
        (
            "taken",
            |buffer| {
                drop(std::mem::take(&mut **buffer));
                Vec::new()
            },
            None,
        ),
        (
            "exchanged for a small one",
            |buffer| {
                **buffer = BytesMut::with_capacity(10);
                Vec::new()
            },
            None,
        ),
        (
            "outgrew all classes",
            |buffer| {
                buffer.reserve(LARGEST_CLASS + 1);
                Vec::new()
            },
            None,
        ),
        (
            "grown, then split and kept",
            |buffer| {
                fill(buffer, 20 * KIB);
                vec![buffer.split_to(10).freeze()]
            },
            None,
        ),
    ];
    for (name, used, expected) in cases {
        let pool = MemoryPool::new();
        let mut buffer = pool.get_buffer(4 * KIB);
        let kept = used(&mut buffer);
        drop(buffer);
        let stats = consistent(&pool);
        assert_eq!(stats.idle_bytes, expected.unwrap_or(0), "{name}");
        assert_eq!(stats.discarded, u64::from(expected.is_none()), "{name}");
        let mut next = pool.get_buffer(4 * KIB);
        assert!(next.is_empty() && next.capacity() >= 4 * KIB, "{name}");
        fill(&mut next, 4 * KIB);
        assert!(
            kept.iter().all(|bytes| bytes.iter().all(|byte| *byte == b'x')),
            "{name}"
        );
    }
}

fn fill(buffer: &mut BytesMut, length: usize) -> Vec<Bytes> {
    buffer.put_bytes(b'x', length);
    Vec::new()
}

#[test]
fn a_grown_buffer_is_filed_where_its_capacity_serves() {
    let pool = MemoryPool::new();
    let mut buffer = pool.get_buffer(KIB);
    fill(&mut buffer, 17 * KIB);
    buffer.advance(KIB);
    drop(buffer);
    let idle = consistent(&pool).idle_bytes;
    assert!(idle >= 17 * KIB as u64, "all of its memory is counted, {idle}");
    let again = pool.get_buffer(16 * KIB);
    assert_eq!(consistent(&pool).cache_hits, 1);
    assert!(again.capacity() >= 16 * KIB);
    assert_eq!(consistent(&pool).held_bytes, idle);
}

#[test]
fn bad_sizes_neither_panic_nor_allocate() {
    let pool = MemoryPool::new();
    assert!(pool.get_buffer(0).capacity() >= SIZE_CLASSES[0]);
    for size in [MAX_REQUEST + 1, usize::MAX / 2, usize::MAX - 1, usize::MAX] {
        let mut buffer = pool.get_buffer(size);
        assert_eq!(buffer.capacity(), 0, "nothing is set aside");
        buffer.put_slice(b"grows");
        assert_eq!(buffer.freeze(), "grows");
        let refused = pool.try_get_buffer(size).expect_err("far beyond the budget");
        assert_eq!(refused.asked, size);
    }
    consistent(&pool);
}

#[test]
fn what_is_larger_than_every_class_is_served_and_not_kept() {
    let pool = MemoryPool::new();
    let large = pool.get_buffer(LARGEST_CLASS + 1);
    assert_eq!(large.capacity(), 2 * LARGEST_CLASS);
    assert_eq!(consistent(&pool).held_bytes, 2 * LARGEST_CLASS as u64);
    drop(large);
    assert_eq!(consistent(&pool).total_allocated_bytes, 0);
}

#[test]
fn the_budget_holds_idle_buffers_make_room_and_refusals_say_why() {
    let pool = with_budget(10 * KIB);
    drop([pool.get_buffer(KIB), pool.get_buffer(KIB)]);
    let held = [
        pool.try_get_buffer(4 * KIB).expect("fits"),
        pool.try_get_buffer(4 * KIB).expect("fits"),
    ];
    assert_eq!(consistent(&pool).total_allocated_bytes, 10 * KIB as u64);
    let refused = pool.try_get_buffer(4 * KIB).expect_err("8 of 10 KiB are held");
    let expected = PoolExhausted {
        asked: 4 * KIB,
        held: 8 * KIB as u64,
        budget: 10 * KIB as u64,
    };
    assert_eq!(refused, expected);
    assert!(refused.to_string().contains("4096") && refused.to_string().contains("8192"));
    // The other form serves all the same, and tells.
    drop(pool.get_buffer(4 * KIB));
    let stats = consistent(&pool);
    assert_eq!((stats.refused, stats.over_budget), (1, 1));
    drop(held);
    assert!(consistent(&pool).total_allocated_bytes <= 10 * KIB as u64);
    assert!(pool.try_get_buffer(11 * KIB).is_err());
}

#[test]
fn each_class_keeps_a_limited_number() {
    let pool = MemoryPool::with_config(PoolConfig {
        max_buffers_per_class: 3,
        ..PoolConfig::default()
    });
    drop((0..10).map(|_| pool.get_buffer(KIB)).collect::<Vec<_>>());
    let stats = consistent(&pool);
    assert_eq!((stats.idle_buffers, stats.discarded), (3, 7));
    assert_eq!(stats.total_allocated_bytes, 3 * KIB as u64);
}

#[test]
fn only_what_lay_idle_long_enough_is_trimmed() {
    let (clock, time) = Clock::simulated();
    let pool = MemoryPool::with_config(PoolConfig {
        clock,
        ..PoolConfig::default()
    });
    let minute = Duration::from_secs(60);
    let (old, young) = (pool.get_buffer(KIB), pool.get_buffer(KIB));
    let held = pool.get_buffer(LARGEST_CLASS);
    drop(old);
    time.advance(minute / 2);
    drop(young);
    time.advance(minute / 2 - Duration::from_millis(1));
    assert_eq!(pool.trim().buffers, 0);
    time.advance(Duration::from_millis(1));
    let freed = pool.trim();
    assert_eq!((freed.buffers, freed.bytes), (1, KIB as u64));
    assert_eq!(consistent(&pool).idle_buffers, 1);
    time.advance(minute);
    // What is in use again is not idle, and the rest goes.
    drop(pool.get_buffer(KIB));
    assert_eq!(pool.trim().buffers, 0);
    assert_eq!(pool.cleanup().buffers, 1);
    let stats = consistent(&pool);
    assert_eq!((stats.held_bytes, stats.idle_bytes), (LARGEST_CLASS as u64, 0));
    drop(held);
    assert_eq!(stats.trimmed, 2);
}

#[test]
fn shrinking_stops_at_the_limit() {
    let pool = MemoryPool::new();
    drop(
        (0..10)
            .map(|_| pool.get_buffer(4 * KIB))
            .chain([pool.get_buffer(64 * KIB)])
            .collect::<Vec<_>>(),
    );
    assert_eq!(pool.shrink_to(20 * KIB as u64).buffers, 1 + 5);
    assert_eq!(consistent(&pool).idle_bytes, 20 * KIB as u64);
    assert_eq!(pool.shrink_to(u64::MAX).buffers, 0);
}

/// What lies in memory, whoever owns it: idle buffers show nothing to safe code.
#[cfg(target_os = "linux")]
fn memory_at(address: usize, length: usize) -> Vec<u8> {
    use std::os::unix::fs::FileExt as _;
    let memory = std::fs::File::open("/proc/self/mem").expect("our own");
    let mut bytes = vec![1; length];
    memory.read_exact_at(&mut bytes, address as u64).expect("mapped");
    bytes
}

#[test]
#[cfg(target_os = "linux")]
fn secrets_are_overwritten_when_they_come_back() {
    let secret = |zeroing, marked: bool| {
        let pool = MemoryPool::with_config(PoolConfig {
            zeroing,
            ..PoolConfig::default()
        });
        let mut buffer = pool.get_buffer(KIB);
        let address = buffer.as_ptr().addr();
        if marked {
            buffer.mark_secret();
        }
        buffer.put_bytes(b'S', KIB);
        buffer.advance(1000);
        drop(buffer);
        assert_eq!(consistent(&pool).idle_buffers, 1);
        memory_at(address, KIB)
    };
    assert_eq!(secret(Zeroing::MarkedSecret, true), [0; KIB]);
    assert_eq!(secret(Zeroing::Always, false), [0; KIB]);
    assert_eq!(
        secret(Zeroing::MarkedSecret, false),
        [b'S'; KIB],
        "and others cost nothing"
    );
}

#[test]
fn frozen_content_comes_back_with_the_last_of_its_readers() {
    let pool = MemoryPool::new();
    let mut buffer = pool.get_buffer(KIB);
    buffer.put_slice(b"hello, reader");
    let all = buffer.freeze();
    let part = all.slice(7..);
    drop(all);
    assert_eq!(consistent(&pool).held_buffers, 1);
    assert_eq!(part, "reader");
    drop(part);
    assert_eq!(consistent(&pool).idle_buffers, 1);
}

#[test]
fn a_buffer_that_leaves_is_forgotten_and_one_of_another_pool_goes_home() {
    let (ours, theirs) = (MemoryPool::new(), MemoryPool::new());
    let kept = ours.get_buffer(KIB).into_inner();
    assert!(kept.capacity() >= KIB);
    assert_eq!(consistent(&ours).total_allocated_bytes, 0);
    ours.return_buffer(theirs.get_buffer(KIB));
    assert_eq!(
        (consistent(&ours).idle_buffers, consistent(&theirs).idle_buffers),
        (0, 1)
    );
    let survivor = theirs.get_buffer(KIB);
    drop(theirs);
    drop(survivor);
}

#[test]
fn a_panic_returns_what_it_held() {
    let pool = MemoryPool::new();
    let inner = pool.clone();
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(move || {
        let _held = inner.get_buffer(KIB);
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(consistent(&pool).idle_buffers, 1);
}

#[test]
fn a_buffer_never_returned_is_named_by_the_tracker() {
    let (clock, time) = Clock::simulated();
    let tracker = ResourceTracker::with_config(super::TrackerConfig {
        clock,
        ..super::TrackerConfig::default()
    });
    let pool = MemoryPool::with_config(PoolConfig {
        tracker: Some(tracker.clone()),
        ..PoolConfig::default()
    });
    let minute = Duration::from_secs(60);
    let mut leaked = pool.get_buffer(4 * KIB);
    for _ in 0..10 {
        time.advance(minute);
        leaked.put_u8(1);
        drop(pool.get_buffer(KIB));
        assert_eq!(tracker.detect_leaks(minute), []);
    }
    time.advance(2 * minute);
    let suspects = tracker.detect_leaks(minute);
    assert_eq!(suspects.len(), 1);
    assert_eq!(
        (suspects[0].resource_type.as_str(), suspects[0].live_bytes),
        ("pooled_buffers", 4 * KIB as u64)
    );
    drop(leaked);
    assert_eq!(tracker.detect_leaks(minute), []);
}
