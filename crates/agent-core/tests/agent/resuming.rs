//! Sessions that go on: after an end, after a crash, after the store failed.

use std::sync::Arc;

use agent_claude::messages::Role;
use agent_core::session::{NewMessage, NewSession, SessionId};
use agent_core::{AgentError, AgentEvent, ErrorKind, Outcome, SessionChoice};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::fixture::{Fixture, collect, collect_rest, limits, until};
use crate::support::server::{Piece, after, answer, call, text};

async fn planted(fixture: &Fixture, messages: &[(Role, Value)]) -> SessionId {
    let store = &fixture.parts.store;
    let new = NewSession {
        workspace: fixture.workspace(),
        model: "m".into(),
        title: Some("planted".into()),
    };
    let id = store.create(new).await.unwrap();
    let messages = messages.iter().map(|(role, content)| NewMessage {
        role: *role,
        content: serde_json::value::to_raw_value(content).unwrap(),
        usage: None,
        cost_usd: None,
    });
    store.append(&id, messages.collect()).await.unwrap();
    store.release(&id);
    id
}

#[tokio::test]
async fn a_crash_between_call_and_result_is_repaired_and_stored() {
    let fixture = Fixture::new([answer([text("on it")], "end_turn")]).await;
    let calls = json!([
        call("t1", "act", json!({"path": "make"})),
        call("t2", "look", json!({"path": "a"}))
    ]);
    let id = planted(&fixture, &[(Role::User, json!("go")), (Role::Assistant, calls)]).await;
    let ran = collect(fixture.resume(id).await.run("go on", limits())).await;
    assert_eq!(ran.finished.outcome, Outcome::Done);
    assert!(matches!(
        &ran.events[0],
        AgentEvent::SessionStarted { resumed: true, .. }
    ));
    let repaired = &fixture.stored().await[2];
    assert_eq!(repaired.0, "user");
    assert_eq!(repaired.1[0]["tool_use_id"], "t1");
    assert_eq!(repaired.1[1]["tool_use_id"], "t2");
    assert!(
        repaired.1[0]["content"]
            .as_str()
            .unwrap()
            .starts_with("interrupted:")
    );
    assert_eq!(repaired.1[2], json!({"type": "text", "text": "go on"}));
    assert_eq!(fixture.server.requests()[0]["messages"][2]["content"], repaired.1);
}

#[tokio::test]
async fn a_crash_after_the_prompt_leaves_two_prompts_and_nothing_odd() {
    let fixture = Fixture::new([answer([text("both then")], "end_turn")]).await;
    let id = planted(&fixture, &[(Role::User, json!("first"))]).await;
    let ran = collect(fixture.resume(id).await.run("second", limits())).await;
    assert_eq!(ran.finished.outcome, Outcome::Done);
    assert_eq!(fixture.stored().await.len(), 3);
}

#[tokio::test]
async fn stored_bytes_are_sent_as_they_are() {
    let fixture = Fixture::new([answer([text("ok")], "end_turn")]).await;
    let thought =
        json!([{"type": "thinking", "thinking": "", "signature": "sig/+=", "new_field": 1.50}, text("hi")]);
    let id = planted(
        &fixture,
        &[(Role::User, json!("a")), (Role::Assistant, thought.clone())],
    )
    .await;
    collect(fixture.resume(id).await.run("go on", limits())).await;
    assert_eq!(fixture.server.requests()[0]["messages"][1]["content"], thought);
}

#[tokio::test]
async fn a_session_has_one_owner() {
    let fixture = Fixture::new([]).await;
    let id = planted(&fixture, &[(Role::User, json!("a"))]).await;
    let first = fixture.resume(id).await;
    assert_eq!(first.resumed(), Some(id));
    let second = fixture.agent().start_session(SessionChoice::Resume { id }).await;
    assert!(matches!(
        second,
        Err(AgentError::Store(agent_core::session::StoreError::InUse { .. }))
    ));
    drop(first);
    assert!(
        fixture
            .agent()
            .start_session(SessionChoice::Resume { id })
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_workspace_that_is_gone_is_an_error_that_names_it() {
    let fixture = Fixture::new([]).await;
    let choice = SessionChoice::New {
        workspace: fixture.folder.path().join("nowhere"),
    };
    let error = fixture
        .agent()
        .start_session(choice)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("nowhere"), "{error}");
}

#[tokio::test]
async fn when_the_store_fails_the_run_says_so_and_sends_nothing() {
    let fixture = Fixture::new([answer([text("never asked")], "end_turn")]).await;
    let session = fixture.session().await;
    fixture.parts.store.close().await.unwrap();
    let ran = collect(session.run("go", limits())).await;
    assert_eq!(ran.finished.outcome, Outcome::Failed);
    assert!(!ran.finished.error.unwrap().advice.is_empty());
    assert!(fixture.server.requests().is_empty());
}

#[tokio::test]
async fn when_the_store_fails_in_the_middle_no_tool_runs_for_an_answer_that_is_not_stored() {
    let gate = Arc::new(Notify::new());
    let calls = answer([call("t1", "act", json!({"path": "make"}))], "tool_use");
    let fixture = Fixture::new([after(Piece::Gate(Arc::clone(&gate)), calls)]).await;
    let mut handle = fixture.session().await.run("go", limits());
    let seen = until(&mut handle, |event| {
        matches!(event, AgentEvent::MessageStored { seq: 1, .. })
    })
    .await;
    fixture.parts.store.close().await.unwrap();
    gate.notify_one();
    let ran = collect_rest(seen, handle).await;
    assert_eq!(ran.finished.outcome, Outcome::Failed);
    assert_eq!(ran.finished.error.unwrap().kind, ErrorKind::Store);
    assert!(fixture.log.lock().is_empty());
    assert_eq!(
        ran.events
            .iter()
            .filter(|event| matches!(event, AgentEvent::MessageStored { .. }))
            .count(),
        1
    );
}

#[tokio::test]
async fn a_session_stored_before_its_first_prompt_gets_its_title_from_it() {
    let fixture = Fixture::new([answer([text("ok")], "end_turn")]).await;
    let agent = fixture.agent();
    let id = agent.create_session(&fixture.workspace(), None).await.unwrap();
    let titled = agent
        .create_session(&fixture.workspace(), Some("mine".into()))
        .await
        .unwrap();
    let session = fixture.resume(id).await;
    let ran = collect(session.run("count the files\nplease", limits())).await;
    assert!(matches!(
        &ran.events[0],
        AgentEvent::SessionStarted { resumed: false, .. }
    ));
    let title = |id| {
        let store = fixture.parts.store.clone();
        async move { store.get(&id).await.unwrap().title }
    };
    assert_eq!(title(id).await, "count the files");
    fixture.server.script([answer([text("ok")], "end_turn")]);
    drop(collect(fixture.resume(titled).await.run("something else", limits())).await);
    assert_eq!(title(titled).await, "mine");
    let missing = fixture.workspace().join("missing");
    assert!(matches!(
        agent.create_session(&missing, None).await,
        Err(AgentError::Workspace(_))
    ));
}
