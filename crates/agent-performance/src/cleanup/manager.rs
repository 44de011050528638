//! The manager: registration, start, stop, and what others watch.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::pressure::{MemoryReader, PressureConfig, PressureLevel};
use super::task::{Jobs, Outcome, RegisterError};
use super::worker::{CycleReport, Worker};
use crate::instrumentation::SystemMetrics;
use crate::lifecycle::{Lifecycle, TaskHandle};
use crate::memory::{MemoryPool, ResourceTracker};
use crate::metrics::MetricsCollector;

/// How the manager works.
#[derive(Clone)]
pub struct CleanupConfig {
    /// From the end of one cycle to the next. Default 60 s.
    pub interval: Duration,
    /// How long one task may take in a cycle. Default 30 s.
    pub task_timeout: Duration,
    /// How long one responder may take. Default 5 s: memory is short meanwhile.
    pub responder_timeout: Duration,
    /// How long the final cycle may take. Default 5 s.
    pub final_deadline: Duration,
    /// From one look at memory to the next, give or take a tenth. Default 1 s.
    pub pressure_interval: Duration,
    /// What counts as pressure.
    pub pressure: PressureConfig,
    /// Where readings of memory come from. Default: the system.
    pub reader: MemoryReader,
    /// Whose account is searched for leaks in each cycle.
    pub tracker: Option<ResourceTracker>,
    /// After what time without a touch a live resource is suspect. Default 1 h.
    pub leak_threshold: Duration,
    /// Who owns the tasks. Its token ends them, final cycle included.
    pub lifecycle: Lifecycle,
}

impl Default for CleanupConfig {
    fn default() -> Self {
        let system = SystemMetrics::new(Path::new("."));
        CleanupConfig {
            interval: Duration::from_secs(60),
            task_timeout: Duration::from_secs(30),
            responder_timeout: Duration::from_secs(5),
            final_deadline: Duration::from_secs(5),
            pressure_interval: Duration::from_secs(1),
            pressure: PressureConfig::default(),
            reader: Arc::new(move || system.memory()),
            tracker: None,
            leak_threshold: Duration::from_secs(3600),
            lifecycle: Lifecycle::new(),
        }
    }
}

/// Added to the final cycle's deadline before the task is aborted: it needs a moment to end.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Runs clean-up tasks on a timer and answers memory pressure.
///
/// Dropping it aborts its tasks; [`stop`](Self::stop) ends them with a final cycle.
pub struct ResourceCleanupManager {
    worker: Arc<Worker>,
    running: Mutex<Option<Running>>,
}

/// How [`ResourceCleanupManager::stop`] went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReport {
    /// The final cycle ran and the tasks ended.
    Clean,
    /// The final cycle did not end in time; it was aborted.
    Aborted,
    /// Nothing was running.
    NotRunning,
}

/// The manager's tasks, aborted on drop.
struct Running {
    stop: CancellationToken,
    cleaning: TaskHandle<()>,
    watching: TaskHandle<()>,
}

impl ResourceCleanupManager {
    /// A manager with the default configuration. Nothing runs before [`start`](Self::start).
    pub fn new(pool: Arc<MemoryPool>, metrics: Arc<MetricsCollector>) -> Self {
        Self::with_config(pool, metrics, CleanupConfig::default())
    }

    /// A manager of one's own making.
    pub fn with_config(pool: Arc<MemoryPool>, metrics: Arc<MetricsCollector>, config: CleanupConfig) -> Self {
        ResourceCleanupManager {
            worker: Arc::new(Worker {
                pool,
                metrics,
                config,
                tasks: Jobs::default(),
                responders: Jobs::default(),
                level: watch::Sender::new(PressureLevel::Normal),
                last_use: Arc::default(),
                named: Mutex::new(HashSet::new()),
            }),
            running: Mutex::new(None),
        }
    }

