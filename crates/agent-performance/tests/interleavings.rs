//! The collector's storage under a scheduler that tries thousands of interleavings of its threads.
//!
//! The storage is compiled here once more, with the scheduler's lock and atomics in the place of the real ones. Waiting in a
//! circle or a lost sample shows as a failed schedule, which the scheduler then prints for repeating.

#![expect(
    dead_code,
    reason = "the storage is compiled whole; not all of it is called here"
)]

mod sync {
    pub(crate) use shuttle::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use shuttle::thread::yield_now;

    #[derive(Debug)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> shuttle::sync::MutexGuard<'_, T> {
            self.0.lock().expect("nobody panics while holding it")
        }

        pub(crate) fn try_lock(&self) -> Option<shuttle::sync::MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }
}

mod types {
    pub(crate) use agent_performance::metrics::MetricStatistics;
}

#[path = "../src/metrics/archive.rs"]
mod archive;
#[path = "../src/metrics/gather.rs"]
mod gather;
#[path = "../src/metrics/raw.rs"]
mod raw;
#[path = "../src/metrics/samples.rs"]
mod samples;
#[path = "../src/metrics/sketch.rs"]
mod sketch;
#[path = "../src/metrics/small_counts.rs"]
mod small_counts;
#[path = "../src/metrics/window.rs"]
mod window;

use std::sync::Arc;

use archive::Limits;
use gather::Gathered;
use raw::Sample;
use samples::{Samples, Totals};
use small_counts::SmallCounts;

/// Interleavings tried of each scenario.
const SCHEDULES: usize = 400;

/// So many samples of a thread fill its batch and hand it on, with some left.
const EACH: usize = 40;

fn samples() -> Arc<Samples> {
    Arc::new(Samples::new(Limits {
        retention: 1_000_000,
        raw_samples: 1_000,
        bounds: &[],
    }))
}

fn gathered(samples: &Samples, small: Option<&SmallCounts>) -> Gathered {
    let mut found = Gathered::new();
    samples.gather(10, small, &mut found);
    found
}

#[test]
fn samples_are_neither_lost_nor_doubled_while_they_are_read() {
    shuttle::check_random(
        || {
            let samples = samples();
            let recorders: Vec<_> = (0..2)
                .map(|_| {
                    let samples = Arc::clone(&samples);
                    // Both on one stripe: they meet as often as they can.
                    shuttle::thread::spawn(move || {
                        for n in 0..EACH {
                            let value = n as f64;
                            samples.record(0, Sample { value, at: 5 });
                        }
                    })
                })
                .collect();
            let mut before = 0;
            for _ in 0..3 {
                let found = gathered(&samples, None);
                assert_eq!(found.values.len() as u64, found.figures.count);
                assert!(found.figures.count >= before, "samples disappeared");
                before = found.figures.count;
            }
            for recorder in recorders {
                recorder.join().expect("it did not panic");
            }
            let found = gathered(&samples, None);
            assert_eq!(found.figures.count, 2 * EACH as u64);
            assert_eq!(found.figures.sum, (EACH * (EACH - 1)) as f64);
        },
        SCHEDULES,
    );
}

#[test]
fn small_increments_are_looked_at_once_by_readers_that_meet() {
    shuttle::check_random(
        || {
            let (samples, small) = (samples(), Arc::new(SmallCounts::default()));
            let mut threads = Vec::new();
            for shard in 0..2 {
                let small = Arc::clone(&small);
                threads.push(shuttle::thread::spawn(move || {
                    (0..10).for_each(|_| small.add(shard, 3));
                }));
            }
            for _ in 0..2 {
                let (samples, small) = (Arc::clone(&samples), Arc::clone(&small));
                threads.push(shuttle::thread::spawn(move || {
                    let before = gathered(&samples, Some(&small)).figures.count;
                    samples.maintain(10, Some(&small));
                    assert!(gathered(&samples, Some(&small)).figures.count >= before);
                }));
            }
            for thread in threads {
                thread.join().expect("it did not panic");
            }
            let found = gathered(&samples, Some(&small)).figures;
            assert_eq!((found.count, found.sum), (20, 60.0));
            let mut totals = Totals::new();
            samples.totals_into(10, Some(&small), &mut totals);
            assert_eq!(totals.figures.count, 20);
        },
        SCHEDULES,
    );
}
