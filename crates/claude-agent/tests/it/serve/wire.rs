//! As much of HTTP as the tests need: one request a connection, written and read by hand, so that nothing is retried, pooled
//! or repaired on the way.

use std::io::{BufRead, BufReader, Read, Write};

use serde_json::Value;

pub(super) struct Request {
    head: String,
    body: Vec<u8>,
}

pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn new(method: &str, path: &str) -> Self {
        Self {
            head: format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n"),
            body: Vec::new(),
        }
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    pub(super) fn json(self, body: &Value) -> Self {
        let mut with = self.header("content-type", "application/json");
        with.body = body.to_string().into_bytes();
        with
    }

    fn bytes(&self) -> Vec<u8> {
        let length = match self.body.len() {
            0 => String::new(),
            length => format!("content-length: {length}\r\n"),
        };
        let mut bytes = format!("{}{length}\r\n", self.head).into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    pub(super) fn send(&self, stream: impl Read + Write) -> Answer {
        Answer::read(&mut self.open(stream))
    }

    /// Sends it and leaves the answer to be read.
    pub(super) fn open<S: Read + Write>(&self, mut stream: S) -> BufReader<S> {
        stream.write_all(&self.bytes()).unwrap();
        stream.flush().unwrap();
        BufReader::new(stream)
    }
}

impl Answer {
    pub(super) fn read(stream: &mut impl BufRead) -> Self {
        let mut answer = Self::read_head(stream);
        let mut rest = Vec::new();
        // A TLS peer may close without saying so; what counts is whether the body is whole.
        stream.read_to_end(&mut rest).ok();
        answer.body = match answer.header("transfer-encoding") {
            Some("chunked") => unchunked(&rest),
            _ => rest,
        };
        answer
    }

    /// Reads to the empty line behind the headers.
    pub(super) fn read_head(stream: &mut impl BufRead) -> Self {
        let mut lines = std::iter::from_fn(|| {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            let line = line.trim_end().to_owned();
            (!line.is_empty()).then_some(line)
        });
        let first = lines.next().expect("an answer");
        let status = first.split(' ').nth(1).expect(&first).parse().unwrap();
        let headers = lines
            .map(|line| {
                line.split_once(':')
                    .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
                    .expect(&line)
            })
            .collect();
        Self {
            status,
            headers,
            body: Vec::new(),
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The answer, if it has this status.
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

/// The data of server-sent events as JSON.
pub(super) fn events(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| serde_json::from_str(data.trim()).unwrap_or_else(|error| panic!("{error}: {data}")))
        .collect()
}

pub(super) fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size.split(';').next().unwrap().trim(), 16).unwrap();
        let start = end + 2;
        if size == 0 || rest.len() < start + size {
            break;
        }
        body.extend_from_slice(&rest[start..start + size]);
        rest = rest.get(start + size + 2..).unwrap_or_default();
    }
    body
}
