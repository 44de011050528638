//! Why a stream is not a message.

use super::DecodeError;
use crate::messages::ApiErrorBody;

/// A stream that does not yield a message.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The bytes are not events.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// An event's data is not what its name says.
    #[error("malformed `{event}` event: {message}")]
    Malformed {
        /// The event's name; empty when it has none.
        event: String,
        /// What is wrong with it.
        message: String,
    },
    /// The events come in an order that makes no message.
    #[error("the stream breaks the protocol: {0}")]
    Protocol(String),
    /// The message is larger than the accumulator may hold.
    #[error("the message has more than {limit} {what}; raise the limit if that is expected")]
    TooLarge {
        /// `blocks` or `bytes`.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// The API reported an error in the stream.
    #[error("the API ended the stream with an error: {0}")]
    Api(Box<ApiErrorBody>),
    /// The stream ended before the message did.
    #[error("the stream ended before the message was complete ({received} events received)")]
    Truncated {
        /// How many events came before the end.
        received: u64,
    },
}
