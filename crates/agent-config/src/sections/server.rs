use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{ByteSize, HumanDuration};

/// The port that nothing else of note listens on.
const DEFAULT_PORT: u16 = 8642;

/// The daemon that `claude-agent serve` starts: where it listens, who may talk to it, and what one client can hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// The address and port that are listened on. Beyond this machine only with `security.enable_tls`. Port 0 takes a
    /// free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Listen on a Unix socket, too. Only the user that the daemon runs as can open it.
    pub enable_unix_socket: bool,
    /// The Unix socket. When it is not set: `claude-agent.sock` in the data folder.
    #[schemars(with = "Option<String>")]
    pub unix_socket: Option<PathBuf>,
    /// The file with the token that every client shows. It is made at the first start. When it is not set: `token` in
    /// the data folder.
    #[schemars(with = "Option<String>")]
    pub token_file: Option<PathBuf>,
    /// Names that clients may reach the daemon by, besides the address it listens on and this machine's own names: what
    /// may stand in the `Host` header.
    pub allowed_hosts: Vec<String>,
    /// Web pages that may talk to the daemon, each by its origin, such as `https://dash.example`. All others are refused.
    pub allowed_origins: Vec<String>,
    /// How many connections are open at once; more wait to be accepted.
    pub max_connections: u32,
    /// How long a client may take to send the head of a request.
    pub header_read_timeout: HumanDuration,
    /// How long a request's body may pause between two pieces.
    pub body_read_timeout: HumanDuration,
    /// How long a connection is kept open without a request.
    pub keep_alive_timeout: HumanDuration,
    /// How long a client may take nothing of an answer before it is disconnected.
    pub write_timeout: HumanDuration,
    /// The memory that the bodies of all requests together may take.
    pub max_buffered_bodies: ByteSize,
    /// How long requests and turns may take to end after the daemon was asked to stop.
    pub drain_deadline: HumanDuration,
    /// How many turns the agent works on at once.
    pub max_turns_in_flight: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            enable_unix_socket: true,
            unix_socket: None,
            token_file: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            max_connections: 1024,
            header_read_timeout: HumanDuration::secs(10),
            body_read_timeout: HumanDuration::secs(30),
            keep_alive_timeout: HumanDuration::secs(75),
            write_timeout: HumanDuration::secs(30),
            max_buffered_bodies: ByteSize::mib(256),
            drain_deadline: HumanDuration::secs(30),
            max_turns_in_flight: 32,
        }
    }
}
