//! Where programs that follow addresses from elsewhere may connect to: the guard against server-side request forgery.
//!
//! A URL is parsed once ([`WebUrl`]) and refused where two parsers could read it differently. Its host is judged by name ([`HostRules`]), and
//! every address that the name leads to by [`AddressRules`], where the connection is made, so that a name which leads elsewhere a moment later
//! changes nothing. Redirects are parsed by [`WebUrl::redirect`], one at a time, by whoever follows them.

mod address;
mod host;
mod url;

pub use address::{AddressKind, AddressRules, MAX_NAMED_HOSTS, kind_of};
pub use host::{Host, HostRuleError, HostRules, MAX_HOST_RULES};
pub use url::{MAX_URL_BYTES, UrlError, WebUrl};

/// What the fuzz target and the property tests check of any text.
#[doc(hidden)]
pub fn fuzz(text: &str) {
    url::check_round_trip(text);
}
