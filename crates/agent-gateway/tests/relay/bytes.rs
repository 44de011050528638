//! What reaches the upstream, and what comes back.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::rig::{Choice, KEY, Rig, WHOLE};
use super::upstream::{Step, Upstream, json_answer, send};
use super::wire::{self, exchange, read_reply, request};

const ANSWER: &str = r#"{"id":"msg_1","type":"message","model":"claude-opus-5-5","content":[],"usage":{"input_tokens":3,"output_tokens":4,"cache_creation_input_tokens":2}}"#;

fn body_of(request: &str) -> &str {
    request.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn bodies_pass_byte_for_byte_and_headers_as_they_should() {
    let upstream = Upstream::saying(vec![json_answer(ANSWER)]).await;
    let rig = Rig::before(&upstream.url()).await;
    let odd = "{ \"stream\" : false,\"unheard_of\":{\"b\":1.0e+2,\"a\":[]}, \"model\":\"m\\u0061\", \"messages\":[ ] ,\"x\":\"\u{e4}\\ud83d\\ude00\"}\n";
    let head = "anthropic-beta: new-thing-2027-01-01\r\nanthropic-beta: b, c\r\nx-stainless-timeout: NOT_GIVEN\r\n\
        connection: x-mine\r\nx-mine: 1\r\nte: trailers\r\nauthorization: Bearer other\r\ncookie: a=b\r\naccept-encoding: gzip\r\n";
    let reply = rig.post_with("/v1/messages?beta=true&x=%20", head, odd).await;
    assert_eq!((reply.status, reply.text(), reply.whole), (200, ANSWER, true));
    assert_eq!(reply.header("request-id"), Some("req_up"));
    assert_eq!(reply.header("x-cache"), Some("bypass"));
    let sent = &upstream.seen.texts()[0];
    assert_eq!(body_of(sent), odd);
    assert!(
        sent.starts_with("POST /v1/messages?beta=true&x=%20 HTTP/1.1\r\n"),
        "{sent}"
    );
    let lower = sent.to_ascii_lowercase();
    for line in [
        &format!("x-api-key: {KEY}"),
        "anthropic-version: 2023-06-01",
        "anthropic-beta: new-thing-2027-01-01",
        "anthropic-beta: b, c",
        "x-stainless-timeout: not_given",
        "content-type: application/json",
        "accept-encoding: identity",
        &format!("host: {}", upstream.address),
        &format!("content-length: {}", odd.len()),
    ] {
        assert!(lower.contains(&format!("{line}\r\n")), "{line} in {sent}");
    }
    for absent in [
        rig.token.as_str(),
        "x-mine",
        "te: ",
        "authorization",
        "cookie",
        "gzip",
    ] {
        assert!(!lower.contains(absent), "{absent} in {sent}");
    }
}

#[tokio::test]
async fn the_key_goes_in_the_form_of_the_version() {
    let upstream = Upstream::saying(vec![json_answer(ANSWER)]).await;
    let rig = Rig::before(&upstream.url()).await;
    for (head, expected) in [
        (
            format!(
                "authorization: Bearer {}\r\nanthropic-version: 2026-10-21\r\n",
                rig.token
            ),
            format!("authorization: Bearer {KEY}"),
        ),
        (
            format!("x-api-key: {}\r\nanthropic-version: 2026-10-21\r\n", rig.token),
            format!("authorization: Bearer {KEY}"),
        ),
        (
            format!(
                "authorization: Bearer {}\r\nanthropic-version: 2023-06-01\r\n",
                rig.token
            ),
            format!("x-api-key: {KEY}"),
        ),
        (
            format!("x-api-key: {}\r\n", rig.token),
            format!("x-api-key: {KEY}"),
        ),
    ] {
        let reply = exchange(
            rig.address,
            &request("POST", "/v1/messages", &head, WHOLE.as_bytes()),
        )
        .await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let sent = upstream.seen.texts().pop().unwrap();
        assert!(sent.contains(&format!("{expected}\r\n")), "{expected} in {sent}");
        assert_eq!(sent.matches(KEY).count(), 1);
        assert!(!sent.contains(&rig.token));
    }
}

#[tokio::test]
async fn errors_come_back_with_status_body_and_advice() {
    let body = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded","details":null},"request_id":"req_9"}"#;
    let upstream = Upstream::saying(vec![send(format!(
        "HTTP/1.1 529 Site Overloaded\r\ncontent-type: application/json\r\ncontent-length: {}\r\nretry-after: 3\r\nretry-after-ms: 2900\r\n\
         x-should-retry: true\r\nanthropic-ratelimit-requests-remaining: 7\r\nanthropic-ratelimit-requests-reset: 2026-10-21T07:28:00Z\r\n\
         request-id: req_9\r\nset-cookie: a=b\r\nkeep-alive: timeout=5\r\nx-unheard-of: 1\r\n\r\n{body}",
        body.len()
    ))])
    .await;
    let rig = Rig::before(&upstream.url()).await;
    let reply = rig.post("/v1/messages", WHOLE).await;
    assert_eq!((reply.status, reply.text()), (529, body));
    for (name, value) in [
        ("retry-after", "3"),
        ("retry-after-ms", "2900"),
        ("x-should-retry", "true"),
        ("request-id", "req_9"),
        ("x-unheard-of", "1"),
        ("anthropic-ratelimit-requests-remaining", "7"),
        ("anthropic-ratelimit-requests-reset", "2026-10-21T07:28:00Z"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    assert_eq!(
        (reply.header("set-cookie"), reply.header("keep-alive")),
        (None, None)
    );
    assert_eq!(upstream.seen.count(), 1, "the gateway does not try again");
    rig.figure("claude.errors", &[("error.type", "overloaded_error")], 1.0)
        .await;
    rig.figure("claude.rate_limit_remaining", &[("limit", "requests")], 7.0)
        .await;
}

#[tokio::test]
async fn usage_of_a_whole_answer_is_counted() {
    let upstream = Upstream::saying(vec![json_answer(ANSWER)]).await;
    let rig = Rig::before(&upstream.url()).await;
    rig.post("/v1/messages", WHOLE).await;
    rig.figure(
        "gen_ai.client.token.usage",
        &[("gen_ai.token.type", "input")],
        5.0,
    )
    .await;
    rig.figure(
        "gen_ai.client.token.usage",
        &[("gen_ai.token.type", "output")],
        4.0,
    )
    .await;
    rig.figure(
        "claude.requests",
        &[("endpoint", "messages"), ("outcome", "ok")],
        1.0,
    )
    .await;
    // 3 fresh, 2 written for five minutes, 4 out, at 4, 5 and 20 dollars a million.
    rig.figure(
        "agent_cost_usd_total",
        &[("gen_ai.request.model", "claude-opus-5-5")],
        (12.0 + 10.0 + 80.0) / 1e6,
    )
    .await;
}

#[tokio::test]
async fn what_is_no_request_never_leaves() {
    let upstream = Upstream::saying(vec![json_answer(ANSWER)]).await;
    let rig = Rig::before(&upstream.url()).await;
    for body in ["", "{", "[]", "null", "{\"a\":01}", "{\"model\":\"\u{1}\"}"] {
        let reply = rig.post("/v1/messages", body).await;
        assert_eq!(
            (reply.status, reply.error().as_str()),
            (400, "invalid_request_error"),
            "{body}"
        );
        let reply = rig.post("/v1/messages/count_tokens", body).await;
        assert_eq!(reply.status, 400, "{body}");
    }
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20));
    let reply = rig.post("/v1/messages", &large).await;
    assert_eq!((reply.status, reply.error().as_str()), (413, "request_too_large"));
    for path in [
        "/v1/../admin",
        "/v1/files/%2e%2e/%2e%2e/admin",
        "/v1/files/..%2f..%2fadmin",
    ] {
        let reply = rig.get(path).await;
        assert_eq!(
            (reply.status, reply.error().as_str()),
            (404, "not_found_error"),
            "{path}"
        );
    }
    assert_eq!(upstream.seen.count(), 0);
}

#[tokio::test]
async fn an_encoded_request_passes_unread() {
    let upstream = Upstream::saying(vec![json_answer(ANSWER)]).await;
    let rig = Rig::before(&upstream.url()).await;
    let reply = rig
        .post_with("/v1/messages", "content-encoding: zstd\r\n", "\u{1}no json")
        .await;
    assert_eq!(reply.status, 200);
    assert!(upstream.seen.texts()[0].ends_with("\r\n\r\n\u{1}no json"));
}

#[tokio::test]
async fn anything_else_passes_as_it_comes() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-jsonl\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\n\x1f\u{2}abc";
    let upstream = Upstream::saying(vec![send(head)]).await;
    let rig = Rig::before(&format!("{}/prefix/", upstream.url())).await;
    for (method, path) in [
        ("GET", "/v1/messages/batches/b/results?limit=2"),
        ("DELETE", "/v1/files/f"),
        ("PATCH", "/v1/agents/a"),
        ("PUT", "/v1/x"),
    ] {
        let head = rig.head() + "accept-encoding: gzip, br\r\n";
        let reply = exchange(rig.address, &request(method, path, &head, b"")).await;
        assert_eq!(
            (reply.status, reply.body.as_slice()),
            (200, &b"\x1f\x02abc"[..]),
            "{method}"
        );
        assert_eq!(reply.header("content-encoding"), Some("gzip"));
        let sent = upstream.seen.texts().pop().unwrap();
        assert!(
            sent.starts_with(&format!("{method} /prefix{path} HTTP/1.1\r\n")),
            "{sent}"
        );
        assert!(
            sent.to_ascii_lowercase()
                .contains("accept-encoding: gzip, br\r\n")
        );
    }
}

