//! Lines of the log as requests of the published protobuf definitions, and the task that sends them.
//!
//! Lines wait where they are kept anyway, in the ring of the latest ones: what the ring forgets before the collector is back
//! is counted and lost.

use std::time::Duration;

use agent_performance::metrics::{MetricsCollector, NO_TAGS};
use chrono::{DateTime, Utc};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio_util::sync::CancellationToken;

use super::metrics::{attribute, nanoseconds, scope};
use super::outage::Outage;
use super::transport::{Collector, NotSent, quoted};

/// Lines of one request: some hundred kilobytes at most.
const BATCH: usize = 500;

/// How long the last lines of a process may take.
const LAST_BATCH: Duration = Duration::from_secs(1);

/// A line, without secrets.
#[derive(Clone, Debug)]
pub struct SentLine {
    /// Its number, without gaps.
    pub seq: u64,
    /// When it was written.
    pub time: DateTime<Utc>,
    /// How serious it is.
    pub level: tracing::Level,
    /// The part of the program that wrote it.
    pub target: String,
    /// What it says.
    pub message: String,
    /// What else it names.
    pub fields: Vec<(String, String)>,
}

/// Sends lines to `collector`: those that `after` gives, oldest first, behind a number and at most so many. Ends with `token`,
/// after what there is was sent once.
///
/// Cancelling it loses nothing but what was not sent yet.
pub async fn push_logs(
    collector: Collector,
    after: impl Fn(u64, usize) -> Vec<SentLine> + Send,
    figures: MetricsCollector,
    token: CancellationToken,
) {
    let counter = |outcome| figures.counter("telemetry.exports", &[("signal", "logs"), ("outcome", outcome)]);
    let (sent, failed) = (counter("ok"), counter("failed"));
    let lost = figures.counter("telemetry.lines_dropped", NO_TAGS);
    let mut outage = Outage::new("lines of the log", collector.origin());
    let (mut last, mut wait) = (0, Duration::ZERO);
    loop {
        let is_ending = tokio::select! {
            biased;
            () = token.cancelled() => true,
            () = tokio::time::sleep(wait) => false,
        };
        wait = collector.settings().interval;
        let lines = after(last, BATCH);
        if let (Some(first), Some(newest)) = (lines.first(), lines.last()) {
            let tried = tokio::time::timeout(
                if is_ending { LAST_BATCH } else { Duration::MAX },
                send(&collector, &lines),
            );
            match tried.await {
                Ok(Ok(())) => {
                    sent.increment(1);
                    outage.tell(Ok(()));
                    lost.increment(first.seq.saturating_sub(last + 1));
                    last = newest.seq;
                    // There may be more of them at once.
                    if lines.len() == BATCH {
                        wait = Duration::ZERO;
                    }
                }
                Ok(Err(failure)) => {
                    failed.increment(1);
                    outage.tell(Err(&failure));
                    wait = failure.retry_after.unwrap_or_default().max(wait);
                }
                Err(_) => tracing::debug!("the last lines were not sent within {LAST_BATCH:?}"),
            }
        }
        if is_ending {
            return;
        }
    }
}

async fn send(collector: &Collector, lines: &[SentLine]) -> Result<(), NotSent> {
    let message = request(lines, &collector.settings().resource);
    let answer: ExportLogsServiceResponse = collector.send(&message).await?;
    if let Some(partial) = answer
        .partial_success
        .filter(|partial| partial.rejected_log_records > 0)
    {
        // Refused once, refused again: they are not sent again.
        tracing::debug!("the collector refused lines: {}", quoted(&partial.error_message));
    }
    Ok(())
}

pub(super) fn request(lines: &[SentLine], resource: &Resource) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource.clone()),
            scope_logs: vec![ScopeLogs {
                scope: Some(scope()),
                log_records: lines.iter().map(record).collect(),
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    }
}

fn record(line: &SentLine) -> LogRecord {
    let severity = match line.level {
        tracing::Level::ERROR => SeverityNumber::Error,
        tracing::Level::WARN => SeverityNumber::Warn,
        tracing::Level::INFO => SeverityNumber::Info,
        tracing::Level::DEBUG => SeverityNumber::Debug,
        tracing::Level::TRACE => SeverityNumber::Trace,
    };
    let text = |text: &str| Value::StringValue(text.to_owned());
    let target = std::iter::once(attribute("code.namespace", text(&line.target)));
    let fields = line
        .fields
        .iter()
        .map(|(name, value)| attribute(name, text(value)));
    LogRecord {
        time_unix_nano: nanoseconds(line.time),
        observed_time_unix_nano: nanoseconds(line.time),
        severity_number: severity.into(),
        severity_text: line.level.as_str().to_owned(),
        body: Some(AnyValue {
            value: Some(text(&line.message)),
        }),
        attributes: target.chain(fields).collect(),
        ..LogRecord::default()
    }
}
