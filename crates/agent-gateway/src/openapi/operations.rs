//! The operations endpoints.

use http::StatusCode;
use serde_json::{Value, json};

use super::operation::{Operation, Schemas};
use crate::operations::types::{Cache, Connections, LogPage, MetricsPage, Resources};
use crate::operations::{HEALTH_PARAMETERS, LOGS_PARAMETERS, METRICS_PARAMETERS, RESOURCES_PARAMETERS};
use crate::routes::OperationsTarget;

const OK: StatusCode = StatusCode::OK;

pub(super) fn describe(target: OperationsTarget, schemas: &mut Schemas) -> Operation {
    match target {
        OperationsTarget::Live | OperationsTarget::Health => {
            Operation::new("Never depends on anything but the process itself. `/healthz` is another name of `/livez`.")
                .query(HEALTH_PARAMETERS)
                .gives_content(OK, "It lives.", text("text/plain"))
        }
        OperationsTarget::Ready => Operation::new(
            "Ready means: started, not ending, with memory for new work, and with a session store that could be written.",
        )
        .query(HEALTH_PARAMETERS)
        .gives_content(OK, "It is ready.", text("text/plain"))
        .gives_content(StatusCode::SERVICE_UNAVAILABLE, "It is not ready.", text("text/plain")),
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
        OperationsTarget::Logs => Operation::new("Secrets were taken out before the lines were kept.")
            .query(LOGS_PARAMETERS)
            .gives(OK, "The lines, oldest first.", schemas.written::<LogPage>()),
    }
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
