use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Mutex;
use std::time::Duration;

use super::{Decision, Gcra, micros};

/// Parts of the map with a lock each, so that requests of different keys seldom wait for each other.
const SHARDS: usize = 16;

/// One [`Gcra`] for each of many keys, in bounded memory.
///
/// A key is forgotten when forgetting changes nothing: its whole burst is there again. Nothing else is ever forgotten, so that
/// filling the map with other keys frees nobody of a limit early. While the map is full, all keys that are not in it share one
/// limit.
#[derive(Debug)]
pub struct KeyedGcra<K> {
    gcra: Gcra,
    shards: Box<[Mutex<Shard<K>>]>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Shard<K> {
    /// Theoretical arrival times, in microseconds.
    tats: HashMap<K, u64>,
    capacity: usize,
    /// No key can be forgotten before this; it saves looking at all of them for each request while the shard is full.
    earliest: u64,
    /// The limit of those for whom there is no room.
    shared: u64,
}

impl<K: Hash + Eq + Clone> KeyedGcra<K> {
    /// Room for `capacity` keys, rounded up to a multiple of 16; memory is taken as keys come.
    pub fn new(gcra: Gcra, capacity: usize) -> Self {
        let shard = || {
            Mutex::new(Shard {
                tats: HashMap::new(),
                capacity: capacity.div_ceil(SHARDS).max(1),
                earliest: 0,
                shared: 0,
            })
        };
        Self {
            gcra,
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// The limit.
    pub fn gcra(&self) -> &Gcra {
        &self.gcra
    }

    /// Judges a request of `key`, and counts it when it is allowed. `now` as for [`Gcra::decide`]; it must not go back by much.
    pub fn check(&self, key: &K, now: Duration) -> Decision {
        let now = micros(now);
        let mut shard = self.lock(key);
        if let Some(tat) = shard.tats.get_mut(key) {
            let (decision, next) = self.gcra.decide_us(*tat, now);
            *tat = next;
            return decision;
        }
        if !shard.has_room(now) {
            let (decision, next) = self.gcra.decide_us(shard.shared, now);
            shard.shared = next;
            return decision;
        }
        let (decision, next) = self.gcra.decide_us(0, now);
        if decision.allowed {
            shard.tats.insert(key.clone(), next);
        }
        decision
    }

    /// What [`check`](Self::check) would say, without counting.
    pub fn peek(&self, key: &K, now: Duration) -> Decision {
        let now = micros(now);
        let mut shard = self.lock(key);
        let tat = match shard.tats.get(key).copied() {
            Some(tat) => tat,
            None if shard.has_room(now) => 0,
            None => shard.shared,
        };
        self.gcra.decide_us(tat, now).0
    }

    /// Keys in the map.
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| {
                shard
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .tats
                    .len()
            })
            .sum()
    }

    /// Whether no key is in the map.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self, key: &K) -> std::sync::MutexGuard<'_, Shard<K>> {
        let at = self.hasher.hash_one(key) % SHARDS as u64;
        // Nothing between two writes of a shard can panic, so a poisoned one is as good as any.
        self.shards[at as usize]
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Shard<K> {
    /// Whether one more key fits, after those that no longer matter are forgotten.
    fn has_room(&mut self, now: u64) -> bool {
        if self.tats.len() < self.capacity {
            return true;
        }
        if now < self.earliest {
            return false;
        }
        // A time that has passed says the same as none.
        self.tats.retain(|_, tat| *tat > now);
        self.earliest = self.tats.values().copied().min().unwrap_or(0);
        self.tats.len() < self.capacity
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::tests::limit;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_key_has_its_own_limit() {
        let limits = KeyedGcra::new(limit(1000, 2), 100);
        let allowed = |key: &str| limits.check(&key.to_owned(), SECOND).allowed;
        assert!(allowed("a") && allowed("a") && !allowed("a"));
        assert!(allowed("b") && allowed("b") && !allowed("b"));
        assert!(limits.check(&"a".to_owned(), SECOND * 2).allowed);
    }

    #[test]
    fn looking_counts_nothing() {
        let limits = KeyedGcra::new(limit(1000, 1), 100);
        for _ in 0..10 {
            assert!(limits.peek(&1, SECOND).allowed);
        }
        assert!(limits.is_empty());
        assert!(limits.check(&1, SECOND).allowed);
        let seen = limits.peek(&1, SECOND);
        assert_eq!((seen.allowed, seen.retry_after), (false, SECOND));
        assert_eq!(limits.check(&1, SECOND), seen);
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_frees_nobody_early() {
        let limits = KeyedGcra::new(limit(1000, 1), 160);
        assert!(limits.check(&0, SECOND).allowed);
        let served = (1..100_000)
            .filter(|key| limits.check(key, SECOND).allowed)
            .count();
        assert!(limits.len() <= 160);
        assert!(!limits.check(&0, SECOND).allowed, "the flood freed the key");
        // Those that fit, and one burst for each shard that the others share.
        assert!(served < 160 + SHARDS, "{served} were served");
        let later = SECOND * 2;
        assert!(limits.check(&0, later).allowed, "all are free a second later");
        assert!(limits.check(&100_001, later).allowed, "and there is room again");
        assert!(limits.len() <= 160);
    }

    #[test]
    fn an_exact_number_passes_under_contention() {
        let limits = KeyedGcra::new(Gcra::per_minute(NonZeroU32::new(1000).unwrap()), 16);
        let served: usize = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1000).filter(|_| limits.check(&"one", SECOND).allowed).count()))
                .collect();
            clients.into_iter().map(|client| client.join().unwrap()).sum()
        });
        assert_eq!(served, 1000);
    }
}
