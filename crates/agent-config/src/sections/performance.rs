use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{ByteSize, HumanDuration};

/// Limits on concurrency, time and memory, and the response cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PerformanceConfig {
    /// How many requests are worked on at once; more wait.
    pub max_concurrent_requests: u32,
    /// How long a request that is answered in one piece may take. Streamed answers have the limits of `api`.
    pub request_timeout: HumanDuration,
    /// How many connections are opened to one host.
    pub connection_pool_size: u32,
    /// How many idle buffers of each size class are kept for reuse.
    pub memory_pool_max_size: u32,
    /// The resident memory that the process should stay below. Near it buffers and cached answers are given back, and at nine
    /// tenths of it new work is refused until there is room. Without it, limits of the container and stalls of the machine
    /// are all that counts.
    pub memory_limit: Option<ByteSize>,
    /// The memory that the response cache may hold, in MiB.
    pub cache_size_mb: u64,
    /// How long a cached answer is served.
    pub cache_ttl: HumanDuration,
    /// Whether the model's answers are cached, too, and not only lists of models and token counts. An answer is a sample:
    /// with this, the same question gets the same answer again while it is fresh, at no cost.
    pub cache_messages: bool,
    /// How often expired and idle resources are released.
    pub gc_interval: HumanDuration,
    /// Compress answers for clients that accept it. Streams are never held back for it.
    pub enable_compression: bool,
}

impl Default for PerformanceConfig {
    fn default() -> Self {
        Self {
            max_concurrent_requests: 50,
            request_timeout: HumanDuration::secs(120),
            connection_pool_size: 20,
            memory_pool_max_size: 100,
            memory_limit: None,
            cache_size_mb: 100,
            cache_ttl: HumanDuration::secs(300),
            cache_messages: false,
            gc_interval: HumanDuration::secs(60),
            enable_compression: true,
        }
    }
}
