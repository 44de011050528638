//! HTTP/1.1 as it comes over a connection: bytes in, heads and bodies out. Knows no socket.
//!
//! Strict where the end of an answer is at stake: what two readers could measure differently is refused, because the rest of such
//! an answer would be taken for the beginning of the next one.

mod chunked;
mod head;
mod incoming;
#[cfg(test)]
mod tests;

pub(crate) use incoming::{Asked, Incoming};

/// Why an answer can't be read on. Nothing that comes after is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The first line or a header is not HTTP.
    #[error("its head is not HTTP ({0})")]
    Head(httparse::Error),
    /// The head is longer than any real one.
    #[error("its head is longer than {limit} bytes")]
    LongHead {
        /// The limit.
        limit: usize,
    },
    /// `content-length` is no number, too large for one, or there are several that differ.
    #[error("its content-length is wrong")]
    Length,
    /// A transfer coding other than `chunked`, or in an answer that can have none.
    #[error("its transfer-encoding is not understood")]
    Coding,
    /// Both `content-length` and `transfer-encoding`: readers disagree which one counts.
    #[error("it has both a content-length and a transfer-encoding")]
    TwoLengths,
    /// A change of protocol that was not asked for.
    #[error("it changes the protocol, which was not asked for")]
    Upgrade,
    /// The size of a chunk is no number, too large for one, or not followed by what has to follow.
    #[error("the size of a chunk is wrong")]
    ChunkSize,
    /// A chunk does not end where its size says.
    #[error("a chunk does not end where its size says")]
    ChunkEnd,
    /// Extensions of chunks, or trailers, are longer than any real ones.
    #[error("its chunks carry more than {limit} bytes beside the body")]
    ChunkExtras {
        /// The limit.
        limit: usize,
    },
}
