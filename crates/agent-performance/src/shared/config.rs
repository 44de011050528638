use std::fmt;
use std::time::Duration;

use redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

/// Longest prefix: it is sent with every key.
const MAX_PREFIX: usize = 128;

/// A command that has not been answered in this time is given up, unless told otherwise. On one network an answer takes
/// well under a millisecond; a person does not notice a quarter of a second once.
const DEFAULT_COMMAND_TIMEOUT: Duration = Duration::from_millis(250);

/// Where the shared store is, and how it is used.
#[derive(Clone)]
pub struct SharedConfig {
    pub(super) info: ConnectionInfo,
    key_prefix: String,
    /// What one command may take, from the call to the answer, the wait for a first connection included.
    pub command_timeout: Duration,
}

/// The configuration of the shared store can't be used. Never shows the URL, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SharedConfigError {
    /// Not a URL that leads to a Redis server.
    #[error(
        "the URL of the shared store is not one ({0}); write redis://host:6379, rediss:// for TLS, or redis+unix:///path"
    )]
    Url(&'static str),
    /// Not a usable prefix.
    #[error(
        "the key prefix of the shared store must have 1 to {MAX_PREFIX} characters out of a-z, A-Z, 0-9, - _ . : /"
    )]
    Prefix,
    /// A time-out of nothing.
    #[error("the command time-out of the shared store must be longer than zero")]
    Timeout,
}

impl SharedConfig {
    /// Reads `url`: `redis://[user][:password@]host[:port][/database]`, `rediss://…` for TLS, or
    /// `redis+unix:///path?db=…&user=…&pass=…`. Keys all begin with `key_prefix`, so that deployments can share a server.
    ///
    /// # Errors
    /// When one of the two can't be used.
    pub fn new(url: &str, key_prefix: &str) -> Result<Self, SharedConfigError> {
        let fits = (1..=MAX_PREFIX).contains(&key_prefix.len());
        // Other characters have a meaning in patterns, or in keys of a cluster.
        let plain = key_prefix
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte));
        if !fits || !plain {
            return Err(SharedConfigError::Prefix);
        }
        if url.contains('#') {
            return Err(SharedConfigError::Url(
                "it has a fragment, and certificates are always checked",
            ));
        }
        let info = url
            .into_connection_info()
            .map_err(|_| SharedConfigError::Url("it can't be parsed"))?;
        // The third version of the protocol carries invalidations over the same connection.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        Ok(SharedConfig {
            info: info.set_redis_settings(settings),
            key_prefix: key_prefix.to_owned(),
            command_timeout: DEFAULT_COMMAND_TIMEOUT,
        })
    }

    /// With another time-out for commands.
    ///
    /// # Errors
    /// For zero.
    pub fn with_command_timeout(mut self, timeout: Duration) -> Result<Self, SharedConfigError> {
        if timeout.is_zero() {
            return Err(SharedConfigError::Timeout);
        }
        self.command_timeout = timeout;
        Ok(self)
    }

    /// Host and port, or path: what may be shown.
    pub fn address(&self) -> String {
        self.info.addr().to_string()
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.key_prefix)
    }

    /// Channels do not belong to a database, keys do.
    pub(super) fn channel(&self) -> String {
        format!("{}:{}:events", self.key_prefix, self.info.redis_settings().db())
    }

    /// `text` without the password, should the server or the library have repeated it, on one line of bounded length.
    pub(super) fn redact(&self, text: &str) -> String {
        /// A sentence and an address; a server's whole essay belongs into its own log.
        const MAX_TEXT: usize = 300;
        let text = match self.info.redis_settings().password() {
            Some(password) if !password.is_empty() => text.replace(password, "[redacted]"),
            _ => text.to_owned(),
        };
        text.chars()
            .take(MAX_TEXT)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    }
}

impl fmt::Debug for SharedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedConfig")
            .field("address", &self.address())
            .field("key_prefix", &self.key_prefix)
            .field("command_timeout", &self.command_timeout)
            .finish_non_exhaustive()
    }
}
