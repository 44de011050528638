//! How many requests may be under way at once: more with each success, half with each overload (AIMD).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use agent_performance::metrics::Gauge;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::{BudgetReason, ClaudeError, ClaudeResult};

/// Requests that may wait for their turn. Each holds its body in memory.
const MAX_WAITING: usize = 256;

/// Requests that were under way together fail together; what they say counts as one answer.
const ONE_ANSWER: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(super) struct Concurrency(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: f64,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    /// 1..=max. Fractions gather the small increases.
    limit: f64,
    under_way: usize,
    waiting: usize,
    lowered_at: Option<Instant>,
    /// Shows `limit` to those who watch.
    gauge: Option<Gauge>,
}

impl State {
    fn set_limit(&mut self, limit: f64) {
        self.limit = limit;
        if let Some(gauge) = &self.gauge {
            // Fractions let nobody in.
            gauge.set(limit.floor());
        }
    }
}

/// One request under way, until dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<Inner>);

impl Concurrency {
    pub(super) fn new(max: usize, gauge: Option<Gauge>) -> Self {
        let max = max.max(1) as f64;
        let mut state = State {
            limit: max,
            under_way: 0,
            waiting: 0,
            lowered_at: None,
            gauge,
        };
        state.set_limit(max);
        Concurrency(Arc::new(Inner {
            max,
            state: Mutex::new(state),
            freed: Notify::new(),
        }))
    }

    pub(super) fn limit(&self) -> usize {
        self.0.state.lock().limit as usize
    }

    /// Waits for a turn. Bounded in number here, in time by the caller.
    pub(super) async fn turn(&self) -> ClaudeResult<Turn> {
        if let Some(turn) = self.try_turn() {
            return Ok(turn);
        }
        let _waiting = Waiting::enter(&self.0)?;
        loop {
            // In the queue before looking: a turn given back in between is not missed.
            let mut freed = pin!(self.0.freed.notified());
            freed.as_mut().enable();
            if let Some(turn) = self.try_turn() {
                return Ok(turn);
            }
            freed.await;
        }
    }

    fn try_turn(&self) -> Option<Turn> {
        let mut state = self.0.state.lock();
        if state.under_way >= state.limit as usize {
            return None;
        }
        state.under_way += 1;
        drop(state);
        Some(Turn(Arc::clone(&self.0)))
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.0.state.lock();
        let raised = state.limit + 1.0 / state.limit;
        state.set_limit(raised.min(self.0.max));
        drop(state);
        self.0.freed.notify_one();
    }

    pub(super) fn overloaded(&self) {
        let mut state = self.0.state.lock();
        let now = Instant::now();
        if state
            .lowered_at
            .is_none_or(|at| now.duration_since(at) >= ONE_ANSWER)
        {
            let halved = state.limit / 2.0;
            state.set_limit(halved.max(1.0));
            state.lowered_at = Some(now);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.state.lock().under_way -= 1;
        self.0.freed.notify_one();
    }
}

struct Waiting<'a>(&'a Inner);

impl<'a> Waiting<'a> {
    fn enter(inner: &'a Inner) -> ClaudeResult<Self> {
        let mut state = inner.state.lock();
        if state.waiting >= MAX_WAITING {
            let reason = BudgetReason::TooManyWaiting {
                waiting: state.waiting,
            };
            return Err(ClaudeError::BudgetExhausted { reason, last: None });
        }
        state.waiting += 1;
        Ok(Waiting(inner))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state.lock().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::{advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn overload_halves_once_a_second_and_successes_raise_to_the_maximum() {
        let limit = Concurrency::new(10, None);
        for _ in 0..5 {
            limit.overloaded();
        }
        assert_eq!(limit.limit(), 5);
        for expected in [2, 1, 1] {
            advance(ONE_ANSWER).await;
            limit.overloaded();
            assert_eq!(limit.limit(), expected);
        }
        for _ in 0..1000 {
            limit.succeeded();
        }
        assert_eq!(limit.limit(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn never_more_than_the_limit_and_nobody_is_forgotten() {
        let limit = Concurrency::new(3, None);
        let peak = Mutex::new((0_usize, 0_usize));
        let one = || async {
            let _turn = limit.turn().await.unwrap();
            {
                let mut peak = peak.lock();
                peak.0 += 1;
                peak.1 = peak.1.max(peak.0);
            }
            sleep(Duration::from_millis(10)).await;
            peak.lock().0 -= 1;
            limit.succeeded();
        };
        join_all((0..100).map(|_| one())).await;
        assert_eq!(peak.lock().1, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_bounded_and_a_dropped_wait_leaves_it() {
        let limit = Concurrency::new(1, None);
        let turn = limit.turn().await.unwrap();
        let mut waits: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(limit.turn())).collect();
        for wait in &mut waits {
            assert!(futures_util::poll!(wait).is_pending());
        }
        let refused = limit.turn().await.unwrap_err();
        assert!(matches!(
            refused,
            ClaudeError::BudgetExhausted {
                reason: BudgetReason::TooManyWaiting { waiting: MAX_WAITING },
                ..
            }
        ));
        waits.pop();
        assert!(futures_util::poll!(Box::pin(limit.turn())).is_pending());
        drop(turn);
        assert!(waits.remove(0).await.is_ok());
    }
}
