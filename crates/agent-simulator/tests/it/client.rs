//! A plain HTTP/1.1 client on a TCP stream: it shows what is on the wire, resets and missing ends included.

use std::io;
use std::time::Duration;

use agent_simulator::{Simulator, SimulatorConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// No test waits longer for a byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a connection ended.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    /// The answer was whole.
    Complete,
    /// The connection was closed before the answer was.
    Closed,
    Reset,
    /// Nothing came for as long as the test was ready to wait.
    Silent,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The names of the events that came.
    pub(crate) fn events(&self) -> Vec<String> {
        self.text()
            .lines()
            .filter_map(|line| line.strip_prefix("event: "))
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn error(&self) -> (String, String) {
        let body = self.json();
        assert_eq!(body["type"], "error", "{body}");
        assert_eq!(body["request_id"], self.header("request-id"));
        (
            body["error"]["type"].as_str().unwrap().to_owned(),
            body["error"]["message"].as_str().unwrap().to_owned(),
        )
    }
}

/// A running simulator.
pub(crate) struct Running {
    pub(crate) simulator: Simulator,
}

pub(crate) async fn start(config: SimulatorConfig) -> Running {
    let simulator = Simulator::bind(config).await.expect("a loopback port is free");
    Running { simulator }
}

pub(crate) async fn with_faults(faults: &[&str]) -> Running {
    let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    start(SimulatorConfig {
        faults,
        ..Default::default()
    })
    .await
}

pub(crate) const HEADERS: &[(&str, &str)] = &[
    ("x-api-key", "test-key"),
    ("anthropic-version", "2026-10-21"),
    ("content-type", "application/json"),
];

pub(crate) fn hello(stream: bool) -> Value {
    json!({
        "model": "claude-opus-5-5", "max_tokens": 1000, "stream": stream,
        "messages": [{ "role": "user", "content": "hello" }],
    })
}

impl Running {
    pub(crate) async fn post(&self, body: &Value) -> Answer {
        self.send("POST", "/v1/messages", HEADERS, body.to_string().as_bytes())
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, HEADERS, b"").await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.send_within(PATIENCE, method, path, headers, body).await
    }

    pub(crate) async fn post_within(&self, patience: Duration, body: &Value) -> Answer {
        self.send_within(
            patience,
            "POST",
            "/v1/messages",
            HEADERS,
            body.to_string().as_bytes(),
        )
        .await
    }

    async fn send_within(
        &self,
        patience: Duration,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = TcpStream::connect(self.simulator.local_addr()).await.unwrap();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        // A server may answer and close before it has read a body that it refuses.
        let written = stream.write_all(body).await;
        let (bytes, end) = read_all(&mut stream, patience).await;
        if bytes.is_empty() {
            written.unwrap();
        }
        parse(&bytes, end, method == "HEAD")
    }
}

async fn read_all(stream: &mut TcpStream, patience: Duration) -> (Vec<u8>, End) {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        match timeout(left, stream.read(&mut buffer)).await {
            Err(_) => return (bytes, End::Silent),
            Ok(Ok(0)) => return (bytes, End::Closed),
            Ok(Ok(count)) => bytes.extend_from_slice(&buffer[..count]),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => return (bytes, End::Reset),
            Ok(Err(error)) => panic!("{error}"),
        }
    }
}

fn parse(bytes: &[u8], end: End, head_only: bool) -> Answer {
    let Some(split) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        assert!(bytes.is_empty(), "{}", String::from_utf8_lossy(bytes));
        return Answer {
            status: 0,
            headers: Vec::new(),
            body: Vec::new(),
            end,
        };
    };
    let head = String::from_utf8(bytes[..split].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let rest = &bytes[split + 4..];
    let find = |name: &str| {
        headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let (body, whole) = match (find("transfer-encoding"), find("content-length")) {
        _ if head_only => (Vec::new(), true),
        (Some(_), _) => unchunk(rest),
        (None, Some(length)) => (rest.to_vec(), rest.len() == length.parse::<usize>().unwrap()),
        (None, None) => (rest.to_vec(), true),
    };
    let end = if whole && end == End::Closed {
        End::Complete
    } else {
        end
    };
    Answer {
        status,
        headers,
        body,
        end,
    }
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        let chunk = &rest[line + 2..];
        body.extend_from_slice(&chunk[..size.min(chunk.len())]);
        if chunk.len() < size + 2 {
            break;
        }
        rest = &chunk[size + 2..];
    }
    (body, false)
}
