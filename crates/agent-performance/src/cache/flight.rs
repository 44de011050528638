//! One fetch for all who ask for the same at the same time.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Callers that may wait for one fetch. Each holds its own request's memory; more than this at once is a flood.
pub(super) const MAX_WAITERS: usize = 1024;

/// How long a caller waits for another's fetch. As long as the longest answer may take; the fetch's own limits are
/// expected to end it sooner.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(600);

/// [`get_or_fetch`](super::ResponseCache::get_or_fetch) brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError<E> {
    /// The fetch failed: this caller's own, or the one that it waited for.
    #[error(transparent)]
    Fetch(E),
    /// Too many callers wait for this same answer already.
    #[error("{limit} requests wait for this same answer already; send this one again later")]
    Crowded {
        /// How many may wait.
        limit: usize,
    },
    /// The fetch that this caller waited for took too long.
    #[error("another request for the same answer got none within {} s", after.as_secs())]
    WaitedTooLong {
        /// How long was waited.
        after: Duration,
    },
}

/// What a fetch ended with. The error is of the fetching caller's type, which the waiting one hopes to share.
pub(super) type Outcome = Result<Bytes, Arc<dyn Any + Send + Sync>>;

/// The fetches under way. As many as there are callers in `get_or_fetch`, which is what bounds them.
#[derive(Default)]
pub(super) struct Flights {
    by_key: Mutex<HashMap<Arc<str>, Arc<Flight>>>,
}

struct Flight {
    outcome: watch::Receiver<Option<Outcome>>,
    waiting: AtomicUsize,
}

/// A caller's part in a flight.
pub(super) enum Part<'a> {
    Lead(Leader<'a>),
    Wait(Waiter),
    Crowded,
}

impl Flights {
    /// The first to come leads.
    pub(super) fn join(&self, key: &str) -> Part<'_> {
        let mut by_key = self.by_key.lock();
        let Some(flight) = by_key.get(key) else {
            return Part::Lead(self.lead_in(&mut by_key, key));
        };
        if flight.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITERS {
            flight.waiting.fetch_sub(1, Ordering::Relaxed);
            return Part::Crowded;
        }
        Part::Wait(Waiter(Arc::clone(flight)))
    }

    /// Leads even where a flight is under way. The older one still serves those who wait for it, and stores nothing.
    pub(super) fn lead(&self, key: &str) -> Leader<'_> {
        self.lead_in(&mut self.by_key.lock(), key)
    }

    /// Runs `change`, after which nothing that was asked for earlier is stored under `key`.
    pub(super) fn overtake<T>(&self, key: &str, change: impl FnOnce() -> T) -> T {
        let mut by_key = self.by_key.lock();
        by_key.remove(key);
        change()
    }

    /// The same for all keys.
    pub(super) fn overtake_all<T>(&self, change: impl FnOnce() -> T) -> T {
        let mut by_key = self.by_key.lock();
        by_key.clear();
        change()
    }

    #[cfg(test)]
    pub(super) fn waiting(&self, key: &str) -> usize {
        let by_key = self.by_key.lock();
        by_key
            .get(key)
            .map_or(0, |flight| flight.waiting.load(Ordering::Relaxed))
    }

    fn lead_in(&self, by_key: &mut HashMap<Arc<str>, Arc<Flight>>, key: &str) -> Leader<'_> {
        let (sender, outcome) = watch::channel(None);
        let flight = Arc::new(Flight {
            outcome,
            waiting: AtomicUsize::new(0),
        });
        let key: Arc<str> = Arc::from(key);
        by_key.insert(Arc::clone(&key), Arc::clone(&flight));
        Leader {
            flights: self,
            key,
            flight,
            sender,
        }
    }
}

/// The one that fetches. Dropped before it lands, it leaves the lead to one of those who wait.
pub(super) struct Leader<'a> {
    flights: &'a Flights,
    key: Arc<str>,
    flight: Arc<Flight>,
    sender: watch::Sender<Option<Outcome>>,
}

impl Leader<'_> {
    /// Tells those who wait. `store` runs only if nothing has overtaken this flight, and before anyone can ask again.
    pub(super) fn land(self, outcome: Outcome, store: impl FnOnce()) {
        {
            let mut by_key = self.flights.by_key.lock();
            if self.is_current(&by_key) {
                store();
                by_key.remove(&self.key);
            }
        }
        self.sender.send_replace(Some(outcome));
    }

    fn is_current(&self, by_key: &HashMap<Arc<str>, Arc<Flight>>) -> bool {
        by_key
            .get(&self.key)
            .is_some_and(|current| Arc::ptr_eq(current, &self.flight))
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        let mut by_key = self.flights.by_key.lock();
        if self.is_current(&by_key) {
            by_key.remove(&self.key);
        }
    }
}

/// One that waits for the leader.
pub(super) struct Waiter(Arc<Flight>);

impl Waiter {
    /// `None` when the leader gave up without an outcome.
    pub(super) async fn outcome(&self) -> Option<Outcome> {
        let mut outcome = self.0.outcome.clone();
        let landed = outcome.wait_for(Option::is_some).await;
        landed.ok().and_then(|landed| landed.clone())
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
