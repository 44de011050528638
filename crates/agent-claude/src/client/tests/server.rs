//! A server that does to each request what its script says.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use agent_performance::lifecycle::Lifecycle;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

#[derive(Clone)]
pub(super) enum Step {
    Send(Vec<u8>),
    /// Sends this again and again until the client goes.
    Repeat(Vec<u8>, Duration),
    /// Waits until the client goes.
    Hang,
    Close,
    Reset,
}

pub(super) type Script = Vec<Step>;

#[derive(Clone, Debug)]
pub(super) struct Received {
    /// The request line and the headers, lower case.
    pub(super) head: String,
    pub(super) body: String,
}

#[derive(Default)]
struct Log {
    requests: Vec<Received>,
    connections: usize,
    /// Connections that the client closed while a script was waiting for that.
    left: usize,
}

pub(super) struct Server {
    url: Url,
    log: Arc<Mutex<Log>>,
    _lifecycle: Lifecycle,
}

impl Server {
    /// One script for each request; the last one for all that follow.
    pub(super) async fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        let scripts: Vec<Script> = scripts.into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let lifecycle = Lifecycle::new();
        let log = Arc::new(Mutex::new(Log::default()));
        let (connections, shared, scripts) = (lifecycle.clone(), Arc::clone(&log), Arc::new(scripts));
        drop(lifecycle.spawn("accept", async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                shared.lock().connections += 1;
                let (log, scripts) = (Arc::clone(&shared), Arc::clone(&scripts));
                drop(connections.spawn("connection", async move { serve(stream, &log, &scripts).await }));
            }
        }));
        Server {
            url,
            log,
            _lifecycle: lifecycle,
        }
    }

    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }

    pub(super) fn requests(&self) -> Vec<Received> {
        self.log.lock().requests.clone()
    }

    pub(super) fn count(&self) -> usize {
        self.log.lock().requests.len()
    }

    pub(super) fn connections(&self) -> usize {
        self.log.lock().connections
    }

    /// Waits until a client closed a connection on a waiting script.
    pub(super) async fn client_left(&self) {
        let left = async {
            while self.log.lock().left == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(super::LONG, left)
            .await
            .expect("the client closes its connection");
    }

    /// Waits until this many requests came.
    pub(super) async fn received(&self, count: usize) {
        let came = async {
            while self.count() < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(super::LONG, came)
            .await
            .expect("the request arrives");
    }
}

async fn serve(mut stream: TcpStream, log: &Mutex<Log>, scripts: &[Script]) {
    while let Some(request) = receive(&mut stream).await {
        let number = {
            let mut log = log.lock();
            log.requests.push(request);
            log.requests.len() - 1
        };
        for step in &scripts[number.min(scripts.len() - 1)] {
            match step {
                Step::Send(bytes) => {
                    if stream.write_all(bytes).await.is_err() {
                        return;
                    }
                }
                Step::Repeat(bytes, pause) => loop {
                    if stream.write_all(bytes).await.is_err() {
                        log.lock().left += 1;
                        return;
                    }
                    tokio::time::sleep(*pause).await;
                },
                Step::Hang => {
                    // A client that goes is the only thing that can be read here.
                    assert!(!matches!(stream.read(&mut [0]).await, Ok(1..)));
                    log.lock().left += 1;
                    return;
                }
                Step::Close => return,
                Step::Reset => {
                    stream.set_zero_linger().unwrap();
                    return;
                }
            }
        }
    }
}

async fn receive(stream: &mut TcpStream) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let head: String = head
        .lines()
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            if value.is_empty() {
                format!("{line}\n")
            } else {
                format!("{}: {value}\n", name.to_lowercase())
            }
        })
        .collect();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received {
        head,
        body: String::from_utf8(body).unwrap(),
    })
}

/// A whole reply.
pub(super) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Script {
    let mut text = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    text.push_str("\r\n");
    text.push_str(body);
    vec![Step::Send(text.into_bytes())]
}

pub(super) fn error(status: u16, kind: &str, headers: &[(&str, &str)]) -> Script {
    let body = format!(
        r#"{{"type":"error","error":{{"type":"{kind}","message":"because {kind}"}},"request_id":"req_body"}}"#
    );
    reply(status, headers, &body)
}

/// An error after which the client may try again at once.
pub(super) fn brief_error(status: u16, kind: &str) -> Script {
    error(status, kind, &[("retry-after-ms", "1")])
}

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-5-5","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}"#;

pub(super) fn message() -> Script {
    reply(
        200,
        &[("content-type", "application/json"), ("request-id", "req_1")],
        MESSAGE,
    )
}

pub(super) fn stream_head() -> Step {
    stream_head_of("text/event-stream; charset=utf-8")
}

pub(super) fn stream_head_of(content_type: &str) -> Step {
    Step::Send(
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\nrequest-id: req_s\r\n\
             anthropic-ratelimit-requests-remaining: 7\r\n\r\n"
        )
        .into_bytes(),
    )
}

/// One chunk of a chunked body.
pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

pub(super) fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(chunk(bytes.as_ref()))
}

/// The orderly end of a chunked body.
pub(super) fn end() -> Step {
    Step::Send(b"0\r\n\r\n".to_vec())
}

pub(super) const PING: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
pub(super) const START: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",",
    "\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":3}}}\n\n"
);
pub(super) const BLOCK: &str = concat!(
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,",
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
);
pub(super) const FINISH: &str = concat!(
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},",
    "\"usage\":{\"output_tokens\":2}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
);
pub(super) const OVERLOADED: &str = concat!(
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"details\":null,\"type\":\"overloaded_error\",",
    "\"message\":\"Overloaded\"}}\n\n"
);

pub(super) fn delta(text: &str) -> String {
    format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\
         \"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
    )
}

/// A whole, good stream that says `words`.
pub(super) fn stream(words: &str) -> Script {
    vec![
        stream_head(),
        send(START),
        send(PING),
        send(BLOCK),
        send(delta(words)),
        send(FINISH),
        end(),
    ]
}
