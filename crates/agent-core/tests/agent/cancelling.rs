//! Cancel in every state: it ends soon, what was done is stored, and the session goes on.

use std::time::{Duration, Instant};

use agent_config::{PermissionMode, WhitelistLevel};
use agent_core::{AgentEvent, Outcome, RunLimits};
use serde_json::json;

use crate::support::fixture::{Fixture, Ran, collect, collect_rest, limits, policy, read_small, until};
use crate::support::server::{Piece, Reply, answer, broken, call, text};

/// Cancels at the first event that is as wanted, and then gives the session another prompt.
async fn cancel_at(fixture: &Fixture, wanted: impl Fn(&AgentEvent) -> bool) -> Ran {
    let session = fixture.session().await;
    let mut handle = session.run("go", limits());
    let seen = until(&mut handle, wanted).await;
    let begun = Instant::now();
    handle.control.cancel();
    let ran = collect_rest(seen, handle).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(ran.finished.outcome, Outcome::Cancelled);

    fixture.server.script([answer([text("going on")], "end_turn")]);
    let next = collect(session.run("go on", limits())).await;
    assert_eq!(
        (next.finished.outcome, next.finished.text.as_str()),
        (Outcome::Done, "going on")
    );
    ran
}

#[tokio::test]
async fn while_waiting_for_the_answer_to_begin() {
    let fixture = Fixture::new([Reply::Silence]).await;
    let session = fixture.session().await;
    let handle = session.run("go", limits());
    while fixture.server.left() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    handle.control.cancel();
    assert_eq!(collect(handle).await.finished.outcome, Outcome::Cancelled);
    fixture.server.script([answer([text("going on")], "end_turn")]);
    assert_eq!(
        collect(session.run("go on", limits())).await.finished.outcome,
        Outcome::Done
    );
}

#[tokio::test]
async fn while_the_answer_streams() {
    let fixture = Fixture::new([broken([text("Half an")], Piece::Hang)]).await;
    let ran = cancel_at(&fixture, |event| matches!(event, AgentEvent::TextDelta { .. })).await;
    assert_eq!(
        ran.count(|event| matches!(event, AgentEvent::TurnRestarted { .. })),
        0
    );
    let stored = fixture.stored().await;
    assert_eq!(
        stored.iter().filter(|(role, _)| role == "assistant").count(),
        1,
        "the half answer is dropped"
    );
}

#[tokio::test]
async fn while_backing_off() {
    let fixture = Fixture::new(std::iter::repeat_n(
        Reply::Error(529, "overloaded_error", "busy"),
        3,
    ))
    .await;
    let session = fixture.session().await;
    let mut handle = session.run("go", limits());
    let seen = until(&mut handle, |event| matches!(event, AgentEvent::Retrying { .. })).await;
    handle.control.cancel();
    assert_eq!(
        collect_rest(seen, handle).await.finished.outcome,
        Outcome::Cancelled
    );
}

#[tokio::test]
async fn while_waiting_to_replay() {
    let fixture = Fixture::new([broken([text("Half an")], Piece::Break)]).await;
    cancel_at(&fixture, |event| {
        matches!(event, AgentEvent::TurnRestarted { .. })
    })
    .await;
}

#[tokio::test]
async fn while_tools_run_or_wait_for_each_other() {
    let calls = [
        call("t1", "look", json!({"path": "quick"})),
        call("t2", "act", json!({"path": "make", "do": "hang"})),
        call("t3", "change", json!({"path": "after"})),
    ];
    let fixture = Fixture::new([answer(calls, "tool_use")]).await;
    let started = |event: &AgentEvent| matches!(event, AgentEvent::ToolStarted { id } if id == "t2");
    cancel_at(&fixture, started).await;
    let stored = fixture.stored().await;
    let results = stored[2].1.as_array().unwrap();
    let told: Vec<_> = results
        .iter()
        .map(|result| result["content"].as_str().unwrap())
        .collect();
    assert_eq!(
        told,
        [
            "saw quick",
            "stopped",
            "cancelled before it ran; nothing was done"
        ]
    );
}

