use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::choice::WhenDown;
use crate::secret::Secret;
use crate::units::HumanDuration;

/// What several daemons share: a Redis or Valkey server for the response cache, rate limits and signature nonces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SharedConfig {
    /// The server, as `redis://host:6379/0`, or `rediss://` for TLS. It may carry a password, so it is never printed. When
    /// it is not set, nothing is shared.
    pub redis_url: Option<Secret>,
    /// What the names of all keys begin with: daemons with the same prefix share, others do not.
    pub key_prefix: String,
    /// How long one command may take. A request waits no longer than this for what is shared.
    pub command_timeout: HumanDuration,
    /// What holds while the server can't be reached: `alone` counts a client's requests in each daemon by itself,
    /// `refuse` answers no request that would have to be counted.
    pub rate_limits_when_down: WhenDown,
    /// The same for the nonces of signed requests: with `alone`, a request could be replayed once to each daemon.
    pub nonces_when_down: WhenDown,
}

impl Default for SharedConfig {
    fn default() -> Self {
        Self {
            redis_url: None,
            key_prefix: "claude-agent".to_owned(),
            command_timeout: HumanDuration::millis(250),
            rate_limits_when_down: WhenDown::Alone,
            nonces_when_down: WhenDown::Refuse,
        }
    }
}
