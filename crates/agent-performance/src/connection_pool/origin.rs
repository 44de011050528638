use std::fmt;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};

use super::PoolError;

/// Scheme, host and port: what connections are shared by. The key of every per-host limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Origin {
    /// From a URL; its path and query do not matter.
    pub(super) fn parse(text: &str) -> Result<Self, PoolError> {
        let uri: Uri = text.parse().map_err(|_| invalid(text, "it is not a URL"))?;
        Self::of(&uri).map_err(|reason| invalid(text, reason))
    }

    pub(super) fn of(uri: &Uri) -> Result<Self, &'static str> {
        let scheme = uri.scheme().ok_or("it must begin with http:// or https://")?;
        let default_port = match scheme {
            s if *s == Scheme::HTTP => 80,
            s if *s == Scheme::HTTPS => 443,
            _ => return Err("it must begin with http:// or https://"),
        };
        let authority = uri.authority().ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err("it must not contain a user name or password");
        }
        Ok(Origin {
            scheme: scheme.clone(),
            host: authority.host().to_ascii_lowercase(),
            port: port(authority, default_port).ok_or("its port is wrong")?,
        })
    }
}

/// By hand, because `Authority::port_u16` is `None` both without a port and with one out of range.
fn port(authority: &Authority, default: u16) -> Option<u16> {
    match authority.as_str().strip_prefix(authority.host())? {
        "" => Some(default),
        given => given.strip_prefix(':')?.parse().ok(),
    }
}

fn invalid(origin: &str, reason: &'static str) -> PoolError {
    PoolError::InvalidOrigin {
        origin: origin.to_owned(),
        reason,
    }
}

impl Origin {
    /// True when `uri` leads here. Said for each request, so it makes nothing.
    pub(super) fn is_of(&self, uri: &Uri) -> bool {
        let default_port = if self.scheme == Scheme::HTTP { 80 } else { 443 };
        let authority = uri.authority();
        uri.scheme() == Some(&self.scheme)
            && authority.is_some_and(|authority| {
                self.host.eq_ignore_ascii_case(authority.host())
                    && port(authority, default_port) == Some(self.port)
            })
    }

    /// The value of the `host` header for it.
    pub(super) fn host_header(&self) -> Option<HeaderValue> {
        let is_default = self.port == if self.scheme == Scheme::HTTP { 80 } else { 443 };
        let text = if is_default {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        };
        HeaderValue::from_str(&text).ok()
    }

    /// Its address, if it is a plain http one.
    pub(super) fn plain_uri(&self) -> Option<Uri> {
        let plain = self.scheme == Scheme::HTTP;
        plain.then(|| self.to_string().parse().ok()).flatten()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn origins_are_normalised_and_bad_ones_say_why() {
        let show = |text: &str| match Origin::parse(text) {
            Ok(origin) => origin.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(show("http://Example.COM/a/b?c"), "http://example.com:80");
        assert_eq!(show("https://example.com"), "https://example.com:443");
        assert_eq!(show("http://[::1]:8080"), "http://[::1]:8080");
        assert!(show("ftp://example.com").contains("http://"));
        assert!(show("example.com").contains("http://"));
        assert!(show("http://a:99999").contains("is not a usable origin"));
        assert!(show("http://user:pw@host").contains("password"));
    }
}
