//! Spans as timings: code that already has spans needs no macro.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use papaya::HashMap;
use tracing::callsite::Identifier;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::metrics::{MetricsCollector, NO_TAGS, Timing};

/// Places in the code whose spans have a timing of their own; above what any build of ours contains. Further ones share
/// `timing.other_spans`.
pub const MAX_SPAN_NAMES: usize = 512;

/// A layer that records, when a span closes, the time since it was opened in `timing.{span name}`.
///
/// Waiting counts: the time is that of the clock on the wall. Span names are part of the code, so their number is
/// bounded; fields never become tags. Clones record to the same collector.
#[derive(Clone, Debug, Default)]
pub struct SpanTimings(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    collector: OnceLock<MetricsCollector>,
    /// By place in the code, so that closing a span looks up no strings.
    timings: HashMap<Identifier, Timing>,
}

/// When a span was opened.
struct Opened(Instant);

impl SpanTimings {
    /// Records to `collector`.
    pub fn new(collector: &MetricsCollector) -> Self {
        let timings = Self::default();
        timings.connect(collector);
        timings
    }

    /// Records to `collector` from now on. For a program whose log begins before its figures do: until then, a layer made
    /// by [`default`](Self::default) records nothing. Once connected it stays so.
    pub fn connect(&self, collector: &MetricsCollector) {
        self.0.collector.get_or_init(|| collector.clone());
    }

    /// The layer as it goes into a program's subscriber, beside layers with filters of their own: it wants spans of level
    /// info and above, and no event, so that no log statement costs more for it.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let wanted = |metadata: &Metadata<'_>| metadata.is_span() && *metadata.level() <= Level::INFO;
        let filter = filter_fn(wanted).with_max_level_hint(LevelFilter::INFO);
        self.clone().with_filter(filter)
    }
}

impl Inner {
    fn record(&self, collector: &MetricsCollector, metadata: &'static Metadata<'static>, opened: Instant) {
        let timings = self.timings.pin();
        if let Some(timing) = timings.get(&metadata.callsite()) {
            return timing.record_since(opened);
        }
        let name = match timings.len() {
            ..MAX_SPAN_NAMES => metadata.name(),
            _ => "other_spans",
        };
        let timing = collector.timing(name, NO_TAGS);
        timing.record_since(opened);
        if timings.len() < MAX_SPAN_NAMES {
            timings.insert(metadata.callsite(), timing);
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanTimings {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if self.0.collector.get().is_none() {
            return;
        }
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Opened(Instant::now()));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(collector) = self.0.collector.get() else {
            return;
        };
        let Some(span) = context.span(&id) else { return };
        let opened = span.extensions().get::<Opened>().map(|opened| opened.0);
        if let Some(opened) = opened {
            self.0.record(collector, span.metadata(), opened);
        }
    }
}
