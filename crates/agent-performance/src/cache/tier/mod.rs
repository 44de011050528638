//! The second tier: what replicas share of a cache, through a [`Shared`] store.
//!
//! Reading is the only thing that a request waits for, within the store's own time-out, and after the memory. Writing and
//! removing happen behind it ([`worker`]). Removals are numbered and published, so that each replica drops what it has in
//! memory, and knows when it has missed one ([`listener`]).
//!
//! Everything here may fail, and then this replica goes on from its memory.

mod envelope;
mod listener;
mod metrics;
mod worker;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::inner::Inner;
use crate::metrics::MetricsCollector;
use crate::shared::{Shared, SharedError, convert, millis};
use metrics::TierMetrics;
use worker::{Task, Worker};

/// Largest value that is shared; larger ones stay in the memory of the replica that fetched them. Commands follow each
/// other on one connection: ten of these at once take a gigabit link a third of a command's default time-out.
const MAX_VALUE: usize = 1 << 20;

/// Longest key that is shared. A [`CacheKey`](super::CacheKey) has 64 bytes.
const MAX_KEY: usize = 512;

/// Tasks that wait for the worker, each some microseconds of a server's time.
const MAX_WAITING: usize = 1024;

/// Bytes of values that wait for the worker: a second or so of a busy gigabit link would be eight times this.
const MAX_WAITING_BYTES: usize = 16 << 20;

/// Counts all removals ever published. Outside of the entries' own names.
const SEQUENCE: &str = "cache-sequence";

/// Not known, or not known any more.
const UNKNOWN: u64 = u64::MAX;

pub(super) struct Tier {
    shared: Shared,
    queue: mpsc::Sender<Task>,
    /// Bytes of the values in the queue.
    waiting_bytes: AtomicUsize,
    /// Removals that are not done. Until then nothing is read: it might be what is to be removed.
    owed: AtomicUsize,
    /// A removal found the queue full: now everything goes.
    clear_owed: AtomicBool,
    /// The last removal that the memory has seen.
    sequence: AtomicU64,
    metrics: TierMetrics,
}

/// Figures of the part of a cache that replicas share, as this replica saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SharedCacheStats {
    /// Look-ups that the memory missed and the shared store answered.
    pub hits: u64,
    /// Look-ups that neither answered.
    pub misses: u64,
    /// Values under the cache's keys that no replica of this version stored: misses.
    pub foreign: u64,
    /// Values stored for all.
    pub written: u64,
    /// Values kept by this replica alone: too large, too many waiting, overtaken by a removal, or the store was down.
    pub dropped: u64,
    /// Removals that came from replicas, this one included, or were missed and made up for.
    pub invalidations: u64,
}

pub(super) struct SharedEntry {
    pub(super) value: Bytes,
    pub(super) age: Duration,
    pub(super) left: Duration,
}

impl Tier {
    /// Starts the two tasks, which end with the store's lifecycle or with the cache.
    pub(super) fn start(
        shared: Shared,
        cache: Weak<Inner>,
        collector: Option<&MetricsCollector>,
    ) -> Arc<Self> {
        let (queue, tasks) = mpsc::channel(MAX_WAITING);
        let tier = Arc::new(Tier {
            queue,
            waiting_bytes: AtomicUsize::new(0),
            owed: AtomicUsize::new(0),
            clear_owed: AtomicBool::new(false),
            sequence: AtomicU64::new(UNKNOWN),
            metrics: TierMetrics::new(collector),
            shared: shared.clone(),
        });
        let lifecycle = shared.lifecycle();
        let token = lifecycle.token();
        let worker = Worker::new(Arc::downgrade(&tier), shared.clone(), tasks, cache.clone());
        let _worker = lifecycle.spawn("shared-cache-writer", worker.run(token.clone()));
        let listen = listener::listen(shared.events(), Arc::downgrade(&tier), cache, token);
        let _listener = lifecycle.spawn("shared-cache-listener", listen);
        tier
    }

    pub(super) fn stats(&self) -> SharedCacheStats {
        self.metrics.stats()
    }

