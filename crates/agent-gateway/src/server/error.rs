use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::TlsError;
use crate::relay::InvalidUpstream;

/// Why the gateway can't listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The upstream can't be asked anything.
    #[error(transparent)]
    Upstream(#[from] InvalidUpstream),
    /// The TCP address can't be listened on.
    #[error(
        "can't listen on {address}: {source}; is another daemon running? set server.listen to a free address"
    )]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Certificate or key can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Somebody answers on the Unix socket.
    #[error("another program listens on {path}; stop it, or set server.unix_socket to another path")]
    SocketInUse {
        /// The socket.
        path: PathBuf,
    },
    /// The Unix socket can't be made.
    #[error("can't listen on {path}: {source}; set server.unix_socket to a path in a folder of your own")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Other machines could reach it unprotected.
    #[error("{address} can be reached from other machines, which needs {missing}; {advice}")]
    Exposed {
        /// The address.
        address: SocketAddr,
        /// What is missing.
        missing: &'static str,
        /// How to get it.
        advice: &'static str,
    },
}
