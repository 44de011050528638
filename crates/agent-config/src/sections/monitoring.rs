use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::secret::Secret;
use crate::units::HumanDuration;

/// Metrics, health checks and alerts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MonitoringConfig {
    /// Record metrics.
    pub enable_metrics: bool,
    /// Where telemetry is sent, by OTLP over HTTP: the address of a collector, to which `/v1/metrics`, `/v1/traces` and `/v1/logs` are added. Nothing is sent
    /// while it is not set and `OTEL_EXPORTER_OTLP_ENDPOINT` is not either. The standard variables win over this key.
    #[schemars(with = "Option<String>", extend("format" = "uri"))]
    pub otlp_endpoint: Option<Url>,
    /// How often metrics are sent there.
    pub metrics_export_interval: HumanDuration,
    /// Run health checks.
    pub enable_health_checks: bool,
    /// How often health checks run.
    pub health_check_interval: HumanDuration,
    /// Evaluate alert rules and send what fires.
    pub enable_alerting: bool,
    /// Where alerts are posted. It often carries a token, so it is never printed.
    pub alert_webhook_url: Option<Secret>,
    /// The values past which the built-in alerts fire.
    pub performance_thresholds: PerformanceThresholds,
}

/// The values past which the built-in alerts fire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PerformanceThresholds {
    /// The 95th percentile of response times, in milliseconds.
    pub max_response_time_ms: u64,
    /// Resident memory of the process, in MiB.
    pub max_memory_usage_mb: u64,
    /// Processor use of the process, in percent of all processors.
    pub max_cpu_usage_percent: f64,
    /// Failed requests, in percent of all.
    pub max_error_rate_percent: f64,
}

impl Default for MonitoringConfig {
    fn default() -> Self {
        Self {
            enable_metrics: true,
            otlp_endpoint: None,
            metrics_export_interval: HumanDuration::secs(60),
            enable_health_checks: true,
            health_check_interval: HumanDuration::secs(30),
            enable_alerting: false,
            alert_webhook_url: None,
            performance_thresholds: PerformanceThresholds::default(),
        }
    }
}

impl Default for PerformanceThresholds {
    fn default() -> Self {
        Self {
            max_response_time_ms: 5000,
            max_memory_usage_mb: 512,
            max_cpu_usage_percent: 80.0,
            max_error_rate_percent: 5.0,
        }
    }
}
