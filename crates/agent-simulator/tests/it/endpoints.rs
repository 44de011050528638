//! Paths, credentials, versions, headers and limits.

use agent_simulator::{RateLimits, Simulator, SimulatorConfig, SimulatorError};
use serde_json::json;

use crate::client::{End, HEADERS, hello, start};

#[tokio::test]
async fn an_answer_has_the_shape_and_the_headers_of_the_api() {
    let running = start(SimulatorConfig::default()).await;
    let first = running.post(&hello(false)).await;
    let message = first.json();
    assert_eq!(
        (first.status, first.header("content-type")),
        (200, "application/json")
    );
    assert_eq!(
        (&message["type"], &message["role"], &message["stop_reason"]),
        (&json!("message"), &json!("assistant"), &json!("end_turn"))
    );
    assert!(message["id"].as_str().unwrap().starts_with("msg_"));
    assert!(
        message["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("simulation")
    );
    assert!(
        message["usage"]["input_tokens"].as_u64().unwrap() > 0
            && message["usage"]["output_tokens"].as_u64().unwrap() > 10
    );
    assert!(first.header("request-id").starts_with("req_"));
    assert!(!first.header("anthropic-organization-id").is_empty());
    let second = running.post(&hello(false)).await;
    assert_ne!(first.header("request-id"), second.header("request-id"));
    for kind in ["requests", "tokens", "input-tokens", "output-tokens"] {
        let left = |answer: &crate::client::Answer| -> u64 {
            assert!(
                answer
                    .header(&format!("anthropic-ratelimit-{kind}-reset"))
                    .ends_with('Z')
            );
            answer
                .header(&format!("anthropic-ratelimit-{kind}-remaining"))
                .parse()
                .unwrap()
        };
        let limit: u64 = first
            .header(&format!("anthropic-ratelimit-{kind}-limit"))
            .parse()
            .unwrap();
        assert!(left(&first) <= limit && left(&second) <= limit, "{kind}");
    }
}

#[tokio::test]
async fn limits_go_down_and_are_kept() {
    let rate_limits = RateLimits {
        requests: 2,
        ..Default::default()
    };
    let running = start(SimulatorConfig {
        rate_limits,
        ..Default::default()
    })
    .await;
    for left in ["1", "0"] {
        assert_eq!(
            running
                .post(&hello(false))
                .await
                .header("anthropic-ratelimit-requests-remaining"),
            left
        );
    }
    let refused = running.post(&hello(true)).await;
    assert_eq!(
        (refused.status, refused.error().0.as_str()),
        (429, "rate_limit_error")
    );
    let wait: f64 = refused.header("retry-after").parse().unwrap();
    assert!((1.0..=30.0).contains(&wait), "{wait}");
}

#[tokio::test]
async fn credentials_and_versions_are_checked() {
    let config = SimulatorConfig {
        revoked_keys: vec!["old-key".into()],
        ..Default::default()
    };
    let running = start(config).await;
    type Headers = &'static [(&'static str, &'static str)];
    let cases: &[(Headers, u16, &str)] = &[
        (
            &[("x-api-key", "any"), ("anthropic-version", "2023-06-01")],
            200,
            "",
        ),
        (
            &[
                ("authorization", "Bearer any"),
                ("anthropic-version", "2023-06-01"),
            ],
            200,
            "",
        ),
        (
            &[
                ("x-api-key", "any"),
                ("authorization", "Bearer old-key"),
                ("anthropic-version", "2023-06-01"),
            ],
            200,
            "",
        ),
        (
            &[("x-api-key", "any"), ("anthropic-version", "2026-10-21")],
            200,
            "",
        ),
        (
            &[("anthropic-version", "2023-06-01")],
            401,
            "x-api-key header is required",
        ),
        (
            &[("x-api-key", ""), ("anthropic-version", "2023-06-01")],
            401,
            "x-api-key header is required",
        ),
        (
            &[
                ("authorization", "Basic any"),
                ("anthropic-version", "2023-06-01"),
            ],
            401,
            "x-api-key header is required",
        ),
        (
            &[("x-api-key", "old-key"), ("anthropic-version", "2023-06-01")],
            401,
            "invalid x-api-key",
        ),
        (
            &[
                ("authorization", "Bearer old-key"),
                ("anthropic-version", "2023-06-01"),
            ],
            401,
            "invalid x-api-key",
        ),
        (
            &[("x-api-key", "any")],
            400,
            "anthropic-version: header is required",
        ),
        (
            &[("x-api-key", "any"), ("anthropic-version", "2020-01-01")],
            400,
            "anthropic-version: \"2020-01-01\" is not a valid version",
        ),
    ];
    for (headers, status, message) in cases {
        let answer = running
            .send(
                "POST",
                "/v1/messages?beta=true",
                headers,
                hello(false).to_string().as_bytes(),
            )
            .await;
        assert_eq!(answer.status, *status, "{headers:?}: {}", answer.text());
        if *status != 200 {
            assert_eq!(answer.error().1, *message);
        }
    }
    let logged = running.simulator.requests();
    assert_eq!(logged.len(), cases.len());
    assert!(!format!("{logged:?}").contains("old-key"));
    assert_eq!(logged[0].json().unwrap(), hello(false));
    assert_eq!(logged[0].path, "/v1/messages?beta=true");
}

#[tokio::test]
async fn other_paths() {
    let running = start(SimulatorConfig::default()).await;
    let counted = running
        .send(
            "POST",
            "/v1/messages/count_tokens",
            HEADERS,
            json!({
                "model": "claude-opus-5-5", "messages": [{ "role": "user", "content": "x".repeat(400) }],
            })
            .to_string()
            .as_bytes(),
        )
        .await;
    assert_eq!(counted.json(), json!({ "input_tokens": 104 }));

    let page = running.get("/v1/models?limit=3").await.json();
    assert_eq!(
        (page["data"].as_array().unwrap().len(), &page["has_more"]),
        (3, &json!(true))
    );
    let next = running
        .get(&format!(
            "/v1/models?limit=1000&after_id={}",
            page["last_id"].as_str().unwrap()
        ))
        .await
        .json();
    assert_eq!(next["has_more"], false);
    let one = running.get("/v1/models/claude-opus-5-5").await.json();
    assert_eq!(
        (&one["type"], &one["max_tokens"], &one["max_input_tokens"]),
        (&json!("model"), &json!(128_000), &json!(1_000_000))
    );

    for (method, path, status, kind) in [
        ("GET", "/v1/models/nobody", 404, "not_found_error"),
        ("GET", "/v1/nothing", 404, "not_found_error"),
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("DELETE", "/v1/models", 405, "invalid_request_error"),
    ] {
        let answer = running.send(method, path, HEADERS, b"").await;
        assert_eq!(
            (answer.status, answer.error().0.as_str()),
            (status, kind),
            "{method} {path}"
        );
    }
    for path in ["/", "/api/hello"] {
        let probe = running.send("HEAD", path, &[], b"").await;
        assert_eq!((probe.status, probe.end), (200, End::Complete), "{path}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_too_large_and_bad_json_is_bad() {
    let running = start(SimulatorConfig::default()).await;
    let large = running
        .send("POST", "/v1/messages", HEADERS, &vec![b' '; 33 * 1024 * 1024])
        .await;
    assert_eq!(large.status, 413);
    assert_eq!(large.error().0, "request_too_large");
    let bad = running
        .send("POST", "/v1/messages", HEADERS, b"{\"model\":")
        .await;
    assert!(bad.error().1.starts_with("The request body is not valid JSON: "));
    let missing = running
        .send(
            "POST",
            "/v1/messages",
            HEADERS,
            b"{\"model\":\"claude-opus-5-5\",\"messages\":[]}",
        )
        .await;
    assert_eq!(missing.error().1, "max_tokens: Field required");
}

#[tokio::test]
async fn it_listens_on_loopback_only_and_says_when_a_port_is_taken() {
    let open = SimulatorConfig {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..Default::default()
    };
    let error = Simulator::bind(open).await.unwrap_err();
    assert!(matches!(error, SimulatorError::NotLoopback(_)), "{error}");
    let running = start(SimulatorConfig::default()).await;
    let taken = SimulatorConfig {
        listen: running.simulator.local_addr(),
        ..Default::default()
    };
    let error = Simulator::bind(taken).await.unwrap_err().to_string();
    assert!(
        error.contains(&running.simulator.local_addr().to_string()) && error.contains("another port"),
        "{error}"
    );
}

#[tokio::test]
async fn it_leaves_nothing_running_when_stopped_or_dropped() {
    let stopped = start(SimulatorConfig::default()).await;
    let address = stopped.simulator.local_addr();
    stopped.post(&hello(false)).await;
    stopped.simulator.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());

    let dropped = start(SimulatorConfig::default()).await;
    let address = dropped.simulator.local_addr();
    drop(dropped);
    // The task is aborted, which the runtime does at its next opportunity.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whatever_is_sent_the_answer_is_an_enveloped_error() {
    let running = start(SimulatorConfig::default()).await;
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 9] = [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe\x00",
        b"{\"model\":{}}",
        deep.as_bytes(),
        b"{\"model\":\"claude-opus-5-5\",\"max_tokens\":1e99,\"messages\":1}",
        b"{\"model\":\"claude-opus-5-5\",\"max_tokens\":1,\"messages\":[[]]}",
        b"{\"model\":\"claude-opus-5-5\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":[]}]}]}",
    ];
    for body in bodies {
        for path in ["/v1/messages", "/v1/messages/count_tokens"] {
            let answer = running.send("POST", path, HEADERS, body).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]);
            assert_eq!(answer.status, 400, "{path} {shown}");
            assert_eq!(answer.error().0, "invalid_request_error", "{path} {shown}");
        }
    }
    assert_eq!(running.post(&hello(false)).await.status, 200);
}
