//! The `llm` command with its plugin `llm-anthropic`, as a person at a terminal has it.

use super::client::{Client, python_script};
use super::expect;

static CLIENT: Client = Client::new(
    |rig| python_script(rig, "anthropic-python-1", "llm_command.py"),
    &["plain no_stream tools thinking schema status=529 stream_error truncate wrong_key"],
);

#[test]
fn it_prints_answers_and_runs_functions() {
    for case in ["plain", "no_stream"] {
        expect::text(CLIENT.seen().case(case), expect::PLAIN);
    }
    expect::text(
        CLIENT.seen().case("tools"),
        "I look at the weather. It is sunny in both.",
    );
    expect::text(CLIENT.seen().case("thinking"), "Weighed.");
    let schema: serde_json::Value =
        serde_json::from_str(CLIENT.seen().case("schema")["text"].as_str().unwrap()).unwrap();
    assert!(
        schema["name"].is_string() && schema["age"].is_number(),
        "{schema}"
    );
    for case in ["plain", "no_stream", "tools", "thinking", "schema"] {
        assert_eq!(
            CLIENT.seen().case(case)["code"],
            0,
            "{}",
            CLIENT.seen().case(case)
        );
    }
    assert!(!CLIENT.seen().strayed, "it wanted to reach another host");
}

#[test]
fn it_says_what_went_wrong_and_fails() {
    for (case, part) in [
        ("status=529", "scripted 529"),
        ("stream_error", "overloaded_error"),
        ("truncate", "Error"),
        ("wrong_key", "401"),
    ] {
        let told = CLIENT.seen().case(case);
        assert_eq!(told["code"], 1, "{told}");
        assert!(told["said"].as_str().unwrap().contains(part), "{told}");
    }
    expect::refused(CLIENT.seen());
}
