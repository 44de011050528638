//! The Messages API: relayed as it is, so that its own documentation says what it takes and gives.

use http::StatusCode;
use serde_json::{Value, json};

use super::operation::Operation;
use crate::routes::RelayTarget;

const RELAYED: &str =
    "Relayed to the upstream without being changed; its documentation says what it takes and gives.";

pub(super) fn describe(target: RelayTarget) -> Operation {
    let operation = Operation::new(RELAYED)
        .header(
            "anthropic-version",
            json!({ "type": "string" }),
            "The version of the API; passed on.",
        )
        .header(
            "anthropic-beta",
            json!({ "type": "string" }),
            "Features asked for; passed on.",
        );
    let object = json!({ "type": "object" });
    match target {
        RelayTarget::Messages => operation.body(object.clone(), true).gives_content(
            StatusCode::OK,
            "The message; with `\"stream\": true` in the request its events.",
            json!({
                "application/json": { "schema": object },
                "text/event-stream": { "schema": {} }
            }),
        ),
        RelayTarget::CountTokens => operation.body(object, true).gives(
            StatusCode::OK,
            "The number of tokens.",
            json!({ "type": "object" }),
        ),
        RelayTarget::Models => operation.gives(StatusCode::OK, "The models.", object),
        RelayTarget::Model => operation
            .path("id", json!({ "type": "string" }), "The model's id.")
            .gives(StatusCode::OK, "The model.", object),
        RelayTarget::Other => operation
            .path(
                "rest",
                json!({ "type": "string" }),
                "The rest of the path, of one or more segments.",
            )
            .gives_content(StatusCode::OK, "What the upstream answers.", anything()),
    }
}

fn anything() -> Value {
    json!({ "*/*": { "schema": {} } })
}
