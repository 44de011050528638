use std::sync::Arc;
use std::time::Instant;

use agent_performance::connection_pool::{ConnectionPoolConfig, HttpConnectionPool};
use tokio_util::sync::CancellationToken;

use super::server::{BLOCK, START, Server, Step, error, message, send, stream_head};
use super::*;

/// Cancels a request of `client` a little after `reached`, and expects it to end at once.
async fn expect_cancelled(what: &str, client: &ClaudeClient, reached: impl Future<Output = ()>) {
    let token = CancellationToken::new();
    let client = client.with_cancellation(token.clone());
    let question = question();
    let cancel = async {
        reached.await;
        tokio::time::sleep(SHORT / 2).await;
        token.cancel();
        Instant::now()
    };
    let (result, cancelled_at) = tokio::join!(client.stream_message(&question), cancel);
    assert!(
        cancelled_at.elapsed() < Duration::from_secs(1),
        "{what}: {:?}",
        cancelled_at.elapsed()
    );
    assert!(
        matches!(result, Err(ClaudeError::Cancelled)),
        "{what}: {result:?}"
    );
}

#[tokio::test]
async fn while_connecting() {
    let server = Server::start([message()]).await;
    let (listener, _queue) = super::timers::unanswering().await;
    let client = client_with(&server, |config| {
        config.base_url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
    });
    expect_cancelled("connecting", &client, async {}).await;
}

#[tokio::test]
async fn while_waiting_for_the_answer() {
    let server = Server::start([vec![Step::Hang]]).await;
    expect_cancelled("waiting", &client(&server), server.received(1)).await;
    server.client_left().await;
}

#[tokio::test]
async fn while_waiting_for_the_first_content() {
    let server = Server::start([vec![stream_head(), send(START), Step::Hang]]).await;
    expect_cancelled("no content yet", &client(&server), server.received(1)).await;
    server.client_left().await;
}

#[tokio::test]
async fn while_reading_an_error() {
    let head = b"HTTP/1.1 500 Oh\r\ncontent-length: 10\r\n\r\n".to_vec();
    let server = Server::start([vec![Step::Send(head), Step::Hang]]).await;
    expect_cancelled("error body", &client(&server), server.received(1)).await;
}

#[tokio::test]
async fn while_backing_off() {
    let server = Server::start([error(529, "overloaded_error", &[("retry-after", "20")])]).await;
    expect_cancelled("backing off", &client(&server), server.received(1)).await;
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn while_waiting_for_a_turn_or_a_connection() {
    let hanging = vec![stream_head(), send(START), send(BLOCK), Step::Hang];
    let server = Server::start([hanging]).await;
    let one_turn = client_with(&server, |config| config.max_concurrency = 1);
    let _busy = one_turn.stream_message(&question()).await.unwrap();
    expect_cancelled("a turn", &one_turn, async {}).await;

    let pool = ConnectionPoolConfig {
        max_connections_per_host: 1,
        ..Default::default()
    };
    let pool = Arc::new(HttpConnectionPool::new(pool));
    let one_connection = ClaudeClient::with_pool(config(&server), pool).unwrap();
    let _busy = one_connection.stream_message(&question()).await.unwrap();
    expect_cancelled("a connection", &one_connection, async {}).await;
    assert_eq!(server.count(), 2, "neither was sent");
}

#[tokio::test]
async fn in_the_middle_of_a_stream() {
    let server = Server::start([vec![stream_head(), send(START), send(BLOCK), Step::Hang]]).await;
    let token = CancellationToken::new();
    let client = client(&server).with_cancellation(token.clone());
    let mut answer = client.stream_message(&question()).await.unwrap();
    assert!(answer.next().await.unwrap().is_ok());
    assert!(answer.next().await.unwrap().is_ok());
    let (event, ()) = tokio::join!(answer.next(), async {
        tokio::time::sleep(SHORT / 2).await;
        token.cancel();
    });
    assert!(matches!(event, Some(Err(ClaudeError::Cancelled))), "{event:?}");
    assert!(answer.next().await.is_none());
}

#[tokio::test]
async fn before_it_began() {
    let server = Server::start([message()]).await;
    let token = CancellationToken::new();
    token.cancel();
    let client = client(&server).with_cancellation(token);
    assert!(matches!(
        client.send_message(&question()).await,
        Err(ClaudeError::Cancelled)
    ));
    assert!(matches!(
        client.count_tokens(&question()).await,
        Err(ClaudeError::Cancelled)
    ));
    assert!(matches!(client.list_models().await, Err(ClaudeError::Cancelled)));
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn by_dropping_the_request() {
    let server = Server::start([vec![Step::Hang]]).await;
    let client = client(&server);
    let question = question();
    tokio::select! {
        _ = client.stream_message(&question) => panic!("nothing answers"),
        () = server.received(1) => {}
    }
    server.client_left().await;
}
