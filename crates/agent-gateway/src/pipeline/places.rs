//! How many requests are relayed at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The places there are. A request that finds none is refused at once: a queue would only hold its body in memory.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    taken: AtomicUsize,
}

/// One place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Places>);

impl Places {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Places {
            max: max.max(1),
            taken: AtomicUsize::new(0),
        })
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        // Counted first, so that two can't take the last place.
        let place = Place(Arc::clone(self));
        let before = self.taken.fetch_add(1, Relaxed);
        (before < self.max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_come_back() {
        let places = Places::new(2);
        let first = places.take().unwrap();
        let _second = places.take().unwrap();
        for _ in 0..3 {
            assert!(places.take().is_none(), "a refusal takes no place");
        }
        drop(first);
        assert!(places.take().is_some());
    }
}
