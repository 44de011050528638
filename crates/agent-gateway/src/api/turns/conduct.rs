//! The task of one turn: opens the session, reads the run's events to its end, and clears up however it ends.

use std::sync::Arc;

use agent_core::session::SessionId;
use agent_core::{
    AgentEvent, ErrorKind, ErrorReport, Finished, Outcome, Session, SessionChoice, TurnHandle, UsageTotals,
};

use super::keys::KeyId;
use super::turn::Turn;
use super::{Inner, Order};

pub(super) fn conduct(inner: Arc<Inner>, turn: Arc<Turn>, order: Order) -> impl Future<Output = ()> + Send {
    // Dropped on every way out: the task's abortion, and its refusal before it runs.
    let place = Place {
        inner,
        turn,
        key: order.key.map(|(key, _)| key),
        stage: Stage::Starting,
    };
    run(place, order)
}

/// Always reads: a run whose events nobody takes would be held back, and then cancelled.
async fn run(mut place: Place, order: Order) {
    let choice = SessionChoice::Resume { id: order.session };
    let session = match place.inner.agent.start_session(choice).await {
        Ok(session) => session,
        Err(error) => return place.refused(error),
    };
    let grants = place.inner.book.lock().grants.get(order.session);
    if let Some(grants) = grants {
        session.allow_again(grants);
    }
    let TurnHandle {
        mut events,
        control,
        join,
    } = session.run(order.prompt, order.limits);
    place.running(session);
    place.turn.running(control);
    while let Some(event) = events.recv().await {
        match event {
            AgentEvent::Finished(result) => return place.ended(result),
            event => place.turn.happened(&event),
        }
    }
    // A run that could not say its last word tells it here.
    if let Ok(result) = join.await {
        place.ended(result);
    }
}

/// The turn's place in the book: given up when the turn is over.
struct Place {
    inner: Arc<Inner>,
    turn: Arc<Turn>,
    key: Option<KeyId>,
    stage: Stage,
}

enum Stage {
    Starting,
    Running(Session),
    Over,
}

impl Place {
    fn running(&mut self, session: Session) {
        self.stage = Stage::Running(session);
    }

    fn refused(mut self, error: agent_core::AgentError) {
        self.stage = Stage::Over;
        self.inner.book.lock().remove(&self.turn, self.key);
        self.turn.refused(Arc::new(error));
    }

    fn ended(&mut self, result: Finished) {
        let mut book = self.inner.book.lock();
        if let Stage::Running(session) = std::mem::replace(&mut self.stage, Stage::Over) {
            book.grants.keep(self.turn.session, session.grants());
        }
        // Whoever reads the end may start the next turn at once: the session is closed and free before it is told.
        book.free(&self.turn);
        drop(book);
        let bytes = self.turn.ended(result);
        self.inner.book.lock().ended(&self.turn, bytes);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !matches!(self.stage, Stage::Over) {
            self.ended(broken_off(self.turn.session));
        }
    }
}

/// The end of a turn whose task was refused, aborted or panicked.
fn broken_off(session: SessionId) -> Finished {
    Finished {
        outcome: Outcome::Failed,
        session_id: session.to_string(),
        turns: 0,
        text: String::new(),
        usage: UsageTotals::default(),
        cost_usd: None,
        duration_ms: 0,
        error: Some(ErrorReport {
            kind: ErrorKind::Internal,
            message: "the turn ended without a result".to_owned(),
            advice: "what was done is stored; look at the session's messages and go on with it".to_owned(),
        }),
    }
}
