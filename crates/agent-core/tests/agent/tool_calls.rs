//! Tool calls: order, parallelism, results, steering.

use std::time::Duration;

use agent_core::{AgentEvent, Outcome};
use serde_json::json;

use crate::support::fixture::{Fixture, collect_rest, limits, read_small, until};
use crate::support::server::{answer, call, text};

fn look(id: &str, path: &str, ms: u64) -> serde_json::Value {
    call(id, "look", json!({"path": path, "ms": ms}))
}

#[tokio::test]
async fn a_tool_runs_and_its_result_goes_back() {
    let fixture = Fixture::new([
        answer([text("Looking."), look("t1", "a.rs", 0)], "tool_use"),
        answer([text("Seen.")], "end_turn"),
    ])
    .await;
    let ran = fixture.run("go").await;
    assert_eq!((ran.finished.outcome, ran.finished.turns), (Outcome::Done, 2));
    assert_eq!(ran.finished.text, "Seen.");
    let result = json!([{"type": "tool_result", "tool_use_id": "t1", "content": "saw a.rs"}]);
    assert_eq!(
        fixture.server.requests()[1]["messages"][2],
        json!({"role": "user", "content": result})
    );
    let stored_before_run = ran
        .events
        .iter()
        .position(|e| matches!(e, AgentEvent::MessageStored { seq: 2, .. }));
    let started = ran
        .events
        .iter()
        .position(|e| matches!(e, AgentEvent::ToolStarted { .. }));
    assert!(stored_before_run < started, "the call is stored before it runs");
}

#[tokio::test]
async fn eight_reads_run_at_the_same_time_and_answer_in_order() {
    let calls = (0..8).map(|n| look(&format!("t{n}"), &format!("f{n}"), 80 - 10 * n));
    let fixture = Fixture::new([answer(calls, "tool_use"), answer([text("ok")], "end_turn")]).await;
    fixture.run("go").await;
    let spans = fixture.log.lock().clone();
    let last_begin = spans.iter().map(|span| span.begin).max().unwrap();
    let first_end = spans.iter().map(|span| span.end).min().unwrap();
    assert!(last_begin < first_end, "all eight ran at once: {spans:?}");
    let ids: Vec<_> = fixture.stored().await[2]
        .1
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["tool_use_id"].clone())
        .collect();
    assert_eq!(ids, ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"]);
}

#[tokio::test]
async fn no_more_run_at_once_than_allowed() {
    let calls = (0..6).map(|n| look(&format!("t{n}"), &format!("f{n}"), 15));
    let mut fixture = Fixture::new([answer(calls, "tool_use"), answer([text("ok")], "end_turn")]).await;
    fixture.parts.settings.max_parallel_tools = 2;
    fixture.run("go").await;
    let spans = fixture.log.lock().clone();
    for span in &spans {
        let at_once = spans
            .iter()
            .filter(|other| other.begin <= span.begin && span.begin < other.end)
            .count();
        assert!(at_once <= 2, "{spans:?}");
    }
}

#[tokio::test]
async fn conflicting_calls_run_in_the_order_of_the_request() {
    let change = |id: &str, path: &str, ms: u64| call(id, "change", json!({"path": path, "ms": ms}));
    let calls = [
        change("t1", "a", 30),
        look("t2", "a", 0),
        look("t3", "b", 0),
        change("t4", "a", 0),
        call("t5", "act", json!({"path": "make"})),
    ];
    let fixture = Fixture::new([answer(calls, "tool_use"), answer([text("ok")], "end_turn")]).await;
    fixture.run("go").await;
    let names: Vec<_> = fixture.log.lock().iter().map(|span| span.name.clone()).collect();
    assert_eq!(names[0], "b", "what conflicts with nothing does not wait");
    assert_eq!(names[1..], ["a", "a", "a", "make"]);
    let spans = fixture.log.lock().clone();
    for pair in spans[1..].windows(2) {
        assert!(pair[0].end <= pair[1].begin, "{pair:?}");
    }
}

#[tokio::test]
async fn faults_of_tools_are_results() {
    let calls = [
        call("t1", "look", json!({"path": "a", "do": "panic"})),
        call("t2", "nonsense", json!({})),
        call("t3", "look", json!({})),
        call("t4", "look", json!({"path": "../../etc/passwd"})),
        call("t5", "look", json!({"path": "a", "do": "fail"})),
        look("t6", "fine", 0),
        call("t7", "look", json!({"path": "a", "do": "panic early"})),
    ];
    let fixture = Fixture::new([answer(calls, "tool_use"), answer([text("ok")], "end_turn")]).await;
    let ran = fixture.run("go").await;
    assert_eq!(ran.finished.outcome, Outcome::Done);
    let stored = fixture.stored().await;
    let results = stored[2].1.as_array().unwrap();
    let errors: Vec<bool> = results
        .iter()
        .map(|result| result["is_error"] == json!(true))
        .collect();
    assert_eq!(errors, [true, true, true, true, true, false, true]);
    assert!(
        results[1]["content"].as_str().unwrap().contains("look"),
        "names the tools there are: {}",
        results[1]
    );
}