#[tokio::test]
async fn uploads_are_streamed() {
    let upstream = Upstream::saying(vec![json_answer("{\"id\":\"file_1\"}")]).await;
    let rig = Rig::before(&upstream.url()).await;
    let mut stream = wire::connect(rig.address).await;
    let head = request(
        "POST",
        "/v1/files",
        &(rig.head() + "transfer-encoding: chunked\r\n"),
        b"",
    );
    stream.write_all(&head).await.unwrap();
    for piece in 0..3 {
        stream.write_all(b"5\r\npiece\r\n").await.unwrap();
        // The piece arrives before the next one is sent.
        let arrived = tokio::time::timeout(wire::TOO_LONG, upstream.seen.piece.notified());
        arrived
            .await
            .unwrap_or_else(|_| panic!("piece {piece} is held back"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(read_reply(&mut stream).await.status, 200);
    assert!(upstream.seen.texts()[0].ends_with("5\r\npiece\r\n5\r\npiece\r\n5\r\npiece\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn a_connection_that_closed_while_idle_costs_no_request() {
    let upstream = Upstream::start(vec![
        vec![json_answer(ANSWER), Step::Close],
        vec![json_answer(ANSWER)],
    ])
    .await;
    let rig = Rig::before(&upstream.url()).await;
    for _ in 0..3 {
        assert_eq!(rig.post("/v1/messages", WHOLE).await.status, 200);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(upstream.seen.count(), 3);
    assert_eq!(
        *upstream.seen.accepted.lock(),
        2,
        "the second connection is used again"
    );
}

#[tokio::test]
async fn all_connections_busy_is_overload() {
    let upstream = Upstream::saying(vec![Step::Hang]).await;
    let rig = Rig::with(
        &upstream.url(),
        Choice {
            connections: 1,
            ..Choice::default()
        },
    )
    .await;
    let _first = rig.asked(WHOLE).await;
    while upstream.seen.count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let reply = rig.post("/v1/messages", WHOLE).await;
    assert_eq!((reply.status, reply.error().as_str()), (529, "overloaded_error"));
    assert_eq!(reply.header("retry-after"), Some("1"));
}
