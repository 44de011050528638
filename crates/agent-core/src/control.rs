//! What the one who started a run can do to it: answer, steer, cancel.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::approvals::Approvals;
use crate::event::{ApprovalAnswer, ApprovalId};
use crate::stop::{StopCause, Stopper};

/// Texts that wait to be put in. A person types a few between two requests; more is a program that has gone wrong.
const MAX_STEERS: usize = 16;

/// Bytes of one steering text: as much as a pasted log excerpt.
const MAX_STEER_BYTES: usize = 64 * 1024;

/// Steers one run. Cheap to clone; a run whose last control is dropped goes on, but every question it asks from
/// then on is answered with no.
#[derive(Clone, Debug)]
pub struct TurnControl {
    shared: Arc<Shared>,
    _present: Arc<DropGuard>,
}

/// Why a control call had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The approval was answered already, or the run went on without it.
    #[error("this approval is not open any more")]
    NotOpen,
    /// The run has ended; start another one with the text.
    #[error("the run has ended; send the text as the next prompt")]
    Ended,
    /// The text says nothing; the API refuses a conversation with such a text in it, for ever.
    #[error("the text is empty; say what is to be added")]
    Empty,
    /// Too many texts wait, or this one is too long.
    #[error("too much is waiting to be put in (at most {MAX_STEERS} texts of {MAX_STEER_BYTES} bytes)")]
    Full,
}

/// The run's side of the control.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) approvals: Approvals,
    pub(crate) stopper: Stopper,
    /// Fires when the last `TurnControl` is dropped.
    pub(crate) deserted: CancellationToken,
    steers: Mutex<Steers>,
}

#[derive(Debug, Default)]
struct Steers {
    waiting: VecDeque<String>,
    closed: bool,
}

impl TurnControl {
    pub(crate) fn new(stopper: Stopper) -> (Self, Arc<Shared>) {
        let deserted = CancellationToken::new();
        let shared = Arc::new(Shared {
            approvals: Approvals::default(),
            stopper,
            deserted: deserted.clone(),
            steers: Mutex::default(),
        });
        let control = Self {
            shared: Arc::clone(&shared),
            _present: Arc::new(deserted.drop_guard()),
        };
        (control, shared)
    }

    /// Answers an `approval_requested` event.
    ///
    /// # Errors
    /// [`ControlError::NotOpen`] when it was answered already or the run ended.
    pub fn answer(&self, id: ApprovalId, answer: ApprovalAnswer) -> Result<(), ControlError> {
        if self.shared.approvals.answer(id, answer) {
            Ok(())
        } else {
            Err(ControlError::NotOpen)
        }
    }

    /// Puts `text` into the conversation with the next request. A `steered` event says when that happened; when
    /// the run ends before, a warning says so.
    ///
    /// # Errors
    /// [`ControlError::Empty`], [`ControlError::Ended`] and [`ControlError::Full`]; the text was not taken.
    pub fn steer(&self, text: impl Into<String>) -> Result<(), ControlError> {
        let text = text.into();
        if text.trim().is_empty() {
            return Err(ControlError::Empty);
        }
        let mut steers = self.shared.steers.lock();
        if steers.closed {
            return Err(ControlError::Ended);
        }
        if text.len() > MAX_STEER_BYTES || steers.waiting.len() >= MAX_STEERS {
            return Err(ControlError::Full);
        }
        steers.waiting.push_back(text);
        Ok(())
    }

    /// Stops the run: the request is dropped, children are killed as a group, what the tools did is recorded.
    /// Returns at once; the `finished` event says when it is done.
    pub fn cancel(&self) {
        self.shared.stopper.stop(StopCause::User);
    }
}

impl Shared {
    /// What was put in since the last call.
    pub(crate) fn take_steers(&self) -> Vec<String> {
        self.steers.lock().waiting.drain(..).collect()
    }

    /// Like [`take_steers`](Self::take_steers); when there is nothing, refuses all that would come later, so that
    /// no text is taken and then lost.
    pub(crate) fn take_steers_or_close(&self) -> Vec<String> {
        let mut steers = self.steers.lock();
        steers.closed = steers.waiting.is_empty();
        steers.waiting.drain(..).collect()
    }

    /// Refuses all that would come later and gives what was taken but not put in.
    pub(crate) fn close_steers(&self) -> Vec<String> {
        let mut steers = self.steers.lock();
        steers.closed = true;
        steers.waiting.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control() -> (TurnControl, Arc<Shared>) {
        TurnControl::new(Stopper::new(&CancellationToken::new()))
    }

    #[test]
    fn steering_is_bounded_and_in_order() {
        let (control, shared) = control();
        assert_eq!(
            control.steer("x".repeat(MAX_STEER_BYTES + 1)),
            Err(ControlError::Full)
        );
        assert_eq!(control.steer(" \n"), Err(ControlError::Empty));
        for n in 0..MAX_STEERS {
            assert_eq!(control.steer(n.to_string()), Ok(()));
        }
        assert_eq!(control.steer("one more"), Err(ControlError::Full));
        let expected: Vec<_> = (0..MAX_STEERS).map(|n| n.to_string()).collect();
        assert_eq!(shared.take_steers(), expected);
        assert_eq!(control.steer("there is room again"), Ok(()));
    }

    #[test]
    fn no_text_is_taken_after_the_end() {
        let (control, shared) = control();
        control.steer("a").unwrap();
        assert_eq!(shared.take_steers_or_close(), ["a"]);
        control.steer("still open: it had something to say").unwrap();
        shared.take_steers();
        assert!(shared.take_steers_or_close().is_empty());
        assert_eq!(control.steer("b"), Err(ControlError::Ended));
    }

    #[test]
    fn the_last_control_to_go_deserts_the_run() {
        let (control, shared) = control();
        let other = control.clone();
        drop(control);
        assert!(!shared.deserted.is_cancelled());
        drop(other);
        assert!(shared.deserted.is_cancelled());
        assert_eq!(shared.stopper.cause(), None);
    }
}
