//! Why bytes are not a stream of events.

/// The bytes cannot be decoded. The decoder stays failed: what follows has no known beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// An event is longer than the decoder may hold.
    #[error("an event of the stream is longer than {limit} bytes; raise the limit if that is expected")]
    EventTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A field is not UTF-8. Nothing is replaced: what was meant is unknown.
    #[error("the `{field}` field of an event is not UTF-8 (first bad byte at {at})")]
    InvalidUtf8 {
        /// Which field.
        field: &'static str,
        /// Bytes from the beginning of its value.
        at: usize,
    },
}
