//! Messages from the cache.

use agent_performance::cache::{CacheLimits, ResponseCache};

use super::measured::measured;
use super::server::{
    BLOCK, FINISH, OVERLOADED, PING, START, Script, Server, Step, delta, end, message, send, stream,
    stream_head,
};
use super::*;

fn cache() -> ResponseCache {
    ResponseCache::with_limits(CacheLimits::default())
}

fn caching(server: &Server) -> ClaudeClient {
    client(server).with_cache(cache()).with_message_cache()
}

/// All events of one streamed answer, and whether it was a replay.
async fn streamed(client: &ClaudeClient) -> (Vec<StreamEvent>, bool) {
    let mut stream = client.stream_message(&question()).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(event.unwrap());
    }
    (events, stream.is_replay())
}

#[tokio::test]
async fn a_stream_is_sent_for_once_and_given_again_as_it_was() {
    let bytes = [START, PING, BLOCK, PING, &delta("grüß 🦀"), FINISH]
        .concat()
        .into_bytes();
    let mut script = vec![stream_head()];
    script.extend(bytes.chunks(7).map(send));
    script.push(end());
    let server = Server::start([script, stream("another")]).await;
    let (client, metrics) = measured(&server, |_| {});
    let client = client.with_cache(cache()).with_message_cache();
    let (first, is_replay) = streamed(&client).await;
    assert!(!is_replay);
    let clone = client.with_cancellation(tokio_util::sync::CancellationToken::new());
    for client in [&client, &clone] {
        let (again, is_replay) = streamed(client).await;
        assert!(is_replay);
        assert_eq!(again, first);
    }
    assert_eq!(text(&first), "grüß 🦀");
    assert_eq!(server.count(), 1);
    let sent = [("endpoint", "messages"), ("outcome", "ok")];
    let sent = metrics.get_metric_statistics_with_tags("claude.requests", &sent);
    assert_eq!(sent.unwrap().sum, 1.0, "a replay is no request");
    let mut replay = client.stream_message(&question()).await.unwrap();
    assert_eq!(replay.request_id(), None);
    assert_eq!(replay.rate_limits().requests, None);
    // Cancelling holds for replays, too.
    let token = tokio_util::sync::CancellationToken::new();
    let mut cancelled = client
        .with_cancellation(token.clone())
        .stream_message(&question())
        .await
        .unwrap();
    token.cancel();
    while let Some(Ok(_)) = replay.next().await {}
    let mut last = None;
    while let Some(event) = cancelled.next().await {
        last = Some(event);
    }
    assert!(matches!(last, Some(Err(ClaudeError::Cancelled))), "{last:?}");
}

#[tokio::test]
async fn messages_are_samples_unless_told_otherwise() {
    for with in [
        ClaudeClient::clone,
        |client: &ClaudeClient| client.with_cache(cache()),
        ClaudeClient::with_message_cache,
    ] {
        let server = Server::start([stream("a"), stream("b"), message()]).await;
        let client = with(&client(&server));
        assert_eq!(text(&streamed(&client).await.0), "a");
        assert_eq!(text(&streamed(&client).await.0), "b");
        for _ in 0..2 {
            assert!(!client.answer(&question()).await.unwrap().is_replay);
        }
        assert_eq!(server.count(), 4);
    }
}

