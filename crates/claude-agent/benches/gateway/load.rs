//! The clients' side: requests over raw sockets that are kept open.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::upstream::content_length;

/// A request that is answered with a plain body, of about this many bytes itself.
pub(crate) fn plain(prompt_bytes: usize) -> String {
    body("claude-sonnet-5-5", "false", prompt_bytes)
}

/// A request that is answered with a stream of that kind.
pub(crate) fn streamed(kind: &str) -> String {
    body(kind, "true", 1800)
}

/// The fields stand in the order in which the official clients send them: the prompt comes before `stream`.
pub(crate) fn body(model: &str, stream: &str, prompt_bytes: usize) -> String {
    let words = "These are words of a prompt, with \\\"quotes\\\" and a line end.\\n";
    let prompt = words.repeat(prompt_bytes.div_ceil(words.len()));
    format!(
        r#"{{"model":"{model}","max_tokens":1024,"messages":[{{"role":"user","content":"{prompt}"}}],"stream":{stream}}}"#
    )
}

/// Where requests go, and with which key.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
}

impl Target {
    pub(crate) fn request(&self, body: &str) -> Vec<u8> {
        format!(
            "POST /v1/messages HTTP/1.1\r\nhost: {}\r\nx-api-key: {}\r\nanthropic-version: 2023-06-01\r\naccept: \
             application/json\r\nuser-agent: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            self.key,
            body.len()
        )
        .into_bytes()
    }

    pub(crate) async fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Connection {
            stream,
            buffer: Vec::with_capacity(16 * 1024),
        }
    }
}

pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// How long one exchange took.
pub(crate) struct Taken {
    /// Until the first byte of the body.
    pub(crate) first: Duration,
    pub(crate) whole: Duration,
}

impl Connection {
    /// Sends a request and reads its answer to the end; the answer has to be a 200.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Taken {
        let begun = Instant::now();
        let head = self.send(request).await;
        let chunked = memchr::memmem::find(&self.buffer[..head], b"chunked").is_some();
        let length = content_length(&self.buffer[..head]);
        let body = head + 4;
        while self.buffer.len() <= body {
            self.read().await;
        }
        let first = begun.elapsed();
        while if chunked {
            !self.buffer.ends_with(b"\r\n0\r\n\r\n")
        } else {
            self.buffer.len() < body + length
        } {
            self.read().await;
        }
        if chunked {
            assert!(memchr::memmem::find(&self.buffer, b"message_stop").is_some());
        }
        Taken {
            first,
            whole: begun.elapsed(),
        }
    }

    /// Sends a request and returns when the head of its answer and a first piece of the body are there.
    pub(crate) async fn open(&mut self, request: &[u8]) {
        let head = self.send(request).await;
        while self.buffer.len() <= head + 4 {
            self.read().await;
        }
        self.buffer = Vec::new();
    }

    async fn send(&mut self, request: &[u8]) -> usize {
        self.buffer.clear();
        self.stream.write_all(request).await.unwrap();
        loop {
            if let Some(head) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                assert!(
                    self.buffer.starts_with(b"HTTP/1.1 200"),
                    "{}",
                    String::from_utf8_lossy(&self.buffer)
                );
                return head;
            }
            self.read().await;
        }
    }

    async fn read(&mut self) {
        let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
        assert!(
            read > 0,
            "closed after: {}",
            String::from_utf8_lossy(&self.buffer)
        );
    }
}

/// Sends the request `count` times over `connections` connections, each with its next as soon as the last is answered.
pub(crate) async fn run(target: &Target, connections: usize, count: usize, body: &str) {
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let (target, request) = (target.clone(), target.request(body));
        tasks.spawn(async move {
            let mut connection = target.connect().await;
            for _ in 0..count / connections {
                connection.exchange(&request).await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}
