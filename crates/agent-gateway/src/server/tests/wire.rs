//! A client that sends any bytes and reads what comes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::testing::TOO_LONG;

pub(super) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// It answers a HEAD request.
    pub(super) bodiless: bool,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the pipeline answered, and not the guard in front of it.
    pub(super) fn is_judged(&self) -> bool {
        self.header("date").is_some()
    }
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client {
            stream,
            read: Vec::new(),
        }
    }

    /// Sends bytes. A server that has closed is no failure: what it said is what counts.
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    pub(super) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        let request = request.as_ref();
        self.send(request).await;
        let answer = self.answer(request.starts_with(b"HEAD ")).await;
        answer.expect("an answer")
    }

    /// The next answer; none when the connection ends first.
    pub(super) async fn answer(&mut self, bodiless: bool) -> Option<Answer> {
        let head = loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                if head.starts_with(b"HTTP/1.1 100") {
                    continue;
                }
                break String::from_utf8(head).unwrap();
            }
            if !self.more().await {
                return None;
            }
        };
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
            bodiless,
        };
        if bodiless || status == 204 {
            return Some(answer);
        }
        let length: usize = match answer.header("content-length") {
            Some(length) => length.parse().unwrap(),
            None => {
                // Chunked: what tests look at are answers of a known length, or only their head.
                return Some(answer);
            }
        };
        while self.read.len() < length {
            assert!(self.more().await, "the answer broke off: {answer:?}");
        }
        answer.body = self.read.drain(..length).collect();
        Some(answer)
    }

    /// Whether the server closes, within the tests' patience. What it still says is thrown away.
    pub(super) async fn is_closed(&mut self) -> bool {
        while self.more().await {
            self.read.clear();
        }
        true
    }

    /// Whether nothing comes and nothing is closed for so long.
    pub(super) async fn is_quiet(&mut self, time: Duration) -> bool {
        let mut space = [0; 1024];
        self.read.is_empty()
            && tokio::time::timeout(time, self.stream.read(&mut space))
                .await
                .is_err()
    }

    /// Says that no more will come.
    pub(super) async fn finish(&mut self) {
        drop(self.stream.shutdown().await);
    }

    async fn more(&mut self) -> bool {
        let mut space = [0; 64 * 1024];
        let read = tokio::time::timeout(TOO_LONG, self.stream.read(&mut space)).await;
        // A reset is an end, too.
        let read = read.expect("the server neither answers nor closes").unwrap_or(0);
        self.read.extend_from_slice(&space[..read]);
        read > 0
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
