//! How long an answer may take: between two signs of life, and in all.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::Interruption;

/// The clock of one answer. Costs a timer only where the upstream lets us wait.
pub(super) struct Clock {
    idle: Duration,
    total: Duration,
    /// When `total` is over; `None` is never.
    end: Option<Instant>,
    /// Since when we wait for a sign of life. The time that a slow client takes is not the upstream's silence.
    waiting: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    /// Begins now. A time past the end of the clock is no limit.
    pub(super) fn start(idle: Duration, total: Duration) -> Self {
        Clock {
            idle,
            total,
            end: Instant::now().checked_add(total),
            waiting: None,
            timer: None,
        }
    }

    /// The upstream gave a sign of life.
    pub(super) fn progress(&mut self) {
        self.waiting = None;
    }

    /// While there is nothing to read: ready when that has been so for too long.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Interruption> {
        loop {
            let due = match self.waiting {
                Some(_) => self.due(),
                None => {
                    self.waiting = Some(Instant::now());
                    self.due()
                }
            };
            // Without either limit, only the other side ends the wait.
            let Some(due) = due else { return Poll::Pending };
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            // Set again only when it fires: it may fire early, and each event would set it otherwise.
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if self.end.is_some_and(|end| end <= now) {
                return Poll::Ready(Interruption::Total { after: self.total });
            }
            if now >= due {
                return Poll::Ready(Interruption::Idle { after: self.idle });
            }
            timer.as_mut().reset(due);
        }
    }

    fn due(&self) -> Option<Instant> {
        let idle = self.waiting.and_then(|since| since.checked_add(self.idle));
        match (idle, self.end) {
            (Some(idle), Some(end)) => Some(idle.min(end)),
            (idle, end) => idle.or(end),
        }
    }
}
