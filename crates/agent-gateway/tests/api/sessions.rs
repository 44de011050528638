//! Sessions as wholes and their messages.

use agent_claude::messages::Role;
use agent_core::session::{NewMessage, SessionId};
use http::Method;
use serde_json::{Value, json};

use crate::rig::{Rig, Setup};

async fn say(rig: &Rig, session: &str, texts: &[&str]) {
    let id: SessionId = session.rsplit('/').next().unwrap().parse().unwrap();
    let message = |(n, text): (usize, &&str)| NewMessage {
        role: if n % 2 == 0 { Role::User } else { Role::Assistant },
        content: serde_json::value::to_raw_value(text).unwrap(),
        usage: None,
        cost_usd: None,
    };
    rig.store
        .append(&id, texts.iter().enumerate().map(message).collect())
        .await
        .unwrap();
    rig.store.release(&id);
}

#[tokio::test]
async fn a_session_is_made_shown_renamed_and_deleted() {
    let rig = Rig::start().await;
    let path = rig.session().await;
    let session = rig.get(&path).await.expect(200).json();
    assert_eq!(session["workspace"], rig.workspace().display().to_string());
    assert_eq!((&session["title"], &session["messages"]), (&json!(""), &json!(0)));
    assert_eq!(session["active_turn"], Value::Null);
    let renamed = rig
        .call(
            Method::PATCH,
            &path,
            &[],
            Some(json!({ "title": "Größe" }).to_string()),
        )
        .await
        .expect(200);
    assert_eq!(renamed.json()["title"], "Größe");
    let listed = rig.get("/api/v1/sessions").await.expect(200).json();
    assert_eq!(listed["sessions"][0]["title"], "Größe");
    rig.call(Method::DELETE, &path, &[], None).await.expect(204);
    rig.get(&path).await.expect(404);
    rig.call(Method::DELETE, &path, &[], None).await.expect(404);
    assert_eq!(
        rig.get("/api/v1/sessions").await.expect(200).json()["sessions"],
        json!([])
    );
}

#[tokio::test]
async fn what_can_not_be_a_session_is_refused_with_the_reason() {
    let rig = Rig::start().await;
    let missing = rig.workspace().join("missing");
    for (body, status, words) in [
        (json!({ "workspace": "relative/path" }), 422, "absolute"),
        (json!({ "workspace": missing }), 422, "can't be opened"),
        (json!({ "workspace": "/tmp\u{0}x" }), 422, ""),
        (json!({}), 400, "missing field `workspace`"),
        (
            json!({ "workspace": "/tmp", "more": 1 }),
            400,
            "unknown field `more`",
        ),
        (
            json!({ "workspace": "/tmp", "title": "x".repeat(200) }),
            400,
            "at `title`",
        ),
        (json!({ "workspace": "/tmp", "title": " " }), 400, "says nothing"),
        (json!([]), 400, "openapi.json"),
        (json!(["/tmp"]), 400, "an object is wanted"),
    ] {
        let answer = rig.post("/api/v1/sessions", &body).await.expect(status);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "{body}: {detail}");
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    rig.call(
        Method::POST,
        "/api/v1/sessions",
        &form,
        Some("workspace=%2Ftmp".into()),
    )
    .await
    .expect(415);
    rig.call(
        Method::POST,
        "/api/v1/sessions",
        &[("content-type", "")],
        Some("{}".into()),
    )
    .await
    .expect(415);
    rig.call(Method::POST, "/api/v1/sessions", &[], Some("{".into()))
        .await
        .expect(400);
    let huge = json!({ "workspace": "x".repeat(2 << 20) });
    rig.post("/api/v1/sessions", &huge).await.expect(413);
    for path in [
        "/api/v1/sessions/none",
        "/api/v1/sessions/%00",
        "/api/v1/sessions/0197d5a0-0000-7000-8000-000000000000",
    ] {
        rig.get(path).await.expect(404);
        rig.get(&format!("{path}/messages")).await.expect(404);
        rig.get(&format!("{path}/export")).await.expect(404);
        rig.call(
            Method::PATCH,
            path,
            &[],
            Some(json!({ "title": "x" }).to_string()),
        )
        .await
        .expect(404);
        rig.call(Method::POST, &format!("{path}/fork"), &[], None)
            .await
            .expect(404);
        rig.post(&format!("{path}/turns"), &json!({ "prompt": "x" }))
            .await
            .expect(404);
    }
}

