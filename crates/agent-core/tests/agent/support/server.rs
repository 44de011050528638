//! A Messages API that answers each request with the next reply of a script, and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use agent_performance::lifecycle::Lifecycle;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// 200 and a stream.
    Stream(Vec<Piece>),
    /// Another status with an error body.
    Error(u16, &'static str, &'static str),
    /// Takes the request and never answers.
    Silence,
}

/// One part of a stream.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Event(Value),
    Wait(Duration),
    /// Until the test says so.
    Gate(Arc<Notify>),
    /// Nothing more comes, and the connection stays.
    Hang,
    /// The connection breaks.
    Break,
}

pub(crate) fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

pub(crate) fn call(id: &str, name: &str, input: Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "input": input})
}

/// A tool call whose input ends in the middle.
pub(crate) fn cut_call(id: &str, name: &str, partial: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "partial": partial})
}

/// A whole answer with the default usage of 100 tokens in and 10 out.
pub(crate) fn answer(blocks: impl IntoIterator<Item = Value>, stop_reason: &str) -> Reply {
    answer_with(
        blocks,
        stop_reason,
        json!({"input_tokens": 100, "output_tokens": 10}),
    )
}

pub(crate) fn answer_with(blocks: impl IntoIterator<Item = Value>, stop_reason: &str, usage: Value) -> Reply {
    let mut pieces = beginning(blocks, &usage);
    pieces
        .extend(ending(json!({"stop_reason": stop_reason, "stop_sequence": null}), usage).map(Piece::Event));
    Reply::Stream(pieces)
}

pub(crate) fn refusal(explanation: &str) -> Reply {
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    let mut pieces = beginning([], &usage);
    let details = json!({"type": "refusal", "category": "cyber", "explanation": explanation});
    let delta = json!({"stop_reason": "refusal", "stop_sequence": null, "stop_details": details});
    pieces.extend(ending(delta, usage).map(Piece::Event));
    Reply::Stream(pieces)
}

/// An answer that begins and then does what `end` says.
pub(crate) fn broken(blocks: impl IntoIterator<Item = Value>, end: Piece) -> Reply {
    let mut pieces = beginning(blocks, &json!({"input_tokens": 100, "output_tokens": 1}));
    pieces.push(end);
    Reply::Stream(pieces)
}

fn beginning(blocks: impl IntoIterator<Item = Value>, usage: &Value) -> Vec<Piece> {
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "test", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage});
    let mut events = vec![json!({"type": "message_start", "message": message})];
    for (index, mut block) in blocks.into_iter().enumerate() {
        let deltas: Vec<Value> = match block["type"].as_str() {
            Some("text") => {
                let text = block["text"].as_str().unwrap_or_default().to_owned();
                block["text"] = json!("");
                text.split_inclusive(' ')
                    .map(|piece| json!({"type": "text_delta", "text": piece}))
                    .collect()
            }
            Some("tool_use") => {
                let partial = block.as_object_mut().unwrap().shift_remove("partial");
                let input = std::mem::replace(&mut block["input"], json!({}));
                let written =
                    partial.map_or_else(|| input.to_string(), |text| text.as_str().unwrap().to_owned());
                vec![json!({"type": "input_json_delta", "partial_json": written})]
            }
            _ => vec![],
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        for delta in deltas {
            events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.into_iter().map(Piece::Event).collect()
}

fn ending(delta: Value, usage: Value) -> [Value; 2] {
    [
        json!({"type": "message_delta", "delta": delta, "usage": usage}),
        json!({"type": "message_stop"}),
    ]
}

/// The same stream, but `first` comes before it.
pub(crate) fn after(first: Piece, reply: Reply) -> Reply {
    match reply {
        Reply::Stream(pieces) => Reply::Stream(std::iter::once(first).chain(pieces).collect()),
        other => other,
    }
}

/// The running server. It ends with its lifecycle.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Value>>>,
    script: Arc<Mutex<VecDeque<Reply>>>,
}

impl Server {
    pub(crate) async fn start(lifecycle: &Lifecycle) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (requests, script) = (Arc::new(Mutex::default()), Arc::new(Mutex::default()));
        let server = Self {
            url,
            requests: Arc::clone(&requests),
            script: Arc::clone(&script),
        };
        let owner = lifecycle.clone();
        let token = lifecycle.token();
        let _accepting = lifecycle.spawn("scripted server", async move {
            while let Some(Ok((stream, _))) = token.run_until_cancelled(listener.accept()).await {
                let (requests, script, token) = (Arc::clone(&requests), Arc::clone(&script), token.clone());
                let _serving = owner.spawn("scripted reply", async move {
                    drop(token.run_until_cancelled(serve(stream, &requests, &script)).await);
                });
            }
        });
        server
    }

    /// Adds to the end of the script.
    pub(crate) fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.script.lock().extend(replies);
    }

    /// The bodies of all requests so far.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.requests.lock().clone()
    }

    pub(crate) fn drop_next(&self) {
        self.script.lock().pop_front();
    }

    pub(crate) fn left(&self) -> usize {
        self.script.lock().len()
    }
}

async fn serve(
    mut stream: TcpStream,
    requests: &Mutex<Vec<Value>>,
    script: &Mutex<VecDeque<Reply>>,
) -> std::io::Result<()> {
    let Some(body) = read_request(&mut stream).await? else {
        return Ok(());
    };
    requests.lock().push(body);
    let reply = script.lock().pop_front();
    match reply {
        // An error that is not retried, so that a script that is too short shows at once.
        None => {
            error(
                &mut stream,
                400,
                "invalid_request_error",
                "the script of the test is at its end",
            )
            .await
        }
        Some(Reply::Error(status, kind, message)) => error(&mut stream, status, kind, message).await,
        Some(Reply::Silence) => std::future::pending().await,
        Some(Reply::Stream(pieces)) => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            for piece in pieces {
                match piece {
                    Piece::Event(event) => {
                        let text = format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
                        stream
                            .write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
                            .await?;
                    }
                    Piece::Wait(time) => tokio::time::sleep(time).await,
                    Piece::Gate(gate) => gate.notified().await,
                    Piece::Hang => std::future::pending().await,
                    Piece::Break => return stream.shutdown().await,
                }
            }
            stream.write_all(b"0\r\n\r\n").await?;
            stream.shutdown().await
        }
    }
}

async fn error(stream: &mut TcpStream, status: u16, kind: &str, message: &str) -> std::io::Result<()> {
    let body = json!({"type": "error", "error": {"type": kind, "message": message}}).to_string();
    let head = format!(
        "HTTP/1.1 {status} Error\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<Value>> {
    let mut bytes = Vec::new();
    let body = loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..body]).to_ascii_lowercase();
    let length: usize = head
        .split("content-length:")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    while bytes.len() < body + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(serde_json::from_slice(&bytes[body..]).unwrap()))
}
