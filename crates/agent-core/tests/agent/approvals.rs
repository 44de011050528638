//! Permissions: asked, allowed, denied, remembered, and refused where nobody can answer.

use agent_config::{PermissionMode, WhitelistLevel};
use agent_core::{AgentEvent, ApprovalAnswer, ApprovalId, ErrorKind, Outcome, ResolvedBy};
use serde_json::json;

use crate::support::fixture::{Fixture, collect, collect_rest, limits, policy, until};
use crate::support::server::{Reply, answer, call, text};

fn change(id: &str, path: &str) -> serde_json::Value {
    call(id, "change", json!({"path": path}))
}

/// An agent that asks, and a script of one answer with `calls` and a closing one.
async fn asking(calls: impl IntoIterator<Item = serde_json::Value>) -> Fixture {
    let mut fixture = Fixture::new([answer(calls, "tool_use"), answer([text("ok")], "end_turn")]).await;
    fixture.parts.policy = policy(PermissionMode::Ask, WhitelistLevel::Warn, true);
    fixture
}

fn asked(event: &AgentEvent) -> Option<ApprovalId> {
    match event {
        AgentEvent::ApprovalRequested { approval_id, .. } => Some(*approval_id),
        _ => None,
    }
}

async fn answer_first(fixture: &Fixture, reply: ApprovalAnswer) -> crate::support::fixture::Ran {
    let mut handle = fixture.session().await.run("go", limits());
    let seen = until(&mut handle, |event| asked(event).is_some()).await;
    handle
        .control
        .answer(asked(seen.last().unwrap()).unwrap(), reply)
        .unwrap();
    collect_rest(seen, handle).await
}

#[tokio::test]
async fn a_yes_runs_the_call() {
    let fixture = asking([change("t1", "a")]).await;
    let ran = answer_first(&fixture, ApprovalAnswer::AllowOnce).await;
    assert_eq!(ran.finished.outcome, Outcome::Done);
    assert_eq!(fixture.log.lock().len(), 1);
}

#[tokio::test]
async fn a_no_tells_the_model_why_and_is_the_users_own_choice() {
    let fixture = asking([change("t1", "a")]).await;
    let ran = answer_first(
        &fixture,
        ApprovalAnswer::Deny {
            reason: Some("use b instead".into()),
        },
    )
    .await;
    assert_eq!(ran.finished.outcome, Outcome::Done);
    assert!(fixture.log.lock().is_empty());
    assert!(
        fixture.stored().await[2].1[0]["content"]
            .as_str()
            .unwrap()
            .contains("use b instead")
    );
    assert_eq!(
        ran.count(|event| matches!(event, AgentEvent::ToolStarted { .. })),
        0
    );
}

#[tokio::test]
async fn a_yes_for_the_session_answers_the_same_question_everywhere() {
    // Both wait at once: the answer to one resolves the other.
    let fixture = asking([change("t1", "a"), change("t2", "b")]).await;
    fixture.server.script([
        answer([change("t3", "c"), change("t4", "CLAUDE.md")], "tool_use"),
        answer([text("ok")], "end_turn"),
    ]);
    let session = fixture.session().await;
    let mut handle = session.run("go", limits());
    let mut seen = until(&mut handle, |event| asked(event).is_some()).await;
    seen.extend(until(&mut handle, |event| asked(event).is_some()).await);
    handle
        .control
        .answer(
            asked(seen.last().unwrap()).unwrap(),
            ApprovalAnswer::AllowForSession,
        )
        .unwrap();
    let ran = collect_rest(seen, handle).await;
    assert_eq!(ran.finished.outcome, Outcome::Done);
    let by = ran.events.iter().filter_map(|event| match event {
        AgentEvent::ApprovalResolved { by, .. } => Some(*by),
        _ => None,
    });
    let by: Vec<ResolvedBy> = by.collect();
    assert_eq!(by.len(), 2);
    assert!(by.contains(&ResolvedBy::User) && by.contains(&ResolvedBy::SessionRule));

    // The next run of the session does not ask for files, but still for a control file.
    let mut handle = session.run("more", limits());
    let seen = until(&mut handle, |event| asked(event).is_some()).await;
    let Some(AgentEvent::ApprovalRequested {
        tool_use_id,
        approval_id,
        ..
    }) = seen.last()
    else {
        unreachable!()
    };
    assert_eq!(tool_use_id, "t4");
    handle
        .control
        .answer(*approval_id, ApprovalAnswer::AllowOnce)
        .unwrap();
    collect_rest(seen, handle).await;
    assert_eq!(fixture.log.lock().len(), 4);

    // Nor does the same session when it is opened again by a program that carries over what was allowed.
    let grants = session.grants();
    drop(session);
    fixture.server.script([
        answer([change("t5", "d")], "tool_use"),
        answer([text("ok")], "end_turn"),
    ]);
    let again = fixture.resume(fixture.only_session().await).await;
    assert!(again.grants().is_empty(), "nothing of it is stored");
    again.allow_again(grants);
    let ran = collect(again.run("once more", limits())).await;
    assert_eq!(ran.count(|event| asked(event).is_some()), 0);
    assert_eq!(fixture.log.lock().len(), 5);
}

