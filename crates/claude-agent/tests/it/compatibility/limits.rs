//! The daemon's own limits, as the SDKs understand them.

use std::process::Command;

use super::client::{Run, node_script, python_script, run};
use super::expect;
use super::rig::Rig;

/// A script of each language, the newest SDK.
fn scripts(rig: &Rig) -> [Command; 2] {
    let mut python = python_script(rig, "anthropic-python-2", "anthropic_sdk.py").unwrap();
    python.arg("sync");
    let mut node = node_script(rig, "node", "anthropic-sdk.mjs").unwrap();
    node.arg("@anthropic-ai/sdk");
    [python, node]
}

fn seen(rig: &Rig, command: Command, case: &str) -> Run {
    run(rig, command, &[case]).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn over_the_rate_limit_sdks_are_told_to_wait_and_do() {
    let rig = Rig::start(&[("CLAUDE_AGENT__SECURITY__RATE_LIMIT_REQUESTS_PER_MINUTE", "60")]);
    for command in scripts(&rig) {
        let run = seen(&rig, command, "until_limited");
        let told = run.case("until_limited");
        assert_eq!(told["limited"], true, "{told}");
        assert_eq!(told["raised"], "RateLimitError");
        assert_eq!(told["status"], 429);
        assert_eq!(told["type"], "rate_limit_error");
        expect::request_id(told);
        let wait: f64 = told["retry_after"].as_str().unwrap().parse().unwrap();
        assert!(wait > 0.0 && wait < 61.0, "{told}");
        assert_eq!(told["then"], expect::PLAIN, "the SDK waited and came through");
    }
}

#[test]
fn over_the_limit_of_requests_in_flight_sdks_are_told_of_overload() {
    let rig = Rig::start(&[("CLAUDE_AGENT__PERFORMANCE__MAX_CONCURRENT_REQUESTS", "1")]);
    for command in scripts(&rig) {
        let run = seen(&rig, command, "while_busy");
        let told = run.case("while_busy");
        assert_eq!(told["raised"], "OverloadedError", "{told}");
        assert_eq!(told["status"], 529);
        assert_eq!(told["type"], "overloaded_error");
        expect::request_id(told);
    }
}

#[test]
fn over_the_limit_for_bodies_sdks_are_told_of_the_size() {
    let rig = Rig::start(&[("CLAUDE_AGENT__SECURITY__MAX_GATEWAY_REQUEST_SIZE", "1MiB")]);
    for command in scripts(&rig) {
        let run = seen(&rig, command, "big");
        let told = run.case("big");
        assert_eq!(told["raised"], "ContentTooLargeError", "{told}");
        expect::request_id(told);
        assert!(run.requests.is_empty());
    }
}
