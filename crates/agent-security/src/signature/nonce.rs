use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::{SignatureError, Verified};

/// Nonces remembered for one key: 50 requests a second over the whole window, in 3 MB at most.
pub const DEFAULT_NONCES_PER_KEY: usize = 16_384;

/// Lets each signed request pass once.
///
/// A nonce is remembered until its signature has expired. Only requests whose signature is right come here, so there are as many keys as
/// the server knows, and none can fill the room of another. A key that is out of room is refused: forgetting a nonce early
/// would let it in twice.
#[derive(Debug)]
pub struct NonceCache {
    per_key: usize,
    keys: Mutex<HashMap<Arc<str>, Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    nonces: HashSet<Arc<str>>,
    /// In the order in which they came, each with the second from which it need not be known any more.
    order: VecDeque<(u64, Arc<str>)>,
}

impl Default for NonceCache {
    fn default() -> Self {
        Self::new(DEFAULT_NONCES_PER_KEY)
    }
}

impl NonceCache {
    /// Remembers that many for each key.
    pub fn new(per_key: usize) -> Self {
        Self {
            per_key,
            keys: Mutex::default(),
        }
    }

    /// Lets a request pass, unless one with its nonce has before. `now` is in seconds since 1970, as for verifying.
    ///
    /// # Errors
    /// It was seen, or there is no room to remember it.
    pub fn admit(&self, verified: &Verified, now: u64) -> Result<(), SignatureError> {
        // Nothing between two writes can panic, so a poisoned map is as good as any.
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = keys.entry(Arc::clone(&verified.key_id)).or_default();
        while seen.order.front().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, nonce)) = seen.order.pop_front() {
                seen.nonces.remove(&nonce);
            }
        }
        if seen.nonces.contains(verified.nonce.as_str()) {
            return Err(SignatureError::Replayed);
        }
        if seen.nonces.len() >= self.per_key {
            return Err(SignatureError::TooManyNonces);
        }
        let nonce: Arc<str> = verified.nonce.as_str().into();
        seen.nonces.insert(Arc::clone(&nonce));
        seen.order
            .push_back((now.saturating_add(Verified::NONCE_SECONDS), nonce));
        Ok(())
    }
}
