//! Sends events to the reader: a full channel holds the run back, a reader that went away stops it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::event::AgentEvent;
use crate::stop::{StopCause, Stopper};

/// Events between the run and its reader. A screen's worth of deltas: enough to smooth a redraw, small enough
/// that a slow reader slows the stream instead of growing the process.
pub(crate) const EVENT_CHANNEL: usize = 256;

/// How long a stopped run waits for a reader that has stopped reading. Long enough for a busy terminal; after it
/// the events are dropped, because results must be stored and the program must be able to end.
const STALLED_READER_GRACE: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub(crate) struct Emitter {
    sender: mpsc::Sender<AgentEvent>,
    stopper: Stopper,
    given_up: Arc<AtomicBool>,
}

impl Emitter {
    pub(crate) fn new(sender: mpsc::Sender<AgentEvent>, stopper: Stopper) -> Self {
        Self {
            sender,
            stopper,
            given_up: Arc::default(),
        }
    }

    /// Waits for room. Never fails: without a reader the run is stopped and the event dropped.
    pub(crate) async fn emit(&self, event: AgentEvent) {
        if self.given_up.load(Ordering::Relaxed) {
            return;
        }
        let stalled = async {
            self.stopper.token().cancelled().await;
            tokio::time::sleep(STALLED_READER_GRACE).await;
        };
        let delivered = tokio::select! {
            biased;
            sent = self.sender.send(event) => sent.is_ok(),
            () = stalled => false,
        };
        if !delivered {
            self.given_up.store(true, Ordering::Relaxed);
            self.stopper.stop(StopCause::ReaderGone);
        }
    }

    /// For what may be lost: dropped when there is no room now.
    pub(crate) fn offer(&self, event: AgentEvent) {
        if !self.given_up.load(Ordering::Relaxed) && self.sender.try_send(event).is_err() {
            tracing::trace!("live output dropped: the reader is slow or gone");
        }
    }

    pub(crate) async fn warn(&self, message: impl Into<String>) {
        self.emit(AgentEvent::Warning {
            message: message.into(),
        })
        .await;
    }

    /// Waits; true when the run was stopped meanwhile.
    pub(crate) async fn pause(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.stopper.token().cancelled())
            .await
            .is_ok()
    }

    /// Completes when the reader has gone away.
    pub(crate) async fn reader_gone(&self) {
        self.sender.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_util::sync::CancellationToken;

    fn emitter(room: usize) -> (Emitter, mpsc::Receiver<AgentEvent>, Stopper) {
        let (sender, receiver) = mpsc::channel(room);
        let stopper = Stopper::new(&CancellationToken::new());
        (Emitter::new(sender, stopper.clone()), receiver, stopper)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_holds_the_run_back() {
        let (emitter, mut receiver, stopper) = emitter(1);
        emitter.warn("one").await;
        let blocked = tokio::time::timeout(Duration::from_secs(3600), emitter.warn("two")).await;
        assert!(blocked.is_err(), "the second event must wait for room");
        assert_eq!(stopper.cause(), None);
        assert_eq!(
            receiver.recv().await,
            Some(AgentEvent::Warning {
                message: "one".into()
            })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_went_away_stops_the_run() {
        let (emitter, receiver, stopper) = emitter(1);
        drop(receiver);
        emitter.warn("one").await;
        assert_eq!(stopper.cause(), Some(StopCause::ReaderGone));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_reader_cannot_hold_a_stopped_run() {
        let (emitter, _receiver, stopper) = emitter(1);
        emitter.warn("one").await;
        stopper.stop(StopCause::User);
        let begun = tokio::time::Instant::now();
        emitter.warn("two").await;
        emitter.warn("three").await;
        assert_eq!(
            begun.elapsed(),
            STALLED_READER_GRACE,
            "the grace is spent once, not once an event"
        );
        assert_eq!(stopper.cause(), Some(StopCause::User));
    }
}
