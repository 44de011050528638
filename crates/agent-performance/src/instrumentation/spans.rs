//! Spans as timings: code that already has spans needs no macro.

use std::time::Instant;

use papaya::HashMap;
use tracing::callsite::Identifier;
use tracing::span::{Attributes, Id};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::metrics::{MetricsCollector, NO_TAGS, Timing};

/// Places in the code whose spans have a timing of their own; above what any build of ours contains. Further ones share
/// `timing.other_spans`.
pub const MAX_SPAN_NAMES: usize = 512;

/// A layer that records, when a span closes, the time since it was opened in `timing.{span name}`.
///
/// Waiting counts: the time is that of the clock on the wall. Span names are part of the code, so their number is
/// bounded; fields never become tags.
#[derive(Debug)]
pub struct SpanTimings {
    collector: MetricsCollector,
    /// By place in the code, so that closing a span looks up no strings.
    timings: HashMap<Identifier, Timing>,
}

/// When a span was opened.
struct Opened(Instant);

impl SpanTimings {
    /// A layer that records to `collector`.
    pub fn new(collector: &MetricsCollector) -> Self {
        SpanTimings {
            collector: collector.clone(),
            timings: HashMap::new(),
        }
    }

    fn record(&self, metadata: &'static Metadata<'static>, opened: Instant) {
        let timings = self.timings.pin();
        if let Some(timing) = timings.get(&metadata.callsite()) {
            return timing.record_since(opened);
        }
        let name = match timings.len() {
            ..MAX_SPAN_NAMES => metadata.name(),
            _ => "other_spans",
        };
        let timing = self.collector.timing(name, NO_TAGS);
        timing.record_since(opened);
        if timings.len() < MAX_SPAN_NAMES {
            timings.insert(metadata.callsite(), timing);
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanTimings {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Opened(Instant::now()));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let opened = span.extensions().get::<Opened>().map(|opened| opened.0);
        if let Some(opened) = opened {
            self.record(span.metadata(), opened);
        }
    }
}
