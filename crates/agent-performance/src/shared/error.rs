use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// A command to the shared store brought nothing. Whatever the reason, the caller goes on without, or refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SharedError {
    /// It is known to be down; nothing was sent.
    #[error("the shared store is down")]
    Down,
    /// No answer in time. Whether the command took effect is not known.
    #[error("the shared store did not answer within {} ms", after.as_millis())]
    TimedOut {
        /// What was waited.
        after: Duration,
    },
    /// The connection broke under the command. Whether it took effect is not known.
    #[error("the connection to the shared store failed: {0}")]
    Failed(String),
    /// The store answered with an error: out of memory, no permission, a value of another type.
    #[error("the shared store refused: {0}")]
    Refused(String),
}

/// True when only another connection, perhaps to another server, can help.
pub(super) fn is_fatal(error: &RedisError) -> bool {
    let not_serving = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown
        )
    );
    error.is_unrecoverable_error() || error.is_io_error() || not_serving
}
