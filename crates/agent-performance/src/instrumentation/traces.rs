//! Spans: what was done, when, within what. Recorded only where someone takes them; otherwise a span is two words.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;

use super::trace_context::{SpanContext, current};
use crate::metrics::{Counter, MetricsCollector, NO_TAGS};

/// Finished spans that wait for whoever takes them. What comes beyond is dropped and counted: nobody waits for telemetry.
pub const MAX_WAITING: usize = 2048;

/// Bytes of a name or a text; models and tools have short names, and what a client may choose is cut.
const MAX_TEXT_BYTES: usize = 256;

/// What a span's work is to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Work of our own.
    Internal,
    /// A request to someone else.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanValue {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
    /// Texts.
    Texts(Vec<String>),
}

impl From<&str> for SpanValue {
    fn from(text: &str) -> Self {
        SpanValue::Text(cut(text))
    }
}

impl From<u64> for SpanValue {
    fn from(number: u64) -> Self {
        SpanValue::Number(number)
    }
}

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct FinishedSpan {
    /// Its own place.
    pub context: SpanContext,
    /// The span that it is part of.
    pub parent: Option<[u8; 8]>,
    /// What was done.
    pub name: String,
    /// What it is to others.
    pub kind: SpanKind,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What is known of it.
    pub attributes: Vec<(&'static str, SpanValue)>,
    /// How it failed, in a word; none where it did not.
    pub error: Option<String>,
}

/// Takes spans. The default takes none. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Taking>>);

#[derive(Debug)]
struct Taking {
    queue: mpsc::Sender<FinishedSpan>,
    dropped: Counter,
}

impl Tracer {
    /// A tracer, and where its finished spans come out. At most [`MAX_WAITING`] wait there.
    pub fn new(metrics: &MetricsCollector) -> (Self, mpsc::Receiver<FinishedSpan>) {
        let (queue, finished) = mpsc::channel(MAX_WAITING);
        let dropped = metrics.counter("telemetry.spans_dropped", NO_TAGS);
        (Tracer(Some(Arc::new(Taking { queue, dropped }))), finished)
    }

    /// Whether spans are taken.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A span that begins now, within the [`current`] one if there is one. Part of a trace that its beginner does not record, it
    /// is not recorded either.
    pub fn span(&self, kind: SpanKind, name: impl FnOnce() -> String) -> Span {
        let parent = current();
        let taking = self
            .0
            .as_ref()
            .filter(|_| parent.is_none_or(|parent| parent.sampled));
        let Some(taking) = taking else {
            return Span { open: None, parent };
        };
        let context = SpanContext {
            trace_id: parent.map_or_else(|| unlike_zero(rand::random), |parent| parent.trace_id),
            span_id: unlike_zero(rand::random),
            sampled: true,
        };
        let open = Open {
            taking: Arc::clone(taking),
            begun: Instant::now(),
            span: FinishedSpan {
                context,
                parent: parent.map(|parent| parent.span_id),
                name: cut(&name()),
                kind,
                began: SystemTime::now(),
                took: Duration::ZERO,
                attributes: Vec::new(),
                error: None,
            },
        };
        Span {
            open: Some(Box::new(open)),
            parent,
        }
    }
}

/// Work under way. It ends when this is dropped.
#[derive(Debug, Default)]
#[must_use = "the work counts as ended when this is dropped"]
pub struct Span {
    open: Option<Box<Open>>,
    parent: Option<SpanContext>,
}

#[derive(Debug)]
struct Open {
    taking: Arc<Taking>,
    begun: Instant,
    span: FinishedSpan,
}

impl Span {
    /// Says something of it. Keys come from a closed set, so there are few.
    pub fn set(&mut self, key: &'static str, value: impl Into<SpanValue>) {
        if let Some(open) = &mut self.open {
            open.span.attributes.push((key, value.into()));
        }
    }

    /// It failed; `error` is one word of a closed set.
    pub fn fail(&mut self, error: &str) {
        if let Some(open) = &mut self.open {
            open.span.attributes.push(("error.type", error.into()));
            open.span.error = Some(cut(error));
        }
    }

    /// Whether anyone will see it: what costs something to say need not be said otherwise.
    pub fn is_recorded(&self) -> bool {
        self.open.is_some()
    }

    /// The place of work within it: its own, or where it is not recorded that of the span around it.
    pub fn context(&self) -> Option<SpanContext> {
        self.open.as_ref().map(|open| open.span.context).or(self.parent)
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(open) = self.open.take() else { return };
        let Open {
            taking,
            begun,
            mut span,
        } = *open;
        span.took = begun.elapsed();
        if taking.queue.try_send(span).is_err() {
            taking.dropped.increment(1);
        }
    }
}

/// Zeros mean that there is no id.
fn unlike_zero<const N: usize>(random: impl Fn() -> [u8; N]) -> [u8; N] {
    loop {
        let id = random();
        if id != [0; N] {
            return id;
        }
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::trace_context::{under, within};
    use super::*;

    #[tokio::test]
    async fn spans_know_their_parents_and_tell_how_they_ended() {
        let (tracer, mut finished) = Tracer::new(&MetricsCollector::new());
        let mut outer = tracer.span(SpanKind::Internal, || "outer".to_owned());
        outer.set("a", 1);
        within(outer.context(), async {
            let mut inner = tracer.span(SpanKind::Client, || "é".repeat(500));
            inner.fail("timed_out");
        })
        .await;
        drop(outer);
        let (inner, outer) = (finished.recv().await.unwrap(), finished.recv().await.unwrap());
        assert_eq!(inner.context.trace_id, outer.context.trace_id);
        assert_eq!((inner.parent, outer.parent), (Some(outer.context.span_id), None));
        assert_eq!((inner.error.as_deref(), outer.error), (Some("timed_out"), None));
        assert_eq!((inner.name.len(), inner.kind), (256, SpanKind::Client));
        assert_eq!(outer.attributes, [("a", SpanValue::Number(1))]);
        assert!(inner.took <= outer.took);
    }

    #[test]
    fn a_trace_that_is_not_recorded_is_passed_on_and_so_is_one_without_a_tracer() {
        let quiet = SpanContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
        let (tracer, mut finished) = Tracer::new(&MetricsCollector::new());
        for tracer in [&tracer, &Tracer::default()] {
            let span = under(quiet, || {
                tracer.span(SpanKind::Internal, || unreachable!("no name is made"))
            });
            assert_eq!(span.context(), quiet);
        }
        assert!(finished.try_recv().is_err());
        assert!(
            Tracer::default()
                .span(SpanKind::Internal, || unreachable!())
                .context()
                .is_none()
        );
    }

    #[test]
    fn nobody_waits_for_who_takes_spans() {
        let metrics = MetricsCollector::new();
        let (tracer, finished) = Tracer::new(&metrics);
        for _ in 0..MAX_WAITING + 7 {
            drop(tracer.span(SpanKind::Internal, || "x".to_owned()));
        }
        assert_eq!(finished.len(), MAX_WAITING);
        let dropped = metrics.get_metric_statistics("telemetry.spans_dropped");
        assert_eq!(dropped.unwrap().sum, 7.0);
    }
}
