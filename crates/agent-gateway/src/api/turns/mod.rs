//! The turns of this process: each is a task that owns its run, so that it goes on whoever reads its events.
//!
//! [`Turns`] is the book of them. Everything in it is bounded: turns at work by the configuration, turns that ended by
//! number, bytes and time, idempotency keys and remembered grants by number and time.

mod book;
mod conduct;
mod events;
mod grants;
mod keys;
mod replay;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use agent_core::session::SessionId;
use agent_core::{Agent, RunLimits};
use agent_performance::instrumentation::{SpanContext, within};
use agent_performance::lifecycle::Lifecycle;
use parking_lot::Mutex;

use book::Book;
pub(crate) use events::{StreamNotice, stream};
use keys::Seen;
pub(crate) use keys::{Fingerprint, KeyId, MAX_KEY_BYTES};
pub(crate) use turn::{Answered, Approval, MAX_READERS, Phase, Standing, Turn, TurnId};

/// How often what is over its time is let go while nobody asks. Look-ups do it as well.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// The turns of this process. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    agent: Agent,
    lifecycle: Lifecycle,
    max_in_flight: usize,
    book: Mutex<Book>,
}

/// A turn to be started.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) session: SessionId,
    pub(crate) prompt: String,
    pub(crate) limits: RunLimits,
    /// Under what key the client may send the same again.
    pub(crate) key: Option<(KeyId, Fingerprint)>,
    /// The place in the client's trace that it belongs to.
    pub(crate) trace: Option<SpanContext>,
}

/// What came of an order.
#[derive(Debug)]
pub(crate) enum Started {
    /// A new turn, or the one that this key started before.
    Turn { turn: Arc<Turn>, is_repeated: bool },
    /// The turn that this key started ended so long ago that only its id is known.
    Forgotten(TurnId),
}

/// Why no turn was started. Nothing was sent or stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotStarted {
    /// The session does one turn at a time; this is the one.
    SessionBusy(TurnId),
    /// So many turns are at work, as many as the configuration allows.
    TooMany(usize),
    /// The key was used for another request.
    KeyReused,
    /// The process is ending.
    Draining,
}

impl Turns {
    /// A book without turns. What is over its time is let go by a task of `lifecycle`.
    pub(crate) fn new(agent: Agent, lifecycle: Lifecycle, max_in_flight: usize) -> Self {
        let inner = Arc::new(Inner {
            agent,
            lifecycle: lifecycle.clone(),
            max_in_flight,
            book: Mutex::default(),
        });
        let (book, token) = (Arc::downgrade(&inner), lifecycle.token());
        let sweeping = async move {
            while let Some(inner) = book.upgrade() {
                inner.book.lock().sweep();
                drop(inner);
                tokio::time::sleep(SWEEP_INTERVAL).await;
            }
        };
        drop(lifecycle.spawn("sweep-turns", async move {
            tokio::select! {
                biased;
                () = token.cancelled() => {}
                () = sweeping => {}
            }
        }));
        Self { inner }
    }

    /// Starts a turn, or finds the one that the same key started. It may still be opening its session:
    /// [`Turn::begun`] waits for that.
    pub(crate) fn start(&self, order: Order) -> Result<Started, NotStarted> {
        if self.inner.lifecycle.token().is_cancelled() {
            return Err(NotStarted::Draining);
        }
        let mut book = self.inner.book.lock();
        book.sweep();
        if let Some((key, request)) = order.key {
            match book.keys.look_up(key, request) {
                Seen::Never => {}
                Seen::Other => return Err(NotStarted::KeyReused),
                Seen::Same(id) => {
                    return Ok(match book.get(id) {
                        Some(turn) => Started::Turn {
                            turn,
                            is_repeated: true,
                        },
                        None => Started::Forgotten(id),
                    });
                }
            }
        }
        if let Some(turn) = book.active_in(order.session) {
            return Err(NotStarted::SessionBusy(turn));
        }
        if book.active() >= self.inner.max_in_flight {
            return Err(NotStarted::TooMany(self.inner.max_in_flight));
        }
        let turn = Arc::new(Turn::new(TurnId::generate(), order.session));
        book.begin(&turn, order.key);
        drop(book);
        let trace = order.trace;
        let task = conduct::conduct(Arc::clone(&self.inner), Arc::clone(&turn), order);
        // A task that is refused ends the turn when it is dropped.
        drop(self.inner.lifecycle.spawn("turn", within(trace, task)));
        Ok(Started::Turn {
            turn,
            is_repeated: false,
        })
    }

    /// A turn that is at work or ended a short time ago.
    pub(crate) fn get(&self, id: TurnId) -> Option<Arc<Turn>> {
        let mut book = self.inner.book.lock();
        book.sweep();
        book.get(id)
    }

    /// The turn at work in `session`.
    pub(crate) fn active_in(&self, session: SessionId) -> Option<TurnId> {
        self.inner.book.lock().active_in(session)
    }

    /// Everything that waits for a person, oldest first.
    pub(crate) fn approvals(&self) -> Vec<Approval> {
        let turns = self.inner.book.lock().turns_at_work();
        let mut approvals: Vec<Approval> = turns.iter().flat_map(|turn| turn.approvals()).collect();
        approvals.sort_by_key(|approval| approval.requested);
        approvals
    }

    /// The session is gone, and its turns with it.
    pub(crate) fn forget_session(&self, session: SessionId) {
        self.inner.book.lock().forget_session(session);
    }

    /// Waits for the turns at work, at most until `deadline` has passed; cancels those that are left then, so that they end
    /// by themselves as soon as they can.
    pub(crate) async fn drain(&self, deadline: Duration) {
        let ended = tokio::time::timeout(deadline, async {
            loop {
                let turns = self.inner.book.lock().turns_at_work();
                let Some(turn) = turns.first() else { return };
                turn.over().await;
            }
        });
        if ended.await.is_err() {
            let left = self.inner.book.lock().turns_at_work();
            tracing::warn!(
                turns = left.len(),
                "turns that did not end within {deadline:?} are cancelled"
            );
            left.iter().for_each(|turn| turn.cancel());
        }
    }
}
