//! The Messages API's side: canned answers over raw sockets, as cheap as they can be made.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Text deltas in one streamed answer.
pub(crate) const DELTAS: usize = 64;

/// The size of a plain answer's body.
const ANSWER_BYTES: usize = 2048;

/// From one event to the next of a stream that stays open.
const OPEN_INTERVAL: Duration = Duration::from_secs(2);

/// What a request asks for: a marker in its `model`, so that no JSON has to be read here.
pub(crate) const STREAM: &str = "bench-stream";
pub(crate) const SPACED: &str = "bench-spaced";
pub(crate) const OPEN: &str = "bench-open";

/// From one delta to the next of a stream in which each comes by itself. Longer than anybody needs to pass one on.
const SPACED_INTERVAL: Duration = Duration::from_millis(2);

static ANSWER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let start = r#"{"id":"msg_01Bench","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[{"type":"text","text":""#;
    let end = r#""}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":412,"output_tokens":380,"cache_read_input_tokens":0,"cache_creation_input_tokens":0}}"#;
    let text = "x".repeat(ANSWER_BYTES - start.len() - end.len());
    let body = format!("{start}{text}{end}");
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_01Bench\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
});

const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nrequest-id: req_01Bench\r\ntransfer-encoding: chunked\r\n\r\n";

/// The events of one streamed answer, each a chunk of its own.
static EVENTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut events = vec![
        event(
            "message_start",
            r#"{"type":"message_start","message":{"id":"msg_01Bench","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":412,"output_tokens":1}}}"#,
        ),
        event(
            "content_block_start",
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        ),
    ];
    events.extend((0..DELTAS).map(|_| delta()));
    events.push(event(
        "content_block_stop",
        r#"{"type":"content_block_stop","index":0}"#,
    ));
    events.push(event("message_delta", r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":380}}"#));
    events.push(event("message_stop", r#"{"type":"message_stop"}"#));
    events
});

fn event(name: &str, data: &str) -> Vec<u8> {
    let event = format!("event: {name}\ndata: {data}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

fn delta() -> Vec<u8> {
    event(
        "content_block_delta",
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" some words"}}"#,
    )
}

/// Listens until the process ends.
pub(crate) async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn serve(mut stream: TcpStream) {
    let mut buffer = Vec::with_capacity(4096);
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        let written = match request {
            Wanted::Answer => stream.write_all(&ANSWER).await,
            Wanted::Stream => write_stream(&mut stream).await,
            Wanted::Spaced => write_spaced(&mut stream).await,
            Wanted::Open => write_forever(&mut stream).await,
        };
        if written.is_err() {
            return;
        }
    }
}

enum Wanted {
    Answer,
    Stream,
    Spaced,
    Open,
}

/// None when the connection ended.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Wanted> {
    buffer.clear();
    loop {
        if let Some(head) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let length = content_length(&buffer[..head]);
            while buffer.len() < head + 4 + length {
                if stream.read_buf(buffer).await.ok()? == 0 {
                    return None;
                }
            }
            let body = &buffer[head + 4..];
            let body = &body[..body.len().min(200)];
            return Some(if memchr::memmem::find(body, STREAM.as_bytes()).is_some() {
                Wanted::Stream
            } else if memchr::memmem::find(body, SPACED.as_bytes()).is_some() {
                Wanted::Spaced
            } else if memchr::memmem::find(body, OPEN.as_bytes()).is_some() {
                Wanted::Open
            } else {
                Wanted::Answer
            });
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// The body's length as the head tells it, in whatever case a proxy spells the name.
pub(crate) fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    head.lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |value| value.trim().parse().unwrap())
}

/// Each event in a write of its own, one right after the other: what a burst of tokens looks like.
async fn write_stream(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(STREAM_HEAD).await?;
    for event in EVENTS.iter() {
        stream.write_all(event).await?;
    }
    stream.write_all(b"0\r\n\r\n").await
}

/// Each event some time after the one before, as a model writes.
async fn write_spaced(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(STREAM_HEAD).await?;
    for event in EVENTS.iter() {
        stream.write_all(event).await?;
        tokio::time::sleep(SPACED_INTERVAL).await;
    }
    stream.write_all(b"0\r\n\r\n").await
}

async fn write_forever(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(STREAM_HEAD).await?;
    for event in &EVENTS[..2] {
        stream.write_all(event).await?;
    }
    loop {
        stream.write_all(&EVENTS[2]).await?;
        tokio::time::sleep(OPEN_INTERVAL).await;
    }
}
