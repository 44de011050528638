use std::fmt;
use std::net::IpAddr;

use crate::characters::shown;

/// The most rules about hosts. An operator who lists more wants a proxy.
pub const MAX_HOST_RULES: usize = 256;

/// The longest host name, in bytes, as in DNS.
const MAX_NAME_BYTES: usize = 253;

/// A host, spelled in its one way: a name in lower case and in ASCII (punycode), without a dot at its end; or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    text: String,
    address: Option<IpAddr>,
}

/// Why a text names no host that can be listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostRuleError {
    /// It is no host name and no address.
    #[error("{} is neither a host name nor an address; give `docs.rs`, which includes what is below it, or `192.0.2.7`", shown(.0))]
    NotAHost(String),
    /// It would include every host below a top-level domain.
    #[error("{} would allow every host below it; name at least two parts, such as `example.com`", shown(.0))]
    TooWide(String),
    /// There are too many.
    #[error("there are more than {MAX_HOST_RULES} hosts")]
    TooMany,
}

impl Host {
    /// A host from a name or an address, without port; IPv6 with or without brackets.
    ///
    /// # Errors
    /// It is none, or is an address in a spelling that programs read differently (`0x7f.1`, `017700000001`).
    pub fn parse(text: &str) -> Result<Self, HostRuleError> {
        let wrong = || HostRuleError::NotAHost(text.to_owned());
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::address(address));
        }
        if text.contains('%') || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(wrong());
        }
        match ::url::Host::parse(text).map_err(|_| wrong())? {
            ::url::Host::Domain(name) => Self::name(&name).ok_or_else(wrong),
            // An address that only a lenient parser takes for one.
            ::url::Host::Ipv4(_) | ::url::Host::Ipv6(_) => Err(wrong()),
        }
    }

    pub(super) fn address(address: IpAddr) -> Self {
        Self {
            text: address.to_string(),
            address: Some(address),
        }
    }

    /// From a name that is in ASCII and lower case already.
    pub(super) fn name(name: &str) -> Option<Self> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let good = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        };
        let fits = name.len() <= MAX_NAME_BYTES && name.split('.').all(good);
        fits.then(|| Self {
            text: name.to_owned(),
            address: None,
        })
    }

    /// The one spelling.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address, when it is one.
    pub fn as_address(&self) -> Option<IpAddr> {
        self.address
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Hosts that an operator listed. A name includes what is below it, cut at dots: `docs.rs` is `docs.rs` and `a.docs.rs`, never
/// `evildocs.rs`. An address and `localhost` are only themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRules {
    hosts: Vec<Host>,
}

impl HostRules {
    /// No host is listed.
    pub fn none() -> Self {
        Self::default()
    }

    /// The rules of a configuration.
    ///
    /// # Errors
    /// The first entry that is wrong.
    pub fn new<S: AsRef<str>>(hosts: &[S]) -> Result<Self, HostRuleError> {
        if hosts.len() > MAX_HOST_RULES {
            return Err(HostRuleError::TooMany);
        }
        let parse = |text: &S| {
            let host = Host::parse(text.as_ref())?;
            let wide = host.address.is_none() && !host.text.contains('.') && host.text != "localhost";
            if wide {
                Err(HostRuleError::TooWide(text.as_ref().to_owned()))
            } else {
                Ok(host)
            }
        };
        let hosts = hosts.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { hosts })
    }

    /// Whether `host` is listed.
    pub fn covers(&self, host: &Host) -> bool {
        self.hosts.iter().any(|listed| {
            host == listed
                || (listed.address.is_none()
                    && host.address.is_none()
                    && listed.text != "localhost"
                    && host
                        .text
                        .strip_suffix(listed.text.as_str())
                        .is_some_and(|below| below.ends_with('.')))
        })
    }

    /// Those that are listed as addresses, or as `localhost`: who writes one down means it, whatever network it is in.
    pub fn explicit_addresses(&self) -> impl Iterator<Item = Host> {
        let explicit = |host: &&Host| host.address.is_some() || host.text == "localhost";
        self.hosts.iter().filter(explicit).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_for_each_host() {
        let same = [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("ｅｘａｍｐｌｅ.com", "example.com"),
            ("example。com", "example.com"),
            ("[2606:4700::0:1]", "2606:4700::1"),
            ("8.8.8.8", "8.8.8.8"),
        ];
        for (text, expected) in same {
            assert_eq!(
                Host::parse(text).map(|host| host.to_string()).as_deref(),
                Ok(expected),
                "{text}"
            );
        }
        let long = format!("{}.example", "x".repeat(64));
        let bad = [
            "",
            ".",
            "..",
            "a..b",
            ".example.com",
            "example.com..",
            "a b",
            "a\0b",
            "a\nb",
            "a/b",
            "a:80",
            "a@b",
            "*.example.com",
            "%61.example",
            "0x7f.1",
            "0177.0.0.1",
            "2130706433",
            "127.1",
            "1.2.3.4.",
            "１２７.0.0.1",
            "[::1",
            "::1]",
            "[fe80::1%25eth0]",
            &long,
        ];
        for text in bad {
            assert!(Host::parse(text).is_err(), "{text:?}: {:?}", Host::parse(text));
        }
    }

    #[test]
    fn a_listed_name_includes_what_is_below_it_and_no_look_alike() {
        let rules = HostRules::new(&["docs.rs", "Bücher.example", "8.8.8.8", "localhost"]).unwrap();
        let covers = |text: &str| rules.covers(&Host::parse(text).unwrap());
        for good in [
            "docs.rs",
            "DOCS.RS.",
            "a.b.docs.rs",
            "xn--bcher-kva.example",
            "www.bücher.example",
            "8.8.8.8",
            "localhost",
        ] {
            assert!(covers(good), "{good}");
        }
        for bad in [
            "evildocs.rs",
            "docs.rs.evil.example",
            "rs",
            "docs-rs",
            "docs.rs-evil.example",
            "xdocs.rs",
            "bucher.example",
            "dоcs.rs",
            "8.8.8.80",
            "x.localhost",
            "18.8.8.8",
        ] {
            assert!(!covers(bad), "{bad}");
        }
        let explicit: Vec<String> = rules.explicit_addresses().map(|host| host.to_string()).collect();
        assert_eq!(explicit, ["8.8.8.8", "localhost"]);
    }

    #[test]
    fn rules_that_say_too_much_are_refused() {
        assert!(matches!(HostRules::new(&["com"]), Err(HostRuleError::TooWide(_))));
        assert!(matches!(
            HostRules::new(&["ok.example", "https://x.example"]),
            Err(HostRuleError::NotAHost(_))
        ));
        assert!(matches!(
            HostRules::new(&["*.example.com"]),
            Err(HostRuleError::NotAHost(_))
        ));
        assert_eq!(
            HostRules::new(&vec!["a.example"; MAX_HOST_RULES + 1]),
            Err(HostRuleError::TooMany)
        );
        assert!(HostRules::new::<&str>(&[]).is_ok());
    }
}
