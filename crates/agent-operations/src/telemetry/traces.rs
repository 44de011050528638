//! Finished spans as requests of the published protobuf definitions, and the task that sends them.

use std::time::{Duration, SystemTime};

use agent_performance::instrumentation::{FinishedSpan, SpanKind, SpanValue};
use agent_performance::metrics::{Counter, MetricsCollector, NO_TAGS};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as WireKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::metrics::{attribute, scope};
use super::outage::Outage;
use super::transport::{Collector, NotSent, quoted};

/// Spans of one request: some hundred kilobytes at most.
const BATCH: usize = 512;

/// How often a batch is sent before it is given up. Meanwhile others wait in the tracer's queue, which is bounded.
const TRIES: u32 = 5;

/// How long the last spans of a process may take.
const LAST_BATCH: Duration = Duration::from_secs(1);

/// Sends what comes out of a tracer to `collector`, some at a time. Ends with `token`, after what waits was sent once.
///
/// Cancelling it loses the spans that it holds, at most one batch.
pub async fn push_spans(
    collector: Collector,
    mut finished: mpsc::Receiver<FinishedSpan>,
    figures: MetricsCollector,
    token: CancellationToken,
) {
    let counter =
        |outcome| figures.counter("telemetry.exports", &[("signal", "traces"), ("outcome", outcome)]);
    let mut push = Push {
        outage: Outage::new("spans", collector.origin()),
        sent: counter("ok"),
        failed: counter("failed"),
        dropped: figures.counter("telemetry.spans_dropped", NO_TAGS),
        collector,
    };
    let mut batch = Vec::with_capacity(BATCH);
    while push.fill(&mut finished, &mut batch, &token).await {
        push.send(&batch, &token).await;
        batch.clear();
    }
    while let Ok(span) = finished.try_recv() {
        if batch.len() < BATCH {
            batch.push(span);
        }
    }
    if !batch.is_empty() && tokio::time::timeout(LAST_BATCH, push.once(&batch)).await.is_err() {
        tracing::debug!("the last spans were not sent within {LAST_BATCH:?}");
    }
}

struct Push {
    collector: Collector,
    outage: Outage,
    sent: Counter,
    failed: Counter,
    dropped: Counter,
}

impl Push {
    /// Waits for spans: for a whole batch, or what comes within the delay after the first. False when it is time to end.
    async fn fill(
        &self,
        finished: &mut mpsc::Receiver<FinishedSpan>,
        batch: &mut Vec<FinishedSpan>,
        token: &CancellationToken,
    ) -> bool {
        tokio::select! {
            biased;
            () = token.cancelled() => return false,
            first = finished.recv() => match first {
                Some(first) => batch.push(first),
                None => return false,
            }
        }
        let delay = tokio::time::sleep(self.collector.settings().interval);
        tokio::pin!(delay);
        while batch.len() < BATCH {
            tokio::select! {
                biased;
                () = token.cancelled() => return false,
                more = finished.recv() => match more {
                    Some(more) => batch.push(more),
                    None => return true,
                },
                () = &mut delay => return true,
            }
        }
        true
    }

    /// Sends a batch, several times where it does not arrive. What never does is counted.
    async fn send(&mut self, batch: &[FinishedSpan], token: &CancellationToken) {
        for _ in 0..TRIES {
            let tried = tokio::select! {
                biased;
                () = token.cancelled() => break,
                tried = self.once(batch) => tried,
            };
            self.outage.tell(tried.as_ref().map(|_| ()));
            let Err(failure) = tried else { return };
            let wait = failure.retry_after.unwrap_or_default();
            tokio::select! {
                biased;
                () = token.cancelled() => break,
                () = tokio::time::sleep(wait.max(self.collector.settings().interval)) => {}
            }
        }
        self.dropped.increment(batch.len() as u64);
    }

    async fn once(&self, batch: &[FinishedSpan]) -> Result<(), NotSent> {
        let message = request(batch, &self.collector.settings().resource);
        let answer: Result<ExportTraceServiceResponse, _> = self.collector.send(&message).await;
        match &answer {
            Ok(_) => self.sent.increment(1),
            Err(_) => self.failed.increment(1),
        }
        // Spans that were refused once are refused again, so they are not sent again.
        if let Some(partial) = answer?
            .partial_success
            .filter(|partial| partial.rejected_spans > 0)
        {
            self.dropped
                .increment(partial.rejected_spans.unsigned_abs().min(batch.len() as u64));
            tracing::debug!("the collector refused spans: {}", quoted(&partial.error_message));
        }
        Ok(())
    }
}

pub(super) fn request(batch: &[FinishedSpan], resource: &Resource) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope()),
                spans: batch.iter().map(span).collect(),
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    }
}

fn span(span: &FinishedSpan) -> Span {
    let began = since_1970(span.began);
    let took = u64::try_from(span.took.as_nanos()).unwrap_or(u64::MAX);
    let kind = match span.kind {
        SpanKind::Internal => WireKind::Internal,
        SpanKind::Client => WireKind::Client,
    };
    Span {
        trace_id: span.context.trace_id.to_vec(),
        span_id: span.context.span_id.to_vec(),
        parent_span_id: span.parent.map(|id| id.to_vec()).unwrap_or_default(),
        flags: u32::from(span.context.sampled),
        name: span.name.clone(),
        kind: kind.into(),
        start_time_unix_nano: began,
        end_time_unix_nano: began.saturating_add(took),
        attributes: span
            .attributes
            .iter()
            .map(|(key, given)| attribute(key, value(given)))
            .collect(),
        status: span.error.as_ref().map(|error| Status {
            message: error.clone(),
            code: StatusCode::Error.into(),
        }),
        ..Span::default()
    }
}

fn value(given: &SpanValue) -> Value {
    let text = |text: &String| Value::StringValue(text.clone());
    match given {
        SpanValue::Text(given) => text(given),
        SpanValue::Number(number) => Value::IntValue(i64::try_from(*number).unwrap_or(i64::MAX)),
        SpanValue::Texts(all) => Value::ArrayValue(ArrayValue {
            values: all
                .iter()
                .map(|one| AnyValue {
                    value: Some(text(one)),
                })
                .collect(),
        }),
    }
}

fn since_1970(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(0)
}
