//! Turns: started, watched, left, cancelled, steered, limited, repeated.

use std::time::Duration;

use agent_simulator::{Latency, SimulatorConfig};
use http::Method;
use serde_json::{Value, json};

use crate::rig::{Rig, Setup};

/// An answer that asks to write a file, which waits for a person, and one that ends the turn.
pub(crate) const WRITES: &str = r#"
    [[steps]]
    tool_calls = [{ name = "write_file", input = { path = "a.txt", content = "hello" } }]
    [[steps]]
    text = "It is written."
"#;

fn ids(events: &[(Option<u64>, Value)]) -> Vec<u64> {
    events.iter().map(|(id, _)| id.unwrap()).collect()
}

#[tokio::test]
async fn a_turn_is_started_watched_and_remembered() {
    let rig = Setup::scenario("[[steps]]\ntext = \"Hello there, my friend.\"")
        .start()
        .await;
    let session = rig.session().await;
    let turn = rig.turn(&session, "greet me\nplease").await;
    let events = rig.events(&turn, &[]).await.rest().await;
    assert_eq!(ids(&events), (1..=events.len() as u64).collect::<Vec<_>>());
    assert_eq!(events[0].1["type"], "session_started");
    let end = &events.last().unwrap().1;
    assert_eq!(
        (&end["type"], &end["outcome"]),
        (&json!("finished"), &json!("done"))
    );
    let text: String = events
        .iter()
        .filter(|(_, event)| event["type"] == "text_delta")
        .map(|(_, e)| e["text"].as_str().unwrap())
        .collect();
    assert_eq!(text, "Hello there, my friend.");

    let status = rig.get(&turn).await.expect(200).json();
    assert_eq!(
        (&status["state"], &status["result"]["text"]),
        (&json!("ended"), &json!("Hello there, my friend."))
    );
    assert_eq!(status["last_event"], events.len());
    assert_eq!(rig.get(&session).await.expect(200).json()["title"], "greet me");
    let messages = rig.get(&format!("{session}/messages")).await.expect(200).json();
    assert_eq!(messages["messages"].as_array().unwrap().len(), 2);

    // Who comes back goes on where it was; who has seen all need not come back.
    let rest = rig.events(&turn, &[("last-event-id", "3")]).await.rest().await;
    assert_eq!(ids(&rest), (4..=events.len() as u64).collect::<Vec<_>>());
    let all = events.len().to_string();
    let path = format!("{turn}/events");
    rig.call(Method::GET, &path, &[("last-event-id", &all)], None)
        .await
        .expect(204);
    rig.call(Method::GET, &path, &[("last-event-id", "9999")], None)
        .await
        .expect(400);
    rig.call(Method::GET, &path, &[("last-event-id", "x")], None)
        .await
        .expect(400);
}

#[tokio::test]
async fn the_stream_can_be_the_answer() {
    let rig = Rig::start().await;
    let session = rig.session().await;
    let body = json!({ "prompt": "say hello" }).to_string();
    let events = rig
        .stream(Method::POST, &format!("{session}/turns"), &[], Some(body))
        .await
        .rest()
        .await;
    assert_eq!(events[0].0, Some(1));
    assert_eq!(events.last().unwrap().1["type"], "finished");
}

#[tokio::test]
async fn a_turn_goes_on_without_its_readers() {
    let simulator = SimulatorConfig {
        token_delay: Latency::Fixed(Duration::from_millis(20)),
        ..SimulatorConfig::default()
    };
    let rig = Setup {
        simulator,
        ..Setup::default()
    }
    .start()
    .await;
    let session = rig.session().await;
    let turn = rig.turn(&session, "tell me a story").await;
    let (mut one, mut two) = (rig.events(&turn, &[]).await, rig.events(&turn, &[]).await);
    assert_eq!(one.until("text_delta").await, two.until("text_delta").await);
    drop((one, two));
    let status = rig.ended(&turn).await;
    assert_eq!(status["result"]["outcome"], "done", "{status}");
}

