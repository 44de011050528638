//! LangChain's chat model, `langchain-anthropic`.

use super::client::{Client, python_script};
use super::expect;

static CLIENT: Client = Client::new(
    |rig| python_script(rig, "anthropic-python-1", "langchain_chat.py"),
    &[
        "plain stream_helper tools tools_stream thinking count_tokens beta retry_after max_tokens big wrong_key stream_error",
        "reset_mid truncate status=400 status=429 status=529",
    ],
);

#[test]
fn messages_come_whole_and_as_chunks() {
    expect::plain(CLIENT.seen().case("plain"));
    let streamed = CLIENT.seen().case("stream_helper");
    expect::plain(streamed);
    assert!(streamed["pieces"].as_u64().unwrap() > 1, "{streamed}");
    assert_eq!(CLIENT.seen().case("max_tokens")["stop_reason"], "max_tokens");
    expect::plain(CLIENT.seen().case("big"));
    assert!(
        CLIENT.seen().case("count_tokens")["input_tokens"]
            .as_u64()
            .unwrap()
            > 0
    );
}

#[test]
fn bound_tools_are_called_and_their_results_answered() {
    for case in ["tools", "tools_stream"] {
        expect::tool_round(CLIENT.seen().case(case));
    }
}

#[test]
fn thinking_goes_back_with_its_signature() {
    expect::thinking(CLIENT.seen().case("thinking"));
    assert_eq!(CLIENT.seen().case("thinking")["signed"], true);
}

#[test]
fn errors_are_the_sdks_exceptions() {
    for (case, class, status) in [
        ("status=400", "BadRequestError", 400),
        ("status=429", "RateLimitError", 429),
        ("status=529", "OverloadedError", 529),
        ("wrong_key", "AuthenticationError", 401),
    ] {
        let told = CLIENT.seen().case(case);
        let family = told["family"].as_array().unwrap_or_else(|| panic!("{told}"));
        assert!(family.iter().any(|base| base == class), "{told}");
        assert_eq!(told["status"], status, "{told}");
        expect::request_id(told);
    }
    expect::refused(CLIENT.seen());
}

#[test]
fn a_stream_that_breaks_is_an_error() {
    assert_eq!(CLIENT.seen().case("stream_error")["type"], "overloaded_error");
    for case in ["reset_mid", "truncate"] {
        expect::raised(CLIENT.seen().case(case));
    }
}

#[test]
fn waits_are_kept_and_betas_pass_through() {
    expect::waited(CLIENT.seen());
    expect::plain(CLIENT.seen().case("beta"));
    let betas = CLIENT
        .seen()
        .requests
        .iter()
        .filter_map(|request| request.headers.get("anthropic-beta"));
    assert!(
        betas
            .into_iter()
            .any(|value| value.to_str().unwrap().contains("future-thing-2027-01-01"))
    );
    assert!(!CLIENT.seen().strayed, "it wanted to reach another host");
}
