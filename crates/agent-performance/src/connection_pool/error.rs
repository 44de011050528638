use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Malformed;

/// The pool could not give a client or a place.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PoolError {
    /// The text does not name a scheme, host and port that can be connected to.
    #[error("`{origin}` is not a usable origin: {reason}")]
    InvalidOrigin {
        /// What was given.
        origin: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More hosts are in use at once than the pool keeps clients for.
    #[error(
        "connections to {limit} hosts are in use already, so none can be opened to {origin}; wait until one is free"
    )]
    TooManyOrigins {
        /// The host asked for.
        origin: String,
        /// The number of hosts.
        limit: usize,
    },
    /// All connections to the host stayed busy, or too many requests wait for one.
    #[error(
        "all {limit} connections to {origin} are busy ({waiting} requests waiting); gave up after {} ms. \
         Send fewer requests at once, or raise max_connections_per_host",
        waited.as_millis()
    )]
    Exhausted {
        /// The host.
        origin: String,
        /// `max_connections_per_host`.
        limit: usize,
        /// Requests waiting when this one gave up.
        waiting: usize,
        /// How long it had waited. Zero when the queue itself was full.
        waited: Duration,
    },
}

/// Why no connection came about. Each has its own remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectFailure {
    /// The host name has no address.
    Dns,
    /// The address is one that this pool must not connect to.
    Forbidden,
    /// Nothing listens on that port.
    Refused,
    /// No network path, or the connection broke while it was made.
    Unreachable,
    /// The TLS handshake failed, or certificates could not be loaded.
    Tls,
    /// The proxy could not be reached, or refused to pass the request on.
    Proxy,
    /// No connection within the time allowed.
    TimedOut,
}

impl ConnectFailure {
    /// What a person can do about it.
    pub fn advice(self) -> &'static str {
        match self {
            ConnectFailure::Dns => "check the host name and the network connection",
            ConnectFailure::Forbidden => {
                "name an address of the public Internet, or have the operator allow this one"
            }
            ConnectFailure::Refused => "check that the server runs and that the address and port are right",
            ConnectFailure::Unreachable => "check the network connection and any firewall",
            ConnectFailure::Tls => {
                "check the clock and the server's certificate; behind a TLS-inspecting proxy, name its certificate \
                 authority in ca_bundle"
            }
            ConnectFailure::Proxy => {
                "check the proxy in HTTPS_PROXY or HTTP_PROXY and its password, or name the host in NO_PROXY"
            }
            ConnectFailure::TimedOut => {
                "check the network, a firewall or a needed proxy; a slow network may need a longer connect timeout"
            }
        }
    }

    fn text(self) -> &'static str {
        match self {
            ConnectFailure::Dns => "the host name could not be resolved",
            ConnectFailure::Forbidden => "the host leads to an address that must not be connected to",
            ConnectFailure::Refused => "connection refused",
            ConnectFailure::Unreachable => "the host could not be reached",
            ConnectFailure::Tls => "TLS failed",
            ConnectFailure::Proxy => "the proxy made no connection",
            ConnectFailure::TimedOut => "timed out",
        }
    }
}

/// A request brought no response head.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendError {
    /// No connection. Nothing was sent.
    #[error("cannot connect to {origin}: {}{}; {}", failure.text(), detail(source), failure.advice())]
    Connect {
        /// Where to.
        origin: String,
        /// What kind of failure.
        failure: ConnectFailure,
        /// The cause beneath, where there is one.
        source: Option<Arc<dyn Error + Send + Sync>>,
    },
    /// No connection was free. Nothing was sent.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The request went out and no response head came in time.
    #[error("{origin} did not begin to answer within {} ms", after.as_millis())]
    HeadTimeout {
        /// Where to.
        origin: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke, or the answer was not HTTP. The server may have seen the request.
    #[error("the connection to {origin} broke before an answer came{}", detail(&Some(Arc::clone(source))))]
    Broken {
        /// Where to.
        origin: String,
        /// The cause beneath.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The request is for another origin than this client's. A mistake in the calling code.
    #[error("a request for `{uri}` was given to the client of {origin}")]
    WrongOrigin {
        /// The client's origin.
        origin: String,
        /// The request's address.
        uri: String,
    },
}

/// An answer broke off, or could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The socket failed.
    #[error("the connection failed ({0})")]
    Io(#[source] io::Error),
    /// The server closed the connection before the answer was complete.
    #[error("the connection was closed before the answer was complete")]
    Closed,
    /// It is not HTTP, or its end can't be told for sure.
    #[error("the answer can't be read: {0}")]
    Malformed(#[source] Malformed),
    /// The body of the request could not be made.
    #[error("the request's body failed ({0})")]
    Request(#[source] Box<dyn Error + Send + Sync>),
    /// The body of the request was not as long as it had said.
    #[error("the request's body has another length than it said")]
    RequestLength,
    /// On a connection that other requests may share.
    #[error(transparent)]
    Shared(hyper::Error),
}

impl SendError {
    /// True when the time to connect ran out.
    pub fn connect_timed_out(&self) -> bool {
        matches!(
            self,
            SendError::Connect {
                failure: ConnectFailure::TimedOut,
                ..
            }
        )
    }
}

/// The innermost cause: wrappers above it only say that something failed.
fn detail(source: &Option<Arc<dyn Error + Send + Sync>>) -> String {
    let Some(source) = source else {
        return String::new();
    };
    let mut cause: &dyn Error = source.as_ref();
    while let Some(next) = cause.source() {
        cause = next;
    }
    format!(" ({cause})")
}
