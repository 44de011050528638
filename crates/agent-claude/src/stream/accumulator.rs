//! Events to a message.

use std::io;

use serde::Serialize;

use super::block_builder::BlockBuilder;
use super::{Delta, MessageDelta, StreamError, StreamEvent};
use crate::messages::{Message, Usage};

/// How much one message may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccumulatorLimits {
    /// Content blocks. The longest answers have a few hundred.
    pub max_blocks: usize,
    /// Bytes of text and JSON in all of them.
    pub max_bytes: usize,
}

impl Default for AccumulatorLimits {
    /// 4096 blocks and 64 MiB: some ten times what the largest model can write in one answer.
    fn default() -> Self {
        Self {
            max_blocks: 4096,
            max_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Collects the events of one message. Costs time in proportion to the bytes it is given.
///
/// A tool's input is complete only when [`crate::messages::ToolUseBlock::input_object`] says so.
#[derive(Debug, Default)]
pub struct Accumulator {
    message: Option<Message>,
    blocks: Vec<BlockBuilder>,
    stopped: bool,
    received: u64,
    bytes: usize,
    limits: AccumulatorLimits,
}

impl Accumulator {
    /// An accumulator with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// An accumulator with limits of the caller's.
    pub fn with_limits(limits: AccumulatorLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Takes in the next event. Pings, unknown events and unknown deltas change nothing.
    ///
    /// # Errors
    /// When the event makes no sense here, when the message grows too large, or when the event is the API's `error`.
    pub fn push(&mut self, event: &StreamEvent) -> Result<(), StreamError> {
        self.received += 1;
        match event {
            StreamEvent::Ping | StreamEvent::Unknown { .. } => return Ok(()),
            StreamEvent::Error(body) => return Err(StreamError::Api(body.clone())),
            _ if self.stopped => return Err(protocol(format!("{} after message_stop", event.name()))),
            StreamEvent::MessageStart { message } => return self.start(message),
            _ => {}
        }
        if self.message.is_none() {
            return Err(protocol(format!("{} before message_start", event.name())));
        }
        match event {
            StreamEvent::ContentBlockStart { index, block } => {
                if *index != self.blocks.len() {
                    let expected = self.blocks.len();
                    return Err(protocol(format!(
                        "block {index} starts where block {expected} is next"
                    )));
                }
                if self.blocks.len() == self.limits.max_blocks {
                    return Err(StreamError::TooLarge {
                        what: "blocks",
                        limit: self.limits.max_blocks,
                    });
                }
                self.grow(json_len(block))?;
                self.blocks.push(BlockBuilder::new((**block).clone()));
            }
            StreamEvent::ContentBlockDelta { index, delta } => {
                self.grow(delta_len(delta))?;
                self.block(*index, event.name())?.add(*index, delta)?;
            }
            StreamEvent::ContentBlockStop { index } => self.block(*index, event.name())?.stop(*index)?,
            StreamEvent::MessageDelta(delta) => {
                self.grow(json_len(delta))?;
                self.message.iter_mut().for_each(|message| apply(message, delta));
            }
            _ => self.stopped = true,
        }
        Ok(())
    }

    /// What the request used so far. A stream that was cut still cost this.
    pub fn usage(&self) -> Option<&Usage> {
        self.message.as_ref().map(|message| &message.usage)
    }

    /// Whether the message is complete.
    pub fn is_complete(&self) -> bool {
        self.stopped
    }

    /// The message.
    ///
    /// # Errors
    /// [`StreamError::Truncated`] when the stream ended before `message_stop`.
    pub fn finish(self) -> Result<Message, StreamError> {
        match self.message {
            Some(mut message) if self.stopped => {
                message.content = self.blocks.into_iter().map(BlockBuilder::into_block).collect();
                Ok(message)
            }
            _ => Err(StreamError::Truncated {
                received: self.received,
            }),
        }
    }

    fn start(&mut self, message: &Message) -> Result<(), StreamError> {
        if self.message.is_some() {
            return Err(protocol("a second message_start".to_owned()));
        }
        self.grow(json_len(message))?;
        let mut message = message.clone();
        if message.content.len() > self.limits.max_blocks {
            return Err(StreamError::TooLarge {
                what: "blocks",
                limit: self.limits.max_blocks,
            });
        }
        // Empty in practice; were it not, the blocks would count from there.
        self.blocks = std::mem::take(&mut message.content)
            .into_iter()
            .map(BlockBuilder::new)
            .collect();
        self.message = Some(message);
        Ok(())
    }

    fn block(&mut self, index: usize, event: &str) -> Result<&mut BlockBuilder, StreamError> {
        let known = self.blocks.len();
        self.blocks.get_mut(index).ok_or_else(|| {
            protocol(format!(
                "{event} for block {index}, but only {known} blocks were started"
            ))
        })
    }

    fn grow(&mut self, bytes: usize) -> Result<(), StreamError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.max_bytes {
            return Err(StreamError::TooLarge {
                what: "bytes",
                limit: self.limits.max_bytes,
            });
        }
        Ok(())
    }
}

fn apply(message: &mut Message, later: &MessageDelta) {
    if let Some(reason) = &later.delta.stop_reason {
        message.stop_reason = Some(reason.clone());
    }
    if let Some(sequence) = &later.delta.stop_sequence {
        message.stop_sequence = Some(sequence.clone());
    }
    if let Some(usage) = &later.usage {
        message.usage.overwrite_with(usage);
    }
    for (key, value) in later.delta.extra.iter().chain(&later.extra) {
        message.extra.insert(key.clone(), value.clone());
    }
}

fn protocol(message: String) -> StreamError {
    StreamError::Protocol(message)
}

fn delta_len(delta: &Delta) -> usize {
    match delta {
        Delta::Text(text) | Delta::InputJson(text) | Delta::Thinking(text) | Delta::Signature(text) => {
            text.len()
        }
        Delta::Citation(citation) => json_len(citation),
        Delta::Unknown(_) => 0,
    }
}

/// How long a value is as JSON, without making it.
fn json_len(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value)
        .expect("a counter takes every byte, and messages are always JSON");
    count.0
}
