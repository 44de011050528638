//! What waits for a person.

use serde_json::{Value, json};

use crate::rig::{Rig, Setup};
use crate::turns::WRITES;

async fn decide(rig: &Rig, approval: &Value, decision: Value, status: u16) -> Value {
    let path = format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap());
    rig.post(&path, &decision).await.expect(status).json()
}

#[tokio::test]
async fn a_yes_runs_the_tool_once() {
    let rig = Setup::scenario(WRITES).start().await;
    let session = rig.session().await;
    let turn = rig.turn(&session, "write a file").await;
    let approval = rig.approval().await;
    assert_eq!(
        (&approval["tool"], &approval["session_id"]),
        (&json!("write_file"), &json!(session.rsplit('/').next().unwrap()))
    );
    assert!(!rig.workspace().join("a.txt").exists());
    let decided = decide(&rig, &approval, json!({ "decision": "allow_once" }), 200).await;
    assert_eq!(decided, json!({ "id": approval["id"], "decision": "allow_once" }));
    assert_eq!(rig.ended(&turn).await["result"]["outcome"], "done");
    assert!(rig.workspace().join("a.txt").exists());
    assert_eq!(
        rig.get("/api/v1/approvals").await.expect(200).json(),
        json!({ "approvals": [] })
    );
    let late = decide(&rig, &approval, json!({ "decision": "deny" }), 409).await;
    assert_eq!(late["type"], "urn:claude-agent:problem:approval-closed");
}

#[tokio::test]
async fn a_no_tells_the_model_why() {
    let rig = Setup::scenario(WRITES).start().await;
    let session = rig.session().await;
    let turn = rig.turn(&session, "write a file").await;
    let approval = rig.approval().await;
    decide(
        &rig,
        &approval,
        json!({ "decision": "deny", "reason": "not on a Monday" }),
        200,
    )
    .await;
    rig.ended(&turn).await;
    assert!(!rig.workspace().join("a.txt").exists());
    let messages = rig
        .get(&format!("{session}/messages"))
        .await
        .expect(200)
        .json()
        .to_string();
    assert!(messages.contains("not on a Monday"), "{messages}");
}

#[tokio::test]
async fn a_yes_for_the_session_holds_for_its_next_turns_and_for_no_other_session() {
    let twice = format!("{WRITES}{WRITES}{WRITES}");
    let rig = Setup::scenario(&twice).start().await;
    let session = rig.session().await;
    let turn = rig.turn(&session, "write a file").await;
    decide(
        &rig,
        &rig.approval().await,
        json!({ "decision": "allow_for_session" }),
        200,
    )
    .await;
    rig.ended(&turn).await;
    std::fs::remove_file(rig.workspace().join("a.txt")).unwrap();
    // Between turns the session is free for other programs: what was allowed is kept all the same.
    let turn = rig.turn(&session, "write it again").await;
    let events = rig.events(&turn, &[]).await.rest().await;
    assert!(
        !events
            .iter()
            .any(|(_, event)| event["type"] == "approval_requested"),
        "{events:?}"
    );
    assert!(rig.workspace().join("a.txt").exists());
    let other = rig.session().await;
    let turn = rig.turn(&other, "write a file").await;
    decide(&rig, &rig.approval().await, json!({ "decision": "deny" }), 200).await;
    rig.ended(&turn).await;
}

#[tokio::test]
async fn what_is_no_approval_or_no_decision_is_refused() {
    let rig = Setup::scenario(WRITES).start().await;
    let session = rig.session().await;
    let turn = rig.turn(&session, "write a file").await;
    let approval = rig.approval().await;
    for wrong in [
        json!({}),
        json!({ "decision": "maybe" }),
        json!({ "decision": "allow_once", "more": 1 }),
        json!("deny"),
    ] {
        decide(&rig, &approval, wrong, 400).await;
    }
    let path = format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap());
    let plain = [("content-type", "text/plain")];
    rig.call(http::Method::POST, &path, &plain, Some("deny".into()))
        .await
        .expect(415);
    let own = turn.rsplit('/').next().unwrap();
    for id in [
        "x",
        "x.1",
        &format!("{own}.99"),
        &format!("{own}.0"),
        &format!("{own}.x"),
        "0197d5a0-0000-7000-8000-000000000000.1",
    ] {
        rig.post(
            &format!("/api/v1/approvals/{id}"),
            &json!({ "decision": "allow_once" }),
        )
        .await
        .expect(404);
    }
    decide(&rig, &approval, json!({ "decision": "deny" }), 200).await;
    rig.ended(&turn).await;
}
