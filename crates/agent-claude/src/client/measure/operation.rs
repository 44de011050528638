//! One request from its beginning to its end, retries included.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use agent_performance::instrumentation::{Span, SpanKind, SpanValue};
use agent_performance::metrics::GaugeGuard;

use super::models::ModelHandles;
use super::{Meter, RequestKind};
use crate::error::{ClaudeError, ClaudeResult};
use crate::messages::{Message, StopReason, Usage};
use crate::stream::StreamEvent;

/// Records one request, once, whatever ends it; dropped before its end, it was cancelled. Without a meter, nothing.
#[derive(Default)]
pub struct Operation(Option<Box<UnderWay>>);

struct UnderWay {
    meter: Arc<Meter>,
    kind: RequestKind,
    begun: Instant,
    /// The model asked for; empty where none is.
    model: Box<str>,
    /// Known when the answer has begun.
    handles: Option<Arc<ModelHandles>>,
    tokens: Tokens,
    /// When the last piece of a stream came.
    last_chunk: Option<Instant>,
    span: Span,
    _in_flight: GaugeGuard,
}

/// What the API has told of the usage so far.
#[derive(Default)]
struct Tokens {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_creation: Option<u64>,
    output: Option<u64>,
}

impl Operation {
    /// Begins now. `model` is the one asked for; empty where none is.
    pub fn begin(meter: Option<&Arc<Meter>>, kind: RequestKind, model: &str) -> Self {
        Operation(meter.map(|meter| {
            Box::new(UnderWay {
                begun: Instant::now(),
                span: span(meter, kind, model),
                _in_flight: meter.in_flight.hold(),
                meter: Arc::clone(meter),
                kind,
                model: model.into(),
                handles: None,
                tokens: Tokens::default(),
                last_chunk: None,
            })
        }))
    }

    /// Takes an event of the answer as having come now.
    #[inline]
    pub(in super::super) fn saw(&mut self, event: &StreamEvent) {
        if let Some(under_way) = &mut self.0 {
            under_way.saw(event);
        }
    }

    /// Takes the whole answer.
    pub(in super::super) fn answered(&mut self, message: &Message) {
        if let Some(under_way) = &mut self.0 {
            under_way.span.set("gen_ai.response.id", message.id.as_str());
            under_way.stopped(message.stop_reason.as_ref());
        }
        self.answered_by(&message.model, &message.usage);
    }

    /// Takes the beginning of a streamed answer: who answers, and what is told of the usage before anything is written.
    pub fn began(&mut self, model: &str, usage: &Usage) {
        if let Some(under_way) = &mut self.0 {
            under_way.began(model, usage);
        }
    }

    /// Takes a piece of a streamed answer's content as having come now.
    #[inline]
    pub fn piece(&mut self) {
        if let Some(under_way) = &mut self.0 {
            under_way.chunk();
        }
    }

    /// Takes totals so far; what they leave out stays.
    pub fn used(&mut self, usage: &Usage) {
        if let Some(under_way) = &mut self.0 {
            under_way.tokens.told(usage);
        }
    }

    /// Takes a whole answer.
    pub fn answered_by(&mut self, model: &str, usage: &Usage) {
        if let Some(under_way) = &mut self.0 {
            under_way.answer_of(model);
            under_way.tokens.told(usage);
        }
    }

    /// Ends: the answer is whole.
    pub fn succeeded(&mut self) {
        self.end(None);
    }

    /// Ends with a failure of this type, from a closed set.
    pub fn failed_with(&mut self, error_type: &'static str) {
        self.end(Some(error_type));
    }

    pub(in super::super) fn failed(&mut self, error: &ClaudeError) {
        self.end(Some(error.error_type()));
    }

    pub(in super::super) fn ended<T>(&mut self, result: &ClaudeResult<T>) {
        match result {
            Ok(_) => self.succeeded(),
            Err(error) => self.failed(error),
        }
    }

    fn end(&mut self, error_type: Option<&'static str>) {
        if let Some(mut under_way) = self.0.take() {
            under_way.end(error_type);
        }
    }
}

