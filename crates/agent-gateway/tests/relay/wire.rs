//! HTTP by hand, so that every byte is seen.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A hang of the code under test ends the test, not the patience of its reader.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(60);

/// What came back over a connection.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The pieces of a chunked body.
    pub(crate) chunks: usize,
    /// The body came to its proper end.
    pub(crate) whole: bool,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The error envelope's type.
    pub(crate) fn error(&self) -> String {
        let body = self.json();
        assert_eq!(body["type"], "error");
        assert!(body["request_id"].as_str().unwrap().starts_with("req_"));
        body["error"]["type"].as_str().unwrap().to_owned()
    }
}

/// A request's bytes. `head` are further header lines, each with its end.
pub(crate) fn request(method: &str, path: &str, head: &str, body: &[u8]) -> Vec<u8> {
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("content-length: {}\r\n", body.len())
    };
    let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{head}{length}\r\n");
    [head.as_bytes(), body].concat()
}

/// Sends a request over a connection of its own and reads to the end of the answer.
pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = connect(address).await;
    stream.write_all(request).await.unwrap();
    read_reply(&mut stream).await
}

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(crate) async fn read_reply(stream: &mut (impl AsyncRead + Unpin)) -> Reply {
    read_next(stream, &mut Vec::new()).await
}

/// The next of several answers; what was read and belongs to the one after it is in `bytes`.
pub(crate) async fn read_next(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Reply {
    tokio::time::timeout(TOO_LONG, read(stream, bytes))
        .await
        .expect("the answer never ends")
}

/// Whether the connection is closed and nothing more came.
pub(crate) async fn is_over(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut bytes = Vec::new();
    let ended = tokio::time::timeout(TOO_LONG, stream.read_to_end(&mut bytes)).await;
    ended.expect("the connection stays open").is_ok() && bytes.is_empty()
}

async fn read(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Reply {
    let head_end = loop {
        if let Some(at) = find(bytes, b"\r\n\r\n") {
            break at;
        }
        assert!(
            more(stream, bytes).await,
            "closed in the head: {:?}",
            String::from_utf8_lossy(bytes)
        );
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut rest = bytes.split_off(head_end + 4);
    let mut lines = head.lines();
    let status = lines.next().unwrap()[9..12].parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let get = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    let (mut body, mut chunks, mut whole) = (Vec::new(), 0, true);
    if get("transfer-encoding").is_some() {
        loop {
            let Some(end) = find(&rest, b"\r\n") else {
                if more(stream, &mut rest).await {
                    continue;
                } else {
                    whole = false;
                    break;
                }
            };
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
            while rest.len() < end + 2 + size + 2 {
                if !more(stream, &mut rest).await {
                    whole = false;
                    break;
                }
            }
            if !whole {
                body.extend_from_slice(&rest[(end + 2).min(rest.len())..]);
                break;
            }
            body.extend_from_slice(&rest[end + 2..end + 2 + size]);
            rest.drain(..end + 2 + size + 2);
            if size == 0 {
                *bytes = rest;
                break;
            }
            chunks += 1;
        }
    } else {
        let length: usize = get("content-length").map_or(0, |length| length.parse().unwrap());
        while rest.len() < length {
            if !more(stream, &mut rest).await {
                whole = false;
                break;
            }
        }
        *bytes = rest.split_off(length.min(rest.len()));
        body = rest;
    }
    Reply {
        status,
        headers,
        body,
        chunks,
        whole,
    }
}

async fn more(stream: &mut (impl AsyncRead + Unpin), into: &mut Vec<u8>) -> bool {
    matches!(stream.read_buf(into).await, Ok(1..))
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
