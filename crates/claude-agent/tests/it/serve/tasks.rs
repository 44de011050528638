//! Work through the daemon: the Messages API and the agent, over TCP and over the Unix socket.

use serde_json::{Value, json};

use super::wire::{self, Answer};
use super::{Daemon, question};
use crate::support::{Machine, Simulator, expect_code, finish, of_type, wait_until};

#[test]
fn the_messages_api_answers_over_tcp_and_over_the_socket() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let daemon = Daemon::start(&machine, &simulator);
    let mut streaming = question("Hello");
    streaming["stream"] = json!(true);
    let both = |request: &wire::Request| -> [Answer; 2] {
        [
            request.send(daemon.connect()),
            request.send(daemon.connect_unix()),
        ]
    };
    for answer in both(&daemon.request("POST", "/v1/messages").json(&question("Hello"))) {
        let answer = answer.expect(200);
        assert_eq!(answer.json()["role"], "assistant");
        assert!(
            answer
                .header("request-id")
                .is_some_and(|id| id.starts_with("req_"))
        );
    }
    for answer in both(&daemon.request("POST", "/v1/messages?beta=true").json(&streaming)) {
        let answer = answer.expect(200);
        assert!(
            answer
                .header("content-type")
                .is_some_and(|kind| kind.starts_with("text/event-stream"))
        );
        assert_eq!(
            wire::events(&answer.text()).last().unwrap()["type"],
            "message_stop"
        );
    }
    // The other header for credentials, and the other endpoints.
    let by_key =
        |method: &str, path: &str| daemon.stranger(method, path).header("x-api-key", &daemon.token());
    let mut counted = question("Hello");
    counted.as_object_mut().unwrap().remove("max_tokens");
    for answer in both(&by_key("POST", "/v1/messages/count_tokens").json(&counted)) {
        assert!(answer.expect(200).json()["input_tokens"].as_u64().unwrap() > 0);
    }
    for answer in both(&by_key("GET", "/v1/models")) {
        assert!(!answer.expect(200).json()["data"].as_array().unwrap().is_empty());
    }
    for path in ["/", "/api/hello"] {
        for answer in both(&daemon.stranger("HEAD", path)) {
            answer.expect(200);
        }
    }
}

#[test]
fn without_the_token_nothing_is_told_but_that_it_lives() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let daemon = Daemon::start(&machine, &simulator);
    for path in [
        "/v1/models",
        "/metrics",
        "/api/v1/sessions",
        "/api/v1/config",
        "/api/v1/logs",
    ] {
        let answer = daemon.stranger("GET", path).send(daemon.connect());
        assert_eq!(answer.status, 401, "{path}");
        let wrong = daemon
            .stranger("GET", path)
            .header("authorization", "Bearer cdagent_wrong");
        assert_eq!(wrong.send(daemon.connect()).status, 401, "{path}");
    }
    for path in ["/livez", "/readyz", "/healthz"] {
        daemon.stranger("GET", path).send(daemon.connect()).expect(200);
    }
    // The token opens nothing for a web page, and not under another name.
    daemon
        .request("GET", "/v1/models")
        .header("origin", "https://evil.example")
        .send(daemon.connect())
        .expect(403);
    let renamed = wire::Request::new("GET", "/v1/models")
        .header("host", "evil.example")
        .header("authorization", &format!("Bearer {}", daemon.token()));
    renamed.send(daemon.connect()).expect(403);
}

/// A new session in the machine's workspace.
fn session(daemon: &Daemon, machine: &Machine) -> String {
    let made = daemon.post("/api/v1/sessions", &json!({"workspace": machine.workspace()}));
    made.expect(201).json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_task_waits_for_the_approval_that_comes_over_http() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    machine.write("hello.py", "print('Helo')\n");
    let daemon = Daemon::start(&machine, &simulator);
    let session = session(&daemon, &machine);
    let turns = format!("/api/v1/sessions/{session}/turns");
    let prompt = "Replace 'Helo' with 'Hello' in hello.py";
    let started = daemon.post(&turns, &json!({"prompt": prompt})).expect(201).json();
    let turn = format!("{turns}/{}", started["turn_id"].as_str().unwrap());

    let mut waiting = Vec::new();
    wait_until("it asks", || {
        let open = daemon.get("/api/v1/approvals").expect(200).json();
        waiting = open["approvals"].as_array().unwrap().clone();
        !waiting.is_empty()
    });
    assert_eq!(
        machine.read("hello.py"),
        "print('Helo')\n",
        "not before somebody said yes"
    );
    let id = waiting[0]["id"].as_str().unwrap();
    let answered = daemon.post(
        &format!("/api/v1/approvals/{id}"),
        &json!({"decision": "allow_once"}),
    );
    answered.expect(200);

    let told = daemon
        .request("GET", &format!("{turn}/events"))
        .header("accept", "text/event-stream")
        .send(daemon.connect())
        .expect(200);
    let events = wire::events(&told.text());
    assert_eq!(events.first().unwrap()["type"], "session_started");
    assert_eq!(events.last().unwrap()["type"], "finished");
    assert_eq!(events.last().unwrap()["outcome"], "done");
    assert_eq!(of_type(&events, "approval_requested").len(), 1);
    assert_eq!(machine.read("hello.py"), "print('Hello')\n");

    // What the command line shows is the same store.
    let listed = expect_code(
        &finish(&mut machine.command(&["sessions", "list", "--output", "json"])),
        0,
    );
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert!(listed.to_string().contains(&session), "{listed}");
    let shown = expect_code(&finish(&mut machine.command(&["sessions", "show", &session])), 0);
    assert!(shown.contains(prompt), "{shown}");
}

#[test]
fn a_turn_can_be_watched_from_its_start_and_cancelled() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let daemon = Daemon::start_with(&machine, &simulator, &[("AGENT__PERMISSION_MODE", "policy")]);
    let session = session(&daemon, &machine);
    let turns = format!("/api/v1/sessions/{session}/turns");
    let watched = daemon
        .request("POST", &turns)
        .header("accept", "text/event-stream")
        .json(&json!({"prompt": "Look around"}))
        .send(daemon.connect())
        .expect(200);
    assert_eq!(wire::events(&watched.text()).last().unwrap()["outcome"], "done");

    let started = daemon
        .post(&turns, &json!({"prompt": "Run `sleep 61.25`"}))
        .expect(201)
        .json();
    let turn = format!("{turns}/{}", started["turn_id"].as_str().unwrap());
    let runs = || {
        let found = std::process::Command::new("pgrep")
            .args(["-f", "^sleep 61.25$"])
            .output();
        found.unwrap().status.success()
    };
    wait_until("the command runs", runs);
    let ended = daemon
        .request("POST", &format!("{turn}/cancel"))
        .send(daemon.connect());
    assert!(matches!(ended.status, 200 | 202), "{}", ended.text());
    let told = daemon.get(&format!("{turn}/events")).expect(200);
    assert_eq!(wire::events(&told.text()).last().unwrap()["outcome"], "cancelled");
    wait_until("the command is gone", || !runs());
}
