//! One answer of the model: sent, streamed to the reader, and asked for again when it breaks in the middle.
//!
//! Replaying is safe here and only here: until the answer is whole no tool has run and nothing of it is stored, so the
//! reader is told to forget the text, and that is all there is to undo.

use std::borrow::Cow;
use std::time::Duration;

use agent_claude::client::{ClaudeClient, MessageStream, RetryNotice};
use agent_claude::error::{ClaudeError, ClaudeResult};
use agent_claude::messages::{Message, MessageRequest, Usage};
use agent_claude::stream::{Accumulator, Delta, StreamError, StreamEvent};
use tokio::sync::mpsc;

use crate::emitter::Emitter;
use crate::event::AgentEvent;
use crate::instruments::Instruments;

/// Times that a broken answer is asked for again. Each costs the prompt once more; a server that breaks four answers in
/// a row has a fault that a fifth would not heal.
const MAX_REPLAYS: u32 = 3;

/// Wait before the first replay; doubled for each further one. The client's own retries come on top.
const REPLAY_DELAY: Duration = Duration::from_millis(500);

/// The longest wait that a server may ask for before a replay.
const MAX_REPLAY_DELAY: Duration = Duration::from_secs(60);

/// Notices of retries that wait to be told; one request makes a handful.
const NOTICES: usize = 16;

/// Bytes of answer a token is taken for where the count was lost with the stream; low, so that the cost is not
/// understated.
const BYTES_PER_LOST_TOKEN: u64 = 2;

/// Whether the reader sees the answer grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    Deltas,
    Nothing,
}

/// An answer that came whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) message: Message,
    /// It came from the cache: nothing was sent for it, and nothing is to be paid.
    pub(crate) is_replay: bool,
}

impl Answer {
    /// What tells how long the prompt was, and how much of it the server has cached: of a replay nothing, for the server
    /// may have forgotten it since.
    pub(crate) fn prompt_usage(&self) -> Usage {
        let usage = self.message.usage.clone();
        if !self.is_replay {
            return usage;
        }
        Usage {
            input_tokens: Some(usage.prompt_tokens()),
            output_tokens: usage.output_tokens,
            ..Usage::default()
        }
    }
}

/// What came of asking.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The answer, or why there is none.
    pub(crate) result: ClaudeResult<Answer>,
    /// What answers that broke are taken to have used; they are paid for all the same.
    pub(crate) wasted: Vec<Usage>,
}

/// Asks for one answer. Ends early with [`ClaudeError::Cancelled`] when the client's token fires.
///
/// `affordable` says how many tokens a repeated answer may have after what was wasted; none ends it.
pub(crate) async fn ask(
    client: &ClaudeClient,
    request: &MessageRequest,
    emitter: &Emitter,
    instruments: &Instruments,
    show: Show,
    affordable: impl Fn(&[Usage]) -> Option<u32>,
) -> Asked {
    let mut request = Cow::Borrowed(request);
    let mut wasted = Vec::new();
    let mut replays = 0;
    loop {
        let mut received = Received::default();
        let error = match attempt(client, &request, emitter, instruments, show, &mut received).await {
            Ok(message) => {
                let is_replay = received.is_replay;
                return Asked {
                    result: Ok(Answer { message, is_replay }),
                    wasted,
                };
            }
            Err(error) => error,
        };
        let broke_off = received.usage.is_some();
        wasted.extend(received.into_usage());
        // What failed before the answer began was retried by the client already.
        if !broke_off || replays == MAX_REPLAYS || !error.is_retryable() {
            return Asked {
                result: Err(error),
                wasted,
            };
        }
        match affordable(&wasted) {
            None => {
                let message =
                    "the answer broke off and is not asked for again, because that could pass the budget";
                emitter.warn(message).await;
                return Asked {
                    result: Err(error),
                    wasted,
                };
            }
            Some(max_tokens) if max_tokens < request.max_tokens => request.to_mut().max_tokens = max_tokens,
            Some(_) => {}
        }
        if show == Show::Deltas {
            emitter
                .emit(AgentEvent::TurnRestarted {
                    reason: error.to_string(),
                })
                .await;
        }
        let asked_for = error.retry_after().unwrap_or_default().min(MAX_REPLAY_DELAY);
        if emitter
            .pause(asked_for.max(REPLAY_DELAY * 2_u32.pow(replays)))
            .await
        {
            return Asked {
                result: Err(ClaudeError::Cancelled),
                wasted,
            };
        }
        replays += 1;
        instruments.replay();
    }
}

