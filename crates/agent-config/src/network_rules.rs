//! What a value must be that names a place on the network, or a key that a client of the daemon signs with.

use std::collections::HashSet;
use std::path::PathBuf;

use url::{Host, Url};

use crate::rules::{AbsolutePath, Rule};
use crate::secret::{REDACTED, Secret};
use crate::sections::SigningKey;

/// How many names or origins the daemon compares a request with.
const MAX_NAMES: usize = 100;
/// How many keys the daemon reads and looks a signature's `keyid` up in.
const MAX_SIGNING_KEYS: usize = 100;
/// The longest name of a key, and the longest prefix of shared names: both are part of many messages and keys.
const MAX_NAME: usize = 64;

/// Host names or addresses, each with a port or without.
pub(crate) struct HostNames;

impl Rule<Vec<String>> for HostNames {
    fn check(&self, names: &Vec<String>) -> Result<(), String> {
        check_each(names, |name| {
            let url = Url::parse(&format!("http://{name}/")).ok();
            // What the parser changed was not a plain name: a path, a user, an odd spelling of an address. A star would be
            // taken for a pattern, and is none.
            let plain = url.and_then(|url| {
                let host = url.host_str().filter(|host| !host.contains('*'))?;
                let spelled = name.to_ascii_lowercase();
                let rest = spelled.strip_prefix(host)?;
                let port = rest.strip_prefix(':').map(str::parse::<u16>);
                Some(rest.is_empty() || matches!(port, Some(Ok(_))))
            });
            if plain == Some(true) {
                Ok(())
            } else {
                Err("is not a host name")
            }
        })
    }

    fn valid(&self) -> String {
        format!(
            "a list of at most {MAX_NAMES} host names, such as [\"agent.example\"], each with a port or without"
        )
    }
}

/// Origins of web pages as browsers send them.
pub(crate) struct Origins;

impl Rule<Vec<String>> for Origins {
    fn check(&self, origins: &Vec<String>) -> Result<(), String> {
        check_each(origins, |origin| {
            let url = Url::parse(origin).ok();
            let is_web = |url: &Url| matches!(url.scheme(), "http" | "https");
            match url.filter(is_web) {
                Some(url) if url.origin().ascii_serialization() == *origin => Ok(()),
                _ => Err("is not an origin"),
            }
        })
    }

    fn valid(&self) -> String {
        format!(
            "a list of at most {MAX_NAMES} origins as browsers send them, such as [\"https://dash.example\"]: \
             in lower case, without a path, without the scheme's usual port"
        )
    }
}

fn check_each(entries: &[String], check: impl Fn(&String) -> Result<(), &'static str>) -> Result<(), String> {
    if entries.len() > MAX_NAMES {
        return Err(format!("has {} entries", entries.len()));
    }
    for (index, entry) in entries.iter().enumerate() {
        check(entry).map_err(|wrong| format!("has an entry (number {}) that {wrong}", index + 1))?;
    }
    Ok(())
}

/// Keys that each have a name of their own.
pub(crate) struct SigningKeys;

impl Rule<Vec<SigningKey>> for SigningKeys {
    fn check(&self, keys: &Vec<SigningKey>) -> Result<(), String> {
        if keys.len() > MAX_SIGNING_KEYS {
            return Err(format!("has {} entries", keys.len()));
        }
        let mut ids = HashSet::new();
        for (index, key) in keys.iter().enumerate() {
            let number = index + 1;
            if !is_name(&key.id) {
                return Err(format!("has an entry (number {number}) whose id is not a name"));
            }
            if !ids.insert(&key.id) {
                return Err(format!("has the id `{}` twice", key.id));
            }
            <AbsolutePath as Rule<PathBuf>>::check(&AbsolutePath, &key.key_file)
                .map_err(|wrong| format!("has an entry (number {number}) whose key_file {wrong}"))?;
        }
        Ok(())
    }

    fn valid(&self) -> String {
        format!(
            "a list of at most {MAX_SIGNING_KEYS} tables with id (1 to {MAX_NAME} letters, digits, `-`, `_`, `.`, each id once), \
             algorithm (hmac-sha256 or ed25519) and key_file (an absolute path)"
        )
    }
}

/// The beginning of shared names.
pub(crate) struct KeyPrefix;

impl Rule<String> for KeyPrefix {
    fn check(&self, prefix: &String) -> Result<(), String> {
        if is_name(prefix) {
            Ok(())
        } else {
            Err("is not a plain name".to_owned())
        }
    }

    fn valid(&self) -> String {
        format!("1 to {MAX_NAME} letters, digits, `-`, `_`, `.`")
    }
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=MAX_NAME).contains(&text.len()) && text.chars().all(plain)
}

/// A Redis or Valkey server. Its user part may be its password.
pub(crate) struct RedisUrl;