#[tokio::test]
async fn a_session_does_one_turn_at_a_time_and_can_be_told_to_stop() {
    let rig = Setup::scenario(WRITES).start().await;
    let session = rig.session().await;
    let turn = rig.turn(&session, "write a file").await;
    let approval = rig.approval().await;
    let status = rig.get(&turn).await.expect(200).json();
    assert_eq!(
        (&status["state"], &status["approvals"][0]),
        (&json!("waiting_for_approval"), &approval)
    );
    assert_eq!(
        rig.get(&session).await.expect(200).json()["active_turn"],
        status["turn_id"]
    );
    let refused = rig
        .post(&format!("{session}/turns"), &json!({ "prompt": "more" }))
        .await
        .expect(409);
    assert_eq!(refused.json()["type"], "urn:claude-agent:problem:session-busy");
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains(status["turn_id"].as_str().unwrap())
    );
    rig.call(Method::DELETE, &session, &[], None).await.expect(409);

    let cancelled = rig
        .call(Method::POST, &format!("{turn}/cancel"), &[], None)
        .await
        .expect(202);
    assert_eq!(cancelled.json()["turn_id"], status["turn_id"]);
    let status = rig.ended(&turn).await;
    assert_eq!(
        (&status["result"]["outcome"], &status["approvals"]),
        (&json!("cancelled"), &json!([]))
    );
    rig.call(Method::POST, &format!("{turn}/cancel"), &[], None)
        .await
        .expect(200);
    // Whoever reads the end may go on at once.
    rig.ended(&rig.turn(&session, "say hello").await).await;
}

#[tokio::test]
async fn a_turn_at_work_can_be_steered() {
    let rig = Setup::scenario(WRITES).start().await;
    let session = rig.session().await;
    let turn = rig.turn(&session, "write a file").await;
    let approval = rig.approval().await;
    let path = format!("{turn}/steer");
    rig.post(&path, &json!({ "text": "and be quick" }))
        .await
        .expect(202);
    rig.post(&path, &json!({ "text": "  " })).await.expect(400);
    rig.call(
        Method::POST,
        &path,
        &[("content-type", "text/plain")],
        Some("x".into()),
    )
    .await
    .expect(415);
    for _ in 0..15 {
        rig.post(&path, &json!({ "text": "more" })).await.expect(202);
    }
    let full = rig.post(&path, &json!({ "text": "too much" })).await.expect(429);
    assert!(full.headers.contains_key("retry-after"));
    let answer = format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap());
    rig.post(&answer, &json!({ "decision": "allow_once" }))
        .await
        .expect(200);
    let events = rig.events(&turn, &[]).await.rest().await;
    assert!(
        events
            .iter()
            .any(|(_, event)| event["type"] == "steered" && event["text"] == "and be quick"),
        "{events:?}"
    );
    rig.post(&path, &json!({ "text": "too late" })).await.expect(409);
    for path in [
        format!("{session}/turns/none"),
        format!("{session}/turns/0197d5a0-0000-7000-8000-000000000000"),
    ] {
        rig.get(&path).await.expect(404);
        rig.get(&format!("{path}/events")).await.expect(404);
        rig.call(Method::POST, &format!("{path}/cancel"), &[], None)
            .await
            .expect(404);
        rig.post(&format!("{path}/steer"), &json!({ "text": "x" }))
            .await
            .expect(404);
    }
    // A turn is found in its own session only.
    let other = rig.session().await;
    let elsewhere = format!("{other}/turns/{}", turn.rsplit('/').next().unwrap());
    rig.get(&elsewhere).await.expect(404);
}

