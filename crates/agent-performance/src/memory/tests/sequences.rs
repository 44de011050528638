//! Many operations in any order, alone and by two threads at once: the books agree at every moment.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes};
use proptest::prelude::*;

use super::super::{LARGEST_CLASS, MAX_REQUEST, MemoryPool, PoolConfig, PooledBuffer};
use super::{KIB, consistent, with_budget};

#[derive(Clone, Debug)]
enum Step {
    Get(usize),
    TryGet(usize),
    Grow(usize, usize),
    Split(usize),
    Return(usize),
    Forget(usize),
    Trim,
    Shrink(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![
        0..70_000_usize,
        Just(LARGEST_CLASS),
        Just(LARGEST_CLASS + 1),
        Just(usize::MAX)
    ];
    prop_oneof![
        4 => size.clone().prop_map(Step::Get),
        2 => size.prop_map(Step::TryGet),
        2 => (any::<usize>(), 0..100_000_usize).prop_map(|(which, by)| Step::Grow(which, by)),
        1 => any::<usize>().prop_map(Step::Split),
        5 => any::<usize>().prop_map(Step::Return),
        1 => any::<usize>().prop_map(Step::Forget),
        1 => Just(Step::Trim),
        1 => (0..2_000_000_u64).prop_map(Step::Shrink),
    ]
}

proptest! {
    #[test]
    fn the_books_agree_with_a_plain_account(steps in proptest::collection::vec(step(), 1..200)) {
        let pool = with_budget(3 * LARGEST_CLASS);
        let mut held: Vec<(PooledBuffer, u64)> = Vec::new();
        let mut split: Vec<Bytes> = Vec::new();
        for step in steps {
            let count = held.len().max(1);
            match step {
                Step::Get(size) | Step::TryGet(size) => {
                    let buffer = match step {
                        Step::Get(_) => Some(pool.get_buffer(size)),
                        _ => pool.try_get_buffer(size).ok(),
                    };
                    if let Some(buffer) = buffer && size <= MAX_REQUEST {
                        prop_assert!(buffer.is_empty() && buffer.capacity() >= size);
                        let bytes = buffer.capacity() as u64;
                        held.push((buffer, bytes));
                    }
                }
                Step::Grow(which, by) => if let Some((buffer, _)) = held.get_mut(which % count) { buffer.put_bytes(1, by) },
                Step::Split(which) => if let Some((buffer, _)) = held.get_mut(which % count) { split.push(buffer.split().freeze()) },
                Step::Return(which) => if !held.is_empty() { drop(held.swap_remove(which % count)) },
                Step::Forget(which) => if !held.is_empty() { drop(held.swap_remove(which % count).0.into_inner()) },
                Step::Trim => { let _freed = pool.trim(); }
                Step::Shrink(bytes) => {
                    let _freed = pool.shrink_to(bytes);
                    prop_assert!(pool.get_stats().idle_bytes <= bytes);
                }
            }
            let stats = consistent(&pool);
            prop_assert_eq!(stats.held_buffers, held.len() as u64);
            prop_assert_eq!(stats.held_bytes, held.iter().map(|(_, bytes)| bytes).sum::<u64>());
        }
        drop((held, split));
        let _freed = pool.cleanup();
        prop_assert_eq!(consistent(&pool).total_allocated_bytes, 0);
    }
}

#[test]
fn two_threads_and_a_reader_never_see_books_that_disagree() {
    let pool = MemoryPool::with_config(PoolConfig {
        budget: 300 * KIB as u64,
        max_buffers_per_class: 4,
        max_idle_time: Duration::ZERO,
        ..PoolConfig::default()
    });
    let done = AtomicBool::new(false);
    let worker = |seed: usize| {
        let mut held = Vec::new();
        for n in 0..20_000_usize {
            let pick = (n * 7919 + seed * 104_729) % 97;
            match pick {
                0..50 => held.extend(pool.try_get_buffer(pick * 700).ok()),
                50..55 => held.push(pool.get_buffer(pick)),
                55..65 => {
                    if let Some(buffer) = held.last_mut() {
                        buffer.put_bytes(1, pick * 50)
                    }
                }
                65 => drop(pool.cleanup()),
                66 => drop(pool.trim()),
                67 => drop(pool.shrink_to(10_000)),
                68..72 => drop(held.pop().map(PooledBuffer::freeze)),
                72 => drop(held.pop().map(PooledBuffer::into_inner)),
                _ => {
                    if let Some(buffer) = held.pop() {
                        pool.return_buffer(buffer)
                    }
                }
            }
            if held.len() > 30 {
                held.clear()
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(|| worker(1)), scope.spawn(|| worker(2))];
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                consistent(&pool);
            }
        });
        for thread in threads {
            thread.join().expect("no panic");
        }
        done.store(true, Ordering::Relaxed);
        reader.join().expect("books that agree");
    });
    let stats = consistent(&pool);
    assert_eq!(stats.held_buffers, 0);
    assert!(
        stats.cache_hits > 0 && stats.refused > 0 && stats.trimmed > 0 && stats.discarded > 0,
        "{stats:?}"
    );
    let _freed = pool.cleanup();
    assert_eq!(consistent(&pool).total_allocated_bytes, 0);
}
