//! Writes and removes in the shared store, behind the requests and in their order.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{SEQUENCE, Tier, envelope, forget_all, millis};
use crate::cache::inner::Inner;
use crate::shared::{Shared, SharedError, SharedScript};

/// Stores an entry, unless something was removed since it was fetched: it might be this. Returns whether it did, and the
/// count of removals.
const PUT: &str = "
local count = redis.call('GET', KEYS[1]) or '0'
if count ~= ARGV[1] then return {0, tonumber(count) or 0} end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return {1, tonumber(count) or 0}";

/// Removes an entry, if one is named, and tells all replicas. The removal comes first: a server without memory to spare
/// refuses the count in a script that has freed nothing.
const REMOVE: &str = "
if KEYS[2] then redis.call('UNLINK', KEYS[2]) end
local count = redis.call('INCR', KEYS[1])
local told = string.format('%.0f', count)
if ARGV[2] then told = told .. ' ' .. ARGV[2] end
redis.call('PUBLISH', ARGV[1], told)
return {count}";

/// Removals remembered over an outage. With more, everything is removed at its end.
const MAX_OWED: usize = 1024;

/// Between two attempts at what is owed.
const OWED_PAUSE: Duration = Duration::from_millis(200);

/// Keys that one step of a complete removal looks at: well under a millisecond of the server's time.
const SCAN_STEP: usize = 500;

/// What a complete removal may take: ten million keys at a millisecond a step.
const SCAN_DEADLINE: Duration = Duration::from_secs(20);

/// What is still queued at the end gets this long.
const FLUSH_DEADLINE: Duration = Duration::from_secs(1);

pub(super) enum Task {
    Put {
        key: String,
        value: Bytes,
        ttl: Duration,
        stored: Instant,
        sequence: u64,
    },
    Remove {
        /// `None` is everything.
        key: Option<String>,
        /// Told when it is done; dropped when it is put off.
        done: oneshot::Sender<()>,
    },
}

pub(super) struct Worker {
    /// Weak, as is `cache`: when the last handle goes, so does the queue's sender, and this ends.
    tier: Weak<Tier>,
    cache: Weak<Inner>,
    shared: Shared,
    tasks: mpsc::Receiver<Task>,
    owed: VecDeque<Option<String>>,
    put: SharedScript,
    remove: SharedScript,
}

impl Worker {
    pub(super) fn new(
        tier: Weak<Tier>,
        shared: Shared,
        tasks: mpsc::Receiver<Task>,
        cache: Weak<Inner>,
    ) -> Self {
        Worker {
            tier,
            cache,
            shared,
            tasks,
            owed: VecDeque::new(),
            put: SharedScript::new(PUT),
            remove: SharedScript::new(REMOVE),
        }
    }

    pub(super) async fn run(mut self, token: CancellationToken) {
        loop {
            let task = tokio::select! {
                biased;
                () = token.cancelled() => break,
                task = self.tasks.recv() => task,
                () = due(&self.shared), if !self.owed.is_empty() => {
                    self.settle().await;
                    continue;
                }
            };
            let Some(task) = task else { return };
            self.perform(task).await;
        }
        self.tasks.close();
        let flush = async {
            while let Some(task) = self.tasks.recv().await {
                self.perform(task).await;
            }
        };
        // What is not written is fetched again by whoever needs it.
        let _flushed = timeout(FLUSH_DEADLINE, flush).await;
    }

    async fn perform(&mut self, task: Task) {
        let Some(tier) = self.tier.upgrade() else { return };
        match task {
            Task::Put {
                key,
                value,
                ttl,
                stored,
                sequence,
            } => {
                let written = self.write(&tier, &key, &value, ttl, stored, sequence).await;
                if written {
                    tier.metrics.written();
                } else {
                    tier.metrics.dropped();
                }
                tier.release(value.len());
            }
            Task::Remove { key, done } => {
                self.owe(&tier, key);
                if self.shared.is_up() {
                    self.settle().await;
                }
                if self.owed.is_empty() {
                    // Nobody may wait for it.
                    let _waiting = done.send(());
                }
            }
        }
        if tier.clear_owed.swap(false, Ordering::AcqRel) {
            self.owe(&tier, None);
            self.settle().await;
        }
    }

