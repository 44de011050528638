//! An upstream that says exactly what it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::wire::find;

/// What is done with one request.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    /// Ends the connection in order.
    Close,
    /// Ends it with a reset.
    Reset,
    /// Waits until the other side closes.
    Hang,
    /// Sends the same over and over, until the other side takes no more or closes.
    Flood(Vec<u8>),
}

pub(crate) fn send(text: impl AsRef<[u8]>) -> Step {
    Step::Send(text.as_ref().to_vec())
}

#[derive(Default)]
pub(crate) struct Seen {
    /// Requests as they came, bodies included.
    pub(crate) requests: Mutex<Vec<Vec<u8>>>,
    pub(crate) accepted: Mutex<usize>,
    pub(crate) flooded: Mutex<usize>,
    /// The other side closed while a request was in work.
    pub(crate) gone: Notify,
    /// A piece of a request came.
    pub(crate) piece: Notify,
}

impl Seen {
    pub(crate) fn texts(&self) -> Vec<String> {
        let requests = self.requests.lock();
        requests
            .iter()
            .map(|request| String::from_utf8_lossy(request).into_owned())
            .collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.lock().len()
    }
}

#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
}

impl Upstream {
    /// The n-th request, counted from 0, gets the n-th script; further ones the last.
    pub(crate) async fn start(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let scripts = Arc::new(scripts);
        let told = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                *told.accepted.lock() += 1;
                tokio::spawn(serve(stream, Arc::clone(&scripts), Arc::clone(&told)));
            }
        });
        Upstream { address, seen }
    }

    /// The same for every request.
    pub(crate) async fn saying(steps: Vec<Step>) -> Self {
        Self::start(vec![steps]).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(mut stream: TcpStream, scripts: Arc<Vec<Vec<Step>>>, seen: Arc<Seen>) {
    while let Some(request) = read_request(&mut stream, &seen).await {
        let index = {
            let mut requests = seen.requests.lock();
            requests.push(request);
            requests.len() - 1
        };
        let steps = scripts.get(index).or(scripts.last()).unwrap();
        for step in steps {
            match step {
                Step::Send(bytes) => {
                    if stream.write_all(bytes).await.is_err() {
                        seen.gone.notify_one();
                        return;
                    }
                }
                Step::Pause(pause) => tokio::time::sleep(*pause).await,
                Step::Close => return,
                Step::Reset => {
                    stream.set_zero_linger().unwrap();
                    return;
                }
                Step::Hang => {
                    while matches!(stream.read(&mut [0; 1024]).await, Ok(1..)) {}
                    seen.gone.notify_one();
                    return;
                }
                Step::Flood(bytes) => loop {
                    if stream.write_all(bytes).await.is_err() {
                        seen.gone.notify_one();
                        return;
                    }
                    *seen.flooded.lock() += bytes.len();
                },
            }
        }
    }
}

/// A request as it came, chunked bodies with their framing; none when the connection ended.
async fn read_request(stream: &mut TcpStream, seen: &Seen) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head
                .split("content-length: ")
                .nth(1)
                .map(|rest| rest.lines().next().unwrap().parse().unwrap());
            let done = match length {
                Some(length) => {
                    let length: usize = length;
                    bytes.len() >= end + 4 + length
                }
                None if head.contains("transfer-encoding: chunked") => bytes.ends_with(b"\r\n0\r\n\r\n"),
                None => true,
            };
            if done {
                return Some(bytes);
            }
        }
        if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            return None;
        }
        seen.piece.notify_one();
    }
}

pub(crate) fn json_answer(body: &str) -> Step {
    send(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nrequest-id: req_up\r\n\r\n{body}",
        body.len()
    ))
}

pub(crate) const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nrequest-id: req_up\r\ntransfer-encoding: chunked\r\n\r\n";

/// Bytes as one chunk of a chunked body.
pub(crate) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

pub(crate) const END: &str = "0\r\n\r\n";

pub(crate) const MESSAGE_START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"model\":\"claude-opus-5-5\",\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n";
pub(crate) const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
pub(crate) const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}   \n\n";
pub(crate) const MESSAGE_DELTA: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":42}}\n\n";
pub(crate) const MESSAGE_STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

pub(crate) fn whole_stream() -> String {
    [MESSAGE_START, PING, DELTA, DELTA, MESSAGE_DELTA, MESSAGE_STOP].concat()
}
