//! What a value must be besides its type. Each rule also says what would be valid, for messages and the reference.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value as Json;
use url::{Host, Url};

use crate::secret::{REDACTED, Secret};
use crate::setting::Setting;

/// The longest text, such as a model's name, in characters.
const MAX_TEXT: usize = 256;
/// How many entries a list may have: every one is compared with every command or path.
const MAX_ENTRIES: usize = 1000;
/// The longest entry of a list in bytes: the longest path that Linux takes.
const MAX_ENTRY: usize = 4096;

/// A condition on the values of one type. Messages are to be read after the key and the value.
pub(crate) trait Rule<T> {
    fn check(&self, value: &T) -> Result<(), String>;

    /// What would be valid.
    fn valid(&self) -> String;

    /// The smallest and the largest number, where the values are numbers.
    fn bounds(&self) -> Option<(Json, Json)> {
        None
    }
}

/// Every value of the type is valid.
pub(crate) struct Any;

impl<T: Setting> Rule<T> for Any {
    fn check(&self, _: &T) -> Result<(), String> {
        Ok(())
    }

    fn valid(&self) -> String {
        T::KIND.valid().into_owned()
    }
}

/// From the first value to the second, both included. A number that is not a number is outside.
pub(crate) struct Within<T>(pub(crate) T, pub(crate) T);

impl<T: Setting + PartialOrd + Display> Rule<T> for Within<T> {
    fn check(&self, value: &T) -> Result<(), String> {
        if *value < self.0 {
            Err("is too small".to_owned())
        } else if *value <= self.1 {
            Ok(())
        } else if *value > self.1 {
            Err("is too large".to_owned())
        } else {
            Err("is not a number".to_owned())
        }
    }

    fn valid(&self) -> String {
        format!("{} from {} to {}", T::KIND.valid(), self.0, self.1)
    }

    fn bounds(&self) -> Option<(Json, Json)> {
        let number = |value: &T| serde_json::to_value(value).ok().filter(Json::is_number);
        Some((number(&self.0)?, number(&self.1)?))
    }
}

/// Not set, or as the rule says.
pub(crate) struct Optional<R>(pub(crate) R);

impl<T: Serialize, R: Rule<T>> Rule<Option<T>> for Optional<R> {
    fn check(&self, value: &Option<T>) -> Result<(), String> {
        value.as_ref().map_or(Ok(()), |value| self.0.check(value))
    }

    fn valid(&self) -> String {
        self.0.valid()
    }

    fn bounds(&self) -> Option<(Json, Json)> {
        self.0.bounds()
    }
}

/// A path from the root: a relative one would mean something else in every folder the agent is started in.
pub(crate) struct AbsolutePath;

impl Rule<PathBuf> for AbsolutePath {
    fn check(&self, path: &PathBuf) -> Result<(), String> {
        let Some(text) = path.to_str() else {
            return Err("is not valid UTF-8".to_owned());
        };
        if text.chars().any(char::is_control) {
            Err("has a control character in it".to_owned())
        } else if text.starts_with('~') {
            Err("starts with `~`, which is not expanded here".to_owned())
        } else if !Path::new(text).is_absolute() {
            Err("is not an absolute path".to_owned())
        } else {
            Ok(())
        }
    }

    fn valid(&self) -> String {
        "an absolute path".to_owned()
    }
}

/// A short text of one line that is not blank.
pub(crate) struct Line;

impl Rule<String> for Line {
    fn check(&self, text: &String) -> Result<(), String> {
        if text.trim().is_empty() {
            Err("is empty".to_owned())
        } else if text.chars().count() > MAX_TEXT {
            Err("is too long".to_owned())
        } else if text.chars().any(char::is_control) {
            Err("has a control character in it".to_owned())
        } else {
            Ok(())
        }
    }

    fn valid(&self) -> String {
        format!("a text of 1 to {MAX_TEXT} characters in one line")
    }
}

/// A list of commands or paths, none of them blank.
pub(crate) struct Entries;

impl Rule<Vec<String>> for Entries {
    fn check(&self, entries: &Vec<String>) -> Result<(), String> {
        if entries.len() > MAX_ENTRIES {
            return Err(format!("has {} entries", entries.len()));
        }
        for (index, entry) in entries.iter().enumerate() {
            let wrong = if entry.trim().is_empty() {
                "is blank"
            } else if entry.len() > MAX_ENTRY {
                "is too long"
            } else if entry.chars().any(char::is_control) {
                "has a control character in it"
            } else {
                continue;
            };
            return Err(format!("has an entry (number {}) that {wrong}", index + 1));
        }
        Ok(())
    }

    fn valid(&self) -> String {
        format!("a list of at most {MAX_ENTRIES} texts that are not blank, each at most {MAX_ENTRY} bytes")
    }
}

/// A program with its arguments, as the system is given them; empty for none. The program is named by its path: a name would be looked up
/// in folders that others may choose.
pub(crate) struct CommandLine;

/// The most words of a command line. What needs more is a script.
const MAX_WORDS: usize = 64;

