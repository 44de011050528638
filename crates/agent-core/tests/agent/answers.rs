//! Answers without tools: whole ones, broken ones, and each way to stop.

use agent_core::{AgentEvent, ErrorKind, Outcome};
use serde_json::json;

use crate::support::fixture::{Fixture, Ran, limits};
use crate::support::server::{Piece, Reply, answer, broken, cut_call, refusal, text};

fn kind(ran: &Ran) -> Option<ErrorKind> {
    ran.finished.error.as_ref().map(|error| error.kind)
}

#[tokio::test]
async fn a_text_answer_is_streamed_stored_and_done() {
    let fixture = Fixture::new([answer([text("Hello there, friend.")], "end_turn")]).await;
    let ran = fixture.run("Say hello\nnicely").await;
    assert_eq!(
        (ran.finished.outcome, ran.finished.error.as_ref()),
        (Outcome::Done, None)
    );
    assert_eq!(ran.finished.text, "Hello there, friend.");
    assert_eq!(ran.shown(), ran.finished.text);
    assert!(
        ran.count(|event| matches!(event, AgentEvent::TextDelta { .. })) > 1,
        "it streams"
    );
    assert_eq!(
        (ran.finished.usage.input_tokens, ran.finished.usage.output_tokens),
        (100, 10)
    );
    let cost = ran.finished.cost_usd.unwrap();
    assert!((cost - (100.0 * 4.0 + 10.0 * 20.0) / 1e6).abs() < 1e-9, "{cost}");

    let expected = [
        ("user", "Say hello\nnicely"),
        ("assistant", "Hello there, friend."),
    ];
    let expected = expected.map(|(role, said)| (role.to_owned(), json!([{"type": "text", "text": said}])));
    assert_eq!(fixture.stored().await, expected);
    let info = fixture
        .parts
        .store
        .get(&fixture.only_session().await)
        .await
        .unwrap();
    assert_eq!(info.title, "Say hello");
    assert!((info.cost.usd - cost).abs() < 1e-9);
}

