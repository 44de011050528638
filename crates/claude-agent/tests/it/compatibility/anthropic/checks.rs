//! What must be in a run of an official SDK.

use agent_simulator::ModelEntry;
use serde_json::json;

use super::super::client::Run;
use super::super::expect::{self, STATUSES};
use super::Sdk;

pub(super) fn messages(run: &Run) {
    let whole = run.case("plain");
    expect::plain(whole);
    expect::request_id(whole);
    assert_eq!(whole["stop_reason"], "end_turn");

    let streamed = run.case("stream_helper");
    expect::plain(streamed);
    expect::request_id(streamed);
    assert_eq!(streamed["joined"], expect::PLAIN);
    assert!(
        streamed["pieces"].as_u64().unwrap() > 1,
        "it came in one piece: {streamed}"
    );
    assert_eq!(streamed["last"], "message_stop");

    let events = run.case("stream_raw");
    assert_eq!(events["first"], "message_start");
    assert_eq!(events["last"], "message_stop");

    assert_eq!(run.case("max_tokens")["stop_reason"], "max_tokens");
    let strange = run.case("unknown_block");
    assert_eq!(strange["types"], json!(["hologram", "text"]), "{strange}");
    assert_eq!(strange["stop_reason"], "paused_for_effect");
    expect::plain(run.case("big"));
    assert!(run.requests.iter().any(|request| request.body.len() > 1_000_000));
    expect::text(run.case("huge_event"), "After a large event.");
}

pub(super) fn tools(run: &Run) {
    for case in ["tools", "tools_stream"] {
        expect::tool_round(run.case(case));
        assert_eq!(run.case(case)["first_stop_reason"], "tool_use");
    }
}

pub(super) fn thinking(run: &Run) {
    for case in ["thinking", "thinking_stream"] {
        expect::thinking(run.case(case));
        assert_eq!(run.case(case)["signed"], true);
    }
}

pub(super) fn catalogue(run: &Run) {
    assert!(run.case("count_tokens")["input_tokens"].as_u64().unwrap() > 0);
    let listed = run.case("models");
    let all: Vec<String> = ModelEntry::catalogue()
        .into_iter()
        .map(|model| model.id)
        .collect();
    assert!(all.len() > 10, "several pages of five");
    assert_eq!(listed["ids"], json!(all));
    assert_eq!(listed["one"], "claude-sonnet-5-5");
    assert_eq!(listed["name"], "Claude Sonnet 5.5");
}

pub(super) fn statuses(run: &Run, sdk: Sdk) {
    for (status, kind) in STATUSES {
        let seen = run.case(&format!("status={status}"));
        assert_eq!(seen["raised"], class(sdk, *status), "{seen}");
        assert_eq!(seen["status"], *status, "{seen}");
        assert_eq!(seen["type"], *kind, "{seen}");
        assert!(
            seen["message"]
                .as_str()
                .unwrap()
                .contains(&format!("scripted {status}")),
            "{seen}"
        );
        expect::request_id(seen);
    }
    let unknown = run.case("unknown_model");
    assert_eq!(unknown["raised"], "NotFoundError");
    assert!(
        unknown["message"]
            .as_str()
            .unwrap()
            .contains("model: claude-does-not-exist")
    );
}

pub(super) fn own_refusals(run: &Run, sdk: Sdk) {
    expect::refused(run);
    for (case, status, kind) in [
        ("wrong_key", 401, "authentication_error"),
        ("too_big", 413, "request_too_large"),
    ] {
        let seen = run.case(case);
        assert_eq!(seen["raised"], class(sdk, status), "{seen}");
        assert_eq!(seen["status"], status, "{seen}");
        assert_eq!(seen["type"], kind, "{seen}");
        expect::request_id(seen);
    }
    assert!(
        run.requests
            .iter()
            .all(|request| request.body.len() < 32 * 1024 * 1024),
        "what is too large must not go upstream"
    );
}

pub(super) fn broken(run: &Run, sdk: Sdk) {
    let told = run.case("stream_error");
    let class = if sdk.is_python() {
        "APIStatusError"
    } else {
        "APIError"
    };
    assert_eq!(told["raised"], class, "{told}");
    assert_eq!(told["type"], "overloaded_error", "{told}");
    assert_ne!(told["before"], "", "what came before the error was shown");
    // A clean end without message_stop is no error for the Python SDK, so the daemon must not pass one on.
    for case in ["reset_mid", "truncate", "reset_mid_json", "truncate_json"] {
        expect::raised(run.case(case));
    }
}

pub(super) fn unknown(run: &Run, sdk: Sdk) {
    expect::plain(run.case("beta"));
    let arrived = run.upstream("future_field");
    assert_eq!(arrived.len(), 1);
    let request = arrived[0];
    assert_eq!(
        request.json().unwrap()["future_field"],
        json!({ "deep": [1.5, "ü"] })
    );
    let header = |name: &str| {
        let values = request.headers.get_all(name).iter();
        values
            .map(|value| value.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(",")
    };
    assert_eq!(header("anthropic-version"), sdk.api_version());
    for beta in ["future-thing-2027-01-01", "other-thing-2027-02-02"] {
        assert!(
            header("anthropic-beta").contains(beta),
            "{}",
            header("anthropic-beta")
        );
    }
    assert_eq!(header("anthropic-workspace-id"), "wrkspc_1");
    assert!(!run.strayed, "the SDK wanted to reach another host");
}

pub(super) fn waits(run: &Run) {
    let headers = run.case("headers");
    for kind in ["requests", "tokens", "input-tokens", "output-tokens"] {
        for what in ["limit", "remaining", "reset"] {
            let name = format!("anthropic-ratelimit-{kind}-{what}");
            assert!(headers[&name].is_string(), "{name}: {headers}");
        }
    }
    expect::waited(run);
    let counts: Vec<_> = run
        .upstream("[retry-after]")
        .iter()
        .map(|request| {
            request.headers["x-stainless-retry-count"]
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(counts, ["0", "1"]);
    expect::text(run.case("overloaded_once"), "After a second try.");
    assert_eq!(run.upstream("[overloaded-once]").len(), 2);
}

/// The exception for a status. Older releases know fewer.
fn class(sdk: Sdk, status: u16) -> &'static str {
    let new = sdk.is_new();
    match status {
        400 => "BadRequestError",
        401 => "AuthenticationError",
        402 if new => "PaymentRequiredError",
        403 => "PermissionDeniedError",
        404 => "NotFoundError",
        408 if new => "RequestTimeoutError",
        409 => "ConflictError",
        413 if new => "ContentTooLargeError",
        413 if sdk.is_python() => "RequestTooLargeError",
        422 => "UnprocessableEntityError",
        429 => "RateLimitError",
        503 if new => "ServiceUnavailableError",
        504 if new => "GatewayTimeoutError",
        529 if new || sdk.is_python() => "OverloadedError",
        500.. => "InternalServerError",
        _ if sdk.is_python() => "APIStatusError",
        _ => "APIError",
    }
}
