//! What the health monitor knows, as monitors read it.

use agent_operations::health::{HEALTH_MEDIA_TYPE, HealthMonitor, health_json};
use http::{HeaderValue, Request, StatusCode, header};

use crate::answer::{Answer, Refusal, json};
use crate::input::Query;
use crate::pipeline::RequestBody;

/// Whose health it is.
const SERVICE: &str = "claude-agent";

pub(super) async fn report(
    monitor: Option<&HealthMonitor>,
    request: &Request<RequestBody>,
) -> Result<Answer, Refusal> {
    Query::read(request.uri(), &[])?;
    let Some(monitor) = monitor else {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "health is not checked: monitoring.enable_health_checks is off".to_owned(),
        ));
    };
    let (document, works) = health_json(&monitor.get_status().await, SERVICE);
    let status = match works {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut answer = json(status, &document);
    let media_type = HeaderValue::from_static(HEALTH_MEDIA_TYPE);
    answer.headers_mut().insert(header::CONTENT_TYPE, media_type);
    Ok(answer)
}
