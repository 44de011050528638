//! The monitor: runs the checks, remembers, tells.

use std::sync::Arc;
use std::time::Duration;

use agent_performance::lifecycle::{Lifecycle, TaskError, TaskHandle};
use agent_performance::metrics::MetricsCollector;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use super::check::HealthCheck;
use super::config::HealthConfig;
use super::measure;
use super::record::Record;
use super::status::{CheckResult, HealthState, HealthStatus};

/// Checks at most. Each is a task in every cycle and a label of metrics.
pub const MAX_CHECKS: usize = 64;

/// No configuration makes checking a load.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// How long `stop` waits for the cycle under way to let go.
const STOP_DEADLINE: Duration = Duration::from_secs(2);

/// Why a check was not taken on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// Another check has this name.
    #[error("a health check named `{0}` exists already; give it another name")]
    NameTaken(String),
    /// There are [`MAX_CHECKS`].
    #[error("no more than {MAX_CHECKS} health checks; `{0}` is one too many")]
    TooMany(String),
}

/// Looks at everything registered, at an interval, and knows how it went.
///
/// Cheap to clone; the clones are one monitor. Checking ends by [`stop`](Self::stop) or with the lifecycle.
#[derive(Clone)]
pub struct HealthMonitor {
    shared: Arc<Shared>,
}

struct Shared {
    config: HealthConfig,
    metrics: Arc<MetricsCollector>,
    lifecycle: Lifecycle,
    checks: Mutex<Vec<Arc<Registered>>>,
    record: Mutex<Record>,
    made: (Instant, DateTime<Utc>),
    last_cycle: Mutex<Option<DateTime<Utc>>>,
    cycles: watch::Sender<u64>,
    running: tokio::sync::Mutex<Option<Running>>,
}

struct Running {
    /// Ends the task when the last clone of the monitor is dropped.
    stop: DropGuard,
    task: TaskHandle<()>,
}

struct Registered {
    name: String,
    check: Arc<dyn HealthCheck>,
    /// The look that did not end by its deadline, if it blocks its thread and could not be ended.
    stuck: Mutex<Option<TaskHandle<CheckResult>>>,
}

impl HealthMonitor {
    /// A monitor with a lifecycle of its own. Dropping its last clone ends the checking, too.
    pub fn new(metrics: Arc<MetricsCollector>, config: HealthConfig) -> Self {
        Self::with_lifecycle(metrics, config, Lifecycle::new())
    }

    /// A monitor whose tasks are owned, and ended, by `lifecycle`.
    pub fn with_lifecycle(
        metrics: Arc<MetricsCollector>,
        config: HealthConfig,
        lifecycle: Lifecycle,
    ) -> Self {
        HealthMonitor {
            shared: Arc::new(Shared {
                config,
                metrics,
                lifecycle,
                checks: Mutex::default(),
                record: Mutex::default(),
                made: (Instant::now(), Utc::now()),
                last_cycle: Mutex::default(),
                cycles: watch::Sender::new(0),
                running: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Adds a check; a running monitor looks at it from the next cycle on. Waits for nothing.
    ///
    /// # Errors
    /// The name is taken, or there are too many.
    #[expect(
        clippy::unused_async,
        reason = "the fixed signature; registration may come to wait"
    )]
    pub async fn register_check(&self, check: impl HealthCheck + 'static) -> Result<(), RegisterError> {
        let name = check.name().to_owned();
        let mut checks = self.shared.checks.lock();
        if checks.iter().any(|registered| registered.name == name) {
            return Err(RegisterError::NameTaken(name));
        }
        if checks.len() >= MAX_CHECKS {
            return Err(RegisterError::TooMany(name));
        }
        checks.push(Arc::new(Registered {
            name,
            check: Arc::new(check),
            stuck: Mutex::default(),
        }));
        Ok(())
    }

    /// Starts checking: the first cycle at once. Does nothing when it was started before.
    pub async fn start_monitoring(&self) {
        let mut running = self.shared.running.lock().await;
        if running.is_some() {
            return;
        }
        let stop = self.shared.lifecycle.token().child_token();
        let (shared, token) = (Arc::downgrade(&self.shared), stop.clone());
        let interval = self.shared.config.check_interval.max(SHORTEST_INTERVAL);
        let task = self.shared.lifecycle.spawn("health-monitor", async move {
            let mut ticks = tokio::time::interval(interval);
            // After a long cycle, or a machine that slept, one look is enough.
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    () = token.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                let Some(shared) = shared.upgrade() else { return };
                tokio::select! {
                    biased;
                    () = token.cancelled() => return,
                    () = shared.cycle() => {}
                }
            }
        });
        *running = Some(Running {
            stop: stop.drop_guard(),
            task,
        });
    }

    /// Looks at everything once, now. For a command that runs no monitor.
    pub async fn check_now(&self) -> HealthStatus {
        self.shared.cycle().await;
        self.get_status().await
    }

    /// What is known. Waits for nothing.
    #[expect(clippy::unused_async, reason = "the fixed signature")]
    pub async fn get_status(&self) -> HealthStatus {
        self.shared.status()
    }

    /// Changes with every cycle that ended: the number of cycles.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.cycles.subscribe()
    }

