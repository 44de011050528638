//! The `llm` command with its plugin `llm-anthropic`, as a person at a terminal has it.

use std::sync::OnceLock;

use super::client::{Run, python_script, run};
use super::expect;
use super::rig::Rig;

const CASES: &[&str] = &[
    "plain",
    "no_stream",
    "tools",
    "thinking",
    "schema",
    "status=529",
    "stream_error",
    "truncate",
    "wrong_key",
];

fn seen() -> &'static Run {
    static RUN: OnceLock<Result<Run, String>> = OnceLock::new();
    let once = || {
        let rig = Rig::start(&[]);
        let command = python_script(&rig, "anthropic-python-1", "llm_command.py")?;
        run(&rig, command, CASES)
    };
    RUN.get_or_init(once)
        .as_ref()
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn it_prints_answers_and_runs_functions() {
    for case in ["plain", "no_stream"] {
        expect::text(seen().case(case), expect::PLAIN);
    }
    expect::text(
        seen().case("tools"),
        "I look at the weather. It is sunny in both.",
    );
    expect::text(seen().case("thinking"), "Weighed.");
    let schema: serde_json::Value =
        serde_json::from_str(seen().case("schema")["text"].as_str().unwrap()).unwrap();
    assert!(
        schema["name"].is_string() && schema["age"].is_number(),
        "{schema}"
    );
    for case in ["plain", "no_stream", "tools", "thinking", "schema"] {
        assert_eq!(seen().case(case)["code"], 0, "{}", seen().case(case));
    }
    assert!(!seen().strayed, "it wanted to reach another host");
}

#[test]
fn it_says_what_went_wrong_and_fails() {
    for (case, part) in [
        ("status=529", "scripted 529"),
        ("stream_error", "overloaded_error"),
        ("truncate", "Error"),
        ("wrong_key", "401"),
    ] {
        let told = seen().case(case);
        assert_eq!(told["code"], 1, "{told}");
        assert!(told["said"].as_str().unwrap().contains(part), "{told}");
    }
    expect::refused(seen());
}
