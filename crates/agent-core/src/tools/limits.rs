//! The limits of the built-in tools, as values; where they are configured is not known here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::WebAccess;

/// How much the built-in tools may read, print and wait. [`Default`] gives the documented defaults.
#[derive(Clone, Debug)]
pub struct ToolLimits {
    /// How long a command may run when the call doesn't say.
    pub command_timeout: Duration,
    /// The longest that a call may ask for.
    pub max_command_timeout: Duration,
    /// Bytes of a result; more keeps head and tail.
    pub max_output: usize,
    /// Bytes of a file shown by one `read_file`.
    pub max_file_read: usize,
    /// Matches or names shown by one search or listing.
    pub max_matches: usize,
    /// What `web_fetch` may reach.
    pub web: WebAccess,
    /// The environment that commands inherit from; only the safe part of it passes.
    pub environment: BTreeMap<String, String>,
}

impl Default for ToolLimits {
    fn default() -> Self {
        Self {
            command_timeout: Duration::from_secs(120),
            // An hour covers a full build and test of a large project; beyond, the call is a hang.
            max_command_timeout: Duration::from_secs(3600),
            max_output: 64 * 1024,
            max_file_read: 256 * 1024,
            max_matches: 500,
            web: WebAccess::default(),
            environment: BTreeMap::new(),
        }
    }
}
