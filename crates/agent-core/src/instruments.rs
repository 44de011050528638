//! What the agent measures: handles that are looked up once, and nothing at all where nobody asked for figures.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_performance::instrumentation::{Span, SpanContext, SpanKind};
use agent_performance::memory::{ResourceKind, ResourceTracker, Tracked};
use agent_performance::metrics::{
    Counter, Gauge, GaugeGuard, Histogram, MetricUnit, MetricsCollector, NO_TAGS, Timing,
};

use crate::event::Outcome;

/// How the agent is called in `gen_ai.agent.name`.
const AGENT_NAME: &str = "claude-agent";

const EXECUTE_TOOL: &str = "gen_ai.execute_tool.duration";
const INVOKE_AGENT: &str = "gen_ai.invoke_agent.duration";

/// Where runs, tools, sessions and the store record what they do. The default records nothing and costs nothing.
/// Clones record into the same series.
#[derive(Clone, Default)]
pub struct Instruments {
    inner: Option<Arc<Inner>>,
}

#[derive(Clone)]
struct Inner {
    collector: MetricsCollector,
    invocation: Timing,
    turns: Counter,
    replays: Counter,
    compactions: Counter,
    compaction_failures: Counter,
    sessions_open: Gauge,
    store_queue: Timing,
    store_commit: Timing,
    sessions: ResourceKind,
    streams: ResourceKind,
    /// Of one agent; see [`Instruments::of_agent`].
    cost: Option<Counter>,
    tools: Vec<ToolHandles>,
}

#[derive(Clone)]
struct ToolHandles {
    name: String,
    duration: Timing,
    queue: Timing,
    output_bytes: Histogram,
}

impl Instruments {
    /// Records nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Records figures in `metrics` and what is alive in `tracker`.
    pub fn new(metrics: &MetricsCollector, tracker: &ResourceTracker) -> Self {
        let inner = Inner {
            collector: metrics.clone(),
            invocation: metrics.duration(INVOKE_AGENT, &[("gen_ai.agent.name", AGENT_NAME)]),
            turns: metrics.counter("agent.turns", NO_TAGS),
            replays: metrics.counter("agent.replays", NO_TAGS),
            compactions: metrics.counter("agent.compactions", NO_TAGS),
            compaction_failures: metrics.counter("agent.compaction_failures", NO_TAGS),
            sessions_open: metrics.gauge("sessions.open", MetricUnit::Count, NO_TAGS),
            store_queue: metrics.duration("store.write.queue", NO_TAGS),
            store_commit: metrics.duration("store.write.commit", NO_TAGS),
            sessions: tracker.kind("sessions"),
            streams: tracker.kind("streams"),
            cost: None,
            tools: Vec::new(),
        };
        Self {
            inner: Some(Arc::new(inner)),
        }
    }

    /// With the series of one agent's tools and model. Only registered tools get series: a name that a model made up
    /// never becomes a tag.
    pub(crate) fn of_agent(&self, tools: &[String], model: &str) -> Self {
        let Some(inner) = &self.inner else {
            return Self::none();
        };
        let metrics = &inner.collector;
        let handles = |name: &String| ToolHandles {
            name: name.clone(),
            duration: metrics.duration(EXECUTE_TOOL, &tool_tags(name)),
            queue: metrics.duration("tools.queue", &[("gen_ai.tool.name", name.as_str())]),
            output_bytes: metrics.histogram(
                "tools.output_bytes",
                MetricUnit::Bytes,
                &[("gen_ai.tool.name", name.as_str())],
            ),
        };
        let inner = Inner {
            cost: Some(metrics.counter("agent_cost_usd_total", &[("gen_ai.request.model", model)])),
            tools: tools.iter().map(handles).collect(),
            ..Inner::clone(inner)
        };
        Self {
            inner: Some(Arc::new(inner)),
        }
    }

