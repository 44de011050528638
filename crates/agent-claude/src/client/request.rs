//! Where requests go and what every one of them carries.

use std::time::Duration;

use agent_performance::cache::{CacheKey, KeyParts, Tenant};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use url::Url;

use super::ClaudeConfig;
use crate::error::{ClaudeError, ClaudeResult};
use crate::keys::{KeyInUse, KeyRing};
use crate::messages::ApiVersion;

const AGENT: &str = concat!("claude-desktop-agent/", env!("CARGO_PKG_VERSION"));

/// The slowest uplink that the timers allow for. A context of several megabytes takes a while on a poor line, and that
/// is no silence of the API's. Below one second's worth nothing is added.
const UPLOAD_BYTES_PER_SECOND: u64 = 128 << 10;

/// The API's address and the headers for it, checked once.
pub(super) struct Endpoint {
    origin: String,
    /// Without a slash at its end.
    base: String,
    headers: HeaderMap,
    api_version: ApiVersion,
    /// As sent.
    betas: String,
    keys: KeyRing,
}

/// A request ready to be sent, as often as it takes.
pub(super) struct Call {
    method: Method,
    uri: Uri,
    body: Bytes,
    /// From sent to the head of the reply.
    pub(super) first_byte: Duration,
}

impl Endpoint {
    pub(super) fn new(config: &ClaudeConfig) -> ClaudeResult<Self> {
        let url = &config.base_url;
        check_base_url(url)?;
        if !config.keys.is_for(url) {
            return Err(invalid(format!(
                "the API keys are bound to another host than {}",
                url.host_str().unwrap_or("(none)")
            )));
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(
            "anthropic-version",
            HeaderValue::from_static(config.api_version.as_str()),
        );
        let betas = config.betas.join(",");
        if !betas.is_empty() {
            let value = HeaderValue::from_str(&betas)
                .map_err(|_| invalid(format!("`{betas}` cannot be a value of anthropic-beta")))?;
            headers.insert("anthropic-beta", value);
        }
        let origin = url.origin().ascii_serialization();
        let base = format!("{origin}{}", url.path().trim_end_matches('/'));
        Ok(Endpoint {
            origin,
            base,
            headers,
            api_version: config.api_version,
            betas,
            keys: config.keys.clone(),
        })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// `first_byte` is the time from the body sent; the time to send it is added here.
    pub(super) fn post(&self, path: &str, body: Bytes, first_byte: Duration) -> ClaudeResult<Call> {
        let upload = Duration::from_secs(body.len() as u64 / UPLOAD_BYTES_PER_SECOND);
        let first_byte = first_byte.saturating_add(upload);
        Ok(Call {
            method: Method::POST,
            uri: self.uri(path)?,
            body,
            first_byte,
        })
    }

    pub(super) fn get(&self, path: &str, first_byte: Duration) -> ClaudeResult<Call> {
        Ok(Call {
            method: Method::GET,
            uri: self.uri(path)?,
            body: Bytes::new(),
            first_byte,
        })
    }

    pub(super) fn keys(&self) -> &KeyRing {
        &self.keys
    }

    pub(super) fn request(&self, call: &Call, key: Option<&KeyInUse>) -> Request<Full<Bytes>> {
        // The body is shared, not copied: a retry sends the same bytes.
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = call.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(key) = key {
            key.put_on(request.headers_mut(), self.api_version);
        }
        request
    }

    /// Under what a cache keeps the answer to `call`: everything that it depends on.
    pub(super) fn cache_key(&self, call: &Call) -> CacheKey {
        let parts = KeyParts {
            tenant: self
                .keys
                .current()
                .map_or_else(|| Tenant::of_credential(b""), |key| key.tenant()),
            method: call.method.as_str(),
            endpoint: &call.uri.to_string(),
            api_version: self.api_version.as_str(),
            betas: &[&self.betas],
            selectors: &[],
            body: &call.body,
        };
        parts.key()
    }

    fn uri(&self, path: &str) -> ClaudeResult<Uri> {
        let text = format!("{}{path}", self.base);
        text.parse()
            .map_err(|_| invalid(format!("`{text}` is not an address")))
    }
}

fn check_base_url(url: &Url) -> ClaudeResult<()> {
    let wrong = match url.scheme() {
        "http" | "https" => {
            if !url.username().is_empty() || url.password().is_some() {
                "it must not contain a user name or password"
            } else if url.query().is_some() || url.fragment().is_some() {
                "it must end after the path"
            } else {
                return Ok(());
            }
        }
        _ => "it must begin with http:// or https://",
    };
    // Not the URL itself: it may hold a password.
    Err(invalid(format!(
        "the base URL for host {} is wrong: {wrong}",
        url.host_str().unwrap_or("(none)")
    )))
}

fn invalid(message: String) -> ClaudeError {
    ClaudeError::InvalidRequest { message }
}

#[cfg(test)]
mod tests {
    use agent_config::Secret;

    use super::*;

    fn config(url: &str) -> ClaudeConfig {
        let url: Url = url.parse().unwrap();
        ClaudeConfig {
            keys: KeyRing::of(&url, Secret::from("sk-ant-hidden")).unwrap_or_default(),
            ..ClaudeConfig::new(url)
        }
    }

    fn address(url: &str) -> String {
        let endpoint = Endpoint::new(&config(url)).unwrap();
        endpoint
            .get("/v1/models", Duration::ZERO)
            .unwrap()
            .uri
            .to_string()
    }

    #[test]
    fn a_path_prefix_is_kept() {
        assert_eq!(
            address("https://api.anthropic.com"),
            "https://api.anthropic.com/v1/models"
        );
        assert_eq!(
            address("http://127.0.0.1:9/prefix"),
            "http://127.0.0.1:9/prefix/v1/models"
        );
        assert_eq!(address("http://[::1]:9/a/b/"), "http://[::1]:9/a/b/v1/models");
    }

    #[test]
    fn unusable_base_urls_and_keys_say_why_and_never_show_a_secret() {
        for (url, reason) in [
            ("ftp://host/", "http://"),
            ("http://user:sk-ant-hidden@host/", "password"),
            ("http://host/?key=sk-ant-hidden", "end after the path"),
        ] {
            let error = Endpoint::new(&config(url)).err().unwrap().to_string();
            assert!(error.contains(reason) && error.contains("host"), "{error}");
            assert!(!error.contains("hidden"), "{error}");
        }
        let mut broken = config("https://host");
        broken.base_url = "https://other".parse().unwrap();
        let error = Endpoint::new(&broken).err().unwrap().to_string();
        assert!(error.contains("bound to another host"), "{error}");
        broken = config("https://host");
        broken.betas = vec!["a\nb".into()];
        assert!(Endpoint::new(&broken).is_err());
    }

    #[test]
    fn a_large_body_has_time_to_be_sent() {
        let endpoint = Endpoint::new(&config("https://host")).unwrap();
        let allowed = |bytes: usize| {
            let body = Bytes::from(vec![b' '; bytes]);
            endpoint
                .post("/", body, Duration::from_secs(60))
                .unwrap()
                .first_byte
                .as_secs()
        };
        assert_eq!(allowed(48_000), 60);
        assert_eq!(allowed(32 << 20), 60 + 256);
    }

    #[test]
    fn each_version_has_its_credential_and_none_is_shown() {
        let mut config = config("https://host");
        config.betas = vec!["one".into(), "two".into()];
        for (version, name, value) in [
            (ApiVersion::V2023_06_01, "x-api-key", "sk-ant-hidden"),
            (ApiVersion::V2026_10_21, "authorization", "Bearer sk-ant-hidden"),
        ] {
            config.api_version = version;
            let endpoint = Endpoint::new(&config).unwrap();
            let request = endpoint.request(
                &endpoint.get("/", Duration::ZERO).unwrap(),
                endpoint.keys().current().as_ref(),
            );
            assert_eq!(request.headers()[name], value);
            assert_eq!(request.headers()["anthropic-version"], version.as_str());
            assert_eq!(request.headers()["anthropic-beta"], "one,two");
            assert!(
                request.headers()["user-agent"]
                    .to_str()
                    .unwrap()
                    .starts_with("claude-desktop-agent/")
            );
            assert!(
                request.headers().contains_key("x-api-key")
                    != request.headers().contains_key("authorization")
            );
            assert!(!format!("{request:?} {config:?}").contains("hidden"));
        }
    }
}
