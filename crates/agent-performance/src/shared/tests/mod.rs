mod commands;
mod configuration;
mod outages;
pub(crate) mod server;

use std::time::{Duration, Instant};

use super::{Shared, SharedConfig};
use crate::lifecycle::Lifecycle;
use crate::metrics::MetricsCollector;

/// What a test may wait for something that takes milliseconds on a machine with nothing else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn shared(url: &str) -> Shared {
    let shared = Shared::connect(config(url), &Lifecycle::new());
    up(&shared).await;
    shared
}

/// A busy machine gets more time for a command than the default.
pub(crate) fn config(url: &str) -> SharedConfig {
    let config = SharedConfig::new(url, "test").unwrap();
    config.with_command_timeout(Duration::from_secs(5)).unwrap()
}

fn quick(url: &str, timeout: Duration) -> SharedConfig {
    let config = SharedConfig::new(url, "test").unwrap();
    config.with_command_timeout(timeout).unwrap()
}

fn measured(config: SharedConfig) -> (Shared, MetricsCollector) {
    let metrics = MetricsCollector::new();
    let shared = Shared::connect_with_metrics(config, &metrics, &Lifecycle::new());
    (shared, metrics)
}

fn counted(metrics: &MetricsCollector, outcome: &str) -> f64 {
    let tags = [("outcome", outcome)];
    metrics
        .get_metric_statistics_with_tags("shared.commands", &tags)
        .map_or(0.0, |statistics| statistics.sum)
}

pub(crate) async fn up(shared: &Shared) {
    let up = tokio::time::timeout(PATIENCE, shared.until_up()).await;
    assert!(up.is_ok(), "{:?}", shared.status());
}

pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
