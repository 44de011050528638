//! [`ApiKey`]: a key of the Messages API with all that is known of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::secret::Secret;

/// Keys are about a hundred characters long; a certificate or a whole `.env` file is more, and was not meant.
pub const MAX_KEY_BYTES: usize = 4096;

/// One of several keys. `Debug` does not show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The name that people and logs call it by.
    pub id: String,
    /// The key itself.
    pub secret: Secret,
    /// The only hosts that it is sent to, as [`host_of`] writes them.
    pub hosts: Vec<String>,
    /// When it was added, in seconds since 1970; none where nobody knows (a key from the environment).
    pub added_at: Option<u64>,
    /// What it is for at the moment.
    pub state: KeyState,
}

/// What a key is for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Requests are sent with it.
    Active,
    /// Takes over when the active one is rotated away or refused.
    Standby,
    /// Was rotated away: still good, but no longer chosen by itself.
    Retired,
    /// The API refused it.
    Rejected,
}

impl KeyState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyState::Active => "active",
            KeyState::Standby => "standby",
            KeyState::Retired => "retired",
            KeyState::Rejected => "rejected",
        }
    }
}

impl ApiKey {
    /// Whether it may be sent to `host`, written as [`host_of`] does.
    pub fn is_bound_to(&self, host: &str) -> bool {
        self.hosts.iter().any(|bound| bound.eq_ignore_ascii_case(host))
    }
}

/// The host that keys for `url` are bound to: its name, with the port where that is not the scheme's own.
pub fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The text as a key, without the white space around it. A key goes into a header: anything but visible ASCII would be
/// refused there, with a worse message.
///
/// # Errors
/// What is wrong with the text, to be put after "it" or the name of where it was; never the text.
pub fn parse_api_key(text: &str) -> Result<Secret, &'static str> {
    let key = text.trim();
    if key.is_empty() {
        Err("is empty")
    } else if key.len() > MAX_KEY_BYTES {
        Err("is too long for a key")
    } else if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err("has characters in it that no key has")
    } else {
        Ok(Secret::from(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart_by_name_and_port() {
        let host = |url: &str| host_of(&url.parse().unwrap());
        assert_eq!(host("https://API.anthropic.com/prefix"), "api.anthropic.com");
        assert_eq!(host("https://api.anthropic.com:443"), "api.anthropic.com");
        assert_eq!(host("http://127.0.0.1:8400"), "127.0.0.1:8400");
        assert_eq!(host("http://[::1]:1"), "[::1]:1");
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for text in [
            "",
            " \n",
            "a b",
            "a\nb",
            "schl\u{fc}ssel",
            &"x".repeat(MAX_KEY_BYTES + 1),
        ] {
            assert!(parse_api_key(text).is_err());
        }
        assert_eq!(parse_api_key(" sk-ant-1\n").unwrap().expose(), "sk-ant-1");
    }
}
