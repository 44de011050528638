use std::fmt;
use std::net::Ipv4Addr;

use super::Host;
use crate::characters::deceptive;

/// The longest URL, in bytes: beyond every address that a page links to; what is longer carries data.
pub const MAX_URL_BYTES: usize = 2048;

/// A web address that every program reads the same way.
///
/// `http` or `https`; no user or password; the host in its one spelling; no fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebUrl {
    url: ::url::Url,
    host: Host,
}

/// Why a text is not used as an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Longer than [`MAX_URL_BYTES`].
    #[error("the URL is longer than {MAX_URL_BYTES} bytes")]
    TooLong,
    /// A control or invisible character, a blank, or a backslash: parsers disagree on them.
    #[error("the URL has {0} in it; write it percent-encoded, without blanks around")]
    Character(&'static str),
    /// No URL at all.
    #[error("this is no absolute URL; it begins with https://")]
    Malformed,
    /// Another scheme.
    #[error("only https and http URLs are fetched")]
    Scheme,
    /// `user@host`.
    #[error("the URL has a user or password in it; leave it out")]
    UserInfo,
    /// The host is malformed, or an address in an odd spelling.
    #[error(
        "the URL's host is malformed or spelled in an odd way; write names plainly and addresses like 192.0.2.7 or [2001:db8::7]"
    )]
    Host,
    /// A redirect from https to http.
    #[error("the redirect leads from https to http, where anyone on the way could change the answer")]
    Downgrade,
}

impl WebUrl {
    /// Parses an address that someone typed, or a model or a page named.
    ///
    /// # Errors
    /// It is none, or one that programs could read differently.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        plain(text)?;
        let url = ::url::Url::parse(text).map_err(|error| match error {
            ::url::ParseError::RelativeUrlWithoutBase => UrlError::Malformed,
            _ => UrlError::Host,
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlError::Scheme);
        }
        // The parser also takes `https:host` and `https:///host`; others read a path there.
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Malformed)?;
        if !scheme.eq_ignore_ascii_case(url.scheme()) {
            return Err(UrlError::Malformed);
        }
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        Self::checked(url, Some(authority))
    }

    /// Where an answer of this address redirects to: `location` may be relative.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse), and [`UrlError::Downgrade`].
    pub fn redirect(&self, location: &str) -> Result<Self, UrlError> {
        plain(location)?;
        let target = match ::url::Url::parse(location) {
            Ok(_) => Self::parse(location)?,
            Err(::url::ParseError::RelativeUrlWithoutBase) => {
                // `//host/path` names a host of its own.
                let authority = location
                    .strip_prefix("//")
                    .map(|rest| &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]);
                let url = self.url.join(location).map_err(|_| UrlError::Host)?;
                Self::checked(url, authority)?
            }
            Err(_) => return Err(UrlError::Host),
        };
        if self.url.scheme() == "https" && target.url.scheme() == "http" {
            return Err(UrlError::Downgrade);
        }
        Ok(target)
    }

    /// `authority` as it was written, where it was.
    fn checked(mut url: ::url::Url, authority: Option<&str>) -> Result<Self, UrlError> {
        let named_user = authority.is_some_and(|text| text.contains('@'));
        if named_user || !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::UserInfo);
        }
        if authority.is_some_and(|text| text.is_empty() || text.contains('%')) {
            return Err(UrlError::Host);
        }
        let host = match url.host().ok_or(UrlError::Host)? {
            ::url::Host::Domain(name) => Host::name(name).ok_or(UrlError::Host)?,
            ::url::Host::Ipv6(address) => Host::address(address.into()),
            ::url::Host::Ipv4(address) => {
                if !authority.is_none_or(|text| plainly_spelled(text, address)) {
                    return Err(UrlError::Host);
                }
                Host::address(address.into())
            }
        };
        // Without the dot at the end of a name, so that virtual hosts, certificates and rules see one name.
        if host.as_address().is_none() && url.host_str() != Some(host.as_str()) {
            url.set_host(Some(host.as_str())).map_err(|_| UrlError::Host)?;
        }
        url.set_fragment(None);
        if url.as_str().len() > MAX_URL_BYTES {
            return Err(UrlError::TooLong);
        }
        Ok(Self { url, host })
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The whole, in ASCII.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

fn plain(text: &str) -> Result<(), UrlError> {
    if text.len() > MAX_URL_BYTES {
        return Err(UrlError::TooLong);
    }
    for c in text.chars() {
        if c.is_whitespace() {
            return Err(UrlError::Character("a blank or line break"));
        }
        if c == '\\' {
            return Err(UrlError::Character("a backslash"));
        }
        if let Some(what) = deceptive(c) {
            return Err(UrlError::Character(what));
        }
    }
    Ok(())
}

/// `0x7f.1`, `017700000001` and `2130706433` are 127.0.0.1 to some programs and a name to others.
fn plainly_spelled(authority: &str, address: Ipv4Addr) -> bool {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    host.parse() == Ok(address)
}