/// The span of a request for a message; of others there is none.
fn span(meter: &Meter, kind: RequestKind, model: &str) -> Span {
    if kind != RequestKind::Messages {
        return Span::default();
    }
    let mut span = meter
        .collector
        .tracer()
        .span(SpanKind::Client, || format!("chat {model}"));
    if span.is_recorded() {
        for (key, value) in meter.models.tags(model) {
            match value.parse::<u64>() {
                Ok(port) if key == "server.port" => span.set(key, port),
                _ => span.set(key, value),
            }
        }
    }
    span
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Operation").field(&self.0.is_some()).finish()
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.end(Some(ClaudeError::CANCELLED_TYPE));
    }
}

impl UnderWay {
    fn saw(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::ContentBlockDelta { .. } => self.chunk(),
            StreamEvent::MessageStart { message } => {
                self.span.set("gen_ai.response.id", message.id.as_str());
                self.began(&message.model, &message.usage);
            }
            StreamEvent::MessageDelta(delta) => {
                self.stopped(delta.delta.stop_reason.as_ref());
                if let Some(usage) = &delta.usage {
                    self.tokens.told(usage);
                }
            }
            _ => {}
        }
    }

    fn began(&mut self, model: &str, usage: &Usage) {
        self.answer_of(model);
        self.tokens.told(usage);
        // Said before anything is written: no count of what an answer that breaks off has cost.
        self.tokens.output = None;
    }

    /// The hot one: two clock readings and one sample, no allocation.
    fn chunk(&mut self) {
        let Some(handles) = &self.handles else { return };
        let now = Instant::now();
        match self.last_chunk.replace(now) {
            None => handles.first_chunk.record(now.duration_since(self.begun)),
            Some(last) => handles.per_chunk.record(now.duration_since(last)),
        }
    }

    fn answer_of(&mut self, model: &str) {
        self.handles = Some(self.meter.models.handles(&self.model, model));
    }

    /// Says in the span what the figures say in their tags.
    fn describe(&mut self, error_type: Option<&'static str>) {
        if let Some(error_type) = error_type {
            self.span.fail(error_type);
        }
        if let Some(handles) = &self.handles {
            self.span.set("gen_ai.response.model", &*handles.answering);
        }
        if let Some(tokens) = self.tokens.prompt() {
            self.span.set("gen_ai.usage.input_tokens", tokens);
        }
        if let Some(tokens) = self.tokens.output {
            self.span.set("gen_ai.usage.output_tokens", tokens);
        }
    }

    fn stopped(&mut self, reason: Option<&StopReason>) {
        if let Some(reason) = reason {
            let reasons = SpanValue::Texts(vec![reason.as_str().to_owned()]);
            self.span.set("gen_ai.response.finish_reasons", reasons);
        }
    }

    fn end(&mut self, error_type: Option<&'static str>) {
        self.meter.ended(self.kind, error_type);
        self.describe(error_type);
        if self.kind != RequestKind::Messages {
            return;
        }
        let took = self.begun.elapsed();
        let handles = self.handles.as_deref();
        match (error_type, handles) {
            (None, Some(handles)) => handles.duration.record(took),
            // An answer that names no model: nobody can say whose time it was.
            (None, None) => {}
            (Some(error_type), _) => self.meter.models.failed(&self.model, handles, error_type, took),
        }
        let Some(handles) = handles else { return };
        if let Some(tokens) = self.tokens.prompt() {
            handles.input_tokens.record(tokens as f64);
        }
        if let Some(tokens) = self.tokens.output {
            handles.output_tokens.record(tokens as f64);
        }
    }
}

impl Tokens {
    /// Counts are totals so far, so they replace.
    fn told(&mut self, usage: &Usage) {
        for (known, told) in [
            (&mut self.input, usage.input_tokens),
            (&mut self.cache_read, usage.cache_read_input_tokens),
            (&mut self.cache_creation, usage.cache_creation_input_tokens),
            (&mut self.output, usage.output_tokens),
        ] {
            *known = told.or(*known);
        }
    }

    /// The whole prompt, cached parts included; `None` when nothing was told of it.
    fn prompt(&self) -> Option<u64> {
        let parts = [self.input, self.cache_read, self.cache_creation];
        parts.into_iter().flatten().reduce(u64::saturating_add)
    }
}
