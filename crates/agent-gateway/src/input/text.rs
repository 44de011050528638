use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// What alone says nothing. Named one by one, since languages disagree on what else is blank, and clients check by the
/// document's pattern.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Text of a request body: between `MIN` and `MAX` characters, not only blanks (when `MIN` is not 0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text<const MIN: usize, const MAX: usize>(String);

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Text<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.chars().count() > MAX {
            return Err(de::Error::custom(format!("more than {MAX} characters")));
        }
        let is_short = MIN > 0 && (text.chars().count() < MIN || text.trim_matches(BLANKS).is_empty());
        if is_short {
            Err(de::Error::custom("a text that says nothing"))
        } else {
            Ok(Self(text))
        }
    }
}

impl<const MIN: usize, const MAX: usize> JsonSchema for Text<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        if MIN == 0 {
            return json_schema!({ "type": "string", "maxLength": MAX });
        }
        json_schema!({ "type": "string", "minLength": MIN, "maxLength": MAX, "pattern": "[^ \\t\\r\\n]" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_characters() {
        let check = |json: &str, fits: bool| {
            assert_eq!(serde_json::from_str::<Text<1, 3>>(json).is_ok(), fits, "{json}");
        };
        check("\"äöü\"", true);
        check("\"abcd\"", false);
        check("\"\"", false);
        check("\" \\n\"", false);
        // Blank for some, not for the pattern in the document.
        check("\"\\u0085\"", true);
        check("7", false);
        assert!(serde_json::from_str::<Text<0, 3>>("\"\"").is_ok());
    }
}
