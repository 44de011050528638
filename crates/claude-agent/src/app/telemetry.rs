//! Sending figures to a collector of telemetry, where one is named.

use std::sync::Arc;

use agent_config::Loaded;
use agent_config::environment::Environment;
use agent_operations::telemetry::{Collector, OtlpSettings, push_metrics};
use agent_performance::lifecycle::Lifecycle;
use agent_security::redact::Redactor;

use super::core::Core;

/// Where figures go; none where nobody wants them elsewhere. What it shows the collector is redacted from then on.
///
/// A standard variable that can't be used is told, and nothing is sent: many are set for a whole machine, and none is a
/// reason not to serve.
pub(super) fn collector(
    loaded: &Loaded,
    environment: &Environment,
    core: &Core,
    redactor: &Redactor,
) -> Option<Collector> {
    let monitoring = &loaded.config.monitoring;
    let interval = monitoring.metrics_export_interval.duration();
    match OtlpSettings::for_metrics(monitoring.otlp_endpoint.as_ref(), interval, environment) {
        Ok(settings) => {
            let settings = settings?;
            redactor.learn(settings.secrets());
            Some(Collector::new(
                settings,
                Arc::clone(core.performance.connections()),
            ))
        }
        Err(error) => {
            tracing::warn!(
                "{error}; no metrics are sent until it is corrected, or OTEL_METRICS_EXPORTER=none says that none are wanted"
            );
            None
        }
    }
}

/// Starts to send. Without figures there is nothing to.
pub(super) fn start(collector: Option<Collector>, core: &Core, lifecycle: &Lifecycle) {
    let Some(collector) = collector else { return };
    let Some(metrics) = core.performance.metrics() else {
        tracing::warn!(
            "nothing is sent to {}: monitoring.enable_metrics is off",
            collector.origin()
        );
        return;
    };
    tracing::info!("metrics are sent to {}", collector.origin());
    let pushing = push_metrics(collector, metrics.clone(), lifecycle.token());
    drop(lifecycle.spawn("push-metrics", pushing));
}
