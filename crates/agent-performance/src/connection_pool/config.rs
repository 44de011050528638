use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::ProxySettings;

/// Limits and times of an [`HttpConnectionPool`](super::HttpConnectionPool).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionPoolConfig {
    /// Connections to one origin, in use and idle together. Enforced; at least 1.
    pub max_connections_per_host: usize,
    /// Idle connections kept for reuse, over all origins. At it, a new origin costs the one that was asked for longest ago
    /// its own; what an origin may keep is its `max_connections_per_host` in any case.
    pub max_idle_connections: usize,
    /// An idle connection is closed after this.
    pub idle_timeout: Duration,
    /// Name lookup, TCP and TLS together.
    pub connection_timeout: Duration,
    /// From the request on a connection to the head of its response, where the caller sets no other.
    pub request_timeout: Duration,
    /// How long a request waits for its turn when all connections are busy.
    pub acquire_timeout: Duration,
    /// TCP keep-alive probes start after this much silence.
    pub tcp_keepalive: Duration,
    /// Speak HTTP/2 to origins that offer it under TLS. One connection then carries several requests at once, as many as
    /// `max_connections_per_host` says.
    pub http2: bool,
    /// An HTTP/2 connection is probed this often, also while idle, so that a dead one is found before it is needed.
    pub http2_keep_alive_interval: Duration,
    /// PEM file with certificate authorities trusted in addition to the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Proxies to go through.
    pub proxy: ProxySettings,
    /// Judges every address before a connection is made to it, a proxy's included; `None` connects anywhere.
    pub address_filter: Option<AddressFilter>,
}

/// Says whether a host may be reached at an address. Asked for each address that the host's name has at the moment of connecting; only
/// one that was asked about is connected to.
#[derive(Clone)]
pub struct AddressFilter(Arc<Allows>);

type Allows = dyn Fn(&str, IpAddr) -> bool + Send + Sync;

impl AddressFilter {
    /// A filter of the host, as the request names it (IPv6 addresses without brackets), and one of its addresses.
    pub fn new(allows: impl Fn(&str, IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(allows))
    }

    pub(super) fn allows(&self, host: &str, address: IpAddr) -> bool {
        (self.0)(host, address)
    }
}

/// Filters are the same when they are clones of one.
impl PartialEq for AddressFilter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for AddressFilter {}

impl fmt::Debug for AddressFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddressFilter")
    }
}

impl Default for ConnectionPoolConfig {
    fn default() -> Self {
        ConnectionPoolConfig {
            max_connections_per_host: 10,
            max_idle_connections: 20,
            idle_timeout: Duration::from_secs(30),
            connection_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(120),
            acquire_timeout: Duration::from_secs(30),
            tcp_keepalive: Duration::from_secs(60),
            http2: true,
            http2_keep_alive_interval: Duration::from_secs(10),
            ca_bundle: None,
            proxy: ProxySettings::none(),
            address_filter: None,
        }
    }
}
