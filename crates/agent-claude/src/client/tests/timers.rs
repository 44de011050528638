use std::time::Instant;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::server::{BLOCK, PING, START, Server, Step, chunk, delta, end, message, send, stream_head};
use super::*;
use crate::error::TimeoutStage;

/// The stage that ran out, and that it did so promptly.
async fn stage(client: &ClaudeClient) -> TimeoutStage {
    let begun = Instant::now();
    let error = stream_error(client).await;
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
    match error {
        ClaudeError::Timeout { stage, after } => {
            assert_eq!(after, SHORT);
            stage
        }
        other => panic!("not a timeout: {other:?}"),
    }
}

fn once(config: &mut ClaudeConfig) {
    config.max_retries = 0;
}

/// A listener whose queue is full drops what comes: the same as an address nobody answers at.
pub(super) async fn unanswering() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    for _ in 0..8 {
        match tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
            Ok(stream) => queue.push(stream.unwrap()),
            Err(_) => break,
        }
    }
    (listener, queue)
}

#[tokio::test]
async fn no_connection() {
    let server = Server::start([message()]).await;
    let (listener, _queue) = unanswering().await;
    let client = client_with(&server, |config| {
        once(config);
        config.base_url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        config.timeouts.connect = SHORT;
    });
    assert_eq!(stage(&client).await, TimeoutStage::Connect);
}

#[tokio::test]
async fn no_answer() {
    let server = Server::start([vec![Step::Hang]]).await;
    let client = client_with(&server, |config| {
        once(config);
        config.timeouts.first_byte = SHORT;
    });
    assert_eq!(stage(&client).await, TimeoutStage::FirstByte);
    server.client_left().await;
}

#[tokio::test]
async fn only_pings_and_comments() {
    let noise = chunk(format!("{PING}: still here\n\n").as_bytes());
    for before in [vec![], vec![send(START), send(BLOCK), send(delta("a"))]] {
        let mut script = vec![stream_head()];
        script.extend(before);
        script.push(Step::Repeat(noise.clone(), SHORT / 20));
        let server = Server::start([script]).await;
        let client = client_with(&server, |config| {
            once(config);
            config.timeouts.idle = SHORT;
        });
        assert_eq!(stage(&client).await, TimeoutStage::Idle);
        server.client_left().await;
    }
}

#[tokio::test]
async fn pings_do_not_reset_the_timer_across_calls() {
    let script = vec![
        stream_head(),
        send(START),
        send(BLOCK),
        Step::Repeat(chunk(PING.as_bytes()), SHORT / 20),
    ];
    let server = Server::start([script]).await;
    let client = client_with(&server, |config| config.timeouts.idle = SHORT);
    let mut answer = client.stream_message(&question()).await.unwrap();
    let mut pings = 0;
    let error = loop {
        match answer.next().await.unwrap() {
            Ok(StreamEvent::Ping) => pings += 1,
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(
        matches!(
            error,
            ClaudeError::Timeout {
                stage: TimeoutStage::Idle,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(pings > 1);
}

#[tokio::test]
async fn a_stop_in_the_middle_of_an_event() {
    let script = vec![
        stream_head(),
        send(START),
        send(BLOCK),
        send("event: content_block_delta\ndata: {"),
        Step::Hang,
    ];
    let server = Server::start([script]).await;
    let client = client_with(&server, |config| config.timeouts.idle = SHORT);
    assert_eq!(stage(&client).await, TimeoutStage::Idle);
}

#[tokio::test]
async fn a_whole_reply_that_stops_midway() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec();
    let server = Server::start([vec![Step::Send(head), Step::Hang]]).await;
    let client = client_with(&server, |config| {
        once(config);
        config.timeouts.idle = SHORT;
    });
    let error = client.send_message(&question()).await.unwrap_err();
    assert!(
        matches!(
            error,
            ClaudeError::Timeout {
                stage: TimeoutStage::Idle,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_answer_without_end() {
    let more = Step::Repeat(chunk(delta("a").as_bytes()), SHORT / 20);
    let server = Server::start([vec![stream_head(), send(START), send(BLOCK), more]]).await;
    let client = client_with(&server, |config| config.timeouts.total = SHORT);
    assert_eq!(stage(&client).await, TimeoutStage::Total);
}

#[tokio::test]
async fn a_slow_reader_is_not_a_slow_server() {
    let script = vec![
        stream_head(),
        send(START),
        send(BLOCK),
        send(delta("a")),
        send(super::server::FINISH),
        end(),
    ];
    let server = Server::start([script]).await;
    let client = client_with(&server, |config| config.timeouts.idle = SHORT);
    let mut answer = client.stream_message(&question()).await.unwrap();
    let mut count = 0;
    while let Some(event) = answer.next().await {
        event.unwrap();
        count += 1;
        if count == 2 {
            tokio::time::sleep(SHORT * 2).await;
        }
    }
    assert_eq!(count, 6);
}