    /// Adds a task to every cycle. It gives the bytes it freed. A task that takes too long, or is running when the
    /// manager stops, is dropped at its next await and must bear that.
    ///
    /// # Errors
    /// The name is taken, or there are too many tasks.
    pub fn register<F, R>(
        &self,
        name: &str,
        task: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<(), RegisterError>
    where
        F: Future<Output = R> + Send + 'static,
        R: Outcome,
    {
        let job = move |_level| -> super::task::JobFuture {
            let work = task();
            Box::pin(async move { work.await.freed() })
        };
        self.worker.tasks.add(name, Arc::new(job))
    }

    /// As [`register`](Self::register), for a task that neither waits nor does I/O.
    ///
    /// # Errors
    /// The name is taken, or there are too many tasks.
    pub fn register_sync<R>(
        &self,
        name: &str,
        task: impl Fn() -> R + Send + Sync + 'static,
    ) -> Result<(), RegisterError>
    where
        R: Outcome,
    {
        let job = move |_level| -> super::task::JobFuture {
            let outcome = task().freed();
            Box::pin(std::future::ready(outcome))
        };
        self.worker.tasks.add(name, Arc::new(job))
    }

    /// Adds a responder: called with the new level at each change, back to normal included, and every ten seconds
    /// while memory stays short. It gives the bytes it freed. Critical includes what elevated asks for.
    ///
    /// # Errors
    /// The name is taken, or there are too many responders.
    pub fn respond<F, R>(
        &self,
        name: &str,
        responder: impl Fn(PressureLevel) -> F + Send + Sync + 'static,
    ) -> Result<(), RegisterError>
    where
        F: Future<Output = R> + Send + 'static,
        R: Outcome,
    {
        let job = move |level| -> super::task::JobFuture {
            let work = responder(level);
            Box::pin(async move { work.await.freed() })
        };
        self.worker.responders.add(name, Arc::new(job))
    }

    /// The level of memory pressure, for subsystems that decide by themselves.
    pub fn pressure(&self) -> watch::Receiver<PressureLevel> {
        self.worker.level.subscribe()
    }

    /// What new work asks before it begins.
    pub fn admission(&self) -> Admission {
        Admission::new(
            self.pressure(),
            Arc::clone(&self.worker.last_use),
            self.worker.config.pressure.calm,
        )
    }

    /// Runs one cycle now, besides those on the timer.
    pub async fn run_cycle(&self) -> CycleReport {
        self.worker.cycle(self.worker.config.task_timeout).await
    }

    /// Records the figures of the pool, of what is alive and of memory pressure as they are now; each cycle does so,
    /// too. For whoever is about to read them.
    pub fn record_figures(&self) {
        self.worker.publish();
    }

    /// Starts the cycles and the watch on memory. A second call changes nothing; after [`stop`](Self::stop) it
    /// starts them again.
    #[expect(
        clippy::unused_async,
        reason = "callers write `.await`; that it starts tasks needs a runtime, and this says so"
    )]
    pub async fn start(&self) {
        let mut running = self.running.lock();
        if running.as_ref().is_some_and(Running::is_alive) {
            return;
        }
        let lifecycle = &self.worker.config.lifecycle;
        let stop = lifecycle.token().child_token();
        let cleaning = Arc::clone(&self.worker).clean(stop.clone());
        let watching = Arc::clone(&self.worker).watch_memory(stop.clone());
        *running = Some(Running {
            cleaning: lifecycle.spawn("cleanup", cleaning),
            watching: lifecycle.spawn("memory-pressure", watching),
            stop,
        });
    }

    /// Ends the tasks, waits for the final cycle, and aborts it at its deadline. Cancelling this future aborts it
    /// at once. A second call does nothing.
    pub async fn stop(&self) -> StopReport {
        let Some(mut running) = self.running.lock().take() else {
            return StopReport::NotRunning;
        };
        running.stop.cancel();
        let limit = self.worker.config.final_deadline + STOP_GRACE;
        let ended = tokio::time::timeout(limit, async {
            let cleaned = (&mut running.cleaning).await.is_ok();
            (&mut running.watching).await.is_ok() && cleaned
        });
        match ended.await {
            Ok(true) => StopReport::Clean,
            Ok(false) | Err(_) => StopReport::Aborted,
        }
    }
}

impl Running {
    fn is_alive(&self) -> bool {
        !self.cleaning.is_finished()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cleaning.abort();
        self.watching.abort();
    }
}

impl fmt::Debug for ResourceCleanupManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceCleanupManager")
            .field(
                "running",
                &self.running.lock().as_ref().is_some_and(Running::is_alive),
            )
            .field("pressure", &*self.worker.level.borrow())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CleanupConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CleanupConfig")
            .field("interval", &self.interval)
            .field("pressure", &self.pressure)
            .finish_non_exhaustive()
    }
}
