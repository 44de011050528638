//! The task that sends metrics again and again.

use std::time::Duration;

use agent_performance::metrics::{Counter, MetricsCollector};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use rand::RngExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics;
use super::transport::{Collector, NotSent, quoted};

/// How often a collector that is away, or refuses, is warned of.
const WARN_EVERY: Duration = Duration::from_secs(10 * 60);

/// How long the last figures of a process may take: a collector that hangs must not hold up the end.
const LAST_PUSH: Duration = Duration::from_secs(1);

/// Sends what `figures` holds to `collector`, at its interval and once more at the end. Ends with `token`.
///
/// Cancelling it between two requests loses nothing: every request has all figures since the start.
pub async fn push_metrics(collector: Collector, figures: MetricsCollector, token: CancellationToken) {
    let mut push = Push::new(collector, figures);
    // Daemons that were started together do not all send at once.
    let mut wait = push.interval().mul_f64(rand::rng().random_range(0.5..1.0));
    loop {
        tokio::select! {
            biased;
            () = token.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
        let pushed = tokio::select! {
            biased;
            () = token.cancelled() => break,
            pushed = push.once() => pushed,
        };
        wait = push.tell(pushed);
    }
    if tokio::time::timeout(LAST_PUSH, push.once()).await.is_err() {
        tracing::debug!("the last figures were not sent within {LAST_PUSH:?}");
    }
}

struct Push {
    collector: Collector,
    figures: MetricsCollector,
    sent: Counter,
    failed: Counter,
    /// When the collector was last warned of; none while all is well.
    warned: Option<Instant>,
}

impl Push {
    fn new(collector: Collector, figures: MetricsCollector) -> Self {
        let counter = |outcome| {
            figures.counter(
                "telemetry.exports",
                &[("signal", "metrics"), ("outcome", outcome)],
            )
        };
        Push {
            sent: counter("ok"),
            failed: counter("failed"),
            collector,
            figures,
            warned: None,
        }
    }

    fn interval(&self) -> Duration {
        self.collector.settings().interval
    }

    /// Takes a snapshot and sends it.
    async fn once(&self) -> Result<(), NotSent> {
        let (figures, settings) = (self.figures.clone(), self.collector.clone());
        // Thousands of series take milliseconds.
        let encoded = tokio::task::spawn_blocking(move || {
            metrics::requests(&figures.totals(), &settings.settings().resource)
        });
        let requests = encoded.await.map_err(|error| NotSent {
            why: error.to_string(),
            retry_after: None,
        })?;
        for request in requests {
            let answer: Result<ExportMetricsServiceResponse, _> = self.collector.send(&request).await;
            match &answer {
                Ok(_) => self.sent.increment(1),
                Err(_) => self.failed.increment(1),
            }
            let refused = answer?
                .partial_success
                .filter(|partial| partial.rejected_data_points > 0);
            if let Some(partial) = refused {
                return Err(NotSent {
                    why: format!(
                        "it refused {} of the figures: {}",
                        partial.rejected_data_points,
                        quoted(&partial.error_message)
                    ),
                    retry_after: None,
                });
            }
        }
        Ok(())
    }

    /// Tells how it went, but not again and again. Gives the time until the next.
    fn tell(&mut self, pushed: Result<(), NotSent>) -> Duration {
        let origin = self.collector.origin();
        match pushed {
            Ok(()) => {
                if self.warned.take().is_some() {
                    tracing::info!("metrics reach the collector at {origin} again");
                }
                self.interval()
            }
            Err(failure) => {
                if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
                    self.warned = Some(Instant::now());
                    tracing::warn!(
                        "metrics do not reach the collector at {origin}: {}; nothing waits for it, and it is tried every {:?}",
                        failure.why,
                        self.interval()
                    );
                }
                failure.retry_after.unwrap_or_default().max(self.interval())
            }
        }
    }
}