#[tokio::test]
async fn turns_at_work_are_limited() {
    let rig = Setup {
        max_turns_in_flight: 1,
        ..Setup::scenario(WRITES)
    }
    .start()
    .await;
    let (one, two) = (rig.session().await, rig.session().await);
    let turn = rig.turn(&one, "write a file").await;
    rig.approval().await;
    let refused = rig
        .post(&format!("{two}/turns"), &json!({ "prompt": "x" }))
        .await
        .expect(503);
    assert_eq!(refused.json()["type"], "urn:claude-agent:problem:too-many-turns");
    assert!(refused.headers.contains_key("retry-after"));
    rig.call(Method::POST, &format!("{turn}/cancel"), &[], None)
        .await
        .expect(202);
    rig.ended(&turn).await;
    rig.ended(&rig.turn(&two, "say hello").await).await;
}

#[tokio::test]
async fn a_request_that_is_sent_again_starts_no_second_turn() {
    let rig = Setup::scenario(WRITES).start().await;
    let session = rig.session().await;
    let path = format!("{session}/turns");
    let send = |key: &'static str, prompt: &str| {
        let (rig, path, body) = (&rig, path.clone(), json!({ "prompt": prompt }).to_string());
        async move {
            rig.call(Method::POST, &path, &[("idempotency-key", key)], Some(body))
                .await
        }
    };
    // At the same time, as a client does whose first connection hangs.
    let (first, second) = tokio::join!(send("k1", "write a file"), send("k1", "write a file"));
    let (first, second) = (first.expect(201), second.expect(201));
    assert_eq!(first.json(), second.json());
    let replayed = [&first, &second].map(|answer| answer.headers.contains_key("idempotency-replayed"));
    assert_eq!(replayed.iter().filter(|replayed| **replayed).count(), 1);
    let other = send("k1", "another prompt").await.expect(422);
    assert_eq!(
        other.json()["type"],
        "urn:claude-agent:problem:idempotency-key-reused"
    );
    send("k2", "write a file").await.expect(409);
    // It has asked the model then.
    rig.approval().await;
    let turn = first.json()["status_url"].as_str().unwrap().to_owned();
    rig.call(Method::POST, &format!("{turn}/cancel"), &[], None)
        .await
        .expect(202);
    rig.ended(&turn).await;
    // Also when it has ended, and as a stream.
    assert_eq!(send("k1", "write a file").await.expect(201).json(), first.json());
    let body = json!({ "prompt": "write a file" }).to_string();
    let events = rig
        .stream(Method::POST, &path, &[("idempotency-key", "k1")], Some(body))
        .await
        .rest()
        .await;
    assert_eq!(events.last().unwrap().1["outcome"], "cancelled");
    let asked = rig
        .simulator
        .requests()
        .iter()
        .filter(|request| request.path.starts_with("/v1/messages"))
        .count();
    assert_eq!(asked, 1, "one turn");
    for key in ["", "ü", &"x".repeat(256)] {
        let headers = [("idempotency-key", key)];
        if !key.is_empty() {
            rig.call(
                Method::POST,
                &path,
                &headers,
                Some(json!({ "prompt": "x" }).to_string()),
            )
            .await
            .expect(400);
        }
    }
}

#[tokio::test]
async fn what_was_said_goes_with_its_session() {
    let rig = Rig::start().await;
    let session = rig.session().await;
    let (path, body) = (
        format!("{session}/turns"),
        json!({ "prompt": "say hello" }).to_string(),
    );
    let send = || {
        rig.call(
            Method::POST,
            &path,
            &[("idempotency-key", "k")],
            Some(body.clone()),
        )
    };
    let started = send().await.expect(201).json();
    let turn = started["status_url"].as_str().unwrap();
    rig.ended(turn).await;
    rig.call(Method::DELETE, &session, &[], None).await.expect(204);
    rig.get(turn).await.expect(404);
    rig.get(&format!("{turn}/events")).await.expect(404);
    send().await.expect(404);
}