#[tokio::test]
async fn the_request_is_what_the_model_needs() {
    let fixture = Fixture::new([answer([text("ok")], "end_turn")]).await;
    let instructions = "Use tabs. The key is sk-ant-api03-0123456789abcdef.";
    std::fs::write(fixture.workspace().join("CLAUDE.md"), instructions).unwrap();
    fixture.run("go").await;
    let request = &fixture.server.requests()[0];
    assert_eq!(request["stream"], true);
    assert_eq!(request["cache_control"], json!({"type": "ephemeral"}));
    let tools: Vec<_> = request["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].clone())
        .collect();
    assert_eq!(tools, ["look", "change", "act"]);
    let system = request["system"].as_array().unwrap();
    assert!(
        system[0]["text"]
            .as_str()
            .unwrap()
            .contains(fixture.workspace().to_str().unwrap())
    );
    let instructions = system[1]["text"].as_str().unwrap();
    assert!(
        instructions.contains("Use tabs. The key is [redacted]"),
        "{instructions}"
    );
    assert_eq!(system[1]["cache_control"], json!({"type": "ephemeral"}));
}

#[tokio::test]
async fn the_message_is_durable_before_it_is_acknowledged() {
    let fixture = Fixture::new([answer([text("ok")], "end_turn")]).await;
    let session = fixture.session().await;
    let mut handle = session.run("go", limits());
    while let Some(event) = handle.events.recv().await {
        if let AgentEvent::MessageStored { seq, .. } = event {
            let id = fixture.only_session().await;
            assert!(fixture.parts.store.get(&id).await.unwrap().messages >= seq);
        }
    }
}

#[tokio::test]
async fn the_second_prompt_goes_on_with_the_same_bytes() {
    let fixture = Fixture::new(["one", "two"].map(|said| answer([text(said)], "end_turn"))).await;
    let session = fixture.session().await;
    for prompt in ["first", "second"] {
        crate::support::fixture::collect(session.run(prompt, limits())).await;
    }
    let requests = fixture.server.requests();
    let (first, second) = (
        requests[0]["messages"].as_array().unwrap(),
        requests[1]["messages"].as_array().unwrap(),
    );
    assert_eq!(second.len(), 3);
    assert_eq!(first[0], second[0]);
    assert_eq!(requests[0]["system"], requests[1]["system"]);
}

#[tokio::test]
async fn a_stream_that_breaks_is_replayed_and_only_the_whole_answer_counts() {
    let broken_twice = [
        broken([text("Half an ans")], Piece::Break),
        broken(
            [text("Half again, longer")],
            Piece::Event(json!({"type": "error",
            "error": {"type": "overloaded_error", "message": "busy"}})),
        ),
    ];
    let fixture = Fixture::new(
        broken_twice
            .into_iter()
            .chain([answer([text("The whole.")], "end_turn")]),
    )
    .await;
    let ran = fixture.run("go").await;
    assert_eq!(ran.finished.outcome, Outcome::Done);
    assert_eq!(
        (ran.shown().as_str(), ran.finished.text.as_str()),
        ("The whole.", "The whole.")
    );
    assert_eq!(
        ran.count(|event| matches!(event, AgentEvent::TurnRestarted { .. })),
        2
    );
    assert_eq!(fixture.stored().await.len(), 2);
    // Broken answers cost their prompt all the same, in the run and in the store.
    assert_eq!(ran.finished.usage.input_tokens, 300);
    let info = fixture
        .parts
        .store
        .get(&fixture.only_session().await)
        .await
        .unwrap();
    assert_eq!(info.cost.input_tokens, 300);
}

#[tokio::test]
async fn a_server_that_only_breaks_is_given_up() {
    let fixture = Fixture::new(std::iter::repeat_n(broken([text("no")], Piece::Break), 10)).await;
    let ran = fixture.run("go").await;
    assert_eq!(ran.finished.outcome, Outcome::UpstreamFailed);
    assert_eq!(fixture.server.left(), 6, "one try and three replays");
    assert_eq!(ran.finished.text, "", "what was shown and broke is not an answer");
    assert_eq!(fixture.stored().await.len(), 1);
}

#[tokio::test]
async fn retries_before_the_answer_are_told() {
    let fixture = Fixture::new([
        Reply::Error(529, "overloaded_error", "busy"),
        answer([text("ok")], "end_turn"),
    ])
    .await;
    let ran = fixture.run("go").await;
    assert_eq!(ran.finished.outcome, Outcome::Done);
    assert_eq!(
        ran.count(|event| matches!(event, AgentEvent::Retrying { attempt: 1, .. })),
        1
    );
    assert_eq!(
        ran.count(|event| matches!(event, AgentEvent::TurnRestarted { .. })),
        0
    );
}

#[tokio::test]
async fn each_error_has_its_outcome_and_leaves_the_session_usable() {
    let cases = [
        (
            401,
            "authentication_error",
            Outcome::Misconfigured,
            ErrorKind::Authentication,
        ),
        (
            404,
            "not_found_error",
            Outcome::Misconfigured,
            ErrorKind::UnknownModel,
        ),
        (
            400,
            "invalid_request_error",
            Outcome::UpstreamFailed,
            ErrorKind::InvalidRequest,
        ),
    ];
    for (status, name, outcome, expected) in cases {
        let fixture =
            Fixture::new([Reply::Error(status, name, "no"), answer([text("ok")], "end_turn")]).await;
        let session = fixture.session().await;
        let ran = crate::support::fixture::collect(session.run("go", limits())).await;
        assert_eq!(
            (ran.finished.outcome, kind(&ran)),
            (outcome, Some(expected)),
            "{status}"
        );
        let ran = crate::support::fixture::collect(session.run("again", limits())).await;
        assert_eq!(ran.finished.outcome, Outcome::Done);
    }
}

#[tokio::test]
async fn each_reason_to_stop_has_its_outcome() {
    let cases = [
        (
            answer([text("so far")], "max_tokens"),
            Outcome::Partial,
            Some(ErrorKind::MaxTokens),
            "so far",
        ),
        (
            refusal("not that"),
            Outcome::Partial,
            Some(ErrorKind::Refusal),
            "",
        ),
        (
            answer([text("hm")], "a_new_reason"),
            Outcome::Partial,
            Some(ErrorKind::UnknownStopReason),
            "hm",
        ),
        (answer([], "end_turn"), Outcome::Done, None, ""),
        (answer([text(" \n")], "end_turn"), Outcome::Done, None, ""),
    ];
    for (reply, outcome, expected, said) in cases {
        let fixture = Fixture::new([reply]).await;
        let ran = fixture.run("go").await;
        assert_eq!((ran.finished.outcome, kind(&ran)), (outcome, expected), "{ran:?}");
        assert_eq!(ran.finished.text.trim(), said);
    }
}

#[tokio::test]
async fn a_refusal_tells_the_explanation() {
    let ran = Fixture::new([refusal("not that")]).await.run("go").await;
    let message = ran.finished.error.unwrap().message;
    assert!(
        message.contains("not that") && message.contains("cyber"),
        "{message}"
    );
}

#[tokio::test]
async fn an_empty_answer_is_stored_and_not_sent_back() {
    let fixture = Fixture::new([answer([], "end_turn"), answer([text("ok")], "end_turn")]).await;
    let session = fixture.session().await;
    for prompt in ["first", "second"] {
        crate::support::fixture::collect(session.run(prompt, limits())).await;
    }
    let roles: Vec<_> = fixture.server.requests()[1]["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["role"].clone())
        .collect();
    assert_eq!(roles, ["user", "user"]);
    assert_eq!(fixture.stored().await.len(), 4);
}

#[tokio::test]
async fn a_paused_turn_is_sent_back_as_it_is() {
    let fixture = Fixture::new([
        answer([text("one")], "pause_turn"),
        answer([text("two")], "end_turn"),
    ])
    .await;
    let ran = fixture.run("go").await;
    assert_eq!(ran.finished.outcome, Outcome::Done);
    let messages = fixture.server.requests()[1]["messages"].clone();
    assert_eq!(
        messages.as_array().unwrap().last().unwrap()["content"],
        json!([{"type": "text", "text": "one"}])
    );
}

#[tokio::test]
async fn a_call_that_was_cut_off_is_not_run_and_the_model_is_told() {
    // Cut in the middle of its input, and before the input began.
    for partial in ["{\"path\": \"a.txt\", \"content\": \"lon", ""] {
        let fixture = Fixture::new([
            answer(
                [text("Writing."), cut_call("t1", "change", partial)],
                "max_tokens",
            ),
            answer([text("Smaller then.")], "end_turn"),
        ])
        .await;
        let ran = fixture.run("go").await;
        assert_eq!(ran.finished.outcome, Outcome::Done);
        assert!(fixture.log.lock().is_empty(), "nothing ran");
        let stored = fixture.stored().await;
        assert!(
            stored[1].1[1]["input"].is_object(),
            "what is sent back must be valid: {}",
            stored[1].1
        );
        let result = &stored[2].1[0];
        assert_eq!(
            (&result["tool_use_id"], &result["is_error"]),
            (&json!("t1"), &json!(true))
        );
        assert!(
            result["content"].as_str().unwrap().contains("token limit"),
            "{result}"
        );
    }
}

#[tokio::test]
async fn answers_that_are_always_cut_off_end_the_run() {
    let cut = |n: u32| {
        answer(
            [cut_call(&format!("t{n}"), "change", "{\"path\": \"a")],
            "max_tokens",
        )
    };
    let fixture = Fixture::new((0..9).map(cut)).await;
    let ran = fixture.run("go").await;
    assert_eq!(
        (ran.finished.outcome, kind(&ran)),
        (Outcome::Partial, Some(ErrorKind::MaxTokens))
    );
    assert_eq!(fixture.server.left(), 6);
}

#[tokio::test]
async fn an_empty_prompt_is_refused_before_anything_is_stored() {
    let fixture = Fixture::new([]).await;
    let ran = fixture.run(" \n ").await;
    assert_eq!(ran.finished.outcome, Outcome::Misconfigured);
    assert!(
        fixture
            .parts
            .store
            .list(Default::default())
            .await
            .unwrap()
            .is_empty()
    );
}
