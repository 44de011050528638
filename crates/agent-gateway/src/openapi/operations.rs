//! The operations endpoints.

use agent_operations::health::HEALTH_MEDIA_TYPE;
use http::StatusCode;
use serde_json::{Value, json};

use super::operation::{Operation, Schemas};
use crate::operations::types::{Cache, Connections, LogPage, MetricsPage, Resources};
use crate::operations::{LOGS_PARAMETERS, METRICS_PARAMETERS, PROBE_PARAMETERS, RESOURCES_PARAMETERS};
use crate::reload::ReloadReport;
use crate::routes::OperationsTarget;

const OK: StatusCode = StatusCode::OK;

pub(super) fn describe(target: OperationsTarget, schemas: &mut Schemas) -> Operation {
    match target {
        OperationsTarget::Live | OperationsTarget::LiveAlias => {
            Operation::new("Never depends on anything but the process itself. `/healthz` is another name of `/livez`.")
                .query(PROBE_PARAMETERS)
                .gives_content(OK, "It lives.", text("text/plain"))
        }
        OperationsTarget::Ready => Operation::new(
            "Ready means: started, not ending, with memory for new work, and with a session store that could be written.",
        )
        .query(PROBE_PARAMETERS)
        .gives_content(OK, "It is ready.", text("text/plain"))
        .gives_content(StatusCode::SERVICE_UNAVAILABLE, "It is not ready.", text("text/plain")),
        OperationsTarget::Health => Operation::new(
            "`application/health+json`: `pass` and `warn` are answered with 200, `fail` with 503.",
        )
        .gives_content(OK, "It works.", health())
        .gives_content(StatusCode::SERVICE_UNAVAILABLE, "It does not.", health())
        .refuses(StatusCode::NOT_FOUND, "Nothing is checked: monitoring.enable_health_checks is off."),
        OperationsTarget::Exposition => Operation::new(
            "Prometheus' text format 0.0.4, or OpenMetrics 1.0 for who names it in `accept`.",
        )
        .gives_content(OK, "Every metric.", both(text("text/plain"), text("application/openmetrics-text")))
        .refuses(StatusCode::NOT_FOUND, "Nothing is measured: monitoring.enable_metrics is off."),
        OperationsTarget::Metrics => Operation::new("")
            .query(METRICS_PARAMETERS)
            .gives(OK, "The series.", schemas.written::<MetricsPage>())
            .refuses(StatusCode::NOT_FOUND, "Nothing is measured: monitoring.enable_metrics is off."),
        OperationsTarget::Resources => Operation::new("")
            .query(RESOURCES_PARAMETERS)
            .gives(OK, "What is alive.", schemas.written::<Resources>()),
        OperationsTarget::Cache => Operation::new("").gives(OK, "The figures.", schemas.written::<Cache>()),
        OperationsTarget::Connections => {
            Operation::new("").gives(OK, "The figures.", schemas.written::<Connections>())
        }
        OperationsTarget::Config => {
            Operation::new("").gives(OK, "The configuration.", json!({}))
        }
        OperationsTarget::Reload => {
            Operation::new("A configuration with a problem is refused whole, and the running one is kept. SIGHUP does the same.")
                .gives(OK, "What changed.", schemas.written::<ReloadReport>())
                .refuses(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "The configuration is wrong; every problem is told.",
                )
                .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many reloads wait, or the daemon is stopping.")
        }
        OperationsTarget::Logs => Operation::new("Secrets were taken out before the lines were kept.")
            .query(LOGS_PARAMETERS)
            .gives(OK, "The lines, oldest first.", schemas.written::<LogPage>()),
    }
}

fn health() -> Value {
    json!({ HEALTH_MEDIA_TYPE: { "schema": {
        "type": "object",
        "required": ["status", "version", "checks"],
        "properties": {
            "status": { "enum": ["pass", "warn", "fail"] },
            "version": { "type": "string" },
            "checks": { "type": "object", "additionalProperties": { "type": "array", "items": { "type": "object" } } },
        },
    } } })
}

fn text(content_type: &str) -> Value {
    json!({ content_type: { "schema": { "type": "string" } } })
}

fn both(mut one: Value, other: Value) -> Value {
    if let (Some(one), Value::Object(other)) = (one.as_object_mut(), other) {
        one.extend(other);
    }
    one
}
