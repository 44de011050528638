//! The types a setting can have: what TOML they are read from, and how they are shown.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Value;
use toml::de::DeValue;
use url::Url;
use uuid::Uuid;

use crate::choice::{ApiVersion, DeploymentEnvironment, LogLevel, PermissionMode, WhenDown, WhitelistLevel};
use crate::document;
use crate::problem::shorten;
use crate::secret::{REDACTED, Secret};
use crate::sections::SigningKey;
use crate::units::{ByteSize, HumanDuration};

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Switch,
    Whole,
    Number,
    Text,
    Path,
    Url,
    Uuid,
    Secret,
    Duration,
    Size,
    List,
    Keys,
    Address,
    Choice(&'static [&'static str]),
}

impl Kind {
    /// Whether a TOML value of this type can be meant at all.
    fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Switch => value.is_bool(),
            Self::Whole => value.is_integer(),
            Self::Number => value.is_integer() || value.is_float(),
            Self::Size => value.is_str() || value.is_integer(),
            Self::List | Self::Keys => value.is_array(),
            _ => value.is_str(),
        }
    }

    /// What a value of this kind is, with an example where its form is not obvious.
    pub(crate) fn valid(self) -> Cow<'static, str> {
        match self {
            Self::Switch => "true or false".into(),
            Self::Uuid => "a UUID".into(),
            Self::Address => "an address and a port, such as \"127.0.0.1:8642\" or \"[::1]:8642\"".into(),
            Self::Keys => "a list of tables with id, algorithm (hmac-sha256 or ed25519) and key_file".into(),
            Self::List => "a list of texts, such as [\"cargo doc\"]".into(),
            Self::Choice(names) => format!("one of {}", names.join(", ")).into(),
            other => format!("a {}", other.name()).into(),
        }
    }

    /// One or two words, for the reference.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Switch => "boolean",
            Self::Whole => "whole number",
            Self::Number => "number",
            Self::Text | Self::Choice(_) => "text",
            Self::Path => "path",
            Self::Url => "URL",
            Self::Uuid => "UUID",
            Self::Secret => "secret",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::List => "list of texts",
            Self::Keys => "list of tables",
            Self::Address => "address and port",
        }
    }

    /// A value written outside a file, in an environment variable or on the command line: a TOML literal, or a bare
    /// text where a text is wanted.
    pub(crate) fn literal(self, text: &str) -> Value {
        let takes_text = !matches!(
            self,
            Self::Switch | Self::Whole | Self::Number | Self::Size | Self::List | Self::Keys
        );
        let quoted = text.trim_start().starts_with(['"', '\'']);
        if takes_text && !quoted {
            return Value::String(text.to_owned());
        }
        match DeValue::parse(text.trim()) {
            Ok(value) => document::plain(value.into_inner()),
            Err(_) => Value::String(text.to_owned()),
        }
    }

    /// The value as it may be shown in a message.
    pub(crate) fn shown(self, value: &Value) -> String {
        match (self, value) {
            (Self::Secret, _) => REDACTED.to_owned(),
            // A key that was put where a file name or a model belongs must not end up in a log.
            (_, Value::String(text)) if text.contains("sk-ant-") => REDACTED.to_owned(),
            (Self::Url, Value::String(text)) => shorten(&Value::String(without_password(text)).to_string()),
            (_, value) => shorten(&value.to_string()),
        }
    }
}

/// A URL without what stands before its host: it may be a password. The text need not be a valid URL.
fn without_password(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{REDACTED}@{host}"),
        (None, Some((_, host))) => format!("{REDACTED}@{host}"),
        (_, None) => text.to_owned(),
    }
}

/// A type that a key can have.
pub(crate) trait Setting: Serialize + DeserializeOwned {
    const KIND: Kind;

    /// The value in TOML, secrets included. `None` where nothing is set.
    fn exposed(&self) -> Option<Value> {
        Value::try_from(self).ok()
    }
}

