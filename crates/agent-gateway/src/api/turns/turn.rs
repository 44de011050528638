//! One turn: how it stands, what can be done to it, and its latest events.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agent_core::session::SessionId;
use agent_core::{AgentError, AgentEvent, ApprovalAnswer, ApprovalId, ControlError, Finished, TurnControl};
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;
use uuid::Uuid;

use super::replay::{Next, Replay};

/// Readers of one turn at the same time: every window that a person has open, with room for a monitor.
pub(crate) const MAX_READERS: usize = 32;

/// Names a turn: a UUID of version 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct TurnId(Uuid);

impl TurnId {
    pub(super) fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for TurnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TurnId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// A tool call that waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Approval {
    /// Names it for `POST /api/v1/approvals/{id}`.
    pub(crate) id: String,
    /// The turn that waits.
    pub(crate) turn_id: TurnId,
    /// Its session.
    pub(crate) session_id: SessionId,
    /// As in the turn's `approval_requested` event.
    pub(crate) approval_id: ApprovalId,
    /// The tool use that waits.
    pub(crate) tool_use_id: String,
    /// The tool's name.
    pub(crate) tool: String,
    /// One line for a person.
    pub(crate) summary: String,
    /// Why the policy asks.
    pub(crate) reason: String,
    /// The diff or the command, when there is one.
    pub(crate) detail: Option<String>,
    /// Since when it waits.
    pub(crate) requested: DateTime<Utc>,
}

/// How far a turn is.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// Its session is being opened.
    Starting,
    /// It could not start; nothing was sent, nothing was stored.
    Refused(Arc<AgentError>),
    /// It works, or waits for a person.
    Running,
    /// It has ended.
    Ended { result: Finished, at: DateTime<Utc> },
}

/// What is known of a turn at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) phase: Phase,
    pub(crate) approvals: Vec<Approval>,
    pub(crate) last_event: u64,
}

/// What came of an answer to an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    Taken,
    /// It was answered already, or the turn went on without it.
    Late,
    /// The turn never asked it.
    Unknown,
}

#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) id: TurnId,
    pub(crate) session: SessionId,
    pub(crate) started: DateTime<Utc>,
    state: Mutex<State>,
    /// Changes with every event and phase; readers wait on it.
    news: watch::Sender<()>,
    readers: AtomicUsize,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    control: Option<TurnControl>,
    /// A cancellation that came while the session was being opened.
    cancelled: bool,
    approvals: BTreeMap<ApprovalId, Approval>,
    /// The highest that was asked.
    asked: ApprovalId,
    replay: Replay,
}

/// A reader's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Turn>);

impl Turn {
    pub(super) fn new(id: TurnId, session: SessionId) -> Self {
        Self {
            id,
            session,
            started: Utc::now(),
            state: Mutex::new(State {
                phase: Phase::Starting,
                control: None,
                cancelled: false,
                approvals: BTreeMap::new(),
                asked: ApprovalId(0),
                replay: Replay::default(),
            }),
            news: watch::Sender::new(()),
            readers: AtomicUsize::new(0),
        }
    }

