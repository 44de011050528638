//! The pool's accounts under every order of events that a scheduler can think of: the same source, compiled
//! against shuttle's locks and atomics.

mod sync {
    pub(super) use shuttle::sync::MutexGuard;
    pub(super) use shuttle::sync::atomic::{AtomicU64, Ordering};

    /// With the face of the lock that the product uses.
    pub(super) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(super) fn new(value: T) -> Self {
            Mutex(shuttle::sync::Mutex::new(value))
        }

        pub(super) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("not poisoned")
        }
    }
}

#[path = "shelves.rs"]
#[expect(
    clippy::duplicate_mod,
    reason = "the same source against other locks is the point"
)]
mod shelves;

use shelves::{Return, Shelves};
use shuttle::sync::Arc;
use shuttle::thread;

const KIB: u64 = 1024;
const SCHEDULES: usize = 3_000;

fn check(shelves: &Shelves<u64>) {
    let counts = shelves.snapshot();
    let (sum, peak) = (counts.counts.held_bytes + counts.counts.idle_bytes, counts.peak);
    assert!(peak >= sum, "a peak of {peak} with {sum} allocated");
    assert!(sum <= shelves.budget(), "{sum} is over the budget");
    let counts = counts.counts;
    assert_eq!(counts.hits + counts.misses - counts.returned, counts.held);
}

/// Takes, exchanges and gives back; the item stands for a buffer of so many bytes, `becomes` for what it is in the
/// end.
fn call(shelves: &Shelves<u64>, shelf: usize, becomes: u64) {
    let taken = match shelves.take(shelf) {
        Some((item, bytes)) => {
            assert_eq!(item, bytes);
            bytes
        }
        None if shelves.try_admit(shelf, KIB << (2 * shelf)) => KIB << (2 * shelf),
        None => return,
    };
    check(shelves);
    let back = Return {
        item: becomes,
        shelf: usize::from(becomes >= 4 * KIB),
        bytes: becomes,
        now: 0,
    };
    let _not_kept = shelves.give_back(shelf, taken, Some(back));
}

#[test]
fn the_budget_and_the_books_hold_in_every_order() {
    let body = || {
        let shelves = Arc::new(Shelves::<u64>::new(1, 6 * KIB));
        let start = |work: fn(&Shelves<u64>)| {
            let shelves = Arc::clone(&shelves);
            thread::spawn(move || work(&shelves))
        };
        let threads = [
            start(|shelves| {
                call(shelves, 0, KIB);
                call(shelves, 0, 5 * KIB);
            }),
            start(|shelves| {
                call(shelves, 1, 2 * KIB);
                call(shelves, 1, 4 * KIB);
            }),
            start(|shelves| {
                check(shelves);
                drop(shelves.take_idle_beyond(KIB));
                drop(shelves.take_idle_since(0));
                check(shelves);
            }),
        ];
        for thread in threads {
            thread.join().expect("no panic");
        }
        check(&shelves);
        drop(shelves.take_idle_beyond(0));
        let end = shelves.snapshot();
        assert_eq!((end.counts.held, end.counts.idle_bytes), (0, 0));
        // All of the budget is free again, or this would be refused.
        assert!(shelves.try_admit(1, 6 * KIB));
        assert!(shelves.give_back(1, 6 * KIB, None).is_none());
        assert_eq!(shelves.snapshot().over_budget, 0);
    };
    shuttle::check_random(body, SCHEDULES);
    shuttle::check_pct(body, SCHEDULES, 3);
}

#[test]
fn going_over_the_budget_is_counted_and_made_good() {
    shuttle::check_random(
        || {
            let shelves = Arc::new(Shelves::<u64>::new(1, KIB));
            let other = Arc::clone(&shelves);
            let thread = thread::spawn(move || {
                other.admit(0, KIB);
                assert!(other.give_back(0, KIB, None).is_none());
            });
            shelves.admit(0, KIB);
            assert!(shelves.give_back(0, KIB, None).is_none());
            thread.join().expect("no panic");
            let end = shelves.snapshot();
            assert!(end.over_budget <= 1 && end.peak <= 2 * KIB);
            assert_eq!((end.counts.misses, end.counts.discarded, end.refused), (2, 2, 0));
            assert!(shelves.try_admit(0, KIB));
        },
        SCHEDULES,
    );
}
