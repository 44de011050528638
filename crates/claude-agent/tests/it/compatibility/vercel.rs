//! The Vercel AI SDK: `ai` with `@ai-sdk/anthropic`.

use super::client::{Client, node_script};
use super::expect::{self, STATUSES};

static CLIENT: Client = Client::new(
    |rig| node_script(rig, "node", "vercel-ai-sdk.mjs"),
    &[
        "plain stream_helper tools tools_stream thinking beta headers retry_after max_tokens big wrong_key stream_error",
        "reset_mid truncate",
        expect::STATUS_CASES,
        "cancel",
    ],
);

#[test]
fn texts_come_whole_and_as_streams() {
    expect::plain(CLIENT.seen().case("plain"));
    expect::request_id(CLIENT.seen().case("plain"));
    let streamed = CLIENT.seen().case("stream_helper");
    expect::plain(streamed);
    assert_eq!(streamed["joined"], expect::PLAIN);
    assert!(streamed["pieces"].as_u64().unwrap() > 1, "{streamed}");
    assert_eq!(CLIENT.seen().case("max_tokens")["stop_reason"], "length");
    expect::plain(CLIENT.seen().case("big"));
}

#[test]
fn tools_run_by_themselves_and_their_results_are_answered() {
    for case in ["tools", "tools_stream"] {
        expect::tool_round(CLIENT.seen().case(case));
        assert_eq!(CLIENT.seen().case(case)["steps"], 2);
    }
}

#[test]
fn thinking_goes_back_with_its_signature() {
    expect::thinking(CLIENT.seen().case("thinking"));
}

#[test]
fn errors_are_its_call_errors_with_status_and_type() {
    let own = [("wrong_key".to_owned(), 401, "authentication_error")];
    let scripted = STATUSES
        .iter()
        .map(|(status, kind)| (format!("status={status}"), *status, *kind));
    for (case, status, kind) in own.into_iter().chain(scripted) {
        let told = CLIENT.seen().case(&case);
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
    expect::refused(CLIENT.seen());
}

#[test]
fn a_stream_that_breaks_is_an_error() {
    let told = CLIENT.seen().case("stream_error");
    assert_eq!(told["message"], "Overloaded", "{told}");
    for case in ["reset_mid", "truncate"] {
        let told = CLIENT.seen().case(case);
        assert!(
            told["message"].is_string(),
            "an answer that broke passed for a whole one: {told}"
        );
    }
}

#[test]
fn limits_are_visible_waits_are_kept_and_betas_pass_through() {
    assert_eq!(
        CLIENT.seen().case("headers")["anthropic-ratelimit-requests-limit"],
        "1000000"
    );
    expect::waited(CLIENT.seen());
    expect::plain(CLIENT.seen().case("beta"));
    let with_beta = |request: &&agent_simulator::ReceivedRequest| {
        request
            .headers
            .get_all("anthropic-beta")
            .iter()
            .any(|value| value.to_str().unwrap().contains("future-thing-2027-01-01"))
    };
    assert_eq!(CLIENT.seen().requests.iter().filter(with_beta).count(), 1);
    assert!(!CLIENT.seen().strayed, "it wanted to reach another host");
}

#[test]
fn cancelling_ends_the_request_upstream() {
    assert!(
        CLIENT.seen().cancelled_upstream,
        "the daemon went on asking for nobody"
    );
}
