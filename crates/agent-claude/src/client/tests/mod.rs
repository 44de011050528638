//! The client against a real server on the loopback interface, and its retries against simulated time.

mod cached;
mod cached_messages;
mod cancellation;
mod keys;
mod measured;
mod outage;
mod replies;
mod retries;
mod server;
mod streams;
mod timers;

use std::time::Duration;

use agent_config::Secret;

use super::{ClaudeClient, ClaudeConfig, MessageStream, Timeouts};
use crate::error::{ClaudeError, ClaudeResult};
use crate::keys::KeyRing;
use crate::messages::{MessageParam, MessageRequest};
use crate::stream::StreamEvent;
use server::Server;

/// The timer under test; everything else gets far more, so that a slow machine changes nothing.
const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(30);

const PATIENT: Timeouts = Timeouts {
    connect: LONG,
    first_byte: LONG,
    idle: LONG,
    total: LONG,
};

fn config(server: &Server) -> ClaudeConfig {
    ClaudeConfig {
        keys: KeyRing::of(&server.url(), Secret::from("sk-ant-hidden")).unwrap(),
        timeouts: PATIENT,
        ..ClaudeConfig::new(server.url())
    }
}

fn client(server: &Server) -> ClaudeClient {
    ClaudeClient::new(config(server)).unwrap()
}

fn client_with(server: &Server, change: impl FnOnce(&mut ClaudeConfig)) -> ClaudeClient {
    let mut config = config(server);
    change(&mut config);
    if config.base_url != server.url() {
        config.keys = KeyRing::of(&config.base_url, Secret::from("sk-ant-hidden")).unwrap();
    }
    ClaudeClient::new(config).unwrap()
}

fn question() -> MessageRequest {
    MessageRequest::new("claude-opus-5-5", 100, vec![MessageParam::user("hello")])
}

/// The names of the events that came, and how it ended.
async fn drain(mut stream: MessageStream) -> (Vec<String>, Option<ClaudeError>) {
    let mut names = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => names.push(event.name().to_owned()),
            Err(error) => return (names, Some(error)),
        }
    }
    (names, None)
}

/// How a streamed request fails, whether before or after its first content.
async fn stream_error(client: &ClaudeClient) -> ClaudeError {
    match client.stream_message(&question()).await {
        Ok(stream) => drain(stream).await.1.expect("the stream fails"),
        Err(error) => error,
    }
}

fn text(events: &[StreamEvent]) -> String {
    let mut text = String::new();
    for event in events {
        if let StreamEvent::ContentBlockDelta {
            delta: crate::stream::Delta::Text(more),
            ..
        } = event
        {
            text.push_str(more);
        }
    }
    text
}

fn status(result: ClaudeResult<impl std::fmt::Debug>) -> u16 {
    match result {
        Err(ClaudeError::Api { status, .. }) => status,
        other => panic!("not an API error: {other:?}"),
    }
}
