//! Sending figures, spans and lines of the log to a collector of telemetry, where one is named.

use std::sync::Arc;

use agent_config::Loaded;
use agent_config::environment::Environment;
use agent_operations::telemetry::{
    BATCH_WAIT, Collector, OtlpSettings, Signal, push_logs, push_metrics, push_spans,
};
use agent_performance::instrumentation::Tracer;
use agent_security::redact::Redactor;

use super::LogBuffer;
use super::core::Core;

/// Where telemetry goes.
pub(super) struct Targets {
    metrics: Option<Collector>,
    traces: Option<Collector>,
    logs: Option<Collector>,
}

impl Targets {
    /// What the configuration and the standard variables say. What is shown to collectors is redacted from then on.
    pub(super) fn new(loaded: &Loaded, environment: &Environment, core: &Core, redactor: &Redactor) -> Self {
        let monitoring = &loaded.config.monitoring;
        let connections = core.performance.connections();
        let target = |signal, interval| {
            // A variable that can't be used is told, and nothing is sent: many are set for a whole machine, and none is a
            // reason not to serve.
            let settings = OtlpSettings::of(signal, monitoring.otlp_endpoint.as_ref(), interval, environment)
                .unwrap_or_else(|error| {
                    tracing::warn!("{error}; no {} are sent until it is corrected", word(signal));
                    None
                })?;
            redactor.learn(settings.secrets());
            Some(Collector::new(settings, Arc::clone(connections)))
        };
        Targets {
            metrics: target(Signal::Metrics, monitoring.metrics_export_interval.duration()),
            traces: target(Signal::Traces, BATCH_WAIT),
            logs: target(Signal::Logs, BATCH_WAIT),
        }
    }

    /// Starts to send. Without figures there is nothing to. It ends with the agent, not with the gateway: what drains is told, too.
    pub(super) fn start(self, core: &Core, lines: LogBuffer) {
        let lifecycle = &core.lifecycle;
        let Some(figures) = core.performance.metrics() else {
            if self.metrics.is_some() || self.traces.is_some() || self.logs.is_some() {
                tracing::warn!("nothing is sent to the collector: monitoring.enable_metrics is off");
            }
            return;
        };
        if let Some(collector) = self.metrics {
            tracing::info!("metrics are sent to {}", collector.origin());
            let pushing = push_metrics(collector, figures.clone(), lifecycle.token());
            drop(lifecycle.spawn("push-metrics", pushing));
        }
        if let Some(collector) = self.logs {
            tracing::info!("lines of the log are sent to {}", collector.origin());
            let after = move |seq, most| lines.lines_after(seq, most);
            let pushing = push_logs(collector, after, figures.clone(), lifecycle.token());
            drop(lifecycle.spawn("push-logs", pushing));
        }
        if let Some(collector) = self.traces {
            let (tracer, finished) = Tracer::new(figures);
            if figures.trace_to(tracer) {
                tracing::info!("spans are sent to {}", collector.origin());
                let pushing = push_spans(collector, finished, figures.clone(), lifecycle.token());
                drop(lifecycle.spawn("push-spans", pushing));
            }
        }
    }
}

fn word(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "metrics",
        Signal::Traces => "spans",
        Signal::Logs => "lines of the log",
    }
}
