use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::answer::RequestId;
use crate::routes::{self, Route};

/// Who shows no credential where none is needed.
pub(super) const ANONYMOUS: &str = "anonymous";

/// What the pipeline knows of a request when a handler gets it.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Names the request; it is in every answer, and in the log.
    pub(crate) id: RequestId,
    /// The row of the table that was found.
    pub(crate) route: &'static Route,
    /// Whose credential was shown. None on open routes without one, and where no credentials are configured.
    pub(crate) credential: Option<Arc<str>>,
    /// Whether the caller may see what only who holds a credential may: also true where none are configured.
    pub(crate) trusted: bool,
}

impl Context {
    /// The `index`-th `{name}` of the route in `path`, decoded; none when it is not UTF-8 or holds a control character.
    pub(crate) fn parameter(&self, path: &str, index: usize) -> Option<String> {
        let segment = routes::parameters(self.route.pattern, path).nth(index)?;
        decoded(segment)
    }

    /// Who pays for a request: rate limits and cached answers are kept apart by it.
    pub(crate) fn tenant(&self) -> &str {
        self.credential.as_deref().unwrap_or(ANONYMOUS)
    }
}

/// Where a client is, as far as that tells clients apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ClientAddress {
    /// Over TCP.
    Ip(IpAddr),
    /// Over the Unix socket, which only the own user can open.
    Local,
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Local => f.write_str("unix socket"),
        }
    }
}

/// Percent-decodes one segment of a path.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push((high * 16 + low) as u8);
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_or_refused() {
        let check =
            |segment, expected: Option<&str>| assert_eq!(decoded(segment).as_deref(), expected, "{segment}");
        check("plain-1", Some("plain-1"));
        check("a%20b%2Fc", Some("a b/c"));
        check("%C3%A4", Some("ä"));
        check("%C3", None);
        check("%", None);
        check("%4", None);
        check("%zz", None);
        check("a%00b", None);
        check("a%0d%0ab", None);
    }
}
