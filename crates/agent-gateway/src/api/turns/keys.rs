//! Idempotency keys: a request that is sent again starts no second turn.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use agent_core::session::SessionId;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::turn::{Turn, TurnId};

/// How long a key is known: longer than any client goes on retrying.
pub(super) const KEPT: Duration = Duration::from_secs(3600);

/// Keys known at once; beyond, the oldest is forgotten. At the default rate limit one client makes 6,000 an hour. About
/// 2 MiB.
pub(super) const MAX_KEYS: usize = 10_000;

/// Longest key that is taken, in bytes: a UUID has 36.
pub(crate) const MAX_KEY_BYTES: usize = 255;

/// Names a request: whose, in which session, under which key. A digest, so that it takes the same room whatever it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyId([u8; 32]);

/// What the request asked for, as a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

impl KeyId {
    pub(crate) fn new(credential: &str, session: SessionId, key: &str) -> Self {
        // No part holds a line break: keys are checked, the others are ours.
        Self(Sha256::digest(format!("{credential}\n{session}\n{key}")).into())
    }
}

impl Fingerprint {
    pub(crate) fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }
}

/// The known keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    known: HashMap<KeyId, Known>,
    /// Oldest first. A key that was forgotten early leaves its entry here until its time.
    order: VecDeque<(Instant, KeyId)>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    request: Fingerprint,
    turn: TurnId,
    session: SessionId,
    made: Instant,
}

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Never,
    /// The same request, which started this turn.
    Same(TurnId),
    /// Another request.
    Other,
}

impl Keys {
    pub(super) fn look_up(&self, id: KeyId, request: Fingerprint) -> Seen {
        match self.known.get(&id) {
            None => Seen::Never,
            Some(known) if known.request == request => Seen::Same(known.turn),
            Some(_) => Seen::Other,
        }
    }

    pub(super) fn keep(&mut self, id: KeyId, request: Fingerprint, turn: &Turn) {
        let made = Instant::now();
        while self.order.len() >= MAX_KEYS {
            self.forget_oldest();
        }
        let known = Known {
            request,
            turn: turn.id,
            session: turn.session,
            made,
        };
        self.known.insert(id, known);
        self.order.push_back((made, id));
    }

    /// The turn did not come to be: the same request may be made again.
    pub(super) fn forget(&mut self, id: KeyId, turn: TurnId) {
        if self.known.get(&id).is_some_and(|known| known.turn == turn) {
            self.known.remove(&id);
        }
    }

    /// The session is gone: the same request finds none.
    pub(super) fn forget_session(&mut self, session: SessionId) {
        self.known.retain(|_, known| known.session != session);
    }

    pub(super) fn sweep(&mut self) {
        while self.order.front().is_some_and(|(made, _)| made.elapsed() >= KEPT) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((made, id)) = self.order.pop_front() else {
            return;
        };
        // Forgotten early and used again since, it is a younger key.
        if self.known.get(&id).is_some_and(|known| known.made == made) {
            self.known.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> SessionId {
        "0197d5a0-0000-7000-8000-000000000000".parse().unwrap()
    }

    fn key(text: &str) -> KeyId {
        KeyId::new("c", session(), text)
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_stands_for_one_request_for_its_time() {
        let (mut keys, turn) = (Keys::default(), Turn::new(TurnId::generate(), session()));
        let (a, b) = (Fingerprint::of(b"a"), Fingerprint::of(b"b"));
        assert_eq!(keys.look_up(key("k"), a), Seen::Never);
        keys.keep(key("k"), a, &turn);
        assert_eq!(keys.look_up(key("k"), a), Seen::Same(turn.id));
        assert_eq!(keys.look_up(key("k"), b), Seen::Other);
        tokio::time::advance(KEPT).await;
        keys.sweep();
        assert_eq!(keys.look_up(key("k"), a), Seen::Never);
        keys.keep(key("k"), a, &turn);
        keys.forget_session(session());
        assert_eq!(keys.look_up(key("k"), a), Seen::Never);
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_bounded_and_a_younger_use_outlives_an_older() {
        let (mut keys, turn, request) = (
            Keys::default(),
            Turn::new(TurnId::generate(), session()),
            Fingerprint::of(b""),
        );
        keys.keep(key("again"), request, &turn);
        keys.forget(key("again"), turn.id);
        for n in 0..MAX_KEYS - 1 {
            tokio::time::advance(Duration::from_millis(1)).await;
            keys.keep(key(&n.to_string()), request, &turn);
        }
        keys.keep(key("again"), request, &turn);
        assert_eq!(keys.order.len(), MAX_KEYS);
        assert_eq!(keys.look_up(key("again"), request), Seen::Same(turn.id));
        keys.keep(key("one more"), request, &turn);
        assert_eq!((keys.order.len(), keys.known.len()), (MAX_KEYS, MAX_KEYS));
        assert_eq!(keys.look_up(key("0"), request), Seen::Never, "the oldest went");
        assert_eq!(keys.look_up(key("again"), request), Seen::Same(turn.id));
    }
}
