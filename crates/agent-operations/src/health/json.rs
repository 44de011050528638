//! The status as `application/health+json` (draft-inadarei-api-health-check-06, an expired draft that monitors read).

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use super::status::{CheckResult, CheckStatus, HealthState, HealthStatus};

/// The media type of [`health_json`].
pub const HEALTH_MEDIA_TYPE: &str = "application/health+json";

/// The document of the service that its operator knows by `service_id`, and whether it is to be answered with 200 (pass and warn) or 503 (fail).
pub fn health_json(status: &HealthStatus, service_id: &str) -> (Value, bool) {
    let word = match status.status {
        HealthState::Healthy => CheckStatus::Pass,
        HealthState::Degraded => CheckStatus::Warn,
        HealthState::Unhealthy => CheckStatus::Fail,
    };
    let mut notes = vec![format!("up {} s", status.uptime.as_secs())];
    if status.starting {
        notes.push("starting: not everything was checked yet".to_owned());
    }
    let mut checks = Map::new();
    for (name, result) in &status.checks {
        let (key, item) = check(name, result, status);
        checks.insert(key, json!([item]));
    }
    let document = json!({
        "status": word.as_str(),
        "version": status.version,
        "releaseId": status.build_hash,
        "serviceId": service_id,
        "notes": notes,
        "checks": checks,
    });
    (document, word != CheckStatus::Fail)
}

fn check(name: &str, result: &CheckResult, status: &HealthStatus) -> (String, Value) {
    let mut item = Map::new();
    item.insert("componentType".to_owned(), json!("component"));
    let (measurement, value, unit) = match &result.observed {
        Some(observed) => (&*observed.measurement, observed.value, &*observed.unit),
        None => ("responseTime", result.duration.as_secs_f64() * 1e3, "ms"),
    };
    item.insert("observedValue".to_owned(), json!(value));
    item.insert("observedUnit".to_owned(), json!(unit));
    item.insert("status".to_owned(), json!(result.status.as_str()));
    let time = status.timestamp.to_rfc3339_opts(SecondsFormat::Millis, true);
    item.insert("time".to_owned(), json!(time));
    if result.status != CheckStatus::Pass {
        item.insert("output".to_owned(), json!(result.message));
    }
    (format!("{name}:{measurement}"), Value::Object(item))
}