    /// A session that is open until the returned value is dropped. `label` is how a leak would be called.
    pub(crate) fn session(&self, label: impl FnOnce() -> String) -> Live {
        let Some(inner) = &self.inner else {
            return Live::default();
        };
        Live {
            tracked: Some(inner.sessions.track_labelled(0, &label())),
            _open: Some(inner.sessions_open.hold()),
        }
    }

    /// An answer that is being received until the returned value is dropped.
    pub(crate) fn stream(&self, model: &str) -> Live {
        Live {
            tracked: self
                .inner
                .as_ref()
                .map(|inner| inner.streams.track_labelled(0, model)),
            _open: None,
        }
    }

    /// A run, which begins now.
    pub(crate) fn invocation(&self) -> Invocation {
        let mut span = self.span(|| format!("invoke_agent {AGENT_NAME}"));
        span.set("gen_ai.operation.name", "invoke_agent");
        span.set("gen_ai.provider.name", "anthropic");
        span.set("gen_ai.agent.name", AGENT_NAME);
        Invocation {
            span,
            open: self
                .inner
                .as_ref()
                .map(|inner| (Arc::clone(inner), Instant::now())),
        }
    }

    /// A call of a registered tool, which begins now. The call's id is the model's.
    pub(crate) fn tool_call(&self, tool: &str, id: &str) -> Span {
        let mut span = self.span(|| format!("execute_tool {tool}"));
        span.set("gen_ai.operation.name", "execute_tool");
        for (key, value) in tool_tags(tool) {
            span.set(key, value);
        }
        span.set("gen_ai.tool.call.id", id);
        span
    }

    fn span(&self, name: impl FnOnce() -> String) -> Span {
        let tracer = self.inner.as_ref().map(|inner| inner.collector.tracer());
        tracer.unwrap_or_default().span(SpanKind::Internal, name)
    }

    /// The model gave a whole answer.
    pub(crate) fn turn(&self) {
        if let Some(inner) = &self.inner {
            inner.turns.increment(1);
        }
    }

    /// A broken answer is asked for again.
    pub(crate) fn replay(&self) {
        if let Some(inner) = &self.inner {
            inner.replays.increment(1);
        }
    }

    /// A conversation was compacted, or should have been.
    pub(crate) fn compaction(&self, succeeded: bool) {
        if let Some(inner) = &self.inner {
            let counter = match succeeded {
                true => &inner.compactions,
                false => &inner.compaction_failures,
            };
            counter.increment(1);
        }
    }

    /// A request's price.
    pub(crate) fn cost(&self, usd: f64) {
        if let Some(cost) = self.inner.as_ref().and_then(|inner| inner.cost.as_ref()) {
            cost.add(usd);
        }
    }

    /// A call of `tool` got its turn after `waited`.
    pub(crate) fn tool_queued(&self, tool: &str, waited: Duration) {
        if let Some((_, handles)) = self.tool(tool) {
            handles.queue.record(waited);
        }
    }

    /// A call of `tool` ran for `took` and gave `bytes` back; `failure` is why it is an error.
    pub(crate) fn tool_ran(&self, tool: &str, took: Duration, bytes: usize, failure: Option<ToolFailure>) {
        let Some((inner, handles)) = self.tool(tool) else {
            return;
        };
        handles.output_bytes.record(bytes as f64);
        match failure {
            None => handles.duration.record(took),
            Some(failure) => {
                let [name, kind] = tool_tags(tool);
                let tags = [name, kind, ("error.type", failure.as_str())];
                inner.collector.duration(EXECUTE_TOOL, &tags).record(took);
            }
        }
    }

    /// A change to the store waited for `waited`.
    pub(crate) fn write_queued(&self, waited: Duration) {
        if let Some(inner) = &self.inner {
            inner.store_queue.record(waited);
        }
    }

    /// A transaction took `took`.
    pub(crate) fn committed(&self, took: Duration) {
        if let Some(inner) = &self.inner {
            inner.store_commit.record(took);
        }
    }

    /// A change to the store failed; `kind` is one of the store's own words.
    pub(crate) fn write_failed(&self, kind: &'static str) {
        if let Some(inner) = &self.inner {
            inner
                .collector
                .increment("store.write.failures", &[("error.type", kind)], 1);
        }
    }

