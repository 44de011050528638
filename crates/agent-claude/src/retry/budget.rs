//! How many retries all requests together may make: an outage must not be answered with a storm.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Retries that can be made at once. Some requests failing together is normal; twenty retries cover them.
const CAPACITY: f64 = 20.0;

/// What a success gives back: under steady load at most one request in five is a retry.
const PER_SUCCESS: f64 = 0.2;

/// One retry returns by itself in this time, so that the budget is not empty for ever after an outage.
const TRICKLE: Duration = Duration::from_secs(30);

/// A bucket of retries, shared by all clones of a client.
#[derive(Debug)]
pub(crate) struct RetryBudget(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl RetryBudget {
    pub(crate) fn new() -> Self {
        RetryBudget(Mutex::new(Bucket {
            tokens: CAPACITY,
            filled_at: Instant::now(),
        }))
    }

    /// Takes one retry, if there is one.
    pub(crate) fn try_spend(&self) -> bool {
        let mut bucket = self.0.lock();
        let now = Instant::now();
        let trickled = now.duration_since(bucket.filled_at).as_secs_f64() / TRICKLE.as_secs_f64();
        bucket.tokens = (bucket.tokens + trickled).min(CAPACITY);
        bucket.filled_at = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    pub(crate) fn success(&self) {
        let mut bucket = self.0.lock();
        bucket.tokens = (bucket.tokens + PER_SUCCESS).min(CAPACITY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend_all(budget: &RetryBudget) -> usize {
        (0..1000).take_while(|_| budget.try_spend()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn retries_end_and_come_back_with_successes_and_slowly_with_time() {
        let budget = RetryBudget::new();
        assert_eq!(spend_all(&budget), 20);
        for _ in 0..11 {
            budget.success();
        }
        assert_eq!(spend_all(&budget), 2);
        tokio::time::advance(TRICKLE * 3).await;
        assert_eq!(spend_all(&budget), 3);
        tokio::time::advance(TRICKLE * 1000).await;
        assert_eq!(spend_all(&budget), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_of_failures_stays_within_the_budget() {
        let budget = RetryBudget::new();
        let mut retries = 0;
        for _ in 0..36_000 {
            retries += usize::from(budget.try_spend());
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!(
            (139..=140).contains(&retries),
            "20 at once and 120 an hour, not {retries}"
        );
    }
}