#[tokio::test]
async fn lists_come_in_pages_and_by_workspace() {
    let rig = Rig::start().await;
    let mut paths = Vec::new();
    for _ in 0..5 {
        paths.push(rig.session().await);
    }
    let other = rig.folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    rig.post(
        "/api/v1/sessions",
        &json!({ "workspace": other, "title": "other" }),
    )
    .await
    .expect(201);
    let mut found = Vec::new();
    let mut offset = json!(0);
    while !offset.is_null() {
        let page = rig
            .get(&format!("/api/v1/sessions?limit=2&offset={offset}"))
            .await
            .expect(200)
            .json();
        let sessions = page["sessions"].as_array().unwrap();
        assert!((1..=2).contains(&sessions.len()));
        found.extend(
            sessions
                .iter()
                .map(|session| session["id"].as_str().unwrap().to_owned()),
        );
        offset = page["next_offset"].clone();
    }
    assert_eq!(found.len(), 6);
    found.dedup();
    assert_eq!(found.len(), 6);
    let own = rig
        .get(&format!("/api/v1/sessions?workspace={}", other.display()))
        .await
        .expect(200)
        .json();
    assert_eq!(own["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(own["sessions"][0]["title"], "other");
    for query in ["limit=0", "limit=201", "offset=-1", "what=1", "limit=1&limit=2"] {
        rig.get(&format!("/api/v1/sessions?{query}")).await.expect(400);
    }
}

#[tokio::test]
async fn a_search_gives_sessions_with_their_hits_the_best_first() {
    let rig = Rig::start().await;
    let (one, two) = (rig.session().await, rig.session().await);
    say(
        &rig,
        &one,
        &["where is the needle?", "the needle is here: needle, needle"],
    )
    .await;
    say(
        &rig,
        &two,
        &[
            "a haystack",
            "with one needle somewhere in a long sentence about other things",
        ],
    )
    .await;
    let found = rig.get("/api/v1/sessions?query=needle").await.expect(200).json();
    let sessions = found["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    assert!(one.ends_with(sessions[0]["id"].as_str().unwrap()));
    assert_eq!(sessions[0]["hits"].as_array().unwrap().len(), 2);
    let snippet = sessions[1]["hits"][0]["snippet"].as_array().unwrap();
    let hits: Vec<&Value> = snippet
        .iter()
        .filter(|piece| piece["hit"] == true)
        .map(|piece| &piece["text"])
        .collect();
    assert_eq!(hits, ["needle"]);
    let page = rig
        .get("/api/v1/sessions?query=needle&limit=1&offset=1")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (page["sessions"][0]["id"].clone(), &page["next_offset"]),
        (sessions[1]["id"].clone(), &Value::Null)
    );
    let none = rig
        .get("/api/v1/sessions?query=%22no%20such%20words%22")
        .await
        .expect(200)
        .json();
    assert_eq!(none["sessions"], json!([]));
    let words = "w+".repeat(100);
    rig.get(&format!("/api/v1/sessions?query={words}"))
        .await
        .expect(400);
}

#[tokio::test]
async fn messages_come_in_pages_as_they_were_stored() {
    let rig = Rig::start().await;
    let path = rig.session().await;
    say(&rig, &path, &["one", "two", "three", "four", "five"]).await;
    let first = rig
        .get(&format!("{path}/messages?limit=3"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&first["messages"][2]["content"], &first["next_first"]),
        (&json!("three"), &json!(4))
    );
    assert_eq!(
        (&first["messages"][0]["role"], &first["messages"][1]["role"]),
        (&json!("user"), &json!("assistant"))
    );
    let last = rig
        .get(&format!("{path}/messages?first=4"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (last["messages"].as_array().unwrap().len(), &last["next_first"]),
        (2, &Value::Null)
    );
    let beyond = rig
        .get(&format!("{path}/messages?first=99"))
        .await
        .expect(200)
        .json();
    assert_eq!(beyond, json!({ "messages": [], "next_first": null }));
    rig.get(&format!("{path}/messages?first=0")).await.expect(400);
}

#[tokio::test]
async fn a_session_is_exported_whole_in_both_forms() {
    let rig = Rig::start().await;
    let path = rig.session().await;
    let long = "word ".repeat(100_000);
    say(&rig, &path, &["hello", &long]).await;
    let json = rig.get(&format!("{path}/export")).await.expect(200);
    let id = path.rsplit('/').next().unwrap();
    assert_eq!(
        json.headers["content-disposition"],
        format!("attachment; filename=\"session-{id}.json\"")
    );
    assert_eq!(json.json()["messages"][1]["content"], long);
    let markdown = rig
        .get(&format!("{path}/export?format=markdown"))
        .await
        .expect(200);
    assert!(
        markdown.text().contains("\n## User\n\nhello\n"),
        "{}",
        &markdown.text()[..300]
    );
    assert!(markdown.text().len() > long.len());
    rig.get(&format!("{path}/export?format=pdf")).await.expect(400);
}

#[tokio::test]
async fn a_fork_has_what_was_said_before_it() {
    let rig = Rig::start().await;
    let path = rig.session().await;
    say(&rig, &path, &["one", "two", "three", "four"]).await;
    let fork = rig
        .post(&format!("{path}/fork"), &json!({ "at": 2 }))
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&fork["messages"], &fork["forked_from"]["seq"]),
        (&json!(2), &json!(2))
    );
    let whole = rig
        .call(Method::POST, &format!("{path}/fork"), &[], None)
        .await
        .expect(201);
    assert_eq!(whole.json()["messages"], 4);
    rig.post(&format!("{path}/fork"), &json!({ "at": 9 }))
        .await
        .expect(422);
    rig.post(&format!("{path}/fork"), &json!({ "at": -1 }))
        .await
        .expect(400);
    rig.call(
        Method::POST,
        &format!("{path}/fork"),
        &[("content-type", "text/plain")],
        Some("x".into()),
    )
    .await
    .expect(415);
    rig.call(
        Method::POST,
        &format!("{path}/fork"),
        &[("content-type", "")],
        Some("x".into()),
    )
    .await
    .expect(415);
}

#[tokio::test]
async fn a_session_that_another_program_has_open_is_left_alone() {
    let rig = Setup::default().start().await;
    let path = rig.session().await;
    let id: SessionId = path.rsplit('/').next().unwrap().parse().unwrap();
    let claim = rig.store.claim(&id).await.unwrap();
    let refused = rig
        .post(&format!("{path}/turns"), &json!({ "prompt": "x" }))
        .await
        .expect(409);
    assert_eq!(refused.json()["type"], "urn:claude-agent:problem:session-in-use");
    rig.call(Method::DELETE, &path, &[], None).await.expect(409);
    drop(claim);
    let turn = rig.turn(&path, "say hello").await;
    rig.ended(&turn).await;
    rig.call(Method::DELETE, &path, &[], None).await.expect(204);
}
