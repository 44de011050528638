//! What every client must have seen of the scripted answers, whatever its language.

use serde_json::{Value, json};

use super::client::Run;

pub(crate) const PLAIN: &str = "Plain answer: grüße, 你好, 🦀.";

/// Statuses that the simulator is scripted to answer with, and the error type in the body.
pub(crate) const STATUSES: &[(u16, &str)] = &[
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (402, "billing_error"),
    (403, "permission_error"),
    (404, "not_found_error"),
    (408, "timeout_error"),
    (409, "conflict_error"),
    (413, "request_too_large"),
    (422, "invalid_request_error"),
    (429, "rate_limit_error"),
    (500, "api_error"),
    (503, "api_error"),
    (504, "timeout_error"),
    (529, "overloaded_error"),
];

/// The same as cases of a script.
pub(crate) const STATUS_CASES: &str = "status=400 status=401 status=402 status=403 status=404 status=408 status=409 status=413 \
                                       status=422 status=429 status=500 status=503 status=504 status=529";

pub(crate) fn text(seen: &Value, text: &str) {
    assert_eq!(seen["text"], text, "{seen}");
}

/// A request id as every answer carries one, its own errors too.
pub(crate) fn request_id(seen: &Value) {
    let id = seen["request_id"].as_str();
    assert!(id.is_some_and(|id| id.starts_with("req_")), "{seen}");
}

/// The counts are those of the last event, not of the first.
pub(crate) fn plain(seen: &Value) {
    text(seen, PLAIN);
    assert_eq!(seen["output_tokens"], 42, "{seen}");
    assert!(
        seen["input_tokens"].as_u64().is_some_and(|tokens| tokens > 0),
        "{seen}"
    );
}

/// Both calls with their inputs, and the answer that needed the results.
pub(crate) fn tool_round(seen: &Value) {
    text(seen, "It is sunny in both.");
    let calls = json!([
        { "name": "get_weather", "input": { "city": "Köln", "days": 2 } },
        { "name": "get_weather", "input": { "city": "Paris", "days": 1 } },
    ]);
    assert_eq!(seen["calls"], calls, "{seen}");
}

/// The thinking came with its signature, and its return was accepted: the simulator checks every byte of it.
pub(crate) fn thinking(seen: &Value) {
    text(seen, "Weighed.");
    assert_eq!(seen["thinking"], "First I weigh it, then I say it.", "{seen}");
    assert_eq!(seen["again"], "Still weighed.", "{seen}");
}

pub(crate) fn raised(seen: &Value) {
    assert!(
        seen["raised"].is_string(),
        "an answer that broke passed for a whole one: {seen}"
    );
}

/// The client waited as it was told, and came back once.
pub(crate) fn waited(run: &Run) {
    let seen = run.case("retry_after");
    text(seen, "After a wait.");
    assert!(
        seen["seconds"].as_f64().is_some_and(|seconds| seconds > 0.9),
        "{seen}"
    );
    assert_eq!(
        run.upstream("[retry-after]").len(),
        2,
        "one attempt, one retry by the client"
    );
}

/// A wrong key is refused by the daemon itself, in the shape that clients know, and nothing of it goes upstream.
pub(crate) fn refused(run: &Run) {
    assert!(run.upstream("[wrong-key]").is_empty());
}
