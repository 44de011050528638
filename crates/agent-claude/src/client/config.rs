use std::time::Duration;

use url::Url;

use crate::keys::KeyRing;
use crate::messages::ApiVersion;
use crate::stream::DEFAULT_MAX_EVENT_BYTES;

/// What a client needs to know. `Debug` does not show the key.
#[derive(Clone, Debug)]
pub struct ClaudeConfig {
    /// `http` or `https`; a path is kept in front of `/v1/…`.
    pub base_url: Url,
    /// Which version of the API to speak.
    pub api_version: ApiVersion,
    /// The keys for `base_url`, sent as the version wants it. A ring without keys sends no credential.
    pub keys: KeyRing,
    /// The four timers.
    pub timeouts: Timeouts,
    /// Tries after the first, for one request.
    pub max_retries: u32,
    /// The longest `retry-after` that is waited for; a longer one is reported instead.
    pub max_retry_after: Duration,
    /// Requests under way at once, at most; the API's overload answers lower it for a while. At least 1.
    pub max_concurrency: usize,
    /// Values for `anthropic-beta`.
    pub betas: Vec<String>,
    /// Largest single event of a stream.
    pub max_event_bytes: usize,
    /// Largest reply that is read whole.
    pub max_response_bytes: usize,
}

/// How long each stage of a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Making a connection: name lookup, TCP, TLS.
    pub connect: Duration,
    /// From the request sent to the head of the reply. A reply that comes whole gets more, by its `max_tokens`.
    pub first_byte: Duration,
    /// Between two events of a stream, pings and comments not counted; between two pieces of a whole reply.
    pub idle: Duration,
    /// The whole request: queueing, retries and reading the stream to its end.
    pub total: Duration,
}

impl ClaudeConfig {
    /// The defaults for `base_url`, without a key.
    pub fn new(base_url: Url) -> Self {
        ClaudeConfig {
            base_url,
            api_version: ApiVersion::default(),
            keys: KeyRing::none(),
            timeouts: Timeouts::default(),
            max_retries: 4,
            max_retry_after: Duration::from_secs(60),
            // As many as the pool has connections to a host.
            max_concurrency: 10,
            betas: Vec::new(),
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
            // 128,000 tokens of text are below 1 MB; the rest is room for tool results.
            max_response_bytes: 32 << 20,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(60),
            idle: Duration::from_secs(90),
            total: Duration::from_secs(1800),
        }
    }
}
