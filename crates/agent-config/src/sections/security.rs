use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::choice::{SignatureAlgorithm, WhitelistLevel};
use crate::units::{ByteSize, HumanDuration};

/// Transport security, request limits, and what unknown actions may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityConfig {
    /// Serve HTTPS instead of HTTP. It needs `tls_cert_path` and `tls_key_path`.
    pub enable_tls: bool,
    /// The certificate chain that is served, in PEM.
    #[schemars(with = "Option<String>")]
    pub tls_cert_path: Option<PathBuf>,
    /// The private key of the certificate, in PEM. In `Production` only its owner may read it.
    #[schemars(with = "Option<String>")]
    pub tls_key_path: Option<PathBuf>,
    /// How old an API key may grow before the next standby key of `claude-agent keys` takes over.
    pub api_key_rotation_interval: HumanDuration,
    /// The largest request body that the agent's own API accepts.
    pub max_request_size: ByteSize,
    /// The largest request body that the Messages API routes accept; the default is the real API's own limit.
    pub max_gateway_request_size: ByteSize,
    /// How many requests one credential may make in a minute, on the Messages API and the agent API. 0 is no limit.
    pub rate_limit_requests_per_minute: u32,
    /// Ask for a signature (RFC 9421) on every request under `/v1` and to the agent.
    pub enable_request_signing: bool,
    /// The keys that requests may be signed with, as `{ id = "ci", algorithm = "hmac-sha256", key_file = "/path" }`. The file
    /// holds the shared secret of `hmac-sha256`, or the client's public key in PEM for `ed25519`.
    pub request_signing_keys: Vec<SigningKey>,
    /// What happens to a command, path, host or tool that no rule knows: `Disabled` allows it, `Warn` allows it with
    /// a warning, `Enforce` asks, `Strict` denies.
    pub whitelist_enforcement_level: WhitelistLevel,
}

/// A key that requests may be signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SigningKey {
    /// The name that the client gives as `keyid`.
    pub id: String,
    /// How the client signs.
    pub algorithm: SignatureAlgorithm,
    /// The file with the key: the shared secret, or the client's public key in PEM.
    #[schemars(with = "String")]
    pub key_file: PathBuf,
}

impl Default for SecurityConfig {
    fn default() -> Self {
        Self {
            enable_tls: false,
            tls_cert_path: None,
            tls_key_path: None,
            api_key_rotation_interval: HumanDuration::days(30),
            max_request_size: ByteSize::mib(10),
            max_gateway_request_size: ByteSize::mib(32),
            rate_limit_requests_per_minute: 100,
            enable_request_signing: false,
            request_signing_keys: Vec::new(),
            whitelist_enforcement_level: WhitelistLevel::Warn,
        }
    }
}