/// Reads a setting. The error is to be read after the key and the value.
pub(crate) fn read<T: Setting>(value: Value) -> Result<T, String> {
    if T::KIND == Kind::Duration && (value.is_integer() || value.is_float()) {
        return Err("has no unit and is not in quotes".to_owned());
    }
    if !T::KIND.accepts(&value) {
        return Err(format!("is {}", noun(&value)));
    }
    let negative = value.as_integer().is_some_and(|number| number < 0);
    T::deserialize(value).map_err(|error| match T::KIND {
        // Only the range is left to go wrong.
        Kind::Whole if negative => "is too small".to_owned(),
        Kind::Whole => "is too large".to_owned(),
        Kind::List => "has an entry that is not a text".to_owned(),
        Kind::Uuid => "is not a UUID".to_owned(),
        Kind::Address => "is not an address with a port".to_owned(),
        Kind::Keys => format!("has an entry that is no key: {}", error.message()),
        _ => error.message().to_owned(),
    })
}

/// What was written, as a noun. It is said of a value that should have been something else.
pub(crate) fn noun(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a decimal number",
        Value::Boolean(_) => "a boolean",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

macro_rules! settings {
    ($($type:ty: $kind:expr,)+) => {
        $(impl Setting for $type { const KIND: Kind = $kind; })+
    };
}

settings! {
    bool: Kind::Switch,
    u8: Kind::Whole,
    u32: Kind::Whole,
    u64: Kind::Whole,
    f64: Kind::Number,
    String: Kind::Text,
    PathBuf: Kind::Path,
    Url: Kind::Url,
    Uuid: Kind::Uuid,
    ByteSize: Kind::Size,
    HumanDuration: Kind::Duration,
    Vec<String>: Kind::List,
    Vec<SigningKey>: Kind::Keys,
    SocketAddr: Kind::Address,
    DeploymentEnvironment: Kind::Choice(DeploymentEnvironment::NAMES),
    LogLevel: Kind::Choice(LogLevel::NAMES),
    WhitelistLevel: Kind::Choice(WhitelistLevel::NAMES),
    PermissionMode: Kind::Choice(PermissionMode::NAMES),
    ApiVersion: Kind::Choice(ApiVersion::NAMES),
    WhenDown: Kind::Choice(WhenDown::NAMES),
}

impl Setting for Secret {
    const KIND: Kind = Kind::Secret;

    fn exposed(&self) -> Option<Value> {
        Some(Value::String(self.expose().to_owned()))
    }
}

impl<T: Setting> Setting for Option<T> {
    const KIND: Kind = T::KIND;

    fn exposed(&self) -> Option<Value> {
        self.as_ref().and_then(T::exposed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_toml_or_bare_text() {
        assert_eq!(Kind::Whole.literal("5"), Value::Integer(5));
        assert_eq!(Kind::Size.literal("1024"), Value::Integer(1024));
        assert_eq!(Kind::Size.literal("10 MiB"), Value::String("10 MiB".into()));
        assert_eq!(Kind::Switch.literal("yes"), Value::String("yes".into()));
        assert_eq!(Kind::Text.literal("5"), Value::String("5".into()));
        assert_eq!(Kind::Text.literal("\"a b\""), Value::String("a b".into()));
        assert_eq!(Kind::List.literal("['a', \"b\"]"), Value::from(vec!["a", "b"]));
    }

    #[test]
    fn credentials_are_not_shown() {
        let text = |text: &str| Value::String(text.to_owned());
        assert_eq!(
            Kind::Secret.shown(&text("https://hooks.example/T0KEN")),
            "[redacted]"
        );
        assert_eq!(Kind::Path.shown(&text("sk-ant-canary")), "[redacted]");
        assert_eq!(
            Kind::Url.shown(&text("https://me:canary@host/x")),
            "\"https://[redacted]@host/x\""
        );
        assert_eq!(Kind::Url.shown(&text("me:canary@host")), "\"[redacted]@host\"");
    }
}
