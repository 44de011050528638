//! What a simulator is told when it starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use agent_config::Secret;

use crate::fault::FaultSpec;
use crate::latency::Latency;
use crate::limits::RateLimits;
use crate::models::ModelEntry;
use crate::scenario::Scenario;

/// How a simulator behaves. The default answers by its mind, at once, on a free loopback port.
#[derive(Debug, Clone)]
pub struct SimulatorConfig {
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Whether `listen` may be an address that other machines reach.
    pub exposure: Exposure,
    /// Ids, wording, cuts and delays follow from it and from the requests.
    pub seed: u64,
    /// Scripted answers; without them the mind answers everything.
    pub scenario: Option<Scenario>,
    /// What goes wrong.
    pub faults: Vec<FaultSpec>,
    /// From the request to the first byte of the answer.
    pub first_token_delay: Latency,
    /// Before each piece of content in a stream.
    pub token_delay: Latency,
    /// The models it knows.
    pub models: Vec<ModelEntry>,
    /// Keys that are refused with 401; every other key that is not empty is accepted.
    pub revoked_keys: Vec<Secret>,
    /// What a minute allows.
    pub rate_limits: RateLimits,
    /// How long the faults `silence` and `pings` last when the client does not go away by itself.
    pub max_silence: Duration,
}

/// Who may reach the simulator. It accepts any key, so the default is this machine alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Exposure {
    /// Loopback addresses only.
    #[default]
    Loopback,
    /// Any address: containers and test networks need that.
    Network,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            exposure: Exposure::Loopback,
            seed: 0,
            scenario: None,
            faults: Vec::new(),
            first_token_delay: Latency::NONE,
            token_delay: Latency::NONE,
            models: ModelEntry::catalogue(),
            revoked_keys: Vec::new(),
            rate_limits: RateLimits::default(),
            // Longer than any client's total timeout that a test would wait for.
            max_silence: Duration::from_secs(600),
        }
    }
}
