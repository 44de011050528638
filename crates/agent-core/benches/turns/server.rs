//! The model's side, in a process of its own: neither its time nor its memory is the agent's.
//!
//! It has no state. What it answers follows from the request: a summary where no tools are offered, an end after tool
//! results, else what the prompt's words stand for.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use agent_performance::lifecycle::Lifecycle;
use memchr::memmem;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::support::server::{Piece, Reply, answer_with, call, text};
use super::workspace::{SMALL, sixteen_tools};

/// A prompt that is answered at once.
pub(crate) const BRIEF: &str = "brief";

/// A prompt that is answered after two reads.
pub(crate) const TWO_READS: &str = "two reads";

/// A prompt that is answered after some words and three tools.
pub(crate) const THREE_TOOLS: &str = "three tools";

/// A prompt that is answered after sixteen tools of all kinds.
pub(crate) const SIXTEEN_TOOLS: &str = "sixteen tools";

/// Replaced by the tokens of the prompt, which is taken for four bytes a token.
const TOKENS: &str = "987654321";

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

const PROSE: &str = "The check compares the stored length with the one in the header, which was already advanced when it \
is reached; reading the length first repairs it. Nothing else reads that field, so the change stays within one \
function, and the test that failed before it passes after it. ";

/// The process. It ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

impl Server {
    #[expect(
        clippy::disallowed_methods,
        reason = "this program, once more, and no tool's command"
    )]
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        let output = child.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut url)?;
        let url = url.trim().to_owned();
        Ok(Self { child, url })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// What the child does: serves until its input ends.
pub(crate) fn serve() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
        let (lifecycle, replies) = (Lifecycle::new(), Arc::new(Replies::new()));
        let owner = lifecycle.clone();
        let _accepting = lifecycle.spawn("accepting", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let replies = Arc::clone(&replies);
                let _serving =
                    owner.spawn("serving", async move { drop(connection(stream, &replies).await) });
            }
        });
        let until_closed = || std::io::stdin().read_to_end(&mut Vec::new());
        tokio::task::spawn_blocking(until_closed).await??;
        Ok(())
    })
}

struct Replies {
    summary: String,
    end: String,
    brief: String,
    two_reads: String,
    three_tools: String,
    sixteen_tools: String,
}

impl Replies {
    fn new() -> Self {
        let reads = ["small0.txt", "small1.txt"].map(|path| ("read_file", json!({"path": path})));
        let three = [
            ("read_file", json!({"path": "src/f0.rs"})),
            (
                "grep",
                json!({"pattern": "checked_[a-z]+", "path": "src", "max_results": 20}),
            ),
            ("list_directory", json!({"path": "src"})),
        ];
        Self {
            summary: stream([text(PROSE)], "end_turn"),
            end: stream([text(&PROSE.repeat(3))], "end_turn"),
            brief: stream([text("Yes: that is so, and nothing else reads it.")], "end_turn"),
            two_reads: stream(calls("", reads), "tool_use"),
            three_tools: stream(calls(&PROSE.repeat(2), three), "tool_use"),
            sixteen_tools: stream(calls("I look at all of it.", sixteen_tools()), "tool_use"),
        }
    }

    fn to(&self, body: &[u8]) -> &str {
        let last = memmem::rfind(body, b"\"role\":\"user\"").map_or(&body[..0], |at| &body[at..]);
        let says = |words: &str| memmem::find(last, words.as_bytes()).is_some();
        if memmem::find(body, b"\"tools\":").is_none() {
            &self.summary
        } else if says("\"tool_result\"") {
            if says(SMALL) { &self.brief } else { &self.end }
        } else if says(TWO_READS) {
            &self.two_reads
        } else if says(THREE_TOOLS) {
            &self.three_tools
        } else if says(SIXTEEN_TOOLS) {
            &self.sixteen_tools
        } else {
            &self.brief
        }
    }
}

fn calls(words: &str, calls: impl IntoIterator<Item = (&'static str, Value)>) -> Vec<Value> {
    let words = (!words.is_empty()).then(|| text(words));
    let calls = calls.into_iter().enumerate();
    let calls = calls.map(|(at, (name, input))| call(&format!("t{at}"), name, input));
    words.into_iter().chain(calls).collect()
}

/// The whole reply as it goes over the wire, each event a chunk of its own.
fn stream(blocks: impl IntoIterator<Item = Value>, stop_reason: &str) -> String {
    let usage = json!({"input_tokens": TOKENS.parse::<u64>().unwrap(), "output_tokens": 50});
    let Reply::Stream(pieces) = answer_with(blocks, stop_reason, usage) else {
        unreachable!()
    };
    let mut wire = HEAD.to_owned();
    for piece in pieces {
        if let Piece::Event(event) = piece {
            let text = format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
            wire += &format!("{:x}\r\n{text}\r\n", text.len());
        }
    }
    wire + "0\r\n\r\n"
}

async fn connection(mut stream: TcpStream, replies: &Replies) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let body = loop {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
            if let Some(end) = memmem::find(&bytes, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..body]).to_ascii_lowercase();
        let length = head
            .split("content-length:")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        bytes.reserve(length);
        while bytes.len() < body + length {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
        // Padded to the same width, because the lengths of the chunks are fixed; JSON does not mind.
        let tokens = format!("{:>9}", length / 4);
        let reply = replies.to(&bytes[body..]).replace(TOKENS, &tokens);
        stream.write_all(reply.as_bytes()).await?;
    }
}