impl Rule<Secret> for RedisUrl {
    fn check(&self, text: &Secret) -> Result<(), String> {
        if text.expose() == REDACTED {
            return Err("is the mark that redacted output shows in place of a secret".to_owned());
        }
        let url = Url::parse(text.expose()).map_err(|error| format!("is not a URL ({error})"))?;
        if !matches!(url.scheme(), "redis" | "rediss") {
            return Err("is not the address of a Redis server".to_owned());
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err("names no host".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has a query or fragment in it".to_owned());
        }
        match url.path().trim_start_matches('/') {
            "" => Ok(()),
            database if database.parse::<u16>().is_ok() => Ok(()),
            _ => Err("has a path that is not the number of a database".to_owned()),
        }
    }

    fn valid(&self) -> String {
        "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or the same with rediss:// for TLS".to_owned()
    }
}

/// Whether what is sent there can be read on the way.
pub(crate) fn is_unencrypted(url: &Secret) -> bool {
    let Ok(url) = Url::parse(url.expose()) else {
        return false;
    };
    // The parser knows addresses in the URLs of the web only; in others they are names.
    let on_this_machine = match url.host() {
        Some(Host::Domain(name)) => {
            name == "localhost"
                || name
                    .parse()
                    .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "redis" && !on_this_machine
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::SignatureAlgorithm;

    fn one(text: &str) -> Vec<String> {
        vec![text.to_owned()]
    }

    #[test]
    fn only_plain_host_names() {
        for name in [
            "agent.example",
            "Agent.Example",
            "agent.example:8642",
            "localhost",
            "10.0.0.7:443",
            "[::1]:8642",
            "[fd00::1]",
        ] {
            assert_eq!(HostNames.check(&one(name)), Ok(()), "{name}");
        }
        for name in [
            "",
            " ",
            "https://agent.example",
            "agent.example/path",
            "me@agent.example",
            "agent.example:port",
            "agent.example:99999",
            "0x7f.1",
            "*.example",
            "a b",
            "agent.example\n",
        ] {
            let wrong = "has an entry (number 1) that is not a host name".to_owned();
            assert_eq!(HostNames.check(&one(name)), Err(wrong), "{name:?}");
        }
        assert!(HostNames.check(&vec!["a".to_owned(); MAX_NAMES + 1]).is_err());
    }

    #[test]
    fn only_origins_as_browsers_send_them() {
        for origin in [
            "https://dash.example",
            "http://localhost:3000",
            "https://[fd00::1]:8443",
        ] {
            assert_eq!(Origins.check(&one(origin)), Ok(()), "{origin}");
        }
        for origin in [
            "*",
            "null",
            "dash.example",
            "https://dash.example/",
            "https://Dash.example",
            "https://dash.example:443",
            "https://*.example/x",
            "file:///etc",
        ] {
            assert!(Origins.check(&one(origin)).is_err(), "{origin}");
        }
    }

    #[test]
    fn keys_have_names_of_their_own() {
        let key = |id: &str, file: &str| SigningKey {
            id: id.to_owned(),
            algorithm: SignatureAlgorithm::HmacSha256,
            key_file: file.into(),
        };
        let check = |keys: Vec<SigningKey>| SigningKeys.check(&keys);
        assert_eq!(check(vec![key("ci", "/k1"), key("ci.2", "/k2")]), Ok(()));
        assert_eq!(
            check(vec![key("ci", "/k1"), key("ci", "/k2")]),
            Err("has the id `ci` twice".to_owned())
        );
        assert!(check(vec![key("a b", "/k")]).is_err() && check(vec![key("", "/k")]).is_err());
        assert_eq!(
            check(vec![key("ci", "k")]),
            Err("has an entry (number 1) whose key_file is not an absolute path".to_owned())
        );
        assert!(check(vec![key("ci", "/k"); MAX_SIGNING_KEYS + 1]).is_err());
    }

    #[test]
    fn only_redis_servers() {
        let check = |text: &str| RedisUrl.check(&Secret::from(text));
        for url in [
            "redis://127.0.0.1",
            "redis://cache:6379/2",
            "rediss://me:pw@cache.example",
            "redis://[::1]:6379",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        for url in [
            "cache:6379",
            "http://cache",
            "redis://",
            "redis:///0",
            "redis://cache/main",
            "redis://cache?x=1",
            "[redacted]",
        ] {
            assert!(check(url).is_err(), "{url}");
        }
    }

    #[test]
    fn what_can_be_read_on_the_way_is_known() {
        for (url, expected) in [
            ("redis://127.0.0.1:6379", false),
            ("redis://localhost", false),
            ("redis://[::1]", false),
            ("redis://cache.example", true),
            ("redis://10.0.0.7", true),
            ("rediss://cache.example", false),
        ] {
            assert_eq!(is_unencrypted(&Secret::from(url)), expected, "{url}");
        }
    }
}
