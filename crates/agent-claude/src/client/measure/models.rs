//! The conventions' histograms, whose labels name models.

use std::sync::Arc;
use std::time::Duration;

use agent_performance::metrics::{Histogram, MetricUnit, MetricsCollector, Timing};
use parking_lot::Mutex;
use url::Url;

use crate::models;

/// Pairs of models, asked for and answering, that get series of their own. A client uses a handful; the names come from
/// configuration, people and servers, and must not make series without end.
const MAX_PAIRS: usize = 32;

/// The label of all models past the bound, and of names that are no model's as far as is known.
const OTHER: &str = "other";

const DURATION: &str = "gen_ai.client.operation.duration";
const FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
const PER_CHUNK: &str = "gen_ai.client.operation.time_per_output_chunk";
const TOKENS: &str = "gen_ai.client.token.usage";

/// Handles for each pair of models seen so far.
pub(super) struct Models {
    collector: MetricsCollector,
    address: Box<str>,
    port: Box<str>,
    /// Searched from the start: once for each answer, and short.
    pairs: Mutex<Vec<Arc<ModelHandles>>>,
}

/// What answers of one model to requests for one model are recorded in.
pub(super) struct ModelHandles {
    requested: Box<str>,
    pub(super) answering: Box<str>,
    /// Of requests that went well.
    pub(super) duration: Timing,
    pub(super) first_chunk: Timing,
    pub(super) per_chunk: Timing,
    pub(super) input_tokens: Histogram,
    pub(super) output_tokens: Histogram,
}

impl Models {
    pub(super) fn new(collector: &MetricsCollector, base_url: &Url) -> Self {
        let port = base_url.port_or_known_default();
        Models {
            collector: collector.clone(),
            address: base_url.host_str().unwrap_or_default().into(),
            port: port.map(|port| port.to_string()).unwrap_or_default().into(),
            pairs: Mutex::default(),
        }
    }

    /// The handles for answers of `answering` to requests for `requested`.
    pub(super) fn handles(&self, requested: &str, answering: &str) -> Arc<ModelHandles> {
        let mut pairs = self.pairs.lock();
        if let Some(handles) = find(&pairs, requested, answering) {
            return handles;
        }
        let (requested, answering) = if pairs.len() + 1 < MAX_PAIRS {
            (requested, answering)
        } else if let Some(handles) = find(&pairs, OTHER, OTHER) {
            return handles;
        } else {
            // The last place is for all the others.
            (OTHER, OTHER)
        };
        let handles = Arc::new(self.resolve(requested, answering));
        pairs.push(Arc::clone(&handles));
        handles
    }

    fn resolve(&self, requested: &str, answering: &str) -> ModelHandles {
        let [operation, provider, request, address, port] = self.tags(requested);
        let response = ("gen_ai.response.model", answering);
        let tags = [operation, provider, request, response, address, port];
        let tokens = |kind| {
            let kind = ("gen_ai.token.type", kind);
            let tags = [operation, provider, request, response, address, port, kind];
            self.collector.histogram(TOKENS, MetricUnit::Count, &tags)
        };
        ModelHandles {
            duration: self.collector.duration(DURATION, &tags),
            first_chunk: self.collector.duration(FIRST_CHUNK, &tags),
            per_chunk: self.collector.duration(PER_CHUNK, &tags),
            input_tokens: tokens("input"),
            output_tokens: tokens("output"),
            requested: requested.into(),
            answering: answering.into(),
        }
    }

    /// Records a request that failed. `answering` is known when the answer had begun.
    pub(super) fn failed(
        &self,
        requested: &str,
        answering: Option<&ModelHandles>,
        error_type: &str,
        took: Duration,
    ) {
        let label = match answering {
            Some(handles) => &handles.requested,
            None => self.label(requested),
        };
        let [operation, provider, request, address, port] = self.tags(label);
        let error = ("error.type", error_type);
        let timing = match answering {
            Some(handles) => {
                let response = ("gen_ai.response.model", &*handles.answering);
                let tags = [operation, provider, request, response, address, port, error];
                self.collector.duration(DURATION, &tags)
            }
            None => {
                let tags = [operation, provider, request, address, port, error];
                self.collector.duration(DURATION, &tags)
            }
        };
        timing.record(took);
    }

    /// A name that no answer has confirmed is a label only if it is in the table of models: it may be anything.
    fn label<'a>(&self, requested: &'a str) -> &'a str {
        let answered = || {
            let pairs = self.pairs.lock();
            pairs.iter().any(|pair| *pair.requested == *requested)
        };
        if models::info(requested).is_some() || answered() {
            requested
        } else {
            OTHER
        }
    }

    pub(super) fn tags<'a>(&'a self, requested: &'a str) -> [(&'static str, &'a str); 5] {
        [
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "anthropic"),
            ("gen_ai.request.model", requested),
            ("server.address", &self.address),
            ("server.port", &self.port),
        ]
    }
}

fn find(pairs: &[Arc<ModelHandles>], requested: &str, answering: &str) -> Option<Arc<ModelHandles>> {
    let mut pairs = pairs.iter();
    let pair = pairs.find(|pair| *pair.requested == *requested && *pair.answering == *answering);
    pair.map(Arc::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_end_make_a_bounded_number_of_series() {
        let collector = MetricsCollector::new();
        let models = Models::new(&collector, &"https://host".parse().unwrap());
        for n in 0..1000 {
            let name = format!("model-{n}");
            models
                .handles(&name, &name)
                .duration
                .record(Duration::from_secs(1));
            models.failed(&format!("unheard-of-{n}"), None, "transport", Duration::ZERO);
        }
        assert!(Arc::ptr_eq(
            &models.handles("model-0", "model-0"),
            &models.handles("model-0", "model-0")
        ));
        assert_eq!(&*models.handles("model-31", "model-31").requested, OTHER);
        assert_eq!(&*models.handles("model-30", "model-30").requested, "model-30");
        // Five for each pair, and one for all the failures.
        assert_eq!(collector.series_count(), 5 * MAX_PAIRS + 1);
        assert_eq!(collector.get_metric_statistics(DURATION).unwrap().count, 2000);
    }
}
