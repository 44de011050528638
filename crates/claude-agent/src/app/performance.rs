//! What keeps the process fast and small, put together: figures, buffers, the account of what is alive, connections,
//! cache and clean-up. Nothing of it runs, reads a file or opens a connection before [`Performance::start`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent_claude::client::ClaudeClient;
use agent_config::ProductionConfig;
use agent_config::environment::Environment;
use agent_core::Instruments;
use agent_core::tools::Children;
use agent_performance::cache::{CacheLimits, ResponseCache};
use agent_performance::cleanup::{
    Admission, CleanupConfig, PressureConfig, PressureLevel, ResourceCleanupManager, StopReport,
};
use agent_performance::connection_pool::{ConnectionPoolConfig, HttpConnectionPool, ProxySettings};
use agent_performance::instrumentation::{EventLoopLag, SystemMetrics};
use agent_performance::lifecycle::Lifecycle;
use agent_performance::memory::{ExpectedLimit, MemoryPool, PoolConfig, ResourceTracker};
use agent_performance::metrics::MetricsCollector;
use agent_performance::shared::{Shared, SharedConfig};

use super::pace::{OpenSessions, Pace, Reach};
use super::{AppError, misconfigured};
use crate::published::{self, Busy, Publisher};

/// What can wait until the first request is out.
const START_DELAY: Duration = Duration::from_millis(250);

/// How long the clean-up of a process that ends before it began to clean may take.
const SHORT_RUN_CLEANUP: Duration = Duration::from_secs(1);

/// What nobody touched for this long looks like a leak. A command may run silently for an hour before it is ended.
const LEAK_THRESHOLD: Duration = Duration::from_secs(2 * 3600);

/// Whether the same question may get the same answer again. Answers are samples, so only where that is wanted.
#[derive(Clone, Copy)]
enum Messages {
    Cached,
    Fresh,
}

pub(super) struct Performance {
    /// None when the configuration wants no figures.
    metrics: Option<MetricsCollector>,
    tracker: ResourceTracker,
    pool: Arc<MemoryPool>,
    connections: Arc<HttpConnectionPool>,
    cache: ResponseCache,
    /// None for a process that shares nothing.
    shared: Option<Shared>,
    messages: Messages,
    cleanup: Arc<ResourceCleanupManager>,
    publisher: Option<Publisher>,
    data: PathBuf,
    pace: Pace,
}

impl Performance {
    pub(super) fn new(
        config: &ProductionConfig,
        environment: &Environment,
        lifecycle: &Lifecycle,
        pace: Pace,
    ) -> Result<Self, AppError> {
        let metrics = config.monitoring.enable_metrics.then(MetricsCollector::new);
        let tracker = ResourceTracker::new();
        let open_sessions = match pace.open_sessions {
            OpenSessions::One => 1,
            OpenSessions::Turns => u64::from(config.server.max_turns_in_flight),
        };
        tracker.kind("sessions").expect_at_most(ExpectedLimit {
            count: open_sessions,
            bytes: u64::MAX,
        });
        let connections = connections(config, environment, metrics.as_ref(), &tracker)?;
        let shared = match pace.sharing {
            Reach::Alone => None,
            Reach::Shared => shared(&config.shared, metrics.as_ref(), lifecycle)?,
        };
        let cache = cache(config, metrics.as_ref(), &tracker);
        let cache = match &shared {
            Some(shared) => cache.with_shared(shared, metrics.as_ref()),
            None => cache,
        };
        let pool = Arc::new(MemoryPool::with_config(PoolConfig {
            max_buffers_per_class: config.performance.memory_pool_max_size as usize,
            tracker: Some(tracker.clone()),
            ..PoolConfig::default()
        }));
        let data = config.deployment.data_directory.clone();
        let cleanup = Arc::new(ResourceCleanupManager::with_config(
            Arc::clone(&pool),
            // Without figures wanted the manager's own go nowhere.
            Arc::new(metrics.clone().unwrap_or_default()),
            CleanupConfig {
                interval: config.performance.gc_interval.duration(),
                pressure_interval: pace.pressure,
                leak_threshold: LEAK_THRESHOLD,
                pressure: PressureConfig {
                    memory_limit: config.performance.memory_limit.map(u64::from),
                    ..PressureConfig::default()
                },
                tracker: Some(tracker.clone()),
                lifecycle: lifecycle.clone(),
                ..CleanupConfig::default()
            },
        ));
        register(&cleanup, &cache, &data);
        Ok(Self {
            publisher: None,
            metrics,
            tracker,
            pool,
            connections,
            cache,
            shared,
            messages: if config.performance.cache_messages {
                Messages::Cached
            } else {
                Messages::Fresh
            },
            cleanup,
            data,
            pace,
        })
    }

