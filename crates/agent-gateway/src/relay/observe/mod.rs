//! Reads along while an answer passes: who answered, what it used, whether it is whole. Changes nothing.

mod lines;
mod usage;

use std::sync::Arc;

use agent_claude::client::Operation;
use agent_claude::error::{kind_of_status, status_of_kind};
use agent_claude::messages::Usage;
use agent_claude::pricing::PriceTable;
use agent_performance::metrics::MetricsCollector;
use bytes::BytesMut;
use http::StatusCode;
use serde::de::DeserializeOwned;

use lines::{Kind, Lines};
use usage::{Failed, Started, Told};

/// The longest whole answer that is read for its usage. 128,000 tokens of text are below this; a longer one passes, uncounted.
const MAX_WHOLE: usize = 1 << 20;

/// What answers cost, added up where there is a collector.
pub(super) struct Costs {
    prices: PriceTable,
    collector: Option<MetricsCollector>,
}

impl Costs {
    pub(super) fn new(prices: PriceTable, collector: Option<MetricsCollector>) -> Arc<Self> {
        Arc::new(Costs { prices, collector })
    }

    /// A model without a known price has no cost that could be told.
    fn add(&self, model: &str, usage: &Usage) {
        if let Some(collector) = &self.collector
            && let Some(cost) = self.prices.cost_usd(model, usage)
        {
            let labels = [("gen_ai.request.model", model)];
            collector.counter("agent_cost_usd_total", &labels).add(cost);
        }
    }
}

/// Reads one answer to a request for a message. Dropped before the end, it counts what it has seen: that is what was paid.
pub(super) struct Observer {
    operation: Operation,
    costs: Arc<Costs>,
    /// Who answers, and what it used so far.
    told: Option<(String, Box<Usage>)>,
}

impl Observer {
    pub(super) fn new(operation: Operation, costs: Arc<Costs>) -> Self {
        Observer {
            operation,
            costs,
            told: None,
        }
    }

    /// Takes a whole answer.
    pub(super) fn whole(&mut self, body: &[u8]) {
        if let Some(Told { model, usage }) = read(body) {
            let usage = Box::new(usage.map(Usage::from).unwrap_or_default());
            let model = model.unwrap_or_default();
            self.operation.answered_by(&model, &usage);
            self.told = Some((model, usage));
        }
    }

    /// Takes the end of an answer that was read whole.
    pub(super) fn ended(&mut self, status: StatusCode, body: &[u8]) {
        if status.is_success() {
            self.whole(body);
            self.succeeded();
        } else {
            self.failed(kind_of_status(status.as_u16()));
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.operation.succeeded();
    }

    pub(super) fn failed(&mut self, error_type: &'static str) {
        self.operation.failed_with(error_type);
    }

    fn started(&mut self, data: &[u8]) {
        if let Some(Started { message }) = read(data) {
            let usage = Box::new(message.usage.map(Usage::from).unwrap_or_default());
            let model = message.model.unwrap_or_default();
            self.operation.began(&model, &usage);
            self.told = Some((model, usage));
        }
    }

    fn went_on(&mut self, data: &[u8]) {
        let later = read(data).and_then(|told: Told| told.usage);
        if let (Some(later), Some((_, usage))) = (later, &mut self.told) {
            usage.overwrite_with(&later.into());
            self.operation.used(usage);
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if let Some((model, usage)) = self.told.take() {
            self.costs.add(&model, &usage);
        }
    }
}

/// How an answer is read.
pub(super) enum Reading {
    Events(Events),
    Whole(Whole),
    /// Neither: another endpoint's, or an error's.
    Not,
}

impl Reading {
    /// For an answer that is no stream. Of an error, the status says what there is to know.
    pub(super) fn whole(mut observer: Observer, status: StatusCode, encoded: bool) -> Self {
        if !status.is_success() {
            observer.failed(kind_of_status(status.as_u16()));
            return Reading::Not;
        }
        let before = (!encoded).then(BytesMut::new);
        Reading::Whole(Whole { observer, before })
    }
}

/// A stream of events.
pub(super) struct Events {
    observer: Observer,
    lines: Lines,
    stopped: bool,
    failed: bool,
}

impl Events {
    pub(super) fn new(observer: Observer) -> Self {
        Events {
            observer,
            lines: Lines::default(),
            stopped: false,
            failed: false,
        }
    }

    /// Reads a piece; true when an event that is no ping ended in it.
    pub(super) fn pass(&mut self, chunk: &[u8]) -> bool {
        let mut progress = false;
        let Events {
            observer,
            lines,
            stopped,
            failed,
        } = self;
        lines.pass(chunk, |kind, data| {
            progress |= kind != Kind::Ping;
            match kind {
                Kind::Delta => observer.operation.piece(),
                Kind::MessageStart => observer.started(data),
                Kind::MessageDelta => observer.went_on(data),
                Kind::MessageStop => *stopped = true,
                Kind::Error => {
                    *failed = true;
                    let kind = read(data).map_or(String::new(), |failed: Failed| failed.error.kind);
                    // A kind that an upstream made up becomes the one of its status: labels are from a closed set.
                    observer.failed(kind_of_status(status_of_kind(&kind)));
                }
                Kind::Unnamed | Kind::Ping | Kind::Other => {}
            }
        });
        progress
    }

    /// True when all of a message has come.
    pub(super) fn is_complete(&self) -> bool {
        self.stopped && !self.failed
    }

    /// True when the stream may end here: whole, or with its own word of what failed.
    pub(super) fn may_end(&self) -> bool {
        self.stopped || self.failed
    }

    /// True where an event can be put in.
    pub(super) fn between_events(&self) -> bool {
        self.lines.between_events()
    }

    pub(super) fn observer(&mut self) -> &mut Observer {
        &mut self.observer
    }
}

/// An answer that is one JSON document.
pub(super) struct Whole {
    observer: Observer,
    /// What came before the last piece; none for what can't be read, or is too long to be.
    before: Option<BytesMut>,
}

impl Whole {
    /// Reads a piece; `last` when no more comes.
    pub(super) fn pass(&mut self, chunk: &[u8], last: bool) {
        let Some(before) = &mut self.before else { return };
        if before.len() + chunk.len() > MAX_WHOLE {
            self.before = None;
        } else if last && before.is_empty() {
            self.observer.whole(chunk);
        } else {
            before.extend_from_slice(chunk);
        }
    }

    /// The answer ended as it should.
    pub(super) fn ended(&mut self) {
        if let Some(before) = self.before.take().filter(|before| !before.is_empty()) {
            self.observer.whole(&before);
        }
        self.observer.succeeded();
    }

    pub(super) fn observer(&mut self) -> &mut Observer {
        &mut self.observer
    }
}

/// Whether a body is a whole message, which may be given again.
pub(super) fn is_message(body: &[u8]) -> bool {
    read(body).is_some_and(|told: Told| told.model.is_some() && told.usage.is_some())
}

/// What can't be read is not counted; it passes all the same.
fn read<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    serde_json::from_slice(json).ok()
}
