//! HTTP/2 without TLS, by frames made by hand: floods end the connection, and nothing else.

use std::time::Duration;

use super::wire::Client;
use crate::testing::Running;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET path` in the header compression of HTTP/2, without any compression.
fn get(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(0x04, path), (0x01, "localhost")] {
        block.extend_from_slice(&[name, value.len() as u8]);
        block.extend_from_slice(value.as_bytes());
    }
    block
}

async fn client(gateway: &Running) -> Client {
    let mut client = Client::connect(gateway.addresses.tcp).await;
    client.send(PREFACE).await;
    client.send(frame(SETTINGS, 0, 0, &[])).await;
    client
}

async fn assert_alive(gateway: &Running) {
    let mut client = Client::connect(gateway.addresses.tcp).await;
    let answer = client.ask("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn floods_end_their_connection() {
    let gateway = Running::start().await;
    // Requests that are taken back before they are looked at.
    let mut resets = client(&gateway).await;
    let mut flood = Vec::new();
    for number in 0..5000u32 {
        let stream = number * 2 + 1;
        flood.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/livez")));
        flood.extend(frame(RESET, 0, stream, &8u32.to_be_bytes()));
    }
    resets.send(&flood).await;
    assert!(resets.is_closed().await);

    // A head that never ends.
    let mut endless = client(&gateway).await;
    endless.send(frame(HEADERS, END_STREAM, 1, &get("/livez"))).await;
    let line = [&[0x00, 0x01, b'x', 0x7f, 0x81, 0x7e], [b'y'; 16_000].as_slice()].concat();
    let mut sent = 0;
    while endless.send(frame(CONTINUATION, 0, 1, &line)).await {
        sent += line.len();
        assert!(sent < 64 * 1024 * 1024, "a head without end is taken");
    }
    assert!(endless.is_closed().await);
    assert_alive(&gateway).await;
    gateway.stop().await;
}

#[tokio::test]
async fn pings_do_not_keep_an_idle_connection() {
    let gateway = Running::with(|parts| {
        parts.settings.limits.keep_alive_timeout = Duration::from_millis(400);
        parts.settings.limits.header_read_timeout = Duration::from_millis(400);
    })
    .await;
    let mut client = client(&gateway).await;
    client
        .send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/livez")))
        .await;
    for _ in 0..500 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if !client.send(frame(PING, 0, 0, &[0; 8])).await {
            assert_eq!(gateway.stop().await.cut, 0);
            return;
        }
    }
    panic!("pings keep it");
}

#[tokio::test]
async fn a_reader_without_room_for_its_answer_is_cut_and_others_are_not() {
    let limit = Duration::from_millis(400);
    let gateway = Running::with(|parts| parts.settings.limits.write_timeout = limit).await;
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/livez"));
    // The identifier of the first window of streams, and a window without room.
    let no_room = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let mut stalled = Client::connect(gateway.addresses.tcp).await;
    stalled.send([PREFACE, &no_room, &request].concat()).await;
    assert!(stalled.is_closed().await);

    let mut idle = client(&gateway).await;
    idle.send(&request).await;
    tokio::time::sleep(limit * 3).await;
    assert!(
        idle.send(frame(PING, 0, 0, &[0; 8])).await,
        "it took all that it asked for"
    );
    drop(idle);
    gateway.stop().await;
}

mod any_bytes {
    use proptest::prelude::*;

    use super::*;

    /// Begins that lead deep into the parsers, and what may follow them.
    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let known = prop::sample::select(vec![
            &b"GET /v1/messages HTTP/1.1\r\nhost: localhost\r\n"[..],
            b"POST /api/v1/sessions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n",
            b"content-length: 3\r\n",
            b"x-api-key: ",
            b"authorization: Bearer ",
            b"origin: ",
            b"signature-input: sig=(",
            b"\r\n\r\n",
            b"\r\n",
            b"ffffffffffffffff\r\n",
            b"5;a=b\r\nhello\r\n0\r\n\r\n",
            PREFACE,
            &[0, 0, 0, 4, 0, 0, 0, 0, 0],
        ]);
        let piece = prop_oneof![
            3 => known.prop_map(<[u8]>::to_vec),
            1 => prop::collection::vec(any::<u8>(), 0..64),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn are_answered_or_refused_and_never_break_the_server() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let gateway = runtime.block_on(Running::start());
        let config = ProptestConfig {
            cases: 300,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        proptest!(config, |(bytes in pieces())| {
            runtime.block_on(async {
                let mut client = Client::connect(gateway.addresses.tcp).await;
                client.send(&bytes).await;
                client.finish().await;
                client.is_closed().await;
            });
        });
        runtime.block_on(async {
            assert_alive(&gateway).await;
            gateway.stop().await;
        });
    }
}