#[tokio::test]
async fn when_nobody_is_left_to_answer_it_is_a_no() {
    let fixture = asking([change("t1", "a")]).await;
    let session = fixture.session().await;
    let agent_core::TurnHandle {
        mut events,
        control,
        join,
    } = session.run("go", limits());
    drop(control);
    let mut denied = false;
    while let Some(event) = events.recv().await {
        denied |= matches!(
            event,
            AgentEvent::ApprovalResolved {
                by: ResolvedBy::NobodyLeft,
                ..
            }
        );
    }
    let finished = join.await.unwrap();
    assert!(denied && fixture.log.lock().is_empty());
    assert_eq!(
        finished.outcome,
        Outcome::Denied,
        "work was refused: the outcome tells"
    );
}

#[tokio::test]
async fn a_reader_that_goes_away_is_a_no_and_a_cancel() {
    let fixture = asking([change("t1", "a")]).await;
    let session = fixture.session().await;
    let mut handle = session.run("go", limits());
    until(&mut handle, |event| asked(event).is_some()).await;
    let agent_core::TurnHandle {
        events,
        control: _control,
        join,
    } = handle;
    drop(events);
    assert_eq!(join.await.unwrap().outcome, Outcome::Cancelled);
    assert!(fixture.log.lock().is_empty());
    assert_eq!(
        fixture.stored().await[2].1[0]["is_error"],
        true,
        "the session can go on"
    );
}

#[tokio::test]
async fn headless_what_would_ask_is_denied_and_the_outcome_says_so() {
    let calls: [Reply; 2] = [
        answer(
            [
                call("t1", "act", json!({"path": "frobnicate"})),
                change("t2", "b"),
            ],
            "tool_use",
        ),
        answer([text("I could not.")], "end_turn"),
    ];
    let mut fixture = Fixture::new(calls).await;
    fixture.parts.policy = policy(PermissionMode::Ask, WhitelistLevel::Warn, false);
    let ran = fixture.run("go").await;
    assert_eq!(ran.finished.outcome, Outcome::Denied);
    let error = ran.finished.error.unwrap();
    assert_eq!(error.kind, ErrorKind::Permission);
    assert!(
        error.message.contains("frobnicate") && error.message.contains("Write b"),
        "{}",
        error.message
    );
    assert_eq!(ran.finished.text, "I could not.");
    assert_eq!(
        ran.events.iter().filter(|event| asked(event).is_some()).count(),
        0,
        "nobody is asked"
    );
}

#[tokio::test]
async fn a_warning_of_the_policy_is_shown() {
    let script = [
        answer([call("t1", "act", json!({"path": "frobnicate"}))], "tool_use"),
        answer([text("ok")], "end_turn"),
    ];
    let mut fixture = Fixture::new(script).await;
    fixture.parts.policy = policy(PermissionMode::Policy, WhitelistLevel::Warn, false);
    let ran = collect(fixture.session().await.run("go", limits())).await;
    assert_eq!(ran.finished.outcome, Outcome::Done);
    assert_eq!(ran.count(|event| matches!(event, AgentEvent::Warning { .. })), 1);
}
