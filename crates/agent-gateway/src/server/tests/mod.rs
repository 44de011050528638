//! The server over real sockets, as a stranger would talk to it: bytes in, bytes out.

mod audited;
mod connections;
mod front;
mod hostile;
mod http2;
mod renewed;
mod replicas;
mod stalled;
mod walk;
mod wire;

use http::StatusCode;
use serde_json::Value;

use crate::routes::{Route, Surface};

/// A path that leads to `route`.
fn path_of(route: &Route) -> String {
    route
        .pattern
        .replace("{*rest}", "some/thing")
        .replace(['{', '}'], "")
}

/// Fails unless `answer` has the shape that a refusal of this surface has.
fn assert_refusal(answer: &wire::Answer, surface: Surface, status: u16, of_what: &str) {
    assert_eq!(answer.status, status, "{of_what}: {answer:?}");
    let shown = || format!("{of_what}: {answer:?}");
    assert!(
        answer
            .header("request-id")
            .is_some_and(|id| id.starts_with("req_")),
        "{}",
        shown()
    );
    assert_eq!(
        answer.header("x-content-type-options"),
        Some("nosniff").filter(|_| answer.is_judged()),
        "{}",
        shown()
    );
    if answer.bodiless {
        return;
    }
    let body: Value =
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", shown()));
    let id = answer.header("request-id");
    assert_eq!(body["request_id"].as_str(), id, "{}", shown());
    match surface {
        Surface::Gateway => {
            assert_eq!(
                answer.header("content-type"),
                Some("application/json"),
                "{}",
                shown()
            );
            assert_eq!(body["type"], "error", "{}", shown());
            assert!(
                body["error"]["type"].is_string() && body["error"]["message"].is_string(),
                "{}",
                shown()
            );
        }
        Surface::Agent | Surface::Operations | Surface::Page | Surface::Public => {
            assert_eq!(
                answer.header("content-type"),
                Some("application/problem+json"),
                "{}",
                shown()
            );
            assert_eq!(body["status"], status, "{}", shown());
            let title = StatusCode::from_u16(status).unwrap().canonical_reason();
            assert_eq!(body["title"].as_str(), title, "{}", shown());
            assert!(body["detail"].is_string(), "{}", shown());
        }
    }
}