    /// Waits until its session is open and it runs.
    ///
    /// # Errors
    /// Why it did not start.
    pub(crate) async fn begun(&self) -> Result<(), Arc<AgentError>> {
        let mut news = self.news.subscribe();
        loop {
            match &self.state.lock().phase {
                Phase::Starting => {}
                Phase::Refused(error) => return Err(Arc::clone(error)),
                Phase::Running | Phase::Ended { .. } => return Ok(()),
            }
            // The turn holds the sender, and we hold the turn.
            if news.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    /// Waits until it is over.
    pub(super) async fn over(&self) {
        let mut news = self.news.subscribe();
        while !matches!(self.state.lock().phase, Phase::Refused(_) | Phase::Ended { .. }) {
            // The turn holds the sender, and we hold the turn.
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        let state = self.state.lock();
        Standing {
            phase: state.phase.clone(),
            approvals: state.approvals.values().cloned().collect(),
            last_event: state.replay.last(),
        }
    }

    pub(crate) fn approvals(&self) -> Vec<Approval> {
        self.state.lock().approvals.values().cloned().collect()
    }

    pub(crate) fn answer(&self, id: ApprovalId, answer: ApprovalAnswer) -> Answered {
        let mut state = self.state.lock();
        if id > state.asked || id == ApprovalId(0) {
            return Answered::Unknown;
        }
        let taken = state
            .control
            .as_ref()
            .is_some_and(|control| control.answer(id, answer).is_ok());
        // Whoever lists the approvals now must not see it again, also before the event says so.
        state.approvals.remove(&id);
        if taken { Answered::Taken } else { Answered::Late }
    }

    /// # Errors
    /// The text was not taken.
    pub(crate) fn steer(&self, text: String) -> Result<(), ControlError> {
        let control = self.state.lock().control.clone();
        control.ok_or(ControlError::Ended)?.steer(text)
    }

    /// Stops it; also before it runs. Nothing happens when it has ended.
    pub(crate) fn cancel(&self) {
        let mut state = self.state.lock();
        state.cancelled = true;
        if let Some(control) = &state.control {
            control.cancel();
        }
    }

    /// A place to read from; none when all are taken.
    pub(crate) fn seat(self: &Arc<Self>) -> Option<Seat> {
        let take = |taken: usize| (taken < MAX_READERS).then_some(taken + 1);
        let taken = self
            .readers
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.ok().map(|_| Seat(Arc::clone(self)))
    }

    pub(super) fn refused(&self, error: Arc<AgentError>) {
        self.state.lock().phase = Phase::Refused(error);
        self.news.send_replace(());
    }

    pub(super) fn running(&self, control: TurnControl) {
        let mut state = self.state.lock();
        if state.cancelled {
            control.cancel();
        }
        state.phase = Phase::Running;
        state.control = Some(control);
        drop(state);
        self.news.send_replace(());
    }

    /// Something happened; the end has its own function.
    pub(super) fn happened(&self, event: &AgentEvent) {
        let mut state = self.state.lock();
        match event {
            AgentEvent::ApprovalRequested { .. } => self.asked(&mut state, event),
            AgentEvent::ApprovalResolved { approval_id, .. } => {
                state.approvals.remove(approval_id);
            }
            _ => {}
        }
        state.replay.push(event, false);
        drop(state);
        self.news.send_replace(());
    }

    /// It has ended; only the first call counts. Gives the bytes that its events go on taking.
    pub(super) fn ended(&self, result: Finished) -> usize {
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Ended { .. }) {
            state.replay.push(&AgentEvent::Finished(result.clone()), true);
            state.phase = Phase::Ended {
                result,
                at: Utc::now(),
            };
            state.control = None;
            state.approvals.clear();
        }
        let bytes = state.replay.bytes();
        drop(state);
        self.news.send_replace(());
        bytes
    }

    fn asked(&self, state: &mut State, event: &AgentEvent) {
        let AgentEvent::ApprovalRequested {
            approval_id,
            tool_use_id,
            tool,
            summary,
            reason,
            detail,
        } = event
        else {
            return;
        };
        let approval = Approval {
            id: format!("{}.{approval_id}", self.id),
            turn_id: self.id,
            session_id: self.session,
            approval_id: *approval_id,
            tool_use_id: tool_use_id.clone(),
            tool: tool.clone(),
            summary: summary.clone(),
            reason: reason.clone(),
            detail: detail.clone(),
            requested: Utc::now(),
        };
        state.asked = state.asked.max(*approval_id);
        state.approvals.insert(*approval_id, approval);
    }
}

impl Seat {
    /// Told of everything that happens from now on.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.0.news.subscribe()
    }

    /// What comes after event `seen`.
    pub(super) fn after(&self, seen: u64) -> Next {
        self.0.state.lock().replay.after(seen)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::Relaxed);
    }
}
