//! Clients that are slow, silent, half gone, or take nothing.

use std::time::{Duration, Instant};

use super::assert_refusal;
use super::wire::Client;
use crate::routes::Surface;
use crate::testing::{Running, SHORT, TOKEN, TOO_LONG, make_impatient};

async fn impatient() -> Running {
    Running::with(|parts| make_impatient(&mut parts.settings.limits)).await
}

fn post(lines: &str) -> String {
    format!("POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: {TOKEN}\r\n{lines}\r\n")
}

#[tokio::test]
async fn silence_and_heads_that_never_end_are_cut() {
    let gateway = impatient().await;
    for begin in [
        "",
        "G",
        "GET /livez HTTP/1.1\r\nhost: loc",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = Client::connect(gateway.addresses.tcp).await;
        client.send(begin).await;
        assert!(client.is_closed().await, "{begin:?}");
    }
    // One byte at a time is no faster.
    let mut client = Client::connect(gateway.addresses.tcp).await;
    let began = Instant::now();
    while client.send("x").await {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(began.elapsed() < TOO_LONG, "it goes on for ever");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_further_request_has_the_time_of_a_first_one() {
    let gateway = Running::with(|parts| {
        parts.settings.limits.header_read_timeout = SHORT;
    })
    .await;
    let mut client = Client::connect(gateway.addresses.tcp).await;
    let request = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(client.ask(request).await.status, 200);
    assert!(
        client.is_quiet(SHORT * 4).await,
        "between requests there is the time of keep-alive"
    );
    assert_eq!(client.ask(request).await.status, 200);
    client.send("GET /livez HT").await;
    assert!(client.is_closed().await);
    gateway.stop().await;
}

#[tokio::test]
async fn an_idle_connection_ends_in_order() {
    let gateway = impatient().await;
    let mut client = Client::connect(gateway.addresses.tcp).await;
    assert_eq!(
        client
            .ask("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .status,
        200
    );
    assert!(client.is_closed().await);
    gateway.stop().await;
}

#[tokio::test]
async fn bodies_that_stop_or_drip_are_refused() {
    let gateway = impatient().await;
    for lines in ["content-length: 100000\r\n", "transfer-encoding: chunked\r\n"] {
        let mut client = Client::connect(gateway.addresses.tcp).await;
        client.send(post(lines)).await;
        let answer = client.answer(false).await.unwrap();
        assert_refusal(&answer, Surface::Gateway, 408, lines);
        assert!(client.is_closed().await);
    }
    let mut client = Client::connect(gateway.addresses.tcp).await;
    client.send(post("content-length: 100000\r\n")).await;
    let began = Instant::now();
    while client.send("x").await && client.is_quiet(Duration::from_millis(20)).await {
        assert!(began.elapsed() < TOO_LONG, "dripping goes on for ever");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_oversized_body_is_refused_and_its_sender_reads_that() {
    let gateway = Running::with(|parts| parts.settings.limits.max_gateway_request_size = 64 * 1024).await;
    for (lines, framed) in [
        ("content-length: 4000000\r\n", false),
        ("transfer-encoding: chunked\r\n", true),
    ] {
        let mut client = Client::connect(gateway.addresses.tcp).await;
        client.send(post(lines)).await;
        let piece = vec![b'x'; 50_000];
        for _ in 0..80 {
            if framed {
                client.send(format!("{:x}\r\n", piece.len())).await;
            }
            client.send(&piece).await;
            if framed {
                client.send("\r\n").await;
            }
        }
        let answer = client.answer(false).await.expect("the answer outlives the close");
        assert_refusal(&answer, Surface::Gateway, 413, lines);
        assert_eq!(answer.header("connection"), Some("close"));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn bodies_together_have_a_limit_that_comes_back() {
    let gateway = Running::with(|parts| parts.settings.limits.max_buffered_bodies = 100_000).await;
    let announced = post("content-length: 90000\r\n");
    let mut first = Client::connect(gateway.addresses.tcp).await;
    first.send(&announced).await;
    first.send(vec![b' '; 80_000]).await;
    // Until the first is in memory, the second may be taken too: ask until it is refused.
    let began = Instant::now();
    loop {
        let mut second = Client::connect(gateway.addresses.tcp).await;
        second.send(&announced).await;
        second.send(vec![b' '; 90_000]).await;
        let answer = second.answer(false).await.unwrap();
        if answer.status == 529 {
            assert_refusal(&answer, Surface::Gateway, 529, "no room");
            assert_eq!(answer.header("retry-after"), Some("1"));
            break;
        }
        assert!(began.elapsed() < TOO_LONG, "never full: {answer:?}");
    }
    drop(first);
    let began = Instant::now();
    loop {
        let mut third = Client::connect(gateway.addresses.tcp).await;
        third.send(&announced).await;
        third.send(vec![b' '; 90_000]).await;
        let answer = third.answer(false).await.unwrap();
        if answer.status == 400 {
            break;
        }
        assert!(began.elapsed() < TOO_LONG, "never free again: {answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn who_takes_nothing_is_cut() {
    let gateway = impatient().await;
    let mut client = Client::connect(gateway.addresses.tcp).await;
    let request =
        format!("GET /api/v1/openapi.json HTTP/1.1\r\nhost: localhost\r\nx-api-key: {TOKEN}\r\n\r\n");
    // Answers to requests that are sent on and on fill the buffers between the two.
    let began = Instant::now();
    let batch = request.repeat(200);
    let sending = async { while client.send(&batch).await {} };
    tokio::time::timeout(TOO_LONG, sending)
        .await
        .expect("the connection stays for ever");
    assert!(began.elapsed() >= SHORT);
    gateway.stop().await;
}

#[tokio::test]
async fn half_open_connections_leave_nothing() {
    let gateway = Running::start().await;
    let address = gateway.addresses.tcp;
    for _ in 0..50 {
        let mut client = Client::connect(address).await;
        client.send(post("content-length: 100\r\n")).await;
        client.finish().await;
        let mut other = Client::connect(address).await;
        other.send("GET /livez HTTP/1.1\r\nhost: lo").await;
        other.finish().await;
    }
    let began = Instant::now();
    let open = || {
        gateway
            .metrics
            .gauge(
                "http.server.connections",
                agent_performance::metrics::MetricUnit::Count,
                &[] as &[(&str, &str)],
            )
            .value()
    };
    while open() > 0.0 {
        assert!(began.elapsed() < TOO_LONG, "{} connections stay", open());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gateway.stop().await;
}
