//! LangChain's chat model, `langchain-anthropic`.

use std::sync::OnceLock;

use super::client::{Run, python_script, run};
use super::expect;
use super::rig::Rig;

const CASES: &[&str] = &[
    "plain",
    "stream_helper",
    "tools",
    "tools_stream",
    "thinking",
    "count_tokens",
    "beta",
    "retry_after",
    "max_tokens",
    "big",
    "wrong_key",
    "stream_error",
    "reset_mid",
    "truncate",
    "status=400",
    "status=429",
    "status=529",
];

fn seen() -> &'static Run {
    static RUN: OnceLock<Result<Run, String>> = OnceLock::new();
    let once = || {
        let rig = Rig::start(&[]);
        let command = python_script(&rig, "anthropic-python-1", "langchain_chat.py")?;
        run(&rig, command, CASES)
    };
    RUN.get_or_init(once)
        .as_ref()
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn messages_come_whole_and_as_chunks() {
    expect::plain(seen().case("plain"));
    let streamed = seen().case("stream_helper");
    expect::plain(streamed);
    assert!(streamed["pieces"].as_u64().unwrap() > 1, "{streamed}");
    assert_eq!(seen().case("max_tokens")["stop_reason"], "max_tokens");
    expect::plain(seen().case("big"));
    assert!(seen().case("count_tokens")["input_tokens"].as_u64().unwrap() > 0);
}

#[test]
fn bound_tools_are_called_and_their_results_answered() {
    for case in ["tools", "tools_stream"] {
        expect::tool_round(seen().case(case));
    }
}

#[test]
fn thinking_goes_back_with_its_signature() {
    expect::thinking(seen().case("thinking"));
    assert_eq!(seen().case("thinking")["signed"], true);
}

#[test]
fn errors_are_the_sdks_exceptions() {
    for (case, class, status) in [
        ("status=400", "BadRequestError", 400),
        ("status=429", "RateLimitError", 429),
        ("status=529", "OverloadedError", 529),
        ("wrong_key", "AuthenticationError", 401),
    ] {
        let told = seen().case(case);
        let family = told["family"].as_array().unwrap_or_else(|| panic!("{told}"));
        assert!(family.iter().any(|base| base == class), "{told}");
        assert_eq!(told["status"], status, "{told}");
        expect::request_id(told);
    }
    expect::refused(seen());
}

#[test]
fn a_stream_that_breaks_is_an_error() {
    assert_eq!(seen().case("stream_error")["type"], "overloaded_error");
    for case in ["reset_mid", "truncate"] {
        expect::raised(seen().case(case));
    }
}

#[test]
fn waits_are_kept_and_betas_pass_through() {
    expect::waited(seen());
    expect::plain(seen().case("beta"));
    let betas = seen()
        .requests
        .iter()
        .filter_map(|request| request.headers.get("anthropic-beta"));
    assert!(
        betas
            .into_iter()
            .any(|value| value.to_str().unwrap().contains("future-thing-2027-01-01"))
    );
    assert!(!seen().strayed, "it wanted to reach another host");
}