impl Rule<Vec<String>> for CommandLine {
    fn check(&self, words: &Vec<String>) -> Result<(), String> {
        let Some(program) = words.first() else {
            return Ok(());
        };
        if words.len() > MAX_WORDS {
            return Err(format!("has {} words", words.len()));
        }
        AbsolutePath
            .check(&PathBuf::from(program))
            .map_err(|wrong| format!("names a program whose path {wrong}"))?;
        for (index, word) in words.iter().enumerate() {
            if word.len() > MAX_ENTRY {
                return Err(format!("has a word (number {}) that is too long", index + 1));
            }
            if word.contains('\0') {
                return Err(format!("has a word (number {}) with a NUL in it", index + 1));
            }
        }
        Ok(())
    }

    fn valid(&self) -> String {
        format!("the absolute path of a program and its arguments, at most {MAX_WORDS} texts; empty for none")
    }
}

/// An address that credentials may be sent to: encrypted, or on this machine, and nothing but an address.
pub(crate) struct ServerUrl;

impl Rule<Url> for ServerUrl {
    fn check(&self, url: &Url) -> Result<(), String> {
        check_transport(url)?;
        if !url.username().is_empty() || url.password().is_some() {
            Err("has a user name or password in it".to_owned())
        } else if url.query().is_some() || url.fragment().is_some() {
            Err("has a query or fragment in it".to_owned())
        } else {
            Ok(())
        }
    }

    fn valid(&self) -> String {
        "an https URL with nothing behind its path, or an http URL of this machine (localhost, 127.0.0.1, [::1])".to_owned()
    }
}

/// An address that alerts are posted to. Its path or query may be its credential.
pub(crate) struct SecretUrl;

impl Rule<Secret> for SecretUrl {
    fn check(&self, text: &Secret) -> Result<(), String> {
        if text.expose() == REDACTED {
            return Err("is the mark that redacted output shows in place of a secret".to_owned());
        }
        let url = Url::parse(text.expose()).map_err(|error| format!("is not a URL ({error})"))?;
        check_transport(&url)
    }

    fn valid(&self) -> String {
        "an https URL, or an http URL of this machine (localhost, 127.0.0.1, [::1])".to_owned()
    }
}

fn check_transport(url: &Url) -> Result<(), String> {
    let on_this_machine = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if on_this_machine => Ok(()),
        "http" => Err("is not encrypted, and goes to another machine".to_owned()),
        _ => Err("is not a web address".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_names_its_program_by_path() {
        let check = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            CommandLine.check(&words).is_ok()
        };
        assert!(check(&[]) && check(&["/usr/bin/pass", "show", "a b; $(c)\n", ""]));
        for wrong in [
            &["pass"][..],
            &["./pass"],
            &["~/pass"],
            &[""],
            &["/bin/a\0b"],
            &["/bin/a", "\0"],
        ] {
            assert!(!check(wrong), "{wrong:?}");
        }
        assert!(!check(&["/bin/a"; MAX_WORDS + 1]) && !check(&["/bin/a", &"x".repeat(MAX_ENTRY + 1)]));
    }

    #[test]
    fn only_encrypted_or_local_servers() {
        let cases = [
            ("https://api.anthropic.com", Ok(())),
            ("https://gateway.example/proxy/anthropic", Ok(())),
            ("http://localhost:8080", Ok(())),
            ("http://127.0.0.1:1", Ok(())),
            ("http://127.8.8.8", Ok(())),
            ("http://[::1]:9", Ok(())),
            // The URL parser turns odd spellings into the address they mean, so that they cannot mislead.
            ("http://0x7f.1", Ok(())),
            (
                "http://api.anthropic.com",
                Err("is not encrypted, and goes to another machine"),
            ),
            (
                "http://127.0.0.1.evil.example",
                Err("is not encrypted, and goes to another machine"),
            ),
            (
                "http://localhost.evil.example",
                Err("is not encrypted, and goes to another machine"),
            ),
            (
                "http://localhost@evil.example",
                Err("is not encrypted, and goes to another machine"),
            ),
            (
                "http://[::ffff:10.0.0.1]",
                Err("is not encrypted, and goes to another machine"),
            ),
            ("ftp://localhost", Err("is not a web address")),
            ("file:///etc/passwd", Err("is not a web address")),
            ("https://me:pass@host", Err("has a user name or password in it")),
            ("https://host/?key=1", Err("has a query or fragment in it")),
        ];
        for (text, expected) in cases {
            let found = ServerUrl.check(&Url::parse(text).unwrap());
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn numbers_that_are_none_are_outside_every_range() {
        assert_eq!(
            Within(0.0, 1.0).check(&f64::NAN),
            Err("is not a number".to_owned())
        );
        assert!(Within(0.0, 1.0).check(&f64::INFINITY).is_err());
        assert!(Within(0.0, 1.0).check(&f64::NEG_INFINITY).is_err());
        assert!(Within(0.0, 1.0).check(&1.0).is_ok());
    }

    #[test]
    fn the_redaction_mark_is_no_secret() {
        assert!(SecretUrl.check(&Secret::from(REDACTED)).is_err());
    }

    #[test]
    fn lists_are_bounded() {
        assert!(Entries.check(&vec!["make test".to_owned(); MAX_ENTRIES]).is_ok());
        assert!(
            Entries
                .check(&vec!["make test".to_owned(); MAX_ENTRIES + 1])
                .is_err()
        );
        assert!(Entries.check(&vec!["a".repeat(MAX_ENTRY + 1)]).is_err());
        assert_eq!(
            Entries.check(&vec!["a".into(), "  ".into()]),
            Err("has an entry (number 2) that is blank".to_owned())
        );
    }
}
