//! Leaves an API alone that fails again and again, and finds out with one request at a time whether it is back.

use std::sync::Arc;
use std::time::Duration;

use agent_performance::metrics::Gauge;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::error::Health;

/// Failures in a row that open the circuit: two requests with all their retries, so that one unlucky request never
/// shuts the others out.
const FAILURES_TO_OPEN: u32 = 10;

/// How long the circuit stays open at first. Doubled with each probe that fails.
const FIRST_OPEN: Duration = Duration::from_secs(5);

/// The longest it stays open: after an outage, this is how late it may be noticed that the API is back.
const LONGEST_OPEN: Duration = Duration::from_secs(60);

/// Closed: all pass. Open: none. After its time, one passes as a probe, and its fate decides.
#[derive(Clone, Debug)]
pub(crate) struct CircuitBreaker(Arc<Mutex<Circuit>>);

#[derive(Debug)]
struct Circuit {
    state: State,
    open_for: Duration,
    /// Shows the state to those who watch.
    gauge: Option<Gauge>,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing,
}

/// One request's way through. Dropped without a report (cancelled), it says nothing about the API.
#[derive(Debug)]
#[must_use = "report the outcome"]
pub(crate) struct Pass {
    circuit: Arc<Mutex<Circuit>>,
    probe: bool,
}

impl CircuitBreaker {
    pub(crate) fn new(gauge: Option<Gauge>) -> Self {
        let mut circuit = Circuit {
            state: State::Closed { failures: 0 },
            open_for: FIRST_OPEN,
            gauge,
        };
        circuit.set(State::Closed { failures: 0 });
        CircuitBreaker(Arc::new(Mutex::new(circuit)))
    }

    /// A pass, or the time until the next probe.
    pub(crate) fn enter(&self) -> Result<Pass, Duration> {
        let mut circuit = self.0.lock();
        let probe = match circuit.state {
            State::Closed { .. } => false,
            State::Open { until } => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Err(left);
                }
                circuit.set(State::Probing);
                true
            }
            State::Probing => return Err(circuit.open_for),
        };
        Ok(Pass {
            circuit: Arc::clone(&self.0),
            probe,
        })
    }
}

impl Pass {
    /// Tells how the API fared; `None` when the outcome says nothing about it.
    pub(crate) fn report(mut self, health: Option<Health>) {
        let Some(health) = health else { return };
        let mut circuit = self.circuit.lock();
        let was_probe = std::mem::take(&mut self.probe);
        match (health, &mut circuit.state) {
            (Health::Up, State::Closed { failures }) => *failures = 0,
            (Health::Down, State::Closed { failures }) => {
                *failures += 1;
                if *failures >= FAILURES_TO_OPEN {
                    circuit.open(FIRST_OPEN);
                }
            }
            (Health::Up, State::Probing) if was_probe => circuit.set(State::Closed { failures: 0 }),
            (Health::Down, State::Probing) if was_probe => {
                let open_for = (circuit.open_for * 2).min(LONGEST_OPEN);
                circuit.open(open_for);
            }
            // A request from before the circuit opened: the probe knows better.
            (_, State::Open { .. } | State::Probing) => {}
        }
    }
}

impl Circuit {
    fn open(&mut self, open_for: Duration) {
        self.open_for = open_for;
        self.set(State::Open {
            until: Instant::now() + open_for,
        });
    }

    fn set(&mut self, state: State) {
        if let Some(gauge) = &self.gauge {
            gauge.set(match state {
                State::Closed { .. } => 0.0,
                State::Probing => 1.0,
                State::Open { .. } => 2.0,
            });
        }
        self.state = state;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probe {
            // The probe told nothing, so the next request is one.
            self.circuit.lock().set(State::Open {
                until: Instant::now(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &CircuitBreaker, times: u32) {
        for _ in 0..times {
            breaker.enter().unwrap().report(Some(Health::Down));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_a_success_between_does_not_count() {
        let breaker = CircuitBreaker::new(None);
        fail(&breaker, 9);
        breaker.enter().unwrap().report(None);
        breaker.enter().unwrap().report(Some(Health::Up));
        fail(&breaker, 9);
        assert!(breaker.enter().is_ok());
        fail(&breaker, 1);
        assert_eq!(breaker.enter().unwrap_err(), FIRST_OPEN);
    }

    #[tokio::test(start_paused = true)]
    async fn its_state_is_shown() {
        use agent_performance::metrics::{MetricUnit, MetricsCollector, NO_TAGS};
        let gauge = MetricsCollector::new().gauge("state", MetricUnit::Count, NO_TAGS);
        let breaker = CircuitBreaker::new(Some(gauge.clone()));
        assert_eq!(gauge.value(), 0.0);
        fail(&breaker, 10);
        assert_eq!(gauge.value(), 2.0);
        tokio::time::advance(FIRST_OPEN).await;
        let probe = breaker.enter().unwrap();
        assert_eq!(gauge.value(), 1.0);
        drop(probe);
        assert_eq!(gauge.value(), 2.0, "a probe that told nothing");
        breaker.enter().unwrap().report(Some(Health::Up));
        assert_eq!(gauge.value(), 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_probe_is_one_and_decides() {
        let breaker = CircuitBreaker::new(None);
        fail(&breaker, 10);
        tokio::time::advance(FIRST_OPEN).await;
        let probe = breaker.enter().unwrap();
        for _ in 0..100 {
            assert!(breaker.enter().is_err(), "exactly one is let through");
        }
        probe.report(Some(Health::Down));
        assert_eq!(breaker.enter().unwrap_err(), FIRST_OPEN * 2);
        tokio::time::advance(FIRST_OPEN * 2).await;
        breaker.enter().unwrap().report(Some(Health::Up));
        fail(&breaker, 9);
        assert!(breaker.enter().is_ok(), "closed again, and counting from nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn an_abandoned_probe_makes_room_for_the_next() {
        let breaker = CircuitBreaker::new(None);
        fail(&breaker, 10);
        tokio::time::advance(FIRST_OPEN).await;
        drop(breaker.enter().unwrap());
        let second = breaker.enter().unwrap();
        assert!(breaker.enter().is_err());
        second.report(None);
        assert!(
            breaker.enter().is_ok(),
            "an outcome that says nothing is no verdict"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn late_news_from_before_does_not_touch_the_probe() {
        let breaker = CircuitBreaker::new(None);
        let old = breaker.enter().unwrap();
        fail(&breaker, 10);
        tokio::time::advance(FIRST_OPEN).await;
        let _probe = breaker.enter().unwrap();
        old.report(Some(Health::Up));
        assert!(breaker.enter().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_of_outage_lets_few_through() {
        let breaker = CircuitBreaker::new(None);
        let mut passed = 0;
        for _ in 0..36_000 {
            if let Ok(pass) = breaker.enter() {
                passed += 1;
                pass.report(Some(Health::Down));
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!((10 + 60..=10 + 70).contains(&passed), "{passed}");
    }
}
