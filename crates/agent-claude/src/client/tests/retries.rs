use tokio::sync::mpsc;

use super::server::{
    BLOCK, OVERLOADED, PING, START, Server, Step, brief_error, delta, end, error, message, send, stream,
    stream_head,
};
use super::*;
use crate::messages::Message;

async fn ask(server: &Server) -> ClaudeResult<Message> {
    client(server).send_message(&question()).await
}

#[tokio::test]
async fn an_overload_passes_and_each_retry_is_told() {
    let overload = brief_error(529, "overloaded_error");
    let server = Server::start([overload.clone(), overload, stream("after all")]).await;
    let (sender, mut notices) = mpsc::channel(8);
    let answer = client(&server)
        .stream_message_with(&question(), &sender)
        .await
        .unwrap();
    assert_eq!(drain(answer).await.1.map(|error| error.to_string()), None);
    let notices: Vec<_> = std::iter::from_fn(|| notices.try_recv().ok()).collect();
    assert_eq!(
        notices.iter().map(|notice| notice.attempt).collect::<Vec<_>>(),
        [2, 3]
    );
    assert!(
        notices
            .iter()
            .all(|notice| notice.delay == Duration::from_millis(1))
    );
    assert!(notices[0].reason.contains("529"), "{}", notices[0].reason);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert!(
        requests.iter().all(|request| request.body == requests[0].body),
        "a retry sends the same bytes"
    );
}

#[tokio::test]
async fn a_full_channel_of_notices_delays_nothing() {
    let overload = brief_error(529, "overloaded_error");
    let server = Server::start([overload.clone(), overload, stream("x")]).await;
    let (sender, _unread) = mpsc::channel(1);
    assert!(
        client(&server)
            .stream_message_with(&question(), &sender)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn retries_end() {
    let server = Server::start([brief_error(500, "api_error")]).await;
    assert_eq!(status(ask(&server).await), 500);
    assert_eq!(server.count(), 5);
}

#[tokio::test]
async fn what_cannot_succeed_is_not_repeated() {
    let server = Server::start([brief_error(400, "invalid_request_error")]).await;
    assert_eq!(status(ask(&server).await), 400);
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn the_server_has_the_last_word_on_repeating() {
    let yes = error(
        400,
        "invalid_request_error",
        &[("x-should-retry", "true"), ("retry-after-ms", "1")],
    );
    let server = Server::start([yes, message()]).await;
    assert!(ask(&server).await.is_ok());

    let no = error(
        529,
        "overloaded_error",
        &[("x-should-retry", "false"), ("retry-after-ms", "1")],
    );
    let server = Server::start([no]).await;
    assert_eq!(status(ask(&server).await), 529);
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn retry_after_is_waited_for_and_a_long_one_is_told_instead() {
    let server = Server::start([
        error(429, "rate_limit_error", &[("retry-after", "0.3")]),
        message(),
    ])
    .await;
    let begun = std::time::Instant::now();
    assert!(ask(&server).await.is_ok());
    assert!(begun.elapsed() >= Duration::from_millis(300));

    let server = Server::start([error(429, "rate_limit_error", &[("retry-after", "3600")])]).await;
    let patient = client_with(&server, |config| {
        config.timeouts.total = Duration::from_secs(7200)
    });
    let question = question();
    let error = tokio::time::timeout(LONG, patient.send_message(&question));
    let error = error.await.expect("an hour is not slept through").unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert!(error.to_string().contains("asks to wait 3600.0 s"), "{error}");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_wait_that_would_outlast_the_request_is_not_begun() {
    let server = Server::start([error(429, "rate_limit_error", &[("retry-after", "59")])]).await;
    assert_eq!(status(ask(&server).await), 429);
}

#[tokio::test]
async fn a_stream_that_fails_before_content_is_repeated_unseen() {
    let beginnings = [
        ("an error first", vec![stream_head(), send(OVERLOADED), end()]),
        (
            "an error after the start",
            vec![stream_head(), send(PING), send(START), send(OVERLOADED), end()],
        ),
        ("an early end", vec![stream_head(), send(START), end()]),
        ("a reset before the head", vec![Step::Reset]),
        ("a close after the head", vec![stream_head(), Step::Close]),
        (
            "malformed",
            vec![
                stream_head(),
                send("event: message_start\ndata: {\n\n"),
                Step::Hang,
            ],
        ),
    ];
    for (name, beginning) in beginnings {
        let server = Server::start([beginning, stream("good")]).await;
        let answer = client(&server).stream_message(&question()).await;
        let (names, error) = drain(answer.unwrap_or_else(|error| panic!("{name}: {error}"))).await;
        assert!(error.is_none(), "{name}: {error:?}");
        assert_eq!(
            names.iter().filter(|name| *name == "message_start").count(),
            1,
            "{name}"
        );
        assert_eq!(server.count(), 2, "{name}");
    }
}

#[tokio::test]
async fn overload_lowers_the_concurrency_and_success_raises_it() {
    let mut scripts = vec![brief_error(529, "overloaded_error")];
    scripts.push(vec![
        stream_head(),
        send(START),
        send(BLOCK),
        send(delta("a")),
        Step::Hang,
    ]);
    let server = Server::start(scripts).await;
    let client = client(&server);
    assert_eq!(client.concurrency_limit(), 10);
    let _answer = client.stream_message(&question()).await.unwrap();
    assert_eq!(client.concurrency_limit(), 5);
}

#[tokio::test]
async fn a_limit_that_is_used_up_lowers_the_concurrency_before_it_is_an_error() {
    let used_up = super::server::reply(
        200,
        &[("anthropic-ratelimit-input-tokens-remaining", "0")],
        r#"{"input_tokens": 1}"#,
    );
    let server = Server::start([used_up]).await;
    let client = client(&server);
    client.count_tokens(&question()).await.unwrap();
    assert_eq!(client.concurrency_limit(), 5);
    assert_eq!(client.rate_limits().input_tokens.unwrap().remaining, Some(0));
}

#[tokio::test]
async fn a_stream_holds_its_turn_until_dropped() {
    let hanging = vec![stream_head(), send(START), send(BLOCK), Step::Hang];
    let server = Server::start([hanging]).await;
    let client = client_with(&server, |config| config.max_concurrency = 1);
    let first = client.stream_message(&question()).await.unwrap();
    let second = client.clone();
    let question = question();
    let mut waiting = std::pin::pin!(second.stream_message(&question));
    assert!(tokio::time::timeout(SHORT, &mut waiting).await.is_err());
    assert_eq!(server.count(), 1);
    drop(first);
    assert!(waiting.await.is_ok());
}
