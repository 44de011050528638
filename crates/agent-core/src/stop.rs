//! The one way to stop a run: a token that everything waits on, and the first cause that fired it.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Why a run was stopped from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopCause {
    /// `TurnControl::cancel`.
    User,
    /// Nobody reads the events any more.
    ReaderGone,
    /// The run's time is over.
    Deadline,
    /// The program ends.
    Shutdown,
}

/// Stops one run, once; later causes are ignored, so that the report names what really ended it.
#[derive(Clone, Debug)]
pub(crate) struct Stopper {
    token: CancellationToken,
    cause: Arc<OnceLock<StopCause>>,
}

impl Stopper {
    /// A stopper that `parent` (the program's own token) also fires.
    pub(crate) fn new(parent: &CancellationToken) -> Self {
        Self {
            token: parent.child_token(),
            cause: Arc::default(),
        }
    }

    pub(crate) fn stop(&self, cause: StopCause) {
        // An earlier cause stays, and so does a shutdown that came through the parent token.
        if !self.token.is_cancelled() {
            self.cause.get_or_init(|| cause);
            self.token.cancel();
        }
    }

    /// Fires when the run has to stop.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// None while the run may go on.
    pub(crate) fn cause(&self) -> Option<StopCause> {
        self.token
            .is_cancelled()
            .then(|| *self.cause.get_or_init(|| StopCause::Shutdown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_wins() {
        let stopper = Stopper::new(&CancellationToken::new());
        assert_eq!(stopper.cause(), None);
        stopper.stop(StopCause::Deadline);
        stopper.stop(StopCause::User);
        assert_eq!(stopper.cause(), Some(StopCause::Deadline));
    }

    #[test]
    fn the_parent_means_shutdown() {
        let parent = CancellationToken::new();
        let stopper = Stopper::new(&parent);
        parent.cancel();
        stopper.stop(StopCause::User);
        assert_eq!(stopper.cause(), Some(StopCause::Shutdown));
    }
}