    async fn write(
        &self,
        tier: &Arc<Tier>,
        key: &str,
        value: &[u8],
        ttl: Duration,
        stored: Instant,
        sequence: u64,
    ) -> bool {
        let whole = millis(ttl);
        let waited = stored.elapsed().as_millis();
        let left = u128::from(whole).saturating_sub(waited);
        if left == 0 {
            return false;
        }
        let entry = envelope::wrap(key, value, whole);
        let name = format!("cache:{key}");
        let (expected, left) = (sequence.to_string(), left.to_string());
        let arguments = [expected.as_bytes(), &entry, left.as_bytes()];
        let names = [SEQUENCE, &name];
        match self.shared.eval(&self.put, &names, &arguments).await.as_deref() {
            Ok([1, _]) => true,
            Ok([_, count]) => {
                // More removals than were heard of are being heard of. Fewer: the server has lost the count, and with it
                // the proof that what the memory holds was not removed.
                let lost = u64::try_from(*count).is_ok_and(|count| count < sequence);
                if lost && let Some(cache) = self.cache.upgrade() {
                    forget_all(tier, &cache);
                    tier.seen(u64::try_from(*count).unwrap_or_default());
                }
                false
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// Puts a removal down, to be settled as soon as the store allows.
    fn owe(&mut self, tier: &Tier, key: Option<String>) {
        self.owed.push_back(key);
        if self.owed.len() > MAX_OWED || self.owed.back().is_some_and(Option::is_none) {
            // All at once takes the place of each.
            tier.owed.fetch_sub(self.owed.len() - 1, Ordering::AcqRel);
            self.owed.clear();
            self.owed.push_back(None);
        }
    }

    async fn settle(&mut self) {
        while let Some(key) = self.owed.front() {
            let done = match key {
                Some(key) => self.remove_one(key).await,
                None => self.remove_all().await,
            };
            if let Err(error) = done {
                tracing::debug!(%error, "a removal from the shared cache is put off");
                return;
            }
            self.owed.pop_front();
            if let Some(tier) = self.tier.upgrade() {
                tier.owed.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    async fn remove_one(&self, key: &str) -> Result<(), SharedError> {
        let channel = self.shared.channel();
        let name = format!("cache:{key}");
        let arguments = [channel.as_bytes(), key.as_bytes()];
        self.shared
            .eval(&self.remove, &[SEQUENCE, &name], &arguments)
            .await
            .map(drop)
    }

    /// Told before and after: before, so that nothing fetched earlier is stored meanwhile; after, for what was read meanwhile.
    async fn remove_all(&self) -> Result<(), SharedError> {
        self.tell_all().await?;
        self.unlink_all().await?;
        self.tell_all().await
    }

    async fn tell_all(&self) -> Result<(), SharedError> {
        let channel = self.shared.channel();
        self.shared
            .eval(&self.remove, &[SEQUENCE], &[channel.as_bytes()])
            .await
            .map(drop)
    }

    async fn unlink_all(&self) -> Result<(), SharedError> {
        let pattern = self.shared.key("cache:*");
        let began = Instant::now();
        let mut cursor = 0u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor)
                .arg("MATCH")
                .arg(&pattern)
                .arg("COUNT")
                .arg(SCAN_STEP);
            let (next, names): (u64, Vec<Vec<u8>>) = self.shared.command(&scan).await?;
            if !names.is_empty() {
                let mut unlink = redis::cmd("UNLINK");
                unlink.arg(names);
                self.shared.command::<u64>(&unlink).await?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
            if began.elapsed() > SCAN_DEADLINE {
                return Err(SharedError::TimedOut { after: SCAN_DEADLINE });
            }
        }
    }
}

/// Time to try again what is owed.
async fn due(shared: &Shared) {
    sleep(OWED_PAUSE).await;
    shared.until_up().await;
}