/// How much of an answer came.
#[derive(Debug, Default)]
struct Received {
    /// None until the answer begins.
    usage: Option<Usage>,
    bytes: u64,
    is_replay: bool,
}

impl Received {
    fn see(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::MessageStart { message } => self.usage = Some(message.usage.clone()),
            StreamEvent::MessageDelta(delta) => {
                if let (Some(usage), Some(later)) = (&mut self.usage, &delta.usage) {
                    usage.overwrite_with(later);
                }
            }
            StreamEvent::ContentBlockDelta {
                delta: Delta::Text(text) | Delta::InputJson(text) | Delta::Thinking(text),
                ..
            } => self.bytes += text.len() as u64,
            _ => {}
        }
    }

    /// What is to be paid for it.
    fn into_usage(self) -> Option<Usage> {
        let mut usage = self.usage.filter(|_| !self.is_replay)?;
        let seen = self.bytes.div_ceil(BYTES_PER_LOST_TOKEN);
        usage.output_tokens = Some(usage.output_tokens.unwrap_or(0).max(seen));
        Some(usage)
    }
}

async fn attempt(
    client: &ClaudeClient,
    request: &MessageRequest,
    emitter: &Emitter,
    instruments: &Instruments,
    show: Show,
    received: &mut Received,
) -> ClaudeResult<Message> {
    let mut stream = connect(client, request, emitter).await?;
    received.is_replay = stream.is_replay();
    let live = instruments.stream(&request.model);
    let mut answer = Accumulator::new();
    while let Some(event) = stream.next().await {
        let event = event?;
        live.touch();
        received.see(&event);
        answer.push(&event).map_err(unreadable)?;
        if show == Show::Deltas
            && let StreamEvent::ContentBlockDelta { delta, .. } = event
        {
            match delta {
                Delta::Text(text) if !text.is_empty() => emitter.emit(AgentEvent::TextDelta { text }).await,
                Delta::Thinking(text) if !text.is_empty() => {
                    emitter.emit(AgentEvent::ThinkingDelta { text }).await
                }
                _ => {}
            }
        }
    }
    answer.finish().map_err(unreadable)
}

fn unreadable(error: StreamError) -> ClaudeError {
    match error {
        StreamError::TooLarge { what: "bytes", limit } => ClaudeError::TooLarge {
            what: "the answer",
            limit,
        },
        StreamError::Truncated { .. } => ClaudeError::TruncatedStream,
        other => ClaudeError::MalformedStream {
            message: other.to_string(),
        },
    }
}

/// Sends the request and tells of the client's retries while it waits.
async fn connect(
    client: &ClaudeClient,
    request: &MessageRequest,
    emitter: &Emitter,
) -> ClaudeResult<MessageStream> {
    let (sender, mut notices) = mpsc::channel(NOTICES);
    let sending = client.stream_message_with(request, &sender);
    tokio::pin!(sending);
    loop {
        tokio::select! {
            biased;
            Some(notice) = notices.recv() => emitter.emit(retrying(&notice)).await,
            stream = &mut sending => return stream,
        }
    }
}

fn retrying(notice: &RetryNotice) -> AgentEvent {
    AgentEvent::Retrying {
        // The client counts the try that comes; the event names the one that failed.
        attempt: notice.attempt.saturating_sub(1),
        delay_ms: u64::try_from(notice.delay.as_millis()).unwrap_or(u64::MAX),
        reason: notice.reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_answer_still_costs_what_was_seen_of_it() {
        let mut received = Received::default();
        assert_eq!(
            Received::default().into_usage(),
            None,
            "nothing came, nothing was used"
        );
        let mut message = Message::new("m", "claude");
        message.usage = Usage {
            input_tokens: Some(10),
            output_tokens: Some(1),
            ..Usage::default()
        };
        received.see(&StreamEvent::MessageStart {
            message: Box::new(message),
        });
        received.see(&StreamEvent::ContentBlockDelta {
            index: 0,
            delta: Delta::Text("x".repeat(101)),
        });
        let usage = received.into_usage().unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(10), Some(51)));
        let replay = Received {
            usage: Some(usage),
            bytes: 101,
            is_replay: true,
        };
        assert_eq!(replay.into_usage(), None, "what came from the cache was paid for");
    }
}
