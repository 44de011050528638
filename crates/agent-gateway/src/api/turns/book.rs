//! Which turns there are, and for how long.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use agent_core::session::SessionId;
use tokio::time::Instant;

use super::grants::KeptGrants;
use super::keys::{Fingerprint, KeyId, Keys};
use super::turn::{Turn, TurnId};

/// How long a turn that ended can be asked for: as long as a client that lost its connection needs to come back. What was
/// said is in the session for good.
pub(super) const KEPT: Duration = Duration::from_secs(600);

/// Turns that ended and can still be asked for.
pub(super) const MAX_ENDED: usize = 256;

/// Bytes of their events, all together.
pub(super) const MAX_ENDED_BYTES: usize = 32 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Book {
    turns: HashMap<TurnId, Arc<Turn>>,
    /// One turn a session.
    active: HashMap<SessionId, TurnId>,
    /// Oldest first.
    ended: VecDeque<Ended>,
    ended_bytes: usize,
    pub(super) keys: Keys,
    pub(super) grants: KeptGrants,
}

#[derive(Debug)]
struct Ended {
    turn: TurnId,
    at: Instant,
    bytes: usize,
}

impl Book {
    pub(super) fn begin(&mut self, turn: &Arc<Turn>, key: Option<(KeyId, Fingerprint)>) {
        self.turns.insert(turn.id, Arc::clone(turn));
        self.active.insert(turn.session, turn.id);
        if let Some((key, request)) = key {
            self.keys.keep(key, request, turn);
        }
    }

    /// The session is free for the next turn.
    pub(super) fn free(&mut self, turn: &Turn) {
        if self.active.get(&turn.session) == Some(&turn.id) {
            self.active.remove(&turn.session);
        }
    }

    /// It never ran: as if nobody had asked.
    pub(super) fn remove(&mut self, turn: &Turn, key: Option<KeyId>) {
        self.free(turn);
        self.turns.remove(&turn.id);
        if let Some(key) = key {
            self.keys.forget(key, turn.id);
        }
    }

    /// It has ended; its events take `bytes` from now on.
    pub(super) fn ended(&mut self, turn: &Turn, bytes: usize) {
        if !self.turns.contains_key(&turn.id) {
            // Its session was deleted as soon as it was free.
            return;
        }
        self.ended.push_back(Ended {
            turn: turn.id,
            at: Instant::now(),
            bytes,
        });
        self.ended_bytes += bytes;
        self.sweep();
    }

    /// The session is gone, and what was said in it: neither its turns nor what they were allowed is known any more.
    pub(super) fn forget_session(&mut self, session: SessionId) {
        self.grants.forget(session);
        self.keys.forget_session(session);
        // One that was started meanwhile finds no session, and takes itself out.
        let active = self.active_in(session);
        self.turns
            .retain(|id, turn| turn.session != session || active == Some(*id));
        let (turns, bytes) = (&self.turns, &mut self.ended_bytes);
        self.ended.retain(|ended| {
            let is_kept = turns.contains_key(&ended.turn);
            *bytes -= if is_kept { 0 } else { ended.bytes };
            is_kept
        });
    }

    pub(super) fn get(&self, id: TurnId) -> Option<Arc<Turn>> {
        self.turns.get(&id).cloned()
    }

    pub(super) fn active_in(&self, session: SessionId) -> Option<TurnId> {
        self.active.get(&session).copied()
    }

    pub(super) fn active(&self) -> usize {
        self.active.len()
    }

    pub(super) fn turns_at_work(&self) -> Vec<Arc<Turn>> {
        self.active.values().filter_map(|id| self.get(*id)).collect()
    }

    /// Lets go of what is over its time or too much.
    pub(super) fn sweep(&mut self) {
        let too_much = |book: &Self| book.ended.len() > MAX_ENDED || book.ended_bytes > MAX_ENDED_BYTES;
        while let Some(oldest) = self.ended.front()
            && (oldest.at.elapsed() >= KEPT || too_much(self))
        {
            self.ended_bytes -= oldest.bytes;
            self.turns.remove(&oldest.turn);
            self.ended.pop_front();
        }
        self.keys.sweep();
        self.grants.sweep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(n: usize) -> SessionId {
        format!("0197d5a0-0000-7000-8000-{n:012}").parse().unwrap()
    }

    fn end(book: &mut Book, n: usize, bytes: usize) -> TurnId {
        let turn = Arc::new(Turn::new(TurnId::generate(), session(n)));
        book.begin(&turn, None);
        book.free(&turn);
        book.ended(&turn, bytes);
        turn.id
    }

    #[tokio::test(start_paused = true)]
    async fn ended_turns_are_bounded_in_number_bytes_and_time() {
        let mut book = Book::default();
        let ids: Vec<TurnId> = (0..=MAX_ENDED).map(|n| end(&mut book, n, 1)).collect();
        assert!(book.get(ids[0]).is_none() && book.get(ids[1]).is_some());
        let large = end(&mut book, 0, MAX_ENDED_BYTES);
        assert_eq!(book.turns.len(), 1, "the others made room");
        assert!(book.get(large).is_some());
        tokio::time::advance(KEPT).await;
        book.sweep();
        assert!(book.turns.is_empty() && book.ended_bytes == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn turns_go_with_their_session_also_one_that_ends_just_then() {
        let mut book = Book::default();
        let (gone, kept) = (end(&mut book, 1, 10), end(&mut book, 2, 20));
        let ending = Arc::new(Turn::new(TurnId::generate(), session(1)));
        book.begin(&ending, None);
        book.free(&ending);
        book.forget_session(session(1));
        book.ended(&ending, 40);
        assert!(book.get(gone).is_none() && book.get(ending.id).is_none());
        assert!(book.get(kept).is_some());
        assert_eq!((book.ended.len(), book.ended_bytes), (1, 20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_at_work_is_never_let_go() {
        let mut book = Book::default();
        let turn = Arc::new(Turn::new(TurnId::generate(), session(0)));
        book.begin(&turn, None);
        for n in 1..MAX_ENDED + 50 {
            end(&mut book, n, 1);
        }
        tokio::time::advance(KEPT * 10).await;
        book.sweep();
        assert!(book.get(turn.id).is_some());
        assert_eq!((book.active(), book.active_in(session(0))), (1, Some(turn.id)));
    }
}