#[tokio::test]
async fn a_turn_keeps_to_what_its_request_allows() {
    let rig = Setup::scenario(
        "[[steps]]\ntimes = 9\ntool_calls = [{ name = \"list_directory\", input = { path = \".\" } }]",
    )
    .start()
    .await;
    let session = rig.session().await;
    let body = json!({ "prompt": "look around", "max_turns": 2 });
    let turn = rig
        .post(&format!("{session}/turns"), &body)
        .await
        .expect(201)
        .json();
    let status = rig.ended(turn["status_url"].as_str().unwrap()).await;
    assert_eq!(
        (&status["result"]["outcome"], &status["result"]["turns"]),
        (&json!("partial"), &json!(2))
    );
    let body = json!({ "prompt": "look around", "max_budget_usd": 0.0 });
    let turn = rig
        .post(&format!("{session}/turns"), &body)
        .await
        .expect(201)
        .json();
    let status = rig.ended(turn["status_url"].as_str().unwrap()).await;
    assert_eq!(status["result"]["outcome"], "over_budget");
    for wrong in [
        json!({ "prompt": "" }),
        json!({ "prompt": "x", "max_turns": 0 }),
        json!({ "prompt": "x", "max_budget_usd": -1 }),
        json!({ "prompt": "x", "timeout_seconds": 0 }),
        json!({ "prompt": "x", "max_turns": 1e99 }),
        json!({ "prompt": 7 }),
    ] {
        rig.post(&format!("{session}/turns"), &wrong).await.expect(400);
    }
    rig.call(
        Method::POST,
        &format!("{session}/turns"),
        &[("content-type", "text/plain")],
        Some("x".into()),
    )
    .await
    .expect(415);
}

#[tokio::test]
async fn a_workspace_that_is_gone_starts_no_turn_and_the_key_can_be_used_again() {
    let rig = Rig::start().await;
    let session = rig.session().await;
    std::fs::remove_dir(rig.workspace()).unwrap();
    let body = json!({ "prompt": "say hello" }).to_string();
    let (path, key) = (format!("{session}/turns"), [("idempotency-key", "k")]);
    rig.call(Method::POST, &path, &key, Some(body.clone()))
        .await
        .expect(422);
    std::fs::create_dir(rig.workspace()).unwrap();
    let started = rig.call(Method::POST, &path, &key, Some(body)).await.expect(201);
    assert!(!started.headers.contains_key("idempotency-replayed"));
    rig.ended(started.json()["status_url"].as_str().unwrap()).await;
}

#[tokio::test]
async fn turns_may_end_when_the_gateway_ends() {
    let simulator = SimulatorConfig {
        first_token_delay: Latency::Fixed(Duration::from_millis(700)),
        ..SimulatorConfig::default()
    };
    let mut rig = Setup {
        simulator,
        ..Setup::default()
    }
    .start()
    .await;
    let (watched, left) = (rig.session().await, rig.session().await);
    let turn = rig.turn(&watched, "say hello").await;
    rig.turn(&left, "say hello").await;
    let mut events = rig.events(&turn, &[]).await;
    events.until("turn_started").await;
    let reading = tokio::spawn(async move { events.rest().await });
    rig.stop().await;
    let end = reading.await.unwrap().pop().unwrap().1;
    assert_eq!(
        (&end["type"], &end["outcome"]),
        (&json!("finished"), &json!("done"))
    );
    // Nobody was connected to the other one.
    let id = left.rsplit('/').next().unwrap().parse().unwrap();
    assert_eq!(rig.store.get(&id).await.unwrap().messages, 2);
}

#[tokio::test]
async fn turns_that_take_too_long_are_cancelled_when_the_gateway_ends() {
    let mut rig = Setup {
        drain_deadline: Duration::from_millis(300),
        ..Setup::scenario(WRITES)
    }
    .start()
    .await;
    let session = rig.session().await;
    rig.turn(&session, "write a file").await;
    rig.approval().await;
    rig.stop().await;
    let report = rig.front.shutdown(Duration::from_secs(10)).await;
    assert!(report.is_clean(), "the turn ended by itself: {report:?}");
    assert!(rig.core.shutdown(Duration::from_secs(10)).await.is_clean());
}
