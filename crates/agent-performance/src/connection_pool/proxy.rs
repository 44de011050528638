//! Which proxy a request goes through, and how to get through it.

use std::fmt;
use std::io;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::io::Stream;

/// Largest head of a proxy's answer to CONNECT. Real ones are a few lines.
const MAX_CONNECT_HEAD_BYTES: usize = 8 * 1024;

/// The proxies of the usual environment variables, as values: nothing here reads the environment.
///
/// Requests to `https` origins are tunnelled (CONNECT), those to `http` origins forwarded. The proxy itself is reached over
/// `http` or `https`, with the user name and password of its address, if any. SOCKS is not spoken.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    http: String,
    https: String,
    all: String,
    no_proxy: String,
}

/// A proxy's address cannot be used. Does not show it: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the proxy address in {variable} cannot be used: {reason}; give one like http://proxy.example:3128, or unset it"
)]
pub struct ProxyError {
    /// The variable that names it.
    pub variable: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl ProxySettings {
    /// No proxy for anything.
    pub fn none() -> Self {
        Self::default()
    }

    /// From `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` (or the same in lower case), as `variable` gives them. An
    /// empty one is as good as none. Where `REQUEST_METHOD` is set, `HTTP_PROXY` is left out: in a CGI program it would be
    /// a header of the request.
    ///
    /// # Errors
    /// [`ProxyError`] for an address that is not that of an HTTP proxy. Going on without it would go around the proxy.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let of = |upper: &str, lower: &str| {
            let given = [upper, lower].into_iter().filter_map(&variable);
            given
                .map(|value| value.trim().to_owned())
                .find(|value| !value.is_empty())
                .unwrap_or_default()
        };
        let cgi = variable("REQUEST_METHOD").is_some();
        Ok(ProxySettings {
            http: checked(
                "HTTP_PROXY",
                if cgi {
                    of("http_proxy", "http_proxy")
                } else {
                    of("HTTP_PROXY", "http_proxy")
                },
            )?,
            https: checked("HTTPS_PROXY", of("HTTPS_PROXY", "https_proxy"))?,
            all: checked("ALL_PROXY", of("ALL_PROXY", "all_proxy"))?,
            no_proxy: of("NO_PROXY", "no_proxy"),
        })
    }

    pub(super) fn matcher(&self) -> Matcher {
        Matcher::builder()
            .http(self.http.as_str())
            .https(self.https.as_str())
            .all(self.all.as_str())
            .no(self.no_proxy.as_str())
            .build()
    }
}

fn checked(variable: &'static str, address: String) -> Result<String, ProxyError> {
    let wrong = |reason| Err(ProxyError { variable, reason });
    if address.is_empty() {
        return Ok(address);
    }
    let Ok(uri) = address.parse::<Uri>() else {
        return wrong("it is not an address");
    };
    match uri.scheme_str() {
        None | Some("http" | "https") => {}
        Some("socks4" | "socks4a" | "socks5" | "socks5h") => return wrong("SOCKS proxies are not supported"),
        Some(_) => return wrong("it begins with neither http:// nor https://"),
    }
    if uri.host().is_none_or(str::is_empty) {
        return wrong("it names no host");
    }
    Ok(address)
}

impl fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |address: &String| if address.is_empty() { "none" } else { "[set]" };
        f.debug_struct("ProxySettings")
            .field("http", &shown(&self.http))
            .field("https", &shown(&self.https))
            .field("all", &shown(&self.all))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// What a forwarded request has to carry.
pub(super) fn authorization(proxy: &Intercept) -> Option<HeaderValue> {
    proxy.basic_auth().cloned()
}

#[derive(Debug, thiserror::Error)]
pub(super) enum TunnelError {
    #[error("the proxy refused the tunnel: {0}")]
    Refused(String),
    #[error("the proxy's answer to CONNECT is not HTTP, or longer than {MAX_CONNECT_HEAD_BYTES} bytes")]
    Garbled,
    #[error("the proxy closed the connection: {0}")]
    Broken(#[from] io::Error),
}

/// Asks the proxy at the other end of `stream` for a tunnel to `host`. Reads not one byte of what comes through it.
pub(super) async fn open_tunnel(
    stream: &mut Stream,
    host: &str,
    port: u16,
    authorization: Option<HeaderValue>,
) -> Result<(), TunnelError> {
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
    if let Some(authorization) = authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await?;
    stream.flush().await?;
    let mut head = Vec::new();
    // Byte by byte, once a connection: the byte after the head is the origin's.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_CONNECT_HEAD_BYTES {
            return Err(TunnelError::Garbled);
        }
        head.push(stream.read_u8().await?);
    }
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| TunnelError::Garbled)?;
    let (version, status) = line.split_once(' ').ok_or(TunnelError::Garbled)?;
    if !version.starts_with("HTTP/1.") {
        return Err(TunnelError::Garbled);
    }
    if status.starts_with('2') {
        return Ok(());
    }
    // Shown to people: no control characters of a stranger's.
    Err(TunnelError::Refused(
        status.chars().filter(|c| !c.is_control()).take(100).collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::{ProxyError, ProxySettings};

    fn from(pairs: &[(&str, &str)]) -> Result<ProxySettings, ProxyError> {
        ProxySettings::from_variables(|name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn proxy_of(settings: &ProxySettings, target: &str) -> String {
        let found = settings.matcher().intercept(&target.parse().unwrap());
        found.map_or("direct".to_owned(), |proxy| proxy.uri().to_string())
    }

    #[test]
    fn each_request_finds_its_proxy() {
        let settings = from(&[
            ("http_proxy", "plain:3128"),
            ("HTTPS_PROXY", "http://user:pw@secure:3129"),
            ("NO_PROXY", "internal.example, 10.0.0.0/8, 127.0.0.1"),
        ])
        .unwrap();
        for (target, expected) in [
            ("http://example.com/", "http://plain:3128/"),
            ("https://example.com/", "http://secure:3129/"),
            ("https://internal.example/", "direct"),
            ("https://api.internal.example/", "direct"),
            ("https://notinternal.example/", "http://secure:3129/"),
            ("https://10.1.2.3/", "direct"),
            ("http://127.0.0.1:8080/", "direct"),
        ] {
            assert_eq!(proxy_of(&settings, target), expected, "{target}");
        }
        assert_eq!(
            proxy_of(&from(&[("ALL_PROXY", "http://all:1")]).unwrap(), "https://a.b/"),
            "http://all:1/"
        );
        assert_eq!(
            proxy_of(&from(&[("HTTP_PROXY", " ")]).unwrap(), "http://a.b/"),
            "direct"
        );
        let cgi = from(&[("HTTP_PROXY", "http://evil:1"), ("REQUEST_METHOD", "GET")]).unwrap();
        assert_eq!(proxy_of(&cgi, "http://a.b/"), "direct");
    }

    #[test]
    fn a_useless_proxy_is_an_error_and_passwords_stay_hidden() {
        for (address, reason) in [
            ("socks5://user:hunter2@host:1080", "SOCKS"),
            ("ftp://user:hunter2@host", "neither"),
            ("http://user:hunter2@ho st", "not an address"),
        ] {
            let error = from(&[("ALL_PROXY", address)]).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("ALL_PROXY"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let settings = from(&[("HTTPS_PROXY", "http://user:hunter2@host:1")]).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