    fn tool(&self, name: &str) -> Option<(&Inner, &ToolHandles)> {
        let inner = self.inner.as_deref()?;
        // A handful of tools: shorter than a hash.
        let handles = inner.tools.iter().find(|handles| handles.name == name)?;
        Some((inner, handles))
    }
}

impl fmt::Debug for Instruments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instruments")
            .field("recording", &self.inner.is_some())
            .finish_non_exhaustive()
    }
}

fn tool_tags(name: &str) -> [(&'static str, &str); 2] {
    [("gen_ai.tool.name", name), ("gen_ai.tool.type", "function")]
}

/// Why a call's result is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToolFailure {
    /// The tool said so.
    Told,
    /// The run was stopped while it ran.
    Cancelled,
    /// A fault of the tool.
    Panicked,
}

impl ToolFailure {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Told => "tool_error",
            Self::Cancelled => "cancelled",
            Self::Panicked => "panic",
        }
    }
}

/// A session or a stream that is alive until this is dropped.
#[derive(Debug, Default)]
#[must_use = "it counts as ended when this is dropped"]
pub(crate) struct Live {
    tracked: Option<Tracked>,
    _open: Option<GaugeGuard>,
}

impl Live {
    /// Says that it is in use.
    pub(crate) fn touch(&self) {
        if let Some(tracked) = &self.tracked {
            tracked.touch();
        }
    }
}

/// A run under way. Its time is recorded once, also when it is aborted or panics.
#[must_use = "the run counts as aborted when this is dropped"]
pub(crate) struct Invocation {
    open: Option<(Arc<Inner>, Instant)>,
    span: Span,
}

impl Invocation {
    /// The place of the run's work in its trace.
    pub(crate) fn context(&self) -> Option<SpanContext> {
        self.span.context()
    }

    /// Which session it is in.
    pub(crate) fn of_session(&mut self, id: &str) {
        self.span.set("gen_ai.conversation.id", id);
    }

    /// The run has come to its end.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Done => self.record(None),
            other => self.record(Some(other.as_str())),
        }
    }

    fn record(&mut self, error: Option<&str>) {
        let Some((inner, begun)) = self.open.take() else {
            return;
        };
        let mut span = std::mem::take(&mut self.span);
        if let Some(error) = error {
            span.fail(error);
        }
        drop(span);
        match error {
            None => inner.invocation.record_since(begun),
            Some(error) => {
                let tags = [("gen_ai.agent.name", AGENT_NAME), ("error.type", error)];
                inner.collector.duration(INVOKE_AGENT, &tags).record_since(begun);
            }
        }
    }
}

impl Drop for Invocation {
    fn drop(&mut self) {
        self.record(Some("aborted"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_recorded_once_however_it_ends() {
        let metrics = MetricsCollector::new();
        let instruments = Instruments::new(&metrics, &ResourceTracker::new());
        let samples = || {
            let counted = |error: &str| {
                metrics
                    .get_metric_statistics_with_tags(INVOKE_AGENT, &[("error.type", error)])
                    .map_or(0, |statistics| statistics.count)
            };
            let all = metrics
                .get_metric_statistics(INVOKE_AGENT)
                .map_or(0, |statistics| statistics.count);
            (all, counted("timed_out"), counted("aborted"))
        };
        let mut run = instruments.invocation();
        run.end(Outcome::Done);
        drop(run);
        assert_eq!(samples(), (1, 0, 0));
        instruments.invocation().end(Outcome::TimedOut);
        assert_eq!(samples(), (2, 1, 0));
        drop(instruments.invocation());
        assert_eq!(samples(), (3, 1, 1));
    }

    #[test]
    fn nothing_is_recorded_where_nobody_asked() {
        let instruments = Instruments::none().of_agent(&["look".to_owned()], "m");
        instruments.tool_ran("look", Duration::ZERO, 1, None);
        drop(instruments.session(|| unreachable!("no label is made")));
        assert!(instruments.inner.is_none());
    }
}
