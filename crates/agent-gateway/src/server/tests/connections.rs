//! How many connections there may be, over what, and how they end.

use std::time::{Duration, Instant};

use super::wire::Client;
use crate::testing::{Running, TOKEN, TOO_LONG};

const LIVEZ: &str = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[tokio::test]
async fn connections_past_the_limit_wait_and_idle_ones_make_room() {
    let gateway = Running::with(|parts| {
        parts.settings.limits.max_connections = 2;
        parts.settings.limits.header_read_timeout = Duration::from_millis(400);
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(gateway.addresses.tcp).await;
        assert_eq!(client.ask(LIVEZ).await.status, 200);
        idle.push(client);
    }
    let began = Instant::now();
    let mut third = Client::connect(gateway.addresses.tcp).await;
    assert_eq!(
        third.ask(LIVEZ).await.status,
        200,
        "an idle connection was closed for it"
    );
    assert!(
        began.elapsed() > Duration::from_millis(100),
        "it was served past the limit"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order() {
    let gateway = Running::start().await;
    let mut client = Client::connect(gateway.addresses.tcp).await;
    client
        .send(format!(
            "{LIVEZ}GET /nowhere HTTP/1.1\r\nhost: localhost\r\n\r\n{LIVEZ}"
        ))
        .await;
    for status in [200, 404, 200] {
        assert_eq!(client.answer(false).await.unwrap().status, status);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_drain_lets_requests_end_and_closes_the_rest() {
    let gateway = Running::start().await;
    let address = gateway.addresses.tcp;
    let mut idle = Client::connect(address).await;
    assert_eq!(idle.ask(LIVEZ).await.status, 200);
    let mut busy = Client::connect(address).await;
    let body = "not json, but whole";
    busy.send(format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: {TOKEN}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ))
    .await;
    // Until it is seen in flight.
    let began = Instant::now();
    while gateway.simulator.connections() == 0 && began.elapsed() < Duration::from_millis(300) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let stopping = gateway.stop();
    let client = async {
        assert!(idle.is_closed().await);
        assert!(
            tokio::net::TcpStream::connect(address).await.is_err(),
            "nothing new is accepted"
        );
        busy.send(body).await;
        assert_eq!(
            busy.answer(false).await.unwrap().status,
            400,
            "what was begun is answered"
        );
        assert!(busy.is_closed().await);
    };
    let (report, ()) = tokio::join!(stopping, client);
    assert_eq!((report.finished, report.cut), (2, 0));
}

/// Whoever began to ask before the end is told of it.
#[tokio::test]
async fn a_drain_is_told_to_probes() {
    let gateway = Running::start().await;
    let mut probe = Client::connect(gateway.addresses.tcp).await;
    probe.send("GET /readyz?verbose HTTP/1.1\r\nhost: localh").await;
    // Until the begin is read: a connection that said nothing yet is closed.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let stopping = gateway.stop();
    let client = async {
        // Until the end is known.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let answer = probe.ask(format!("ost\r\nx-api-key: {TOKEN}\r\n\r\n")).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        let text = String::from_utf8(answer.body.clone()).unwrap();
        assert!(
            text.contains("[-]not-draining failed: the daemon is ending\n"),
            "{text}"
        );
        assert!(probe.is_closed().await);
    };
    let (report, ()) = tokio::join!(stopping, client);
    assert_eq!(report.cut, 0);
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline() {
    let gateway = Running::with(|parts| parts.settings.drain_deadline = Duration::from_millis(300)).await;
    let mut stuck = Client::connect(gateway.addresses.tcp).await;
    stuck
        .send(format!(
            "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: {TOKEN}\r\ncontent-length: 9\r\n\r\nx"
        ))
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    let report = gateway.stop().await;
    assert!(began.elapsed() < TOO_LONG / 2);
    assert_eq!(report.cut, 1);
    assert!(stuck.is_closed().await);
}

#[tokio::test]
async fn the_unix_socket_answers_as_tcp_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let gateway = Running::with(|parts| parts.settings.unix_socket = Some(path.clone())).await;
    assert_eq!(gateway.addresses.unix.as_deref(), Some(path.as_path()));
    let ask = async |lines: &str| {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        let request = format!("GET /api/v1/cache HTTP/1.1\r\nconnection: close\r\n{lines}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text[9..12].parse::<u16>().unwrap()
    };
    assert_eq!(
        ask("host: whatever\r\n").await,
        401,
        "the token is needed here, too"
    );
    assert_eq!(
        ask(&format!("host: whatever\r\nx-api-key: {TOKEN}\r\n")).await,
        200
    );
    assert_eq!(ask(&format!("x-api-key: {TOKEN}\r\n")).await, 200);
    assert_eq!(
        ask(&format!("origin: https://evil.example\r\nx-api-key: {TOKEN}\r\n")).await,
        403
    );
    gateway.stop().await;
    assert!(!path.exists());
}