#[tokio::test]
async fn an_answer_with_too_many_calls_runs_some_and_refuses_the_rest() {
    let calls = (0..70).map(|n| look(&format!("t{n}"), &format!("f{n}"), 0));
    let fixture = Fixture::new([answer(calls, "tool_use"), answer([text("ok")], "end_turn")]).await;
    fixture.run("go").await;
    assert_eq!(fixture.log.lock().len(), 64);
    let stored = fixture.stored().await;
    assert_eq!(
        stored[2].1.as_array().unwrap().len(),
        70,
        "every call has its result"
    );
    assert_eq!(stored[2].1[69]["is_error"], true);
}

#[tokio::test]
async fn secrets_reach_neither_the_model_nor_the_store() {
    let secret = "sk-ant-api03-thisisnotarealkeybutlookslikeone0123456789";
    let mut fixture = Fixture::new([
        answer([look("t1", secret, 0)], "tool_use"),
        answer([text("ok")], "end_turn"),
    ])
    .await;
    fixture.parts.redactor =
        agent_security::redact::Redactor::new(vec![agent_config::Secret::from(secret.to_owned())]);
    let ran = fixture.run(&format!("use {secret}")).await;
    assert_eq!(ran.finished.outcome, Outcome::Done);
    let stored = fixture.stored().await;
    assert!(!stored[0].1.to_string().contains(secret));
    assert!(!stored[2].1.to_string().contains(secret));
}

#[tokio::test]
async fn what_is_put_in_while_tools_run_goes_with_their_results() {
    let fixture = Fixture::new([
        answer([look("t1", "a", 50)], "tool_use"),
        answer([text("ok")], "end_turn"),
    ])
    .await;
    let session = fixture.session().await;
    let mut handle = session.run("go", limits());
    let seen = until(&mut handle, |event| {
        matches!(event, AgentEvent::ToolStarted { .. })
    })
    .await;
    handle.control.steer("and mind the tests").unwrap();
    let control = handle.control.clone();
    let ran = collect_rest(seen, handle).await;
    assert_eq!(ran.finished.outcome, Outcome::Done);
    assert_eq!(
        ran.count(|event| *event
            == AgentEvent::Steered {
                text: "and mind the tests".into()
            }),
        1
    );
    let content = fixture.stored().await[2].1.clone();
    assert_eq!(content[0]["type"], "tool_result");
    assert_eq!(content[1], json!({"type": "text", "text": "and mind the tests"}));
    assert!(control.steer("too late").is_err());
}

#[tokio::test]
async fn what_is_put_in_during_the_last_answer_goes_on_with_the_run() {
    let slow = crate::support::server::broken(
        [text("Almost done.")],
        crate::support::server::Piece::Wait(Duration::from_millis(100)),
    );
    let crate::support::server::Reply::Stream(mut pieces) = slow else {
        unreachable!()
    };
    let crate::support::server::Reply::Stream(end) = answer([], "end_turn") else {
        unreachable!()
    };
    pieces.extend(end.into_iter().skip(1));
    let fixture = Fixture::new([
        crate::support::server::Reply::Stream(pieces),
        answer([text("More done.")], "end_turn"),
    ])
    .await;
    let session = fixture.session().await;
    let mut handle = session.run("go", limits());
    let seen = until(&mut handle, |event| matches!(event, AgentEvent::TextDelta { .. })).await;
    handle.control.steer("do more").unwrap();
    let ran = collect_rest(seen, handle).await;
    assert_eq!(
        (ran.finished.outcome, ran.finished.text.as_str()),
        (Outcome::Done, "More done.")
    );
    let roles: Vec<_> = fixture.stored().await.into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
}

#[tokio::test]
async fn the_built_in_tools_work_on_real_files() {
    let mut fixture = Fixture::new([
        answer(
            [
                call(
                    "t1",
                    "write_file",
                    json!({"path": "notes/a.txt", "content": "one\ntwo\n"}),
                ),
                call("t2", "read_file", json!({"path": "notes/a.txt"})),
                call(
                    "t3",
                    "edit_file",
                    json!({"path": "notes/a.txt", "old_string": "two", "new_string": "three"}),
                ),
                call("t4", "bash", json!({"command": "cat notes/a.txt"})),
                call(
                    "t5",
                    "update_plan",
                    json!({"items": [{"step": "write", "status": "completed"}]}),
                ),
            ],
            "tool_use",
        ),
        answer([text("Written.")], "end_turn"),
    ])
    .await;
    fixture.parts.tools = agent_core::tools::ToolRegistry::built_in(Default::default());
    let ran = fixture.run("write").await;
    assert_eq!(ran.finished.outcome, Outcome::Done, "{:?}", ran.finished);
    let results = fixture.stored().await[2].1.clone();
    let told = |at: usize| results[at]["content"].as_str().unwrap().to_owned();
    assert!(
        results
            .as_array()
            .unwrap()
            .iter()
            .all(|result| result["is_error"] != true),
        "{results:#}"
    );
    assert!(
        told(1).contains("two") && told(3).contains("three"),
        "{results:#}"
    );
    assert_eq!(
        read_small(fixture.workspace().join("notes/a.txt")),
        "one\nthree\n"
    );
    assert_eq!(
        ran.count(|event| matches!(event, AgentEvent::PlanUpdated { .. })),
        1
    );
    assert!(
        ran.count(|event| matches!(event, AgentEvent::ToolOutput { id, .. } if id == "t4")) >= 1,
        "live output"
    );
}
