use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A whole number of a request body, between `MIN` and `MAX`. `7.0` is 7, as JSON Schema has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Number<MIN, MAX> {
    pub(crate) fn get(self) -> u32 {
        self.0
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Number<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        if number.fract() == 0.0 && (f64::from(MIN)..=f64::from(MAX)).contains(&number) {
            // In range, and a double holds every number of 32 bits.
            return Ok(Self(number as u32));
        }
        Err(de::Error::custom(format!(
            "not a whole number from {MIN} to {MAX}"
        )))
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for Number<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_in_range_are_taken() {
        let check = |json: &str, expected: Option<u32>| {
            let number = serde_json::from_str::<Number<1, 10>>(json);
            assert_eq!(number.ok().map(Number::get), expected, "{json}");
        };
        check("7", Some(7));
        check("7.0", Some(7));
        check("1e1", Some(10));
        for wrong in [
            "0",
            "11",
            "7.5",
            "-1",
            "1e999",
            "\"7\"",
            "null",
            "99999999999999999999",
        ] {
            check(wrong, None);
        }
    }
}