    /// A client that uses these connections and this cache, and records into these figures.
    pub(super) fn client(
        &self,
        config: agent_claude::client::ClaudeConfig,
    ) -> Result<ClaudeClient, agent_claude::error::ClaudeError> {
        let connections = Arc::clone(&self.connections);
        let client = match &self.metrics {
            Some(metrics) => {
                ClaudeClient::new_with_performance(config, Arc::new(metrics.clone()), connections)?
            }
            None => ClaudeClient::with_pool(config, connections)?,
        };
        let client = client.with_cache(self.cache.clone());
        Ok(match self.messages {
            Messages::Cached => client.with_message_cache(),
            Messages::Fresh => client,
        })
    }

    /// What the agent and its store record into.
    pub(super) fn instruments(&self) -> Instruments {
        match &self.metrics {
            Some(metrics) => Instruments::new(metrics, &self.tracker),
            None => Instruments::none(),
        }
    }

    /// Where the programs that tools start are written down, so that the next start ends those that a crash leaves.
    pub(super) fn children(&self) -> Children {
        let children = Children::default()
            .with_tracker(&self.tracker)
            .with_buffers(&self.pool);
        #[cfg(target_os = "linux")]
        match agent_performance::cleanup::ChildLedger::open(&self.data) {
            Ok(ledger) => return children.with_ledger(ledger),
            Err(error) => {
                tracing::warn!(%error, "children are not written down: after a crash they would run on");
            }
        }
        children
    }

    pub(super) fn metrics(&self) -> Option<&MetricsCollector> {
        self.metrics.as_ref()
    }

    /// The account of what is alive.
    pub(super) fn tracker(&self) -> &ResourceTracker {
        &self.tracker
    }

    /// All connections of this process.
    pub(super) fn connections(&self) -> &Arc<HttpConnectionPool> {
        &self.connections
    }

    /// The answers that are kept.
    pub(super) fn cache(&self) -> &ResponseCache {
        &self.cache
    }

    /// What the daemons of a service have in common.
    pub(super) fn shared(&self) -> Option<&Shared> {
        self.shared.as_ref()
    }

    pub(super) fn admission(&self) -> Admission {
        self.cleanup.admission()
    }

    /// While the returned value is alive, figures are published.
    pub(super) fn busy(&self) -> Option<Busy> {
        self.publisher.as_ref().map(Publisher::busy)
    }

    /// Starts what runs beside the agent, a moment later: the first request goes out before.
    pub(super) fn start(&mut self, lifecycle: &Lifecycle) {
        let data = self.data.clone();
        if let Some(metrics) = &self.metrics {
            let cleanup = Arc::clone(&self.cleanup);
            let refresh = move || cleanup.record_figures();
            let idle = self.pace.unchanged_figures;
            self.publisher = Some(Publisher::start(lifecycle, &data, metrics.clone(), idle, refresh));
        }
        let (metrics, cleanup) = (self.metrics.clone(), Arc::clone(&self.cleanup));
        let (data, pace) = (self.data.clone(), self.pace);
        let (owner, token) = (lifecycle.clone(), lifecycle.token());
        drop(lifecycle.spawn("start-upkeep", async move {
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = tokio::time::sleep(START_DELAY) => {}
            }
            cleanup.start().await;
            if let Some(metrics) = metrics {
                // They end with the lifecycle, which also says when one panics.
                drop(EventLoopLag::start(&owner, &metrics, pace.lag));
                drop(SystemMetrics::new(&data).start(&owner, &metrics, pace.system));
            }
        }));
        #[cfg(target_os = "linux")]
        drop(lifecycle.spawn("end-orphans", reap(self.data.clone())));
    }

    /// The final clean-up and the last figures, after everything else has ended.
    pub(super) async fn finish(self) {
        // Its tasks ended with the lifecycle; a run too short for them is cleaned up after here.
        if self.cleanup.stop().await == StopReport::NotRunning
            && tokio::time::timeout(SHORT_RUN_CLEANUP, self.cleanup.run_cycle())
                .await
                .is_err()
        {
            tracing::warn!("the final clean-up did not end within {SHORT_RUN_CLEANUP:?}");
        }
        let (Some(metrics), Some(publisher)) = (self.metrics, self.publisher) else {
            return;
        };
        let data = self.data;
        let read = tokio::task::spawn_blocking(move || SystemMetrics::new(&data).collect(&metrics));
        if let Err(error) = read.await {
            tracing::error!(%error, "reading the system failed");
        }
        publisher.finish().await;
    }
}

