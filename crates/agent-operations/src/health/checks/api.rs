//! Whether the Messages API can be reached.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use agent_config::{ApiVersion, Secret};
use agent_performance::connection_pool::HttpConnectionPool;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use url::Url;

use crate::health::{CheckResult, HealthCheck};

/// Asks the API for one model's name, over the connections that everything else uses.
///
/// An answer of any status means that it can be reached; one that refuses the key is a warning.
pub struct ApiConnectivityCheck {
    origin: String,
    url: Url,
    connections: Arc<HttpConnectionPool>,
    key: Option<(CurrentKey, ApiVersion)>,
}

/// Gives the key in use.
type CurrentKey = Box<dyn Fn() -> Option<Secret> + Send + Sync>;

impl fmt::Debug for ApiConnectivityCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiConnectivityCheck")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl ApiConnectivityCheck {
    /// Looks without a key: whether it is good stays unknown.
    pub fn new(base_url: &Url, connections: Arc<HttpConnectionPool>) -> Self {
        let mut url = base_url.clone();
        let path = format!("{}/v1/models", base_url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.set_query(Some("limit=1"));
        ApiConnectivityCheck {
            origin: base_url.origin().ascii_serialization(),
            url,
            connections,
            key: None,
        }
    }

    /// Shows the key that `current` gives at the time, so that a refused one is noticed.
    #[must_use]
    pub fn with_key(
        mut self,
        current: impl Fn() -> Option<Secret> + Send + Sync + 'static,
        version: ApiVersion,
    ) -> Self {
        self.key = Some((Box::new(current), version));
        self
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut request = Request::get(self.url.as_str());
        if let Some((current, version)) = &self.key
            && let Some(key) = current()
        {
            request = request
                .header("x-api-key", key.expose())
                .header("anthropic-version", version.as_str());
        }
        request.body(Full::default())
    }
}

#[async_trait]
impl HealthCheck for ApiConnectivityCheck {
    async fn check(&self) -> CheckResult {
        let request = match self.request() {
            Ok(request) => request,
            Err(error) => return CheckResult::fail(format!("{} can't be asked: {error}", self.origin)),
        };
        let begun = Instant::now();
        let unreachable = |why: String| {
            CheckResult::fail(format!(
                "{} can't be reached: {why}; check the network, the proxy and api.base_url",
                self.origin
            ))
        };
        let client = match self.connections.get_client(&self.origin).await {
            Ok(client) => client,
            Err(error) => return unreachable(error.to_string()),
        };
        let status = match client.send(request).await {
            Ok(answer) => answer.status(),
            Err(error) => return unreachable(error.to_string()),
        };
        let taken = begun.elapsed().as_secs_f64() * 1e3;
        let result =
            if self.key.is_some() && matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                CheckResult::warn(format!(
                    "{} refuses the API key ({}); `claude-agent keys list` tells where it comes from",
                    self.origin,
                    status.as_u16()
                ))
            } else {
                CheckResult::pass(format!("{} answers ({})", self.origin, status.as_u16()))
            };
        result.observing("responseTime", taken, "ms")
    }

    fn name(&self) -> &str {
        "api"
    }
}
