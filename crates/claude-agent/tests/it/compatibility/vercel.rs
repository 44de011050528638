//! The Vercel AI SDK: `ai` with `@ai-sdk/anthropic`.

use std::sync::OnceLock;

use super::client::{Run, node_script, run};
use super::expect::{self, STATUSES};
use super::rig::Rig;

const CASES: &[&str] = &[
    "plain",
    "stream_helper",
    "tools",
    "tools_stream",
    "thinking",
    "beta",
    "headers",
    "retry_after",
    "max_tokens",
    "big",
    "wrong_key",
    "stream_error",
    "reset_mid",
    "truncate",
    "status=400",
    "status=401",
    "status=402",
    "status=403",
    "status=404",
    "status=408",
    "status=409",
    "status=413",
    "status=422",
    "status=429",
    "status=500",
    "status=503",
    "status=504",
    "status=529",
    "cancel",
];

fn seen() -> &'static Run {
    static RUN: OnceLock<Result<Run, String>> = OnceLock::new();
    let once = || {
        let rig = Rig::start(&[]);
        let command = node_script(&rig, "node", "vercel-ai-sdk.mjs")?;
        run(&rig, command, CASES)
    };
    RUN.get_or_init(once)
        .as_ref()
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn texts_come_whole_and_as_streams() {
    expect::plain(seen().case("plain"));
    expect::request_id(seen().case("plain"));
    let streamed = seen().case("stream_helper");
    expect::plain(streamed);
    assert_eq!(streamed["joined"], expect::PLAIN);
    assert!(streamed["pieces"].as_u64().unwrap() > 1, "{streamed}");
    assert_eq!(seen().case("max_tokens")["stop_reason"], "length");
    expect::plain(seen().case("big"));
}

#[test]
fn tools_run_by_themselves_and_their_results_are_answered() {
    for case in ["tools", "tools_stream"] {
        expect::tool_round(seen().case(case));
        assert_eq!(seen().case(case)["steps"], 2);
    }
}

#[test]
fn thinking_goes_back_with_its_signature() {
    expect::thinking(seen().case("thinking"));
}

#[test]
fn errors_are_its_call_errors_with_status_and_type() {
    let own = [("wrong_key".to_owned(), 401, "authentication_error")];
    let scripted = STATUSES
        .iter()
        .map(|(status, kind)| (format!("status={status}"), *status, *kind));
    for (case, status, kind) in own.into_iter().chain(scripted) {
        let told = seen().case(&case);
        assert_eq!(told["raised"], "AI_APICallError", "{told}");
        assert_eq!(told["status"], status, "{told}");
        assert_eq!(told["type"], kind, "{told}");
        expect::request_id(told);
        assert_eq!(
            told["retryable"],
            matches!(status, 408 | 409 | 429 | 500..),
            "{told}"
        );
    }
    expect::refused(seen());
}

#[test]
fn a_stream_that_breaks_is_an_error() {
    let told = seen().case("stream_error");
    assert_eq!(told["message"], "Overloaded", "{told}");
    for case in ["reset_mid", "truncate"] {
        let told = seen().case(case);
        assert!(
            told["message"].is_string(),
            "an answer that broke passed for a whole one: {told}"
        );
    }
}

#[test]
fn limits_are_visible_waits_are_kept_and_betas_pass_through() {
    assert_eq!(
        seen().case("headers")["anthropic-ratelimit-requests-limit"],
        "1000000"
    );
    expect::waited(seen());
    expect::plain(seen().case("beta"));
    let with_beta = |request: &&agent_simulator::ReceivedRequest| {
        request
            .headers
            .get_all("anthropic-beta")
            .iter()
            .any(|value| value.to_str().unwrap().contains("future-thing-2027-01-01"))
    };
    assert_eq!(seen().requests.iter().filter(with_beta).count(), 1);
    assert!(!seen().strayed, "it wanted to reach another host");
}

#[test]
fn cancelling_ends_the_request_upstream() {
    assert!(seen().cancelled_upstream, "the daemon went on asking for nobody");
}
