//! [`Secret`]: text that has no printable form.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// What stands in the place of a secret wherever one would be printed or written.
pub(crate) const REDACTED: &str = "[redacted]";

/// A credential. It is printed and serialised as `[redacted]`, and its memory is overwritten when it is dropped.
///
/// Only [`Secret::expose`] gives the text. Equality is for configurations and tests: it is not constant-time, so
/// never compare with it what a stranger sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text itself. Pass it on to what needs it, and keep no copy.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl ZeroizeOnDrop for Secret {}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "writeOnly": true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "sk-ant-very-secret";

    #[test]
    fn no_way_of_printing_shows_the_text() {
        let secret = Secret::from(TEXT);
        let printed = [
            format!("{secret}"),
            format!("{secret:?}"),
            format!("{secret:#?}"),
            format!("{:?}", Some(&secret)),
            serde_json::to_string(&secret).unwrap(),
            toml::Value::try_from(&secret).unwrap().to_string(),
        ];
        for text in printed {
            assert!(text.contains(REDACTED) && !text.contains("very"), "{text}");
        }
    }

    #[test]
    fn the_text_is_given_only_when_asked_for() {
        let secret: Secret = serde_json::from_str(&format!("\"{TEXT}\"")).unwrap();
        assert_eq!(secret.expose(), TEXT);
        assert_eq!(secret, Secret::from(TEXT.to_owned()));
    }

    #[test]
    fn memory_is_overwritten_on_drop() {
        fn overwritten_on_drop<T: ZeroizeOnDrop>(_: &T) {}
        let secret = Secret::from(TEXT);
        // The field itself carries the guarantee: if it became a plain String, the second line would not compile.
        overwritten_on_drop(&secret);
        overwritten_on_drop(&secret.0);
    }
}