#[tokio::test]
async fn a_tool_that_does_not_stop_is_dropped() {
    let fixture = Fixture::new([answer(
        [call("t1", "look", json!({"path": "a", "do": "stubborn"}))],
        "tool_use",
    )])
    .await;
    let mut handle = fixture.session().await.run("go", limits());
    let seen = until(&mut handle, |event| {
        matches!(event, AgentEvent::ToolStarted { .. })
    })
    .await;
    handle.control.cancel();
    let ran = collect_rest(seen, handle).await;
    assert_eq!(ran.finished.outcome, Outcome::Cancelled);
    assert!(
        fixture.stored().await[2].1[0]["content"]
            .as_str()
            .unwrap()
            .contains("did not stop")
    );
}

#[tokio::test]
async fn while_an_approval_is_pending() {
    let mut fixture = Fixture::new([answer([call("t1", "change", json!({"path": "a"}))], "tool_use")]).await;
    fixture.parts.policy = policy(PermissionMode::Ask, WhitelistLevel::Warn, true);
    cancel_at(&fixture, |event| {
        matches!(event, AgentEvent::ApprovalRequested { .. })
    })
    .await;
    assert!(fixture.log.lock().is_empty());
    assert_eq!(fixture.stored().await[2].1[0]["is_error"], true);
}

#[tokio::test]
async fn a_queued_run_can_be_cancelled_while_it_waits_for_the_first() {
    let fixture = Fixture::new([Reply::Silence]).await;
    let session = fixture.session().await;
    let mut first = session.run("go", limits());
    until(&mut first, |event| {
        matches!(event, AgentEvent::TurnStarted { .. })
    })
    .await;
    let second = session.run("me too", limits());
    second.control.cancel();
    assert_eq!(collect(second).await.finished.outcome, Outcome::Cancelled);
    first.control.cancel();
    while first.events.recv().await.is_some() {}
}

#[tokio::test]
async fn the_end_of_the_program_cancels() {
    let fixture = Fixture::new([Reply::Silence]).await;
    let mut handle = fixture.session().await.run("go", limits());
    let seen = until(&mut handle, |event| {
        matches!(event, AgentEvent::TurnStarted { .. })
    })
    .await;
    fixture.lifecycle.token().cancel();
    assert_eq!(
        collect_rest(seen, handle).await.finished.outcome,
        Outcome::Cancelled
    );
}

#[tokio::test]
async fn a_run_that_is_refused_still_says_its_last_word() {
    let fixture = Fixture::new([]).await;
    let session = fixture.session().await;
    fixture.lifecycle.shutdown(Duration::from_secs(1)).await;
    let mut handle = session.run("go", limits());
    assert!(
        matches!(handle.events.recv().await, Some(AgentEvent::Finished(end)) if end.outcome == Outcome::Failed)
    );
    assert!(handle.events.recv().await.is_none());
}

#[tokio::test]
async fn the_deadline_ends_the_run_and_keeps_what_was_done() {
    let fixture = Fixture::new([
        answer(
            [call("t1", "act", json!({"path": "make", "do": "hang"}))],
            "tool_use",
        ),
        answer([text("never asked")], "end_turn"),
    ])
    .await;
    let ran = fixture
        .run_within(
            "go",
            RunLimits {
                timeout: Duration::from_millis(400),
                ..limits()
            },
        )
        .await;
    assert_eq!(ran.finished.outcome, Outcome::TimedOut);
    assert_eq!(fixture.server.left(), 1);
    assert_eq!(fixture.stored().await.len(), 3, "the call has its result");
}

#[tokio::test]
async fn children_of_a_command_end_as_a_group() {
    let command = "sleep 300 & echo $! > child; echo $$ > shell; wait";
    let mut fixture = Fixture::new([answer(
        [call("t1", "bash", json!({"command": command}))],
        "tool_use",
    )])
    .await;
    fixture.parts.tools = agent_core::tools::ToolRegistry::built_in(Default::default());
    let mut handle = fixture.session().await.run("go", limits());
    let seen = until(&mut handle, |event| {
        matches!(event, AgentEvent::ToolStarted { .. })
    })
    .await;
    let shell = fixture.workspace().join("shell");
    while std::fs::metadata(&shell).map_or(0, |file| file.len()) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    handle.control.cancel();
    assert_eq!(
        collect_rest(seen, handle).await.finished.outcome,
        Outcome::Cancelled
    );
    for name in ["shell", "child"] {
        let pid = read_small(fixture.workspace().join(name));
        let stat = read_small(format!("/proc/{}/stat", pid.trim()));
        let state = stat.rsplit(") ").next().unwrap_or_default();
        assert!(
            stat.is_empty() || state.starts_with('Z'),
            "{name} {pid} still lives: {state}"
        );
    }
}
