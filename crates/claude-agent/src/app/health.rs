//! What the daemon's health is made of: each check with its limits from the configuration.

use std::sync::Arc;
use std::time::Duration;

use agent_claude::keys::KeyRing;
use agent_config::Loaded;
use agent_operations::crash::OwnWatch;
use agent_operations::health::checks::{
    ApiConnectivityCheck, CertificateCheck, ClockCheck, DiskSpaceCheck, EventLoopCheck, Probe,
    SystemResourceCheck,
};
use agent_operations::health::{CheckResult, HealthCheck, HealthConfig, HealthMonitor, RegisterError};
use agent_performance::lifecycle::Lifecycle;
use agent_performance::shared::{Shared, SharedState};

use super::core::Core;
use super::{AppError, audit, own_watch, unavailable};

/// How long one look may take at most; a shorter interval shortens it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The monitor, with nothing started yet; none where the configuration wants none.
pub(super) async fn monitor(
    loaded: &Loaded,
    core: &Core,
    keys: &KeyRing,
    watch: Option<&OwnWatch>,
    lifecycle: &Lifecycle,
) -> Result<Option<HealthMonitor>, AppError> {
    let config = &loaded.config;
    if !config.monitoring.enable_health_checks {
        return Ok(None);
    }
    let interval = config.monitoring.health_check_interval.duration();
    let settings = HealthConfig {
        check_interval: interval,
        timeout: TIMEOUT.min(interval),
        version: config.deployment.version.clone(),
        build_hash: config.deployment.build_hash.clone(),
        ..HealthConfig::default()
    };
    let metrics = Arc::new(core.performance.metrics().cloned().unwrap_or_default());
    let monitor = HealthMonitor::with_lifecycle(metrics, settings, lifecycle.clone());
    register(&monitor, loaded, core, keys)
        .await
        .map_err(|error| unavailable(error.to_string(), "this is a fault of the program"))?;
    if let Some(watch) = watch
        && let Some(metrics) = core.performance.metrics()
    {
        let check = own_watch::check(watch, metrics.clone());
        let registered = monitor.register_check(check).await;
        registered.map_err(|error| unavailable(error.to_string(), "this is a fault of the program"))?;
    }
    Ok(Some(monitor))
}

async fn register(
    monitor: &HealthMonitor,
    loaded: &Loaded,
    core: &Core,
    keys: &KeyRing,
) -> Result<(), RegisterError> {
    let config = &loaded.config;
    let thresholds = &config.monitoring.performance_thresholds;
    monitor
        .register_check(SystemResourceCheck::new(
            thresholds.max_memory_usage_mb,
            thresholds.max_cpu_usage_percent,
        ))
        .await?;
    let connections = core.performance.connections().clone();
    let mut api = ApiConnectivityCheck::new(&config.api.base_url, connections);
    if keys.current().is_some() {
        let keys = keys.clone();
        api = api.with_key(
            move || keys.current().map(|key| key.secret().clone()),
            config.api.api_version,
        );
    }
    monitor.register_check(api).await?;
    monitor
        .register_check(DiskSpaceCheck::new(&config.deployment.data_directory))
        .await?;
    monitor.register_check(store(core)).await?;
    if core.audit.is_on() {
        monitor
            .register_check(audit::check(&core.audit, config.is_production()))
            .await?;
    }
    monitor.register_check(ClockCheck::new()).await?;
    monitor.register_check(EventLoopCheck).await?;
    if let Some(file) = config
        .security
        .tls_cert_path
        .as_deref()
        .filter(|_| config.security.enable_tls)
    {
        monitor.register_check(CertificateCheck::new(file)).await?;
    }
    if let Some(shared) = core.performance.shared() {
        monitor.register_check(shared_tier(shared)).await?;
    }
    Ok(())
}

/// A real write, the same way that a message takes.
fn store(core: &Core) -> impl HealthCheck + use<> {
    let store = core.store.clone();
    Probe::new("store", move || {
        let store = store.clone();
        async move {
            match store.check_writable().await {
                Ok(()) => CheckResult::pass("the session store can be written"),
                Err(error) => CheckResult::fail(error.to_string()),
            }
        }
    })
}

/// Without it the daemon goes on alone, so it is never a failure.
fn shared_tier(shared: &Shared) -> impl HealthCheck + use<> {
    let shared = shared.clone();
    Probe::new("shared", move || {
        let status = shared.status();
        let word = match status.state {
            SharedState::Up => return std::future::ready(CheckResult::pass("connected")),
            SharedState::Connecting => "not connected yet",
            SharedState::Down => "down",
        };
        let why = status
            .last_failure
            .map(|failure| format!(": {}", failure.message))
            .unwrap_or_default();
        std::future::ready(CheckResult::warn(format!(
            "{} is {word}, this daemon goes on alone{why}",
            status.address
        )))
    })
}
