use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::choice::ApiVersion;
use crate::units::HumanDuration;

/// The address of the real API.
const DEFAULT_BASE_URL: &str = "https://api.anthropic.com";

/// The Messages API that is talked to: where it is, the model, time-outs and retries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// The server that requests go to. `https` only, but for this machine itself. `ANTHROPIC_BASE_URL` sets it too.
    #[schemars(with = "String", extend("format" = "uri"))]
    pub base_url: Url,
    /// The version of the Messages API that requests are written for.
    pub api_version: ApiVersion,
    /// A file that holds the API key and that only its owner may read. The key in `ANTHROPIC_API_KEY` goes before it,
    /// those of `claude-agent keys` come after it.
    #[schemars(with = "Option<String>")]
    pub api_key_file: Option<PathBuf>,
    /// A program that prints the API key, and its arguments: `["/usr/bin/pass", "show", "anthropic"]`. No shell reads it. It is asked
    /// when the agent starts, and again when the API refuses the key.
    pub api_key_command: Vec<String>,
    /// The account under which the system's keyring (Secret Service) has the API key, with `claude-agent` as its service. It is asked as
    /// the command is.
    pub api_key_keyring: Option<String>,
    /// The model that answers.
    pub model: String,
    /// The most tokens that one answer may have.
    pub max_output_tokens: u32,
    /// How long opening a connection may take.
    pub connect_timeout: HumanDuration,
    /// How long the first byte of an answer may take.
    pub first_byte_timeout: HumanDuration,
    /// How long a stream may go without an event that says something; pings do not count.
    pub idle_timeout: HumanDuration,
    /// How long an answer may take from the request to its last byte. Streams are long.
    pub total_timeout: HumanDuration,
    /// How often a request that failed for a passing reason is sent again.
    pub max_retries: u32,
    /// The longest pause before a retry; a server that asks for more ends the request.
    pub max_retry_after: HumanDuration,
    /// Certificates, in PEM, that are trusted besides the system's own.
    #[schemars(with = "Option<String>")]
    pub ca_bundle: Option<PathBuf>,
    /// A file with the prices of models, used instead of the built-in table.
    #[schemars(with = "Option<String>")]
    pub prices_file: Option<PathBuf>,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            base_url: Url::parse(DEFAULT_BASE_URL).expect("the built-in address is a URL; a test parses it"),
            api_version: ApiVersion::V2026_10_21,
            api_key_file: None,
            api_key_command: Vec::new(),
            api_key_keyring: None,
            model: "claude-opus-5-5".to_owned(),
            max_output_tokens: 32_000,
            connect_timeout: HumanDuration::secs(10),
            first_byte_timeout: HumanDuration::secs(60),
            idle_timeout: HumanDuration::secs(90),
            // 128,000 tokens, the longest answer of any model, at 80 tokens a second.
            total_timeout: HumanDuration::secs(1800),
            max_retries: 4,
            max_retry_after: HumanDuration::secs(60),
            ca_bundle: None,
            prices_file: None,
        }
    }
}
