//! How the monitor works.

use std::time::Duration;

/// The pace of the monitor and how patient it is.
#[derive(Clone, Debug)]
pub struct HealthConfig {
    /// From the start of one cycle to the start of the next. Default 30 s.
    pub check_interval: Duration,
    /// How long one check may take. Default 10 s.
    pub timeout: Duration,
    /// How many failures in a row make a check's failure that of the whole. Default 3; 0 counts as 1.
    pub max_consecutive_failures: u32,
    /// Told with the status.
    pub version: String,
    /// Told with the status.
    pub build_hash: String,
}

impl Default for HealthConfig {
    fn default() -> Self {
        HealthConfig {
            check_interval: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            max_consecutive_failures: 3,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build_hash: "unknown".to_owned(),
        }
    }
}
