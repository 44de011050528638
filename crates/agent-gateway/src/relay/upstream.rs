//! The API behind the gateway: its address, the key for it, and how long it may take.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use agent_claude::keys::{KeyInUse, KeyRing};
use agent_claude::messages::ApiVersion;
use agent_performance::connection_pool::{
    HttpClient, HttpConnectionPool, PooledBody, RequestBody, SendError, SendLimits,
};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use tokio::sync::OnceCell;

use super::RelayError;
use super::headers;
use crate::answer::Refusal;
use crate::parts::{Upstream, UpstreamTimeouts};
use crate::pipeline::BodyError;
use crate::routes::Surface;

const VERSION: &str = "anthropic-version";

/// Where requests go.
pub(super) struct Api {
    scheme: Scheme,
    authority: Authority,
    /// What stands before `/v1`; without a slash at its end.
    prefix: String,
    /// All of the address before `/v1`.
    base: String,
    keys: KeyRing,
    pub(super) timeouts: UpstreamTimeouts,
    pool: Arc<HttpConnectionPool>,
    client: OnceCell<Arc<HttpClient>>,
}

/// What is wrong with the upstream's address or key.
#[derive(Debug, thiserror::Error)]
pub enum InvalidUpstream {
    /// Nothing can be reached there.
    #[error("the upstream's address is not an http or https address with a host; set it to one")]
    Address,
    /// The keys are for another host.
    #[error("the upstream's keys are bound to another host than its address; make them for this one")]
    Keys,
}

impl Api {
    pub(super) fn new(upstream: &Upstream) -> Result<Self, InvalidUpstream> {
        let uri: Uri = upstream
            .base_url
            .as_str()
            .parse()
            .map_err(|_| InvalidUpstream::Address)?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(InvalidUpstream::Address);
        };
        if !upstream.keys.is_for(&upstream.base_url) {
            return Err(InvalidUpstream::Keys);
        }
        let prefix = upstream.base_url.path().trim_end_matches('/').to_owned();
        Ok(Api {
            base: format!("{scheme}://{authority}{prefix}"),
            scheme,
            authority,
            prefix,
            keys: upstream.keys.clone(),
            timeouts: upstream.timeouts,
            pool: Arc::clone(&upstream.connections),
            client: OnceCell::new(),
        })
    }

    /// What all addresses begin with.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The address of a request, path and query as they came.
    pub(super) fn address(&self, asked: &Uri) -> Result<Uri, RelayError> {
        let path = asked.path_and_query().ok_or(RelayError::NoSuchPath)?;
        if leaves(path.path()) {
            return Err(RelayError::NoSuchPath);
        }
        let path = if self.prefix.is_empty() {
            path.clone()
        } else {
            PathAndQuery::try_from(format!("{}{path}", self.prefix)).map_err(|_| RelayError::NoSuchPath)?
        };
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone());
        uri.path_and_query(path)
            .build()
            .map_err(|_| RelayError::NoSuchPath)
    }

    /// Sends a request whose head came from a client; with `readable`, the answer comes in no encoding. Dropping the future
    /// gives the request up at the upstream, too.
    pub(super) async fn send(
        &self,
        head: Parts,
        uri: Uri,
        body: RequestBody,
        readable: bool,
        head_limit: Duration,
    ) -> Result<Response<PooledBody>, RelayError> {
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = head.headers;
        headers::to_upstream(request.headers_mut(), readable);
        let key = self.sign(request.headers_mut());
        let client = self.client().await?;
        let limits = SendLimits {
            connect: self.timeouts.connect,
            head: head_limit,
            ..client.default_limits()
        };
        let mut response = client
            .send_body(request, limits)
            .await
            .map_err(|error| self.failed(error))?;
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some(key) = key
        {
            // The next request goes with another key; whoever still has this one's body sends it again.
            let _next = self.keys.rejected(&key);
        }
        headers::to_client(response.headers_mut());
        Ok(response)
    }

    /// As the version that the client speaks wants it.
    fn sign(&self, headers: &mut HeaderMap) -> Option<KeyInUse> {
        let key = self.keys.current()?;
        let newest = ApiVersion::V2026_10_21;
        let is_newest = headers
            .get(VERSION)
            .is_some_and(|version| version == newest.as_str());
        key.put_on(
            headers,
            if is_newest {
                newest
            } else {
                ApiVersion::V2023_06_01
            },
        );
        Some(key)
    }

    /// Whether a request whose key is refused could be sent again with another one.
    pub(super) fn has_standby(&self) -> bool {
        self.keys.has_standby()
    }

    async fn client(&self) -> Result<&Arc<HttpClient>, RelayError> {
        let client = self.client.get_or_try_init(|| async {
            let origin = format!("{}://{}", self.scheme, self.authority);
            self.pool.get_client(&origin).await
        });
        client.await.map_err(RelayError::Busy)
    }

    fn failed(&self, error: SendError) -> RelayError {
        if let Some(refusal) = refused_body(&error) {
            return RelayError::PassedBody(refusal);
        }
        if error.connect_timed_out() {
            return RelayError::ConnectTimeout {
                after: self.timeouts.connect,
            };
        }
        tracing::warn!(%error, "a request to the upstream API failed");
        error.into()
    }
}

/// True for a path that some server would resolve to outside of `/v1`: the key is for what is inside.
fn leaves(path: &str) -> bool {
    let dots = |segment: &str| {
        // Some servers resolve dots without the parameters that stand after them.
        let name = segment.split(';').next().unwrap_or_default();
        let plain = name.replace("%2e", ".").replace("%2E", ".");
        plain == "." || plain == ".."
    };
    // Most paths have neither, and are not looked at any closer.
    (path.contains("..") || path.contains("/.") || path.contains('%') || path.contains('\\'))
        && (path.contains('\\') || path.split('/').any(dots) || encoded_slash(path))
}

/// `..%2f` is a way out wherever slashes are decoded before segments are told apart.
fn encoded_slash(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    (lower.contains("%2f") || lower.contains("%5c")) && (lower.contains("..") || lower.contains("%2e"))
}

/// The client's body failed, not the upstream.
fn refused_body(error: &SendError) -> Option<Refusal> {
    let SendError::Broken { source, .. } = error else {
        return None;
    };
    let mut next: Option<&(dyn Error + 'static)> = Some(source.as_ref());
    while let Some(cause) = next {
        if let Some(body) = cause.downcast_ref::<BodyError>() {
            return Some(body.refusal(Surface::Gateway));
        }
        next = cause.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::leaves;

    #[test]
    fn paths_out_of_the_api_are_known() {
        for path in [
            "/v1/../x",
            "/v1/..",
            "/v1/%2e%2e/x",
            "/v1/.%2E/x",
            "/v1/./x",
            "/v1/a\\..\\x",
            "/v1/..%2fx",
            "/v1/%2e%2e%2fx",
            "/v1/..;/x",
            "/v1/.%2e;a=b/x",
        ] {
            assert!(leaves(path), "{path}");
        }
        for path in [
            "/v1/messages",
            "/v1/models/claude-x.5",
            "/v1/files/a..b",
            "/v1/models/a%20b",
            "/v1/files/.hidden",
            "/v1/files/a;b=..",
            "/v1/x/a%2Fb",
        ] {
            assert!(!leaves(path), "{path}");
        }
    }
}
