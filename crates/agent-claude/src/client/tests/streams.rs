use super::server::{
    BLOCK, FINISH, OVERLOADED, PING, START, Server, Step, delta, end, send, stream, stream_head,
    stream_head_of,
};
use super::*;

#[tokio::test]
async fn a_stream_comes_whole_and_leaves_its_connection_usable() {
    let server = Server::start([stream("hello")]).await;
    let client = client(&server);
    for _ in 0..3 {
        let mut answer = client.stream_message(&question()).await.unwrap();
        assert_eq!(answer.request_id(), Some("req_s"));
        assert_eq!(answer.rate_limits().requests.unwrap().remaining, Some(7));
        let mut events = Vec::new();
        while let Some(event) = answer.next().await {
            events.push(event.unwrap());
        }
        assert_eq!(text(&events), "hello");
        assert!(matches!(events[0], StreamEvent::MessageStart { .. }));
        assert_eq!(events.last(), Some(&StreamEvent::MessageStop));
        assert!(answer.next().await.is_none());
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(client.rate_limits().requests.unwrap().remaining, Some(7));
    assert!(server.requests()[0].body.contains(r#""stream":true"#));
}

#[tokio::test]
async fn characters_cut_by_the_network_are_whole_again() {
    let bytes = [START, BLOCK, &delta("grüß 你好 🦀"), FINISH]
        .concat()
        .into_bytes();
    let mut script = vec![stream_head()];
    script.extend(bytes.chunks(1).map(send));
    script.push(end());
    let server = Server::start([script]).await;
    let mut answer = client(&server).stream_message(&question()).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = answer.next().await {
        events.push(event.unwrap());
    }
    assert_eq!(text(&events), "grüß 你好 🦀");
}

#[tokio::test]
async fn an_end_before_message_stop_is_an_error() {
    let server = Server::start([vec![
        stream_head(),
        send(START),
        send(BLOCK),
        send(delta("a")),
        end(),
    ]])
    .await;
    let (names, error) = drain(client(&server).stream_message(&question()).await.unwrap()).await;
    assert_eq!(
        names,
        ["message_start", "content_block_start", "content_block_delta"]
    );
    assert!(matches!(error, Some(ClaudeError::TruncatedStream)), "{error:?}");
    assert_eq!(server.count(), 1, "after content, nothing is repeated unasked");
}

#[tokio::test]
async fn after_content_each_failure_surfaces_once() {
    for (name, ending) in [
        ("reset", vec![Step::Reset]),
        ("closed without the last chunk", vec![Step::Close]),
        (
            "malformed event",
            vec![send("event: content_block_delta\ndata: {oops\n\n"), Step::Hang],
        ),
        ("bad encoding", vec![send(b"data: \xff\xfe\n\n"), Step::Hang]),
        ("error event", vec![send(OVERLOADED), end()]),
    ] {
        let mut script = vec![stream_head(), send(START), send(BLOCK), send(delta("a"))];
        script.extend(ending);
        let server = Server::start([script]).await;
        // The reset may overtake what was sent before it, and is then retried unseen.
        let client = client_with(&server, |config| config.max_retries = 0);
        let error = stream_error(&client).await;
        match name {
            "error event" => assert!(
                matches!(&error, ClaudeError::Api { status: 529, .. }),
                "{error:?}"
            ),
            "reset" | "closed without the last chunk" => {
                assert!(
                    matches!(&error, ClaudeError::Transport { .. }),
                    "{name}: {error:?}"
                );
            }
            _ => assert!(
                matches!(&error, ClaudeError::MalformedStream { .. }),
                "{name}: {error:?}"
            ),
        }
        assert!(error.is_retryable(), "{name}: the caller may replay the turn");
        assert_eq!(server.count(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_event_over_the_limit_is_refused() {
    let huge = delta(&"x".repeat(20_000));
    let server = Server::start([vec![
        stream_head(),
        send(START),
        send(BLOCK),
        send(huge),
        Step::Hang,
    ]])
    .await;
    let client = client_with(&server, |config| config.max_event_bytes = 10_000);
    let error = stream_error(&client).await;
    assert!(
        matches!(error, ClaudeError::TooLarge { limit: 10_000, .. }),
        "{error:?}"
    );
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn what_is_not_a_stream_is_shown_in_part() {
    let server = Server::start([vec![
        stream_head_of("text/html"),
        send("<p>Please log in</p>"),
        end(),
    ]])
    .await;
    let client = client_with(&server, |config| config.max_retries = 0);
    let text = client.stream_message(&question()).await.unwrap_err().to_string();
    assert!(
        text.contains("text/html") && text.contains("Please log in") && text.contains("base URL"),
        "{text}"
    );
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let server = Server::start([vec![
        stream_head(),
        send(START),
        send(BLOCK),
        send(PING),
        Step::Hang,
    ]])
    .await;
    let mut answer = client(&server).stream_message(&question()).await.unwrap();
    assert!(answer.next().await.unwrap().is_ok());
    drop(answer);
    server.client_left().await;
}

#[tokio::test]
async fn a_dropped_wait_loses_no_event() {
    let mut script = vec![stream_head(), send(START), send(BLOCK)];
    script.extend((0..50).map(|n| send(delta(&format!("{n},")))));
    script.extend([send(FINISH), end()]);
    let server = Server::start([script]).await;
    let mut answer = client(&server).stream_message(&question()).await.unwrap();
    let mut events = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            event = answer.next() => match event {
                Some(event) => events.push(event.unwrap()),
                None => break,
            },
        }
    }
    assert_eq!(
        text(&events),
        (0..50).map(|n| format!("{n},")).collect::<String>()
    );
}
