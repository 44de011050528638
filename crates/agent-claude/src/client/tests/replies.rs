use super::server::{Server, brief_error, error, message, reply};
use super::*;
use crate::error::TimeoutStage;
use crate::messages::ApiVersion;

#[tokio::test]
async fn a_whole_message_and_what_was_sent_for_it() {
    let server = Server::start([message()]).await;
    let client = client_with(&server, |config| {
        config.base_url.set_path("/prefix/");
        config.betas = vec!["one".into()];
    });
    let message = client.send_message(&question()).await.unwrap();
    assert_eq!(message.text(), "hi");
    let request = &server.requests()[0];
    let expected = [
        "POST /prefix/v1/messages HTTP/1.1",
        "authorization: Bearer sk-ant-hidden",
        "anthropic-version: 2026-10-21",
        "anthropic-beta: one",
        "content-type: application/json",
        "accept: application/json",
        concat!("user-agent: claude-desktop-agent/", env!("CARGO_PKG_VERSION")),
    ];
    for line in expected {
        assert!(
            request.head.lines().any(|sent| sent == line),
            "{line} is not in\n{}",
            request.head
        );
    }
    assert!(!request.head.contains("x-api-key"));
    assert!(
        request.body.contains(r#""max_tokens":100"#) && !request.body.contains("stream"),
        "{}",
        request.body
    );
}

#[tokio::test]
async fn the_older_version_sends_its_own_credential() {
    let server = Server::start([message()]).await;
    let client = client_with(&server, |config| config.api_version = ApiVersion::V2023_06_01);
    client.send_message(&question()).await.unwrap();
    let head = &server.requests()[0].head;
    assert!(
        head.contains("x-api-key: sk-ant-hidden\n") && !head.contains("authorization"),
        "{head}"
    );
    assert!(!format!("{client:?}").contains("hidden"));
}

#[tokio::test]
async fn each_error_of_the_api_is_told_as_it_is() {
    let table = [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ];
    let scripts = table.map(|(status, kind)| {
        error(
            status,
            kind,
            &[("request-id", "req_head"), ("retry-after", "1.5")],
        )
    });
    let server = Server::start(scripts).await;
    let client = client_with(&server, |config| config.max_retries = 0);
    for (expected, kind_sent) in table {
        match client.send_message(&question()).await.unwrap_err() {
            ClaudeError::Api {
                status,
                kind,
                message,
                request_id,
                retry_after,
                should_retry,
            } => {
                assert_eq!((status, kind.as_str()), (expected, kind_sent));
                assert_eq!(message, format!("because {kind_sent}"));
                assert_eq!(request_id.as_deref(), Some("req_head"));
                assert_eq!(retry_after, Some(Duration::from_millis(1500)));
                assert_eq!(should_retry, None);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(server.count(), table.len());
    assert_eq!(
        server.connections(),
        1,
        "an error reply leaves its connection usable"
    );
}

#[tokio::test]
async fn a_page_of_a_proxy_is_shown_in_part() {
    let page = format!(
        "<html>\n<h1>502 Bad \u{1b}[31mGateway</h1>{}</html>",
        "x".repeat(200_000)
    );
    let server = Server::start([
        reply(
            502,
            &[("content-type", "text/html"), ("x-should-retry", "false")],
            &page,
        ),
        reply(308, &[("location", "https://elsewhere.example/")], ""),
        reply(404, &[], ""),
        reply(
            200,
            &[("content-type", "application/json")],
            "<html>welcome</html>",
        ),
    ])
    .await;
    let client = client_with(&server, |config| config.max_retries = 0);
    let text = client.send_message(&question()).await.unwrap_err().to_string();
    assert!(
        text.contains("502") && text.contains("text/html") && text.contains("Bad"),
        "{text}"
    );
    assert!(text.len() < 800 && !text.contains('\u{1b}'), "{text}");
    let text = client.send_message(&question()).await.unwrap_err().to_string();
    assert!(text.contains("redirect to https://elsewhere.example/"), "{text}");
    assert!(
        client
            .send_message(&question())
            .await
            .unwrap_err()
            .to_string()
            .contains("404 not_found_error")
    );
    let text = client.send_message(&question()).await.unwrap_err().to_string();
    assert!(
        text.contains("cannot be read") && text.contains("welcome"),
        "{text}"
    );
}

#[tokio::test]
async fn a_reply_over_the_limit_is_refused_whether_announced_or_not() {
    let server = Server::start([reply(200, &[], &"x".repeat(5000))]).await;
    let client = client_with(&server, |config| config.max_response_bytes = 4999);
    let error = client.send_message(&question()).await.unwrap_err();
    assert!(
        matches!(error, ClaudeError::TooLarge { limit: 4999, .. }),
        "{error:?}"
    );
    let roomy = client_with(&server, |config| {
        config.max_response_bytes = 5000;
        config.max_retries = 0;
    });
    let error = roomy.send_message(&question()).await.unwrap_err();
    assert!(matches!(error, ClaudeError::MalformedStream { .. }), "{error:?}");
}

#[tokio::test]
async fn tokens_are_counted() {
    let server = Server::start([
        brief_error(529, "overloaded_error"),
        reply(200, &[], r#"{"input_tokens": 17}"#),
    ])
    .await;
    assert_eq!(client(&server).count_tokens(&question()).await.unwrap(), 17);
    let request = &server.requests()[1];
    assert!(
        request.head.starts_with("POST /v1/messages/count_tokens "),
        "{}",
        request.head
    );
    assert!(!request.body.contains("max_tokens"), "{}", request.body);
}

#[tokio::test]
async fn models_are_read_page_by_page_to_the_end() {
    let page = |id: &str, more: bool| {
        let body = format!(
            r#"{{"data":[{{"type":"model","id":"{id}","display_name":"","created_at":""}}],"has_more":{more},"first_id":"{id}","last_id":"{id}"}}"#
        );
        reply(200, &[], &body)
    };
    let server = Server::start([page("a&b", true), page("c", true), page("d", false)]).await;
    let models = client(&server).list_models().await.unwrap();
    assert_eq!(
        models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(),
        ["a&b", "c", "d"]
    );
    let asked: Vec<String> = server
        .requests()
        .iter()
        .map(|r| r.head.lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(asked[0], "GET /v1/models?limit=1000 HTTP/1.1");
    assert_eq!(asked[1], "GET /v1/models?limit=1000&after_id=a%26b HTTP/1.1");

    let stuck = Server::start([page("a", true)]).await;
    let error = client(&stuck).list_models().await.unwrap_err();
    assert!(error.to_string().contains("does not end"), "{error}");
    assert_eq!(stuck.count(), 2, "the same page twice is the end of patience");

    let endless = Server::start((0..100).map(|n| page(&n.to_string(), true))).await;
    assert!(client(&endless).list_models().await.is_err());
    assert_eq!(endless.count(), 20);
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let server = Server::start([message()]).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let client = client_with(&server, |config| {
        config.base_url = format!("http://{free}").parse().unwrap();
        config.max_retries = 1;
    });
    let error = client.send_message(&question()).await.unwrap_err();
    assert!(matches!(error, ClaudeError::Connect { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains(&free.to_string()) && text.contains("refused") && text.contains("check"),
        "{text}"
    );
}

#[tokio::test]
async fn a_whole_reply_may_begin_later_the_more_tokens_it_may_have() {
    let server = Server::start([vec![super::server::Step::Hang]]).await;
    let client = client_with(&server, |config| {
        config.timeouts.first_byte = SHORT;
        config.max_retries = 0;
    });
    let mut request = question();
    request.max_tokens = 10;
    match client.send_message(&request).await.unwrap_err() {
        ClaudeError::Timeout {
            stage: TimeoutStage::FirstByte,
            after,
        } => {
            assert_eq!(after, SHORT + Duration::from_micros(281_250));
        }
        other => panic!("{other:?}"),
    }
}