    /// What is shared under `key`.
    pub(super) async fn get(&self, key: &str) -> Option<SharedEntry> {
        if key.len() > MAX_KEY {
            return None;
        }
        let found = if self.owed.load(Ordering::Acquire) == 0 {
            self.read(key).await
        } else {
            None
        };
        self.metrics.looked_up(found.is_some());
        found
    }

    async fn read(&self, key: &str) -> Option<SharedEntry> {
        let name = self.entry(key);
        let mut look = redis::pipe();
        // One byte more than may be, so that what is too long shows; the server sends no more than that.
        look.cmd("GETRANGE")
            .arg(&name)
            .arg(0)
            .arg(envelope::HEADER + MAX_VALUE)
            .cmd("PTTL")
            .arg(&name);
        let answer = self
            .shared
            .run(async |mut connection| look.query_async(&mut connection).await)
            .await;
        let (bytes, left): (Vec<u8>, i64) = match answer.and_then(convert) {
            Ok(found) => found,
            Err(error) => {
                if matches!(&error, SharedError::Refused(why) if why.contains("WRONGTYPE")) {
                    self.metrics.foreign();
                }
                return None;
            }
        };
        if bytes.is_empty() {
            return None;
        }
        let opened = envelope::open(key, Bytes::from(bytes), left);
        if opened.is_none() {
            self.metrics.foreign();
        }
        opened
    }

    /// Leaves `value` to the worker. Never waits.
    pub(super) fn put(&self, key: &str, value: &Bytes, ttl: Duration) {
        let sequence = self.sequence.load(Ordering::Acquire);
        let fits = key.len() <= MAX_KEY && value.len() <= MAX_VALUE;
        if !fits || sequence == UNKNOWN || !self.shared.is_up() || !self.reserve(value.len()) {
            self.metrics.dropped();
            return;
        }
        let task = Task::Put {
            key: key.to_owned(),
            value: value.clone(),
            ttl,
            stored: Instant::now(),
            sequence,
        };
        if self.queue.try_send(task).is_err() {
            self.release(value.len());
            self.metrics.dropped();
        }
    }

    /// Leaves the removal of `key`, or of everything, to the worker. Never waits; [`settled`](Self::settled) does.
    pub(super) fn remove(&self, key: Option<&str>) -> Option<oneshot::Receiver<()>> {
        if key.is_some_and(|key| key.len() > MAX_KEY) {
            return None;
        }
        self.owed.fetch_add(1, Ordering::AcqRel);
        let (done, settled) = oneshot::channel();
        let key = key.map(str::to_owned);
        if self.queue.try_send(Task::Remove { key, done }).is_err() {
            // Counted once, however often it happens before the worker comes to it.
            if self.clear_owed.swap(true, Ordering::AcqRel) {
                self.owed.fetch_sub(1, Ordering::AcqRel);
            }
        }
        Some(settled)
    }

    /// Waits for a removal as long as for a command; not at all while the store is down.
    pub(super) async fn settled(&self, removal: Option<oneshot::Receiver<()>>) {
        if let Some(removal) = removal
            && self.shared.is_up()
        {
            // Late or never: the worker goes on trying, and nothing is read meanwhile.
            let _settled = timeout(self.shared.command_timeout(), removal).await;
        }
    }

    fn entry(&self, key: &str) -> String {
        self.shared.key(&format!("cache:{key}"))
    }

    fn reserve(&self, bytes: usize) -> bool {
        let room = |waiting: usize| {
            let with = waiting + bytes;
            (with <= MAX_WAITING_BYTES).then_some(with)
        };
        self.waiting_bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, room)
            .is_ok()
    }

    fn release(&self, bytes: usize) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// The server counted up to `sequence`; `exact` if nothing before it was missed.
    fn seen(&self, sequence: u64) {
        self.sequence.store(sequence, Ordering::Release);
    }
}

/// Empties the memory: something was removed, and nobody knows what.
fn forget_all(tier: &Tier, cache: &Inner) {
    tier.metrics.invalidated();
    cache.drop_all(|| {});
}