/// What is accepted must be the same when it is parsed again, and must agree with the parser that requests are made with.
pub(super) fn check_round_trip(text: &str) {
    let Ok(url) = WebUrl::parse(text) else {
        return;
    };
    assert_eq!(WebUrl::parse(url.as_str()).as_ref(), Ok(&url), "{text:?}");
    let Ok(uri) = url.as_str().parse::<http::Uri>() else {
        return;
    };
    let host = uri.host().unwrap_or_default();
    assert_eq!(Host::parse(host).as_ref(), Ok(url.host()), "{text:?} → {url}");
    assert!(
        !url.as_str().contains('@') || !uri.authority().is_some_and(|a| a.as_str().contains('@')),
        "{text:?}"
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_addresses_are_taken_in_one_spelling() {
        let table = [
            ("https://example.com", "https://example.com/"),
            ("HTTPS://Example.COM:443/a?b=c#d", "https://example.com/a?b=c"),
            ("http://example.com./x", "http://example.com/x"),
            (
                "https://bücher.example/ä?ö",
                "https://xn--bcher-kva.example/%C3%A4?%C3%B6",
            ),
            ("http://8.8.8.8:8080/", "http://8.8.8.8:8080/"),
            ("http://[::1]:3000/x", "http://[::1]:3000/x"),
            ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]/"),
            ("https://example.com/a@b", "https://example.com/a@b"),
        ];
        for (text, expected) in table {
            assert_eq!(
                WebUrl::parse(text).map(|url| url.to_string()).as_deref(),
                Ok(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_programs_read_differently_is_refused() {
        let table = [
            ("example.com", UrlError::Malformed),
            ("//example.com", UrlError::Malformed),
            ("https:example.com", UrlError::Malformed),
            ("https:/example.com", UrlError::Malformed),
            ("https:///example.com", UrlError::Host),
            ("ftp://example.com", UrlError::Scheme),
            ("file:///etc/passwd", UrlError::Scheme),
            ("gopher://example.com", UrlError::Scheme),
            ("data:text/html,x", UrlError::Scheme),
            ("https://user@example.com", UrlError::UserInfo),
            ("https://user:pass@example.com", UrlError::UserInfo),
            ("https://@example.com", UrlError::UserInfo),
            ("https://good.example@evil.example/", UrlError::UserInfo),
            ("http://0x7f.1/", UrlError::Host),
            ("http://0x7f000001/", UrlError::Host),
            ("http://017700000001/", UrlError::Host),
            ("http://0177.0.0.1/", UrlError::Host),
            ("http://2130706433/", UrlError::Host),
            ("http://127.1/", UrlError::Host),
            ("http://127.0.0.1./", UrlError::Host),
            ("http://１２７.0.0.1/", UrlError::Host),
            ("http://127。0。0。1/", UrlError::Host),
            ("http://%31%32%37.0.0.1/", UrlError::Host),
            ("http://exam%70le.com/", UrlError::Host),
            ("http://a..b/", UrlError::Host),
            ("http://example.com../", UrlError::Host),
            ("http://[::1%25lo]/", UrlError::Host),
            ("http://", UrlError::Host),
            ("http://example.com:99999/", UrlError::Host),
            (
                "http://example.com\0.evil.example/",
                UrlError::Character("a control character"),
            ),
            (
                "http://example.com/\r\nHost: evil",
                UrlError::Character("a blank or line break"),
            ),
            (
                " http://example.com/",
                UrlError::Character("a blank or line break"),
            ),
            (
                "http://exam\tple.com/",
                UrlError::Character("a blank or line break"),
            ),
            (
                "http://good.example\\@evil.example/",
                UrlError::Character("a backslash"),
            ),
            (
                "http://good.example/\u{202E}",
                UrlError::Character("a character that changes the reading direction"),
            ),
            (
                "http://good\u{200B}.example/",
                UrlError::Character("an invisible character"),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(WebUrl::parse(text), Err(expected), "{text:?}");
        }
        let fragment = WebUrl::parse("https://good.example#@evil.example").unwrap();
        assert_eq!(fragment.as_str(), "https://good.example/");
        let long = format!("http://example.com/{}", "x".repeat(MAX_URL_BYTES));
        assert_eq!(WebUrl::parse(&long), Err(UrlError::TooLong));
        let grows = format!("http://example.com/{}", "ä".repeat(MAX_URL_BYTES / 3));
        assert_eq!(WebUrl::parse(&grows), Err(UrlError::TooLong));
    }

    #[test]
    fn redirects_are_judged_like_any_address_and_never_lose_their_lock() {
        let from = WebUrl::parse("https://example.com/a/b?c").unwrap();
        let to = |location: &str| from.redirect(location).map(|url| url.to_string());
        assert_eq!(to("d").as_deref(), Ok("https://example.com/a/d"));
        assert_eq!(to("/d").as_deref(), Ok("https://example.com/d"));
        assert_eq!(to("//other.example/d").as_deref(), Ok("https://other.example/d"));
        assert_eq!(
            to("https://other.example").as_deref(),
            Ok("https://other.example/")
        );
        let refused = [
            ("http://example.com/", UrlError::Downgrade),
            ("file:///etc/passwd", UrlError::Scheme),
            ("javascript:alert(1)", UrlError::Scheme),
            ("https://user@other.example", UrlError::UserInfo),
            ("//user@other.example", UrlError::UserInfo),
            ("//0x7f.1/", UrlError::Host),
            ("https://2130706433/", UrlError::Host),
            ("/\\evil.example", UrlError::Character("a backslash")),
            ("\t//evil.example", UrlError::Character("a blank or line break")),
            ("///evil.example", UrlError::Host),
        ];
        for (location, expected) in refused {
            assert_eq!(to(location), Err(expected), "{location:?}");
        }
        let plain = WebUrl::parse("http://example.com/").unwrap();
        assert!(plain.redirect("https://example.com/").unwrap().is_secure());
        assert!(!plain.redirect("/x").unwrap().is_secure());
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_read_the_same_twice(text in any::<String>()) {
            check_round_trip(&text);
        }

        #[test]
        fn nearly_good_addresses_are_refused_or_read_the_same_twice(
            text in r#"(https?|HTTP):/{0,3}[a-z0-9.@:\[\]%\\#?ä。-]{0,30}[/?#]?.{0,20}"#,
        ) {
            check_round_trip(&text);
        }
    }
}
