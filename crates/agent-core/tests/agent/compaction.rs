//! The window fills: a summary takes the place of the old part, and pairs stay together.

use std::collections::HashSet;

use agent_core::{AgentEvent, ErrorKind, Outcome};
use serde_json::{Value, json};

use crate::support::fixture::{Fixture, collect, limits};
use crate::support::server::{Reply, answer, answer_with, call, text};

/// A round that says that the prompt had `tokens` tokens.
fn round(n: usize, tokens: u64) -> Reply {
    let usage = json!({"input_tokens": tokens, "output_tokens": 10});
    answer_with(
        [call(&format!("t{n}"), "look", json!({"path": format!("f{n}")}))],
        "tool_use",
        usage,
    )
}

async fn small_window(replies: impl IntoIterator<Item = Reply>) -> Fixture {
    let mut fixture = Fixture::new(replies).await;
    fixture.parts.settings.context_window = Some(10_000);
    fixture.parts.settings.max_output_tokens = 1_000;
    fixture
}

fn assert_paired(messages: &Value) {
    let mut open = HashSet::new();
    for message in messages.as_array().unwrap() {
        for block in message["content"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
        {
            match block["type"].as_str() {
                Some("tool_use") => assert!(open.insert(block["id"].clone())),
                Some("tool_result") => {
                    assert!(open.remove(&block["tool_use_id"]), "{block} without its call")
                }
                _ => {}
            }
        }
    }
    assert!(open.is_empty(), "{open:?} without results");
}

#[tokio::test]
async fn a_full_window_is_compacted_and_the_work_goes_on() {
    let mut script: Vec<_> = (0..10).map(|n| round(n, 800 * (n as u64 + 1))).collect();
    script.push(answer([text("Summary: f0 to f9 were seen.")], "end_turn"));
    script.push(answer([text("All seen.")], "end_turn"));
    script.push(answer([text("Still here.")], "end_turn"));
    let fixture = small_window(script).await;
    let session = fixture.session().await;
    let ran = collect(session.run("look at everything", limits())).await;
    assert_eq!(
        (ran.finished.outcome, ran.finished.text.as_str()),
        (Outcome::Done, "All seen.")
    );
    assert_eq!(
        ran.count(|event| matches!(event, AgentEvent::Compacted { .. })),
        1
    );

    let requests = fixture.server.requests();
    let summary_request = requests
        .iter()
        .find(|body| body.get("tools").is_none())
        .expect("asked for a summary");
    assert!(summary_request.to_string().contains("look at everything"));
    let after = &requests.last().unwrap()["messages"];
    assert!(after[0]["content"].to_string().contains("f0 to f9 were seen"));
    assert!(after.as_array().unwrap().len() <= 14);
    requests.iter().for_each(|body| assert_paired(&body["messages"]));

    // The summary is part of the session, and the messages that it stands for are not lost.
    drop(session);
    let id = fixture.only_session().await;
    collect(fixture.resume(id).await.run("are you there", limits())).await;
    let resumed = fixture.server.requests().pop().unwrap()["messages"].clone();
    assert!(resumed[0]["content"].to_string().contains("f0 to f9 were seen"));
    assert_eq!(fixture.stored().await.len(), 24);
}

#[tokio::test]
async fn a_failed_summary_is_a_warning_until_the_window_is_full() {
    let script = [
        round(0, 8_500),
        Reply::Error(400, "invalid_request_error", "no summary today"),
        round(1, 8_600),
        answer([text("Done anyway.")], "end_turn"),
    ];
    let fixture = small_window(script).await;
    let ran = fixture.run("go").await;
    assert_eq!(
        (ran.finished.outcome, ran.finished.text.as_str()),
        (Outcome::Done, "Done anyway.")
    );
    assert_eq!(
        ran.count(
            |event| matches!(event, AgentEvent::Warning { message } if message.contains("no summary today"))
        ),
        1
    );
}

#[tokio::test]
async fn a_window_that_is_really_full_is_compacted_once_and_tried_again() {
    for full in [
        answer([text("I was about")], "model_context_window_exceeded"),
        Reply::Error(
            400,
            "invalid_request_error",
            "prompt is too long: 10001 tokens > 10000 maximum",
        ),
    ] {
        let script = [
            round(0, 100),
            full.clone(),
            answer([text("The summary.")], "end_turn"),
            answer([text("Fits.")], "end_turn"),
        ];
        let fixture = small_window(script).await;
        let ran = fixture.run("go").await;
        assert_eq!(
            (ran.finished.outcome, ran.finished.text.as_str()),
            (Outcome::Done, "Fits."),
            "{full:?}"
        );
        assert_eq!(ran.shown(), "Fits.");

        let script = [
            round(0, 100),
            full.clone(),
            answer([text("The summary.")], "end_turn"),
            full,
        ];
        let fixture = small_window(script).await;
        let ran = fixture.run("go").await;
        assert_eq!(ran.finished.outcome, Outcome::Partial);
        assert_eq!(ran.finished.error.unwrap().kind, ErrorKind::ContextFull);
    }
}
