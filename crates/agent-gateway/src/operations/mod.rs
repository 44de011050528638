//! What the process tells of itself: whether it lives and is ready, its figures, resources, configuration and log.
//!
//! Reading is all that happens here, and it is cheap: a monitor must not be the load it watches.

mod figures;
mod health;
mod logs;
mod metrics;
mod probes;
pub(crate) mod types;

use std::sync::Arc;
use std::time::Duration;

use agent_operations::health::HealthMonitor;
use agent_performance::cache::ResponseCache;
use agent_performance::connection_pool::HttpConnectionPool;
use agent_performance::memory::ResourceTracker;
use agent_performance::metrics::MetricsCollector;
use agent_performance::shared::Shared;
use arc_swap::{ArcSwap, ArcSwapOption};
use http::{Request, StatusCode};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::answer::{Answer, Refusal, json};
use crate::input::{Kind, Parameter, Query};
use crate::parts::GatewayParts;
use crate::pipeline::{Context, RequestBody};
use crate::reload::{MAX_WAITING, ReloadRequest};
use crate::routes::OperationsTarget;

pub(crate) use figures::RESOURCES_PARAMETERS;
pub use logs::LogBuffer;
pub(crate) use metrics::PARAMETERS as METRICS_PARAMETERS;
pub(crate) use probes::PARAMETERS as PROBE_PARAMETERS;

/// When to come again while reloads wait: reading a few small files takes milliseconds.
const RELOAD_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Answers the operations endpoints.
pub(crate) struct Operations {
    probes: probes::Probes,
    health: Option<HealthMonitor>,
    metrics: Option<MetricsCollector>,
    tracker: ResourceTracker,
    cache: ResponseCache,
    connections: Arc<HttpConnectionPool>,
    shared: Option<Shared>,
    configuration: Arc<ArcSwap<Value>>,
    reloads: ArcSwapOption<mpsc::Sender<ReloadRequest>>,
    logs: LogBuffer,
}

pub(crate) static LOGS_PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "level",
        kind: Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        help: "Only lines that are at least this serious.",
    },
    Parameter {
        name: "target",
        kind: Kind::Text { max_chars: 128 },
        help: "Only lines of parts of the program whose name begins so.",
    },
    Parameter {
        name: "since",
        kind: Kind::Time,
        help: "Only lines of this time or later.",
    },
    Parameter {
        name: "after",
        kind: Kind::Integer {
            min: 0,
            max: u64::MAX >> 11,
            default: None,
        },
        help: "Only lines with a higher `seq`: `last_seq` of the answer before. The oldest of them come first.",
    },
    Parameter {
        name: "limit",
        kind: Kind::Integer {
            min: 1,
            max: logs::MAX_SELECTED as u64,
            default: Some(200),
        },
        help: "Lines in the answer, at most; without `after` the latest.",
    },
];

impl Operations {
    pub(crate) fn new(parts: &GatewayParts) -> Self {
        Self {
            probes: probes::Probes::new(parts),
            health: parts.health.clone(),
            metrics: parts.metrics.clone(),
            tracker: parts.tracker.clone(),
            cache: parts.cache.clone(),
            connections: Arc::clone(&parts.upstream.connections),
            shared: parts.shared.as_ref().map(|sharing| sharing.store.clone()),
            configuration: Arc::new(ArcSwap::from_pointee(parts.configuration.0.clone())),
            reloads: ArcSwapOption::empty(),
            logs: parts.logs.clone(),
        }
    }

    pub(crate) async fn answer(
        &self,
        target: OperationsTarget,
        context: Context,
        request: Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        match target {
            OperationsTarget::Live | OperationsTarget::LiveAlias => self.probes.live(&context, &request),
            OperationsTarget::Ready => self.probes.ready(&context, &request).await,
            OperationsTarget::Health => health::report(self.health.as_ref(), &request).await,
            OperationsTarget::Exposition => metrics::exposition(self.metrics.as_ref(), &request).await,
            OperationsTarget::Metrics => metrics::statistics(self.metrics.as_ref(), &request).await,
            OperationsTarget::Resources => self.resources(&request).await,
            OperationsTarget::Cache => self.cache(&request),
            OperationsTarget::Connections => self.connections(&request),
            OperationsTarget::Config => self.config(&request),
            OperationsTarget::Reload => self.reload(&request).await,
            OperationsTarget::Logs => self.logs(&request),
        }
    }

    fn config(&self, request: &Request<RequestBody>) -> Result<Answer, Refusal> {
        Query::read(request.uri(), &[])?;
        Ok(json(StatusCode::OK, &**self.configuration.load()))
    }

    pub(crate) fn configuration(&self) -> Arc<ArcSwap<Value>> {
        Arc::clone(&self.configuration)
    }

    pub(crate) fn reloads(&self) -> mpsc::Receiver<ReloadRequest> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        self.reloads.store(Some(Arc::new(sender)));
        receiver
    }

    /// Waits for the reload. Who gives up waiting does not stop it.
    async fn reload(&self, request: &Request<RequestBody>) -> Result<Answer, Refusal> {
        Query::read(request.uri(), &[])?;
        let (answer, report) = oneshot::channel();
        let asked = match self.reloads.load_full() {
            Some(reloads) => reloads.try_send(ReloadRequest { answer }).is_ok(),
            None => false,
        };
        if !asked {
            let detail = "the configuration is being read already, or this program can't read it again";
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(RELOAD_RETRY_AFTER));
        }
        match report.await {
            Ok(Ok(report)) => Ok(json(StatusCode::OK, &report)),
            Ok(Err(problems)) => {
                let told = problems.join("\n");
                let detail = format!("the configuration is wrong, and the running one was kept:\n{told}");
                Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
            }
            Err(_) => Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the daemon is stopping",
            )),
        }
    }

    fn logs(&self, request: &Request<RequestBody>) -> Result<Answer, Refusal> {
        let query = Query::read(request.uri(), LOGS_PARAMETERS)?;
        let limit = query
            .integer("limit")
            .and_then(|limit| usize::try_from(limit).ok());
        let selection = logs::Selection {
            level: query.text("level").and_then(logs::LogLevel::named),
            target: query.text("target").map(str::to_owned),
            since: query.time("since"),
            after: query.integer("after"),
            limit: limit.unwrap_or(logs::MAX_SELECTED),
        };
        Ok(json(StatusCode::OK, &self.logs.select(&selection)))
    }
}