#[tokio::test]
async fn only_a_stream_that_came_to_its_end_is_kept() {
    let broken: [Script; 5] = [
        // Cut by the connection.
        vec![
            stream_head(),
            send(START),
            send(BLOCK),
            send(delta("a")),
            Step::Close,
        ],
        // An orderly body, but half an answer.
        vec![stream_head(), send(START), send(BLOCK), send(delta("a")), end()],
        vec![
            stream_head(),
            send(START),
            send(BLOCK),
            send(delta("a")),
            send(OVERLOADED),
            end(),
        ],
        // The whole answer, but no end of the body.
        vec![
            stream_head(),
            send(START),
            send(BLOCK),
            send(delta("a")),
            send(FINISH),
            Step::Close,
        ],
        // Whole, and not to be kept.
        [
            vec![Step::Send(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\
                  transfer-encoding: chunked\r\n\r\n"
                    .to_vec(),
            )],
            stream("a")[1..].to_vec(),
        ]
        .concat(),
    ];
    for script in broken {
        let server = Server::start([script, stream("whole")]).await;
        let client = caching(&server);
        drain(client.stream_message(&question()).await.unwrap()).await;
        assert_eq!(text(&streamed(&client).await.0), "whole");
        assert!(streamed(&client).await.1);
        assert_eq!(server.count(), 2);
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_not_kept() {
    let server = Server::start([stream("dropped"), stream("whole")]).await;
    let client = caching(&server);
    let mut left = client.stream_message(&question()).await.unwrap();
    while !matches!(left.next().await, Some(Ok(StreamEvent::ContentBlockDelta { .. }))) {}
    drop(left);
    assert_eq!(text(&streamed(&client).await.0), "whole");
}

#[tokio::test]
async fn a_stream_too_long_to_keep_passes_whole() {
    let words = "x".repeat(1 << 20);
    let mut script = vec![stream_head(), send(START), send(BLOCK)];
    script.extend((0..5).map(|_| send(delta(&words))));
    script.extend([send(FINISH), end()]);
    let server = Server::start([script]).await;
    let client = caching(&server);
    for _ in 0..2 {
        let (events, is_replay) = streamed(&client).await;
        assert_eq!(text(&events).len(), 5 << 20);
        assert!(!is_replay);
    }
}

#[tokio::test]
async fn another_question_or_tenant_has_another_answer() {
    let scripts = (1..12).map(|number| stream(&number.to_string()));
    let server = Server::start(scripts).await;
    let cache = cache();
    let with = |change: fn(&mut ClaudeConfig)| {
        client_with(&server, change)
            .with_cache(cache.clone())
            .with_message_cache()
    };
    let askers: [fn(&mut ClaudeConfig); 4] = [
        |_| {},
        |config| config.keys = KeyRing::of(&config.base_url, Secret::from("sk-ant-other")).unwrap(),
        |config| config.betas = vec!["one".to_owned()],
        |config| config.api_version = crate::messages::ApiVersion::V2023_06_01,
    ];
    for (change, expected) in askers.into_iter().zip(1..) {
        for _ in 0..2 {
            let (events, _) = streamed(&with(change)).await;
            assert_eq!(text(&events), expected.to_string());
        }
    }
    let changes: [fn(&mut MessageRequest); 3] = [
        |request| request.model = "claude-haiku-5-5".to_owned(),
        |request| request.max_tokens += 1,
        |request| request.messages = vec![MessageParam::user("bye")],
    ];
    for change in changes {
        let mut other = question();
        change(&mut other);
        let stream = with(|_| {}).stream_message(&other).await.unwrap();
        assert!(!stream.is_replay());
    }
    assert_eq!(server.count(), 7);
}

#[tokio::test]
async fn whole_answers_are_kept_and_shared_apart_from_streams() {
    let server = Server::start([message(), stream("streamed")]).await;
    let client = caching(&server);
    let asked = question();
    let all = (0..8).map(|_| client.answer(&asked));
    let mut paid = 0;
    for answer in futures_util::future::join_all(all).await {
        let answer = answer.unwrap();
        assert_eq!(answer.message.id, "msg_1");
        assert_eq!(answer.message.usage.output_tokens, Some(2));
        paid += usize::from(!answer.is_replay);
    }
    assert_eq!(paid, 1, "one of them was sent, and only that one is to be paid");
    assert!(client.answer(&question()).await.unwrap().is_replay);
    assert_eq!(server.count(), 1);
    assert_eq!(text(&streamed(&client).await.0), "streamed");
    assert_eq!(server.count(), 2);
}