fn connections(
    config: &ProductionConfig,
    environment: &Environment,
    metrics: Option<&MetricsCollector>,
    tracker: &ResourceTracker,
) -> Result<Arc<HttpConnectionPool>, AppError> {
    let (api, performance) = (&config.api, &config.performance);
    let proxy = ProxySettings::from_variables(|name| environment.get(name).map(str::to_owned))
        .map_err(|error| misconfigured(error.to_string(), "NO_PROXY names hosts to reach without it"))?;
    let config = ConnectionPoolConfig {
        max_connections_per_host: performance.connection_pool_size as usize,
        connection_timeout: api.connect_timeout.duration(),
        request_timeout: performance.request_timeout.duration(),
        ca_bundle: api.ca_bundle.clone(),
        proxy,
        ..ConnectionPoolConfig::default()
    };
    Ok(Arc::new(match metrics {
        Some(metrics) => HttpConnectionPool::with_observers(config, metrics, tracker),
        None => HttpConnectionPool::new(config),
    }))
}

/// Begins to connect to what is shared.
fn shared(
    config: &agent_config::SharedConfig,
    metrics: Option<&MetricsCollector>,
    lifecycle: &Lifecycle,
) -> Result<Option<Shared>, AppError> {
    let Some(url) = &config.redis_url else {
        return Ok(None);
    };
    let settings = SharedConfig::new(url.expose(), &config.key_prefix)
        .and_then(|settings| settings.with_command_timeout(config.command_timeout.duration()))
        .map_err(|error| misconfigured(error.to_string(), "check the section [shared]"))?;
    Ok(Some(match metrics {
        Some(metrics) => Shared::connect_with_metrics(settings, metrics, lifecycle),
        None => Shared::connect(settings, lifecycle),
    }))
}

fn cache(
    config: &ProductionConfig,
    metrics: Option<&MetricsCollector>,
    tracker: &ResourceTracker,
) -> ResponseCache {
    let megabytes = usize::try_from(config.performance.cache_size_mb).unwrap_or(usize::MAX);
    let limits = CacheLimits {
        bytes: megabytes.saturating_mul(1 << 20),
        ttl: config.performance.cache_ttl.duration(),
        ..CacheLimits::default()
    };
    match metrics {
        Some(metrics) => ResponseCache::with_observers(limits, metrics, tracker),
        None => ResponseCache::with_limits(limits),
    }
}

/// The tasks of each clean-up cycle, beside trimming the pool, and the answers to memory pressure.
fn register(cleanup: &ResourceCleanupManager, cache: &ResponseCache, data: &Path) {
    let expiring = cache.clone();
    let expiry = cleanup.register_sync("expired-answers", move || expiring.cleanup_expired() as u64);
    let data = data.to_owned();
    let pruning = cleanup.register("old-figures", move || {
        let data = data.clone();
        async move {
            let pruned = tokio::task::spawn_blocking(move || published::prune(&data)).await;
            pruned.map_err(std::io::Error::other).and_then(|pruned| pruned)
        }
    });
    let cache = cache.clone();
    let shrinking = cleanup.respond("answers", move |level| {
        let freed = match level {
            PressureLevel::Normal => 0,
            PressureLevel::Elevated => cache.halve(),
            PressureLevel::Critical => cache.shrink_to(0),
        };
        std::future::ready(freed as u64)
    });
    for registered in [expiry, pruning, shrinking] {
        registered.expect("the names are different, and there are few");
    }
}

/// Ends what a process of ours left running when it crashed.
#[cfg(target_os = "linux")]
async fn reap(data: PathBuf) {
    use agent_performance::cleanup::reap_orphans;
    let reaped = tokio::task::spawn_blocking(move || reap_orphans(&data)).await;
    match reaped.map_err(std::io::Error::other).and_then(|report| report) {
        Ok(report) => {
            for child in &report.killed {
                tracing::warn!(
                    pid = child.pid,
                    program = child.command,
                    "ended a process that a crash had left running"
                );
            }
            for problem in &report.unreadable {
                tracing::warn!(problem, "a list of children can't be read");
            }
        }
        Err(error) => tracing::warn!(%error, "what a crash may have left running was not looked for"),
    }
}
