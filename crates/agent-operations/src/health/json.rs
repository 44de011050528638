//! The status as `application/health+json` (draft-inadarei-api-health-check-06, an expired draft that monitors read).

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use super::status::{CheckResult, CheckStatus, HealthState, HealthStatus};

/// The media type of [`health_json`].
pub const HEALTH_MEDIA_TYPE: &str = "application/health+json";

/// Whose health it is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The service, as its operator knows it; the id of the deployment.
    pub service_id: String,
}

/// The document, and whether it is to be answered with 200 (pass and warn) or 503 (fail).
pub fn health_json(status: &HealthStatus, identity: &Identity) -> (Value, bool) {
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
        "serviceId": identity.service_id,
        "notes": notes,
        "checks": checks,
    });
    (document, word != CheckStatus::Fail)
}

fn check(name: &str, result: &CheckResult, status: &HealthStatus) -> (String, Value) {
    let mut item = Map::new();
    item.insert("componentType".to_owned(), json!("component"));
    let measurement = match &result.observed {
        Some(observed) => {
            item.insert("observedValue".to_owned(), json!(observed.value));
            item.insert("observedUnit".to_owned(), json!(observed.unit));
            observed.measurement.clone()
        }
        None => "responseTime".to_owned(),
    };
    if result.observed.is_none() {
        item.insert(
            "observedValue".to_owned(),
            json!(result.duration.as_secs_f64() * 1e3),
        );
        item.insert("observedUnit".to_owned(), json!("ms"));
    }
    item.insert("status".to_owned(), json!(result.status.as_str()));
    let time = status.timestamp.to_rfc3339_opts(SecondsFormat::Millis, true);
    item.insert("time".to_owned(), json!(time));
    if result.status != CheckStatus::Pass {
        item.insert("output".to_owned(), json!(result.message));
    }
    (format!("{name}:{measurement}"), Value::Object(item))
}
