//! The few fields of a request that the gateway looks at. Everything else is the upstream's business.

use super::json::{Invalid, RawText, Value, walk_object};

/// Longest model name kept. Real ones are below 60 bytes; it ends up in the labels of metrics.
const MAX_MODEL: usize = 256;

/// What is read of a request to create or count a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::relay) struct Fields {
    /// Absent where there is none, or none that could be one.
    pub(in crate::relay) model: Option<Box<str>>,
    /// Only `true` asks for a stream; anything else that is no `false` is the upstream's to refuse.
    pub(in crate::relay) stream: bool,
}

impl Fields {
    /// Reads them out of `body`, all of which is checked to be a JSON object.
    ///
    /// Of repeated names the last counts, as nearly all parsers have it.
    pub(in crate::relay) fn read(body: &[u8]) -> Result<Self, Invalid> {
        let mut fields = Fields::default();
        walk_object(body, |name, value| {
            if is(name, "model") {
                fields.model = match value {
                    Value::Text(text) => model(text),
                    _ => None,
                };
            } else if is(name, "stream") {
                fields.stream = matches!(value, Value::Bool(true));
            }
        })?;
        Ok(fields)
    }
}

fn is(name: RawText<'_>, wanted: &str) -> bool {
    if !name.escaped {
        return name.raw == wanted.as_bytes();
    }
    // Six bytes spell one at most.
    name.raw.len() <= 6 * wanted.len() && unescape(name.raw).is_some_and(|name| *name == *wanted)
}

fn model(text: RawText<'_>) -> Option<Box<str>> {
    if text.raw.len() > MAX_MODEL {
        return None;
    }
    if text.escaped {
        return unescape(text.raw);
    }
    std::str::from_utf8(text.raw).ok().map(Box::from)
}

/// Rare and short, so it may cost.
fn unescape(raw: &[u8]) -> Option<Box<str>> {
    let quoted = [b"\"", raw, b"\""].concat();
    serde_json::from_slice(&quoted).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value as Json};

    use super::*;

    fn check(body: &str, model: Option<&str>, stream: bool) {
        let fields = Fields::read(body.as_bytes()).unwrap();
        let expected = Fields {
            model: model.map(Box::from),
            stream,
        };
        assert_eq!(fields, expected, "{body}");
    }

    #[test]
    fn fields_are_read_wherever_they_stand() {
        check("{}", None, false);
        check(r#"{"model":"m","stream":true}"#, Some("m"), true);
        check(
            r#"{"messages":[{"model":"no","stream":true}],"stream":false}"#,
            None,
            false,
        );
        check(r#"{"metadata":{"stream":true},"model":null}"#, None, false);
        check(r#"{"stream":"true"}"#, None, false);
        check(r#"{"stream":1,"model":["m"]}"#, None, false);
        check(
            r#"{"stream":true,"stream":false,"model":"a","model":"b"}"#,
            Some("b"),
            false,
        );
        check(
            r#"{"str\u0065am":true,"m\u006fdel":"cl\u0061ude"}"#,
            Some("claude"),
            true,
        );
        check(r#"{"streams":true,"Stream":true,"Model":"m"}"#, None, false);
        check(r#"{"model":"\ud800"}"#, None, false);
    }

    #[test]
    fn a_long_model_name_is_none() {
        let named =
            |length: usize| Fields::read(format!(r#"{{"model":"{}"}}"#, "m".repeat(length)).as_bytes());
        assert!(named(MAX_MODEL).unwrap().model.is_some());
        assert!(named(MAX_MODEL + 1).unwrap().model.is_none());
    }

    proptest! {
        #[test]
        fn fields_are_those_that_serde_finds(
            members in prop::collection::vec(
                (prop_oneof![Just("model".to_owned()), Just("stream".to_owned()), any::<String>()],
                 prop_oneof![any::<bool>().prop_map(Json::from), ".{0,20}".prop_map(Json::from), Just(Json::Null)]),
                0..8,
            ),
        ) {
            let members = members.iter().map(|(name, value)| format!("{}:{value}", Json::from(name.as_str())));
            let body = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
            let tree: Map<String, Json> = serde_json::from_str(&body).unwrap();
            let expected = Fields {
                model: tree.get("model").and_then(Json::as_str).map(Box::from),
                stream: tree.get("stream") == Some(&Json::Bool(true)),
            };
            prop_assert_eq!(Fields::read(body.as_bytes()).unwrap(), expected);
        }
    }
}
