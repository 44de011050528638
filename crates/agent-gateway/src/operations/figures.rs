//! Resources, cache and connections.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Request, StatusCode};

use super::Operations;
use super::types::{Cache, Connections, Figure, Resource, Resources};
use crate::answer::{Answer, Refusal, json};
use crate::input::{Kind, Parameter, Query};
use crate::pipeline::RequestBody;

/// What nobody touched for this long looks like a leak: a command may run silently for an hour before it is ended.
const UNTOUCHED_SECONDS: u64 = 2 * 3600;

/// Figures of these kinds are about the process and what is around it.
const PROCESS: [&str; 3] = ["process.", "system.", "cgroup."];

pub(crate) static RESOURCES_PARAMETERS: &[Parameter] = &[Parameter {
    name: "untouched_seconds",
    kind: Kind::Integer {
        min: 1,
        max: 30 * 24 * 3600,
        default: Some(UNTOUCHED_SECONDS),
    },
    help: "How long a resource may be untouched before it is suspected.",
}];

impl Operations {
    pub(super) async fn resources(&self, request: &Request<RequestBody>) -> Result<Answer, Refusal> {
        let query = Query::read(request.uri(), RESOURCES_PARAMETERS)?;
        let seconds = query.integer("untouched_seconds").unwrap_or(UNTOUCHED_SECONDS);
        let info = self.tracker.get_resource_info();
        let suspects = self.tracker.detect_leaks(Duration::from_secs(seconds));
        let told = Resources {
            resources: info
                .into_iter()
                .map(|(name, info)| (name, Resource::from(info)))
                .collect(),
            leak_suspects: suspects.into_iter().map(Into::into).collect(),
            anomalies: self.tracker.stats().anomalies,
            process: self.process(),
        };
        Ok(json(StatusCode::OK, &told))
    }

    /// As they were read last: nothing is read for a request.
    fn process(&self) -> BTreeMap<String, Figure> {
        let Some(metrics) = &self.metrics else {
            return BTreeMap::new();
        };
        let series = metrics.snapshot().series.into_iter();
        let wanted =
            series.filter(|one| PROCESS.iter().any(|kind| one.name.starts_with(kind)) && one.tags.is_empty());
        wanted
            .map(|one| {
                let unit = one.unit.symbol().to_owned();
                (
                    one.name,
                    Figure {
                        value: one.value,
                        unit,
                    },
                )
            })
            .collect()
    }

    pub(super) fn cache(&self, request: &Request<RequestBody>) -> Result<Answer, Refusal> {
        Query::read(request.uri(), &[])?;
        let shared = self.shared.as_ref().map(|shared| shared.status().into());
        let cache = Cache::of(self.cache.get_stats(), self.cache.is_enabled(), shared);
        Ok(json(StatusCode::OK, &cache))
    }

    pub(super) fn connections(&self, request: &Request<RequestBody>) -> Result<Answer, Refusal> {
        Query::read(request.uri(), &[])?;
        Ok(json(
            StatusCode::OK,
            &Connections::from(self.connections.get_stats()),
        ))
    }
}