    /// Ends checking and waits for it; what is known stays. It can be started again.
    pub async fn stop(&self) {
        let Some(running) = self.shared.running.lock().await.take() else {
            return;
        };
        drop(running.stop);
        if tokio::time::timeout(STOP_DEADLINE, running.task).await.is_err() {
            tracing::warn!("the health monitor did not end within {STOP_DEADLINE:?}");
        }
    }
}

impl Shared {
    async fn cycle(&self) {
        let begun = Instant::now();
        let checks = self.checks.lock().clone();
        let looks = checks.iter().map(|registered| async move {
            let result = registered.look(&self.lifecycle, self.config.timeout).await;
            measure::check(&self.metrics, &registered.name, &result);
            self.record.lock().note(&registered.name, result, Utc::now());
        });
        futures_util::future::join_all(looks).await;
        measure::cycle(&self.metrics, begun.elapsed(), self.record.lock().score());
        *self.last_cycle.lock() = Some(Utc::now());
        self.cycles.send_modify(|cycles| *cycles += 1);
    }

    fn status(&self) -> HealthStatus {
        let record = self.record.lock();
        let starting =
            *self.cycles.borrow() == 0 || self.checks.lock().iter().any(|check| !record.has(&check.name));
        let state = record.state(self.config.max_consecutive_failures);
        HealthStatus {
            status: if starting {
                state.max(HealthState::Degraded)
            } else {
                state
            },
            starting,
            timestamp: self.last_cycle.lock().unwrap_or(self.made.1),
            uptime: self.made.0.elapsed(),
            checks: record.results().clone(),
            transitions: record.transitions(),
            version: self.config.version.clone(),
            build_hash: self.config.build_hash.clone(),
        }
    }
}

impl Registered {
    async fn look(&self, lifecycle: &Lifecycle, timeout: Duration) -> CheckResult {
        let begun = Instant::now();
        let stuck = self.stuck.lock().take();
        if let Some(stuck) = stuck
            && !stuck.is_finished()
        {
            *self.stuck.lock() = Some(stuck);
            return CheckResult::fail("an earlier look at it still runs: the check blocks its thread");
        }
        let check = Arc::clone(&self.check);
        let mut task = lifecycle.spawn(format!("health check {}", self.name), async move {
            check.check().await
        });
        let mut result = match tokio::time::timeout(timeout, &mut task).await {
            Ok(Ok(result)) => result,
            Ok(Err(TaskError::Panicked { message, .. })) => {
                CheckResult::fail(format!("the check panicked: {message}"))
            }
            Ok(Err(error)) => CheckResult::fail(error.to_string()),
            Err(_) => {
                task.abort();
                *self.stuck.lock() = Some(task);
                CheckResult::fail(format!("no answer within {timeout:?}"))
            }
        };
        result.duration = begun.elapsed();
        result
    }
}

impl std::fmt::Debug for HealthMonitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HealthMonitor")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}
