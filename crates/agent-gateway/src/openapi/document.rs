//! The whole document.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::operation::{Operation, Schemas};
use super::{agent, gateway, operations};
use crate::routes::{Access, ROUTES, Route, Surface, Target};

/// What is said of the program, once.
const DESCRIPTION: &str = "The HTTP interface of the Claude Desktop Agent daemon: a gateway to the Messages API under `/v1`, \
    the agent API (sessions, turns, approvals) and the operations endpoints under `/api/v1`, health and metrics. A \
    credential is sent as `authorization: Bearer …` or as `x-api-key`. Errors under `/v1` have the shape of the Messages \
    API, all others follow RFC 9457.";

pub(super) fn document(version: &str) -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    // The page and its path are for browsers, and no part of the API.
    let is_api = |route: &&Route| route.surface != Surface::Page && route.pattern != "/";
    for route in ROUTES.iter().filter(is_api) {
        let operation = described(route, &mut schemas);
        let path = paths.entry(path(route.pattern)).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = written(route, operation);
    }
    let mut definitions = schemas.into_definitions();
    definitions.insert("Problem".to_owned(), problem());
    definitions.insert("MessagesError".to_owned(), messages_error());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Claude Desktop Agent", "version": version, "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" }
        },
        // Where the document was read from.
        "servers": [{ "url": "/" }],
        "tags": [
            { "name": "gateway", "description": "The Messages API, relayed." },
            { "name": "agent", "description": "Sessions, turns and approvals." },
            { "name": "operations", "description": "Health, figures, configuration and log." }
        ],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "apiKey": { "type": "apiKey", "in": "header", "name": "x-api-key" }
            }
        }
    })
}

fn described(route: &Route, schemas: &mut Schemas) -> Operation {
    match route.target {
        Target::Api(target) => agent::describe(target, schemas),
        Target::Operations(target) => operations::describe(target, schemas),
        Target::Relay(target) => gateway::describe(target),
        Target::Page(_) => Operation::new("A part of the web page."),
        Target::Hello => Operation::new(
            "Answers without looking at a credential, for clients that ask whether a server is there.",
        )
        .gives_nothing(StatusCode::OK, "Somebody is there."),
    }
}

fn written(route: &Route, operation: Operation) -> Value {
    let operation = with_refusals(route, operation);
    let mut responses = operation.responses;
    for (status, response) in &mut responses {
        let is_refusal = status == "default" || status.as_str() >= "400";
        if is_refusal && response.get("content").is_none() {
            response["content"] = error_content(route.surface);
        }
    }
    let mut value = json!({
        "operationId": operation_id(route),
        "tags": [tag(route.surface)],
        "summary": route.summary,
        "security": security(route.access),
        "responses": responses
    });
    if !operation.description.is_empty() {
        value["description"] = operation.description.into();
    }
    if !operation.parameters.is_empty() {
        value["parameters"] = operation.parameters.into();
    }
    if let Some(body) = operation.body {
        value["requestBody"] = body;
    }
    value
}

/// What the pipeline may answer before a handler sees the request.
fn with_refusals(route: &Route, operation: Operation) -> Operation {
    let mut operation = operation
        .refuses(
            StatusCode::BAD_REQUEST,
            "The request is not one that this route takes; `detail` says why.",
        )
        .refuses(
            StatusCode::UNAUTHORIZED,
            "There is no credential, or it is not known here.",
        )
        .refuses(
            StatusCode::FORBIDDEN,
            "`host` or `origin` is none that is allowed.",
        )
        .refuses(StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than allowed.");
    if matches!(route.surface, Surface::Agent | Surface::Gateway) {
        operation = operation.refuses(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many requests; `retry-after` says when to come back.",
        );
    }
    let others = json!({ "description": "Any other refusal or failure, in the same shape." });
    operation.responses.insert("default".to_owned(), others);
    operation
}

fn error_content(surface: Surface) -> Value {
    match surface {
        Surface::Gateway => {
            json!({ "application/json": { "schema": { "$ref": "#/components/schemas/MessagesError" } } })
        }
        _ => json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } }),
    }
}

fn problem() -> Value {
    json!({
        "description": "Why a request was not served (RFC 9457).",
        "type": "object",
        "properties": {
            "type": { "type": "string", "format": "uri-reference" },
            "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "What happened, to what, and what to do." },
            "instance": { "type": "string", "format": "uri-reference", "description": "Names this occurrence." },
            "request_id": { "type": "string", "description": "The same as in the `request-id` header." }
        },
        "required": ["type", "title", "status", "detail", "instance", "request_id"]
    })
}

fn messages_error() -> Value {
    json!({
        "description": "Why a request was not served, as the Messages API says it.",
        "type": "object",
        "properties": {
            "type": { "const": "error" },
            "error": {
                "type": "object",
                "properties": { "type": { "type": "string" }, "message": { "type": "string" } },
                "required": ["type", "message"]
            },
            "request_id": { "type": ["string", "null"] }
        },
        "required": ["type", "error"]
    })
}

fn security(access: Access) -> Value {
    match access {
        Access::Credential => json!([{ "bearer": [] }, { "apiKey": [] }]),
        Access::Open => json!([{}, { "bearer": [] }, { "apiKey": [] }]),
    }
}

fn tag(surface: Surface) -> &'static str {
    match surface {
        Surface::Gateway => "gateway",
        Surface::Agent => "agent",
        Surface::Operations | Surface::Page | Surface::Public => "operations",
    }
}

/// `{*rest}` stands for several segments, which OpenAPI can't say; the parameter's description does.
fn path(pattern: &str) -> String {
    pattern.replace("{*", "{")
}

/// The name of what answers; with its method or path where several rows lead to it.
fn operation_id(route: &Route) -> String {
    let name = match route.target {
        Target::Relay(target) => format!("{target:?}"),
        Target::Api(target) => format!("{target:?}"),
        Target::Operations(target) => format!("{target:?}"),
        Target::Page(target) => format!("{target:?}"),
        Target::Hello => "Hello".to_owned(),
    };
    let is_alone = ROUTES.iter().filter(|other| other.target == route.target).count() == 1;
    let surface = tag(route.surface);
    if is_alone {
        return format!("{surface}{name}");
    }
    let path: String = route
        .pattern
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    format!(
        "{surface}{name}_{}_{path}",
        route.method.as_str().to_ascii_lowercase()
    )
}
